"""The run folder of a filled or denoised field: its record, its checkpoints, its files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phasewave.runs.folder import RunFolder, open_run
from phasewave.runs.hdf5 import write_samples
from phasewave.runs.record import RunRecord, write_json
from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.solve.result import Status
from phasewave.turbulence.fields import Field
from phasewave.turbulence.keeper import (
    RECORD,
    Callback,
    Keeper,
    checked_seconds,
    earlier_seconds,
    stored_state,
    unfinished,
)

SAMPLES, METRICS, FIGURE = "samples.h5", "metrics.json", "figure.png"
CHECKPOINT = "checkpoint.h5"
FILES = (SAMPLES, METRICS, RECORD, FIGURE, CHECKPOINT)


@dataclass(frozen=True)
class RunOptions:
    """Where and how a run works; nothing here changes what it converges to.

    Attributes
    ----------
    out : path-like
        The folder, made if it is not there.
    device : torch.device or str
        Where to compute.
    progress : callable, optional
        Called with a `Progress` after every evaluation; stops the work, which is then saved, by returning True.
    on_goal : callable, optional
        Told the loss at which samples converge, once it is estimated; of filling only.
    resume : bool
        Go on with the unfinished run in ``out``.
    overwrite : bool
        Replace the files of an earlier run in ``out``.
    checkpoint_seconds : float
        Seconds between two checkpoints, at least.
    """

    out: str | os.PathLike[str]
    device: torch.device | str = "cpu"
    progress: Callback | None = None
    on_goal: Callable[[float], None] | None = None
    resume: bool = False
    overwrite: bool = False
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True)
class ObservationOutcome:
    """What a run reached.

    Attributes
    ----------
    status : tuple of Status
        One for each sample.
    losses : torch.Tensor, shape (n,), float64
    n_evaluations : tuple of int
    folder : Path
        Where the files are.
    metrics : dict
        The content of metrics.json.
    samples : torch.Tensor, shape (n, H, W)
        On the CPU, in the units of the field.
    """

    status: tuple[Status, ...]
    losses: Tensor
    n_evaluations: tuple[int, ...]
    folder: Path
    metrics: dict[str, Any]
    samples: Tensor


class ObservationRun:
    """One run in its folder.

    Parameters
    ----------
    options : RunOptions
    field : Field
    identity : dict
        What a resumed run must share with its checkpoint, besides the field, the dtype, and the next two.
    n_samples, seed : int

    Raises
    ------
    ValueError
        If ``checkpoint_seconds`` is negative.
    """

    def __init__(
        self, options: RunOptions, field: Field, identity: dict[str, Any], *, n_samples: int, seed: int
    ) -> None:
        checked_seconds(options.checkpoint_seconds)
        self.options, self.field, self.seed = options, field, seed
        self.settings = {**identity, "n_samples": n_samples}
        self.identity = {
            **self.settings,
            "field": {"sha256": field.source.sha256, "shape": field.source.shape},
            "seed": seed,
            "dtype": str(field.values.dtype).removeprefix("torch."),
        }

    def solve(self, work: Callable[[Callback, LBFGSState | None], Any], limits: dict[str, Any]) -> Any:
        """Open the folder, run the solver from the start or from the checkpoint, and store what is unfinished."""
        options = self.options
        self.folder: RunFolder = open_run(
            options.out, files=FILES, checkpoint=CHECKPOINT, overwrite=options.overwrite, resume=options.resume
        )
        state = stored_state(self.folder, self.identity, options.device) if options.resume else None
        record = RunRecord(
            settings={**self.settings, **limits, "source": asdict(self.field.source)},
            seed=self.seed,
            device=str(options.device),
            dtype=self.identity["dtype"],
            earlier_seconds=earlier_seconds(self.folder) if options.resume else 0.0,
        )
        self.keeper = Keeper(self.folder, self.identity, record, options.progress, options.checkpoint_seconds)
        self.keeper.record_now()
        with self.keeper.recorded():
            result = work(self.keeper, state)
        if unfinished(result.status):
            self.keeper.store()
        return result

    def write(self, samples: Tensor, metrics: dict[str, Any], extra: dict[str, Tensor]) -> None:
        """Write samples.h5 and metrics.json."""
        source = asdict(self.field.source)
        write_samples(
            self.folder / SAMPLES, samples, source=source, settings=self.settings, seed=self.seed, extra=extra
        )
        write_json(self.folder / METRICS, metrics)

    def finish(self, result: Any, samples: Tensor, metrics: dict[str, Any]) -> ObservationOutcome:
        """Write the end of run.json, and return the outcome."""
        self.keeper.close(result.status)
        return ObservationOutcome(
            result.status, result.losses, result.n_evaluations, self.folder.path, metrics, samples
        )
