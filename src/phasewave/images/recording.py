"""The record of a run on images: its files' names, run.json when it starts and when it ends, however it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from phasewave.runs.record import RunRecord, read_json

METRICS, FIGURE, RECORD = "metrics.json", "figure.png", "run.json"
MODEL, SAMPLES, HISTORY, LIVE = "model.h5", "samples.h5", "history.json", "progress.png"


@contextlib.contextmanager
def recorded(record: RunRecord, path: Path, *, writes: bool = True) -> Iterator[None]:
    """Write a record before and after the block: done, interrupted (Ctrl-C) or failed.

    A rank that is not to write does nothing.
    """
    if not writes:
        yield
        return
    record.write(path)
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            record.finish(path, status="interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    record.finish(path, status="done")


def seconds_before(path: Path) -> float:
    """Return the wall time of the sittings before, as far as run.json tells."""
    try:
        return float(read_json(path)["wall_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
