"""The main job: from one field to a folder of new fields of the same process, judged and resumable."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from phasewave.checks import fail, integer
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.folder import RunFolder, open_run
from phasewave.runs.hdf5 import write_samples
from phasewave.runs.record import RunRecord, read_json, write_json
from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.solve.loop import Progress
from phasewave.solve.result import Status
from phasewave.turbulence.fields import Field
from phasewave.turbulence.figure import draw_synthesis
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.report import compare
from phasewave.turbulence.sampler import MaxEntropySampler, SamplerResult
from phasewave.turbulence.settings import SynthesisSettings

SAMPLES, METRICS, RECORD, FIGURE = "samples.h5", "metrics.json", "run.json", "figure.png"
CHECKPOINT = "checkpoint.h5"
FILES = (SAMPLES, METRICS, RECORD, FIGURE, CHECKPOINT)


@dataclass(frozen=True)
class SynthesisOutcome:
    """What a synthesis reached.

    Attributes
    ----------
    status : tuple of Status
        One for each sample.
    losses : torch.Tensor, shape (n,), float64
        Relative losses.
    n_evaluations : tuple of int
        Evaluations of each sample.
    folder : Path
        Where the files are.
    metrics : dict
        The content of metrics.json: the report of `compare`, and ``synthesis``.
    samples : torch.Tensor, shape (n, H, W)
        On the CPU, in the units of the field.
    """

    status: tuple[Status, ...]
    losses: torch.Tensor
    n_evaluations: tuple[int, ...]
    folder: Path
    metrics: dict[str, Any]
    samples: torch.Tensor

    @property
    def converged(self) -> bool:
        """Whether every sample has converged."""
        return all(status is Status.CONVERGED for status in self.status)


def synthesize(
    field: Field,
    *,
    n_samples: int = 4,
    seed: int = 0,
    out: str | os.PathLike[str],
    settings: SynthesisSettings | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[Progress], bool | None] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    checkpoint_seconds: float = 60.0,
) -> SynthesisOutcome:
    """Draw samples with the moments of a field, and write them, their report and a picture to a folder.

    The folder gets ``samples.h5`` (dataset ``samples``, float32, (n, H, W), with ``target``, ``gaussian`` and
    ``history`` beside it), ``metrics.json``, ``figure.png`` and ``run.json``; while the work is going on, and
    when it ended before every sample was finished, also ``checkpoint.h5``.

    Parameters
    ----------
    field : Field
        The target; the samples are computed in its dtype.
    n_samples : int
        How many.
    seed : int
        Sample i starts from noise that depends on (seed, i) alone.
    out : path-like
        The folder, made if it is not there.
    settings : SynthesisSettings, optional
        The default settings if not given.
    device : torch.device or str
        Where to compute.
    progress : callable, optional
        Called with a `Progress` after every evaluation; stops the work, which is then saved, by returning
        True. So does Ctrl-C (KeyboardInterrupt).
    resume : bool
        Go on with the unfinished run in ``out``: of the same field, samples, seed and moments, but with other
        limits if wanted. The samples are those of a run that was never stopped.
    overwrite : bool
        Replace the files of an earlier run in ``out``.
    checkpoint_seconds : float
        Seconds between two checkpoints, at least.

    Returns
    -------
    SynthesisOutcome
        Also when not all samples have converged: see its status.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, the field is too small for the scales, or the run in ``out`` is of
        another field, seed or setting.
    FileExistsError
        If ``out`` is not empty and neither ``overwrite`` nor ``resume`` is given.
    FileNotFoundError
        If ``resume`` is given and there is no unfinished run.
    OSError
        If a file cannot be written.
    """
    if not isinstance(field, Field):
        raise TypeError(f"`field` must be a Field (see read_field, as_field), got {type(field).__name__}")
    chosen = SynthesisSettings() if settings is None else settings
    count, root = integer("n_samples", n_samples, minimum=1), integer("seed", seed, minimum=0)
    if not checkpoint_seconds >= 0.0:
        fail("checkpoint_seconds", "be >= 0", checkpoint_seconds)
    values = field.values.to(device)
    sampler = MaxEntropySampler(
        chosen.build(field.source.shape, values.dtype).to(device),
        tolerance=chosen.tolerance,
        max_evaluations=chosen.max_evaluations,
        chunk=chosen.chunk,
    )
    run = open_run(out, files=FILES, checkpoint=CHECKPOINT, overwrite=overwrite, resume=resume)
    identity = _identity(field, chosen, n_samples=count, seed=root)
    state = None
    if resume:
        stored = load_checkpoint(run / CHECKPOINT, settings=identity)
        state = LBFGSState.from_tensors(stored["solver"], device=device)
    record = RunRecord(
        settings={**asdict(chosen), "n_samples": count, "source": asdict(field.source)},
        seed=root,
        device=str(values.device),
        dtype=str(values.dtype).removeprefix("torch."),
        earlier_seconds=_earlier_seconds(run) if resume else 0.0,
    )
    record.write(run / RECORD)
    keeper = _Keeper(run, identity, record, progress, checkpoint_seconds)
    try:
        result = sampler.sample(values, n_samples=count, seed=root, callback=keeper, state=state)
        outcome = _write(run, field, chosen, result, keeper, seed=root)
    except BaseException as error:
        with contextlib.suppress(OSError):
            stopped = isinstance(error, KeyboardInterrupt)
            record.finish(run / RECORD, status=Status.INTERRUPTED.value if stopped else "failed")
        raise
    record.finish(run / RECORD, status=_overall(result.status).value)
    if not _unfinished(result.status):
        (run / CHECKPOINT).unlink(missing_ok=True)
    return outcome


class _Keeper:
    """The callback of the sampler: keeps the last state, stores it now and then, passes on the progress."""

    def __init__(
        self,
        run: RunFolder,
        identity: dict[str, Any],
        record: RunRecord,
        progress: Callable[[Progress], bool | None] | None,
        seconds: float,
    ) -> None:
        self.run, self.identity, self.record = run, identity, record
        self.progress, self.seconds = progress, seconds
        self.state: LBFGSState | None = None
        self.stored_at = time.monotonic()

    def __call__(self, progress: Progress) -> bool:
        self.state = progress.state
        if time.monotonic() - self.stored_at >= self.seconds:
            self.store()
        return self.progress is not None and bool(self.progress(progress))

    def store(self) -> None:
        """Write the checkpoint, and the time used so far."""
        if self.state is not None:
            solver = self.state.to_tensors()
            save_checkpoint(self.run / CHECKPOINT, {"solver": solver}, settings=self.identity)
            self.record.write(self.run / RECORD)
        self.stored_at = time.monotonic()


def _write(
    run: RunFolder,
    field: Field,
    settings: SynthesisSettings,
    result: SamplerResult,
    keeper: _Keeper,
    *,
    seed: int,
) -> SynthesisOutcome:
    """Write the checkpoint of an unfinished run, then the samples, the report and the picture."""
    if _unfinished(result.status):
        keeper.store()
    target, samples = field.values, result.samples.cpu()
    gaussian = GaussianModel(target).sample(len(samples), seed=seed)
    write_samples(
        run / SAMPLES,
        samples,
        source=asdict(field.source),
        settings=asdict(settings),
        seed=seed,
        extra={"target": target, "gaussian": gaussian, "history": result.history},
    )
    metrics = {
        "synthesis": {
            "status": [status.value for status in result.status],
            "losses": result.losses.tolist(),
            "n_evaluations": list(result.n_evaluations),
            "tolerance": settings.tolerance,
            "n_moments": result.n_moments,
            "n_pixels": target.numel(),
        },
        **compare(samples, target, gaussian=gaussian, in_loss=settings.in_loss()),
    }
    write_json(run / METRICS, metrics)
    draw_synthesis(target, gaussian, samples, metrics, run / FIGURE)
    return SynthesisOutcome(
        status=result.status,
        losses=result.losses,
        n_evaluations=result.n_evaluations,
        folder=run.path,
        metrics=metrics,
        samples=samples,
    )


def _identity(field: Field, settings: SynthesisSettings, *, n_samples: int, seed: int) -> dict[str, Any]:
    """Return what a resumed run must share with its checkpoint: everything but the limits."""
    free = ("tolerance", "max_evaluations", "chunk")
    return {
        "field": {"sha256": field.source.sha256, "shape": field.source.shape},
        "n_samples": n_samples,
        "seed": seed,
        "dtype": str(field.values.dtype).removeprefix("torch."),
        **{name: value for name, value in asdict(settings).items() if name not in free},
    }


def _earlier_seconds(run: RunFolder) -> float:
    """Return the wall time of the sittings before, as far as run.json tells."""
    try:
        return float(read_json(run / RECORD)["wall_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _unfinished(status: tuple[Status, ...]) -> bool:
    return Status.INTERRUPTED in status or Status.MAX_EVALUATIONS in status


def _overall(status: tuple[Status, ...]) -> Status:
    """Return the status of the run: that of the sample that is farthest from done."""
    order = (Status.INTERRUPTED, Status.MAX_EVALUATIONS, Status.STALLED, Status.CONVERGED)
    return next(entry for entry in order if entry in status)
