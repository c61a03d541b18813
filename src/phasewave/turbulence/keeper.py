"""What a run in a folder keeps while it works: its last state, its record, and how it ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from phasewave.checks import fail
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.folder import RunFolder
from phasewave.runs.record import RunRecord, read_json
from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.solve.loop import Progress
from phasewave.solve.result import Status

RECORD = "run.json"
"""The record's file in the run folder."""

Callback = Callable[[Progress], bool | None]


class Keeper:
    """The callback of a solver: keeps the last state, stores it now and then, passes on the progress.

    Parameters
    ----------
    run : RunFolder
        Its files must include the checkpoint and the record.
    identity : dict
        What a resumed run must share with the checkpoint.
    record : RunRecord or None
        Written beside every checkpoint; None for a process that leaves that to another.
    progress : callable, optional
        Called with every `Progress`; stops the work by returning True.
    seconds : float
        Between two checkpoints, at least.
    """

    def __init__(
        self,
        run: RunFolder,
        identity: dict[str, Any],
        record: RunRecord | None,
        progress: Callback | None,
        seconds: float,
    ) -> None:
        self.run, self.identity, self.record = run, identity, record
        self.progress, self.seconds = progress, seconds
        self.state: LBFGSState | None = None
        self.stored_at = time.monotonic()

    def __call__(self, progress: Progress) -> bool:
        """Keep the state; return whether to stop."""
        self.state = progress.state
        if time.monotonic() - self.stored_at >= self.seconds:
            self.store()
        return self.progress is not None and bool(self.progress(progress))

    def store(self) -> None:
        """Write the checkpoint, and the time used so far."""
        if self.state is not None:
            solver = self.state.to_tensors()
            save_checkpoint(self.run / self.run.checkpoint, {"solver": solver}, settings=self.identity)
            self.record_now()
        self.stored_at = time.monotonic()

    def record_now(self) -> None:
        """Write the record with the time used so far."""
        if self.record is not None:
            self.record.write(self.run / RECORD)

    def finish(self, status: str) -> None:
        """Write the record with the final status."""
        if self.record is not None:
            self.record.finish(self.run / RECORD, status=status)

    def close(self, status: tuple[Status, ...]) -> None:
        """Write the status of the run, and remove the checkpoint if there is nothing to go on with."""
        self.finish(overall(status).value)
        if not unfinished(status):
            (self.run / self.run.checkpoint).unlink(missing_ok=True)

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Write to the record that the work within was interrupted, or failed, if it raises."""
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(OSError):
                stopped = isinstance(error, KeyboardInterrupt)
                self.finish(Status.INTERRUPTED.value if stopped else "failed")
            raise


def checked_seconds(seconds: float) -> float:
    """Return the seconds between two checkpoints.

    Raises
    ------
    ValueError
        If they are negative or NaN.
    """
    if not seconds >= 0.0:
        fail("checkpoint_seconds", "be >= 0", seconds)
    return seconds


def stored_state(run: RunFolder, identity: dict[str, Any], device: torch.device | str) -> LBFGSState:
    """Return the state in the checkpoint of a run.

    Raises
    ------
    ValueError
        If the checkpoint is of another run, or damaged.
    """
    stored = load_checkpoint(run / run.checkpoint, settings=identity)
    return LBFGSState.from_tensors(stored["solver"], device=device)


def earlier_seconds(run: RunFolder) -> float:
    """Return the wall time of the sittings before, as far as run.json tells."""
    try:
        return float(read_json(run / RECORD)["wall_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def unfinished(status: tuple[Status, ...]) -> bool:
    """Whether there is a sample that could go on."""
    return Status.INTERRUPTED in status or Status.MAX_EVALUATIONS in status


def overall(status: tuple[Status, ...]) -> Status:
    """Return the status of the run: that of the sample that is farthest from done."""
    order = (Status.INTERRUPTED, Status.MAX_EVALUATIONS, Status.STALLED, Status.CONVERGED)
    return next(entry for entry in order if entry in status)
