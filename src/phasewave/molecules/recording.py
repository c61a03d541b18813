"""The record of a run on molecules, written when it starts and when it ends, however it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from phasewave.runs.record import RunRecord

METRICS, FIGURE, RECORD = "metrics.json", "figure.png", "run.json"
MODEL, PREDICTIONS = "model.h5", "predictions.h5"


@contextlib.contextmanager
def recorded(record: RunRecord, path: Path) -> Iterator[None]:
    """Write a record before and after the block: done, interrupted (Ctrl-C) or failed."""
    record.write(path)
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            record.finish(path, status="interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    record.finish(path, status="done")
