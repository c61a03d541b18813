"""The main job: from one field to a folder of new fields of the same process, judged and resumable."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from phasewave.checks import integer, plane_shape
from phasewave.runs.distributed import Ranks
from phasewave.runs.folder import RunFolder, open_run
from phasewave.runs.record import RunRecord
from phasewave.solve.loop import Progress
from phasewave.solve.result import Status
from phasewave.turbulence.fields import Field
from phasewave.turbulence.inputs import SynthesisInput
from phasewave.turbulence.keeper import Keeper, checked_seconds, earlier_seconds, stored_state, unfinished
from phasewave.turbulence.sampler import MaxEntropySampler, SamplerResult
from phasewave.turbulence.settings import SynthesisSettings
from phasewave.turbulence.synthesis_files import checkpoint_file, run_files, write_results
from phasewave.turbulence.synthesis_ranks import merged, on_cpu


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
        The content of metrics.json: the report of `compare`, and ``synthesis`` (`write_results`).
    samples : torch.Tensor, shape (n, H, W), or (n, C, H, W) of several fields
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
    field: Field | SynthesisInput,
    *,
    n_samples: int = 4,
    seed: int = 0,
    out: str | os.PathLike[str],
    settings: SynthesisSettings | None = None,
    shape: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[Progress], bool | None] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    checkpoint_seconds: float = 60.0,
    ranks: Ranks | None = None,
) -> SynthesisOutcome:
    """Draw samples with the moments of a field, and write them, their report and a picture to a folder.

    The folder gets ``samples.h5`` (dataset ``samples``, float32, (n, H, W), with ``target``, ``gaussian`` and
    ``history`` beside it), ``moments.h5`` (what each moment is, and its values for the target and the samples, as
    they were matched), ``metrics.json``, ``figure.png`` and ``run.json``; while the work is going on, and when it
    ended before every sample was finished, also ``checkpoint.h5``. Of several fields of one sky, those after the
    first are ``samples_1`` and so on, with ``figure_1.png``.

    Parameters
    ----------
    field : Field or SynthesisInput
        The target; an ensemble of realisations, fields of one sky, a field with gaps or without periodicity is a
        `SynthesisInput`. The samples are computed in its dtype.
    n_samples : int
        How many.
    seed : int
        Sample i starts from noise that depends on (seed, i) alone.
    out : path-like
        The folder, made if it is not there.
    settings : SynthesisSettings, optional
        The default settings if not given.
    shape : pair of int, optional
        Size of the samples; that of the field by default.
    device : torch.device or str
        Where to compute.
    progress : callable, optional
        Called with a `Progress` after every evaluation; stops the work, which is then saved, by returning
        True. So does Ctrl-C (KeyboardInterrupt).
    resume : bool
        Go on with the unfinished run in ``out``: of the same field, samples, seed, moments and number of ranks,
        but with other limits if wanted. The samples are those of a run that was never stopped.
    overwrite : bool
        Replace the files of an earlier run in ``out``.
    checkpoint_seconds : float
        Seconds between two checkpoints, at least.
    ranks : Ranks, optional
        Processes that share the samples out (`phasewave.runs.distributed.torchrun_ranks`); each calls this
        function with the same arguments, ``device`` apart, and gets the whole outcome. Rank 0 writes; each keeps
        a checkpoint of its own. The samples are those of one process, to the last bit on equal machines.

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
    given = SynthesisInput((field,)) if isinstance(field, Field) else field
    if not isinstance(given, SynthesisInput):
        raise TypeError(f"`field` must be a Field (see read_field, as_field), got {type(field).__name__}")
    chosen = SynthesisSettings() if settings is None else settings
    count, root = integer("n_samples", n_samples, minimum=1), integer("seed", seed, minimum=0)
    sizes = given.shape if shape is None else plane_shape("shape", shape)
    seconds = checked_seconds(checkpoint_seconds)
    team = Ranks() if ranks is None else ranks
    values = given.values.to(device)
    least = (min(given.shape[0], sizes[0]), min(given.shape[1], sizes[1]))
    moments = chosen.build(least, values.dtype, n_fields=given.n_channels).to(device)
    sampler = MaxEntropySampler(
        moments,
        tolerance=chosen.tolerance,
        max_evaluations=chosen.max_evaluations,
        chunk=chosen.chunk,
        exponent=chosen.exponent,
    )
    run = team.agree(
        lambda: open_run(
            out,
            files=run_files(given.n_channels, team.size, Path(out)),
            checkpoint=checkpoint_file(0, team.size),
            overwrite=overwrite,
            resume=resume,
        )
    )
    run = dataclasses.replace(run, checkpoint=checkpoint_file(team.rank, team.size))
    share = team.share(count)
    identity = _identity(given, chosen, sizes, n_samples=count, seed=root)
    state = team.together(lambda: stored_state(run, identity, device) if resume and share else None)
    record = RunRecord(
        settings={**asdict(chosen), "n_samples": count, "shape": sizes, "source": given.source()},
        seed=root,
        device=str(values.device),
        dtype=str(values.dtype).removeprefix("torch."),
        earlier_seconds=earlier_seconds(run) if resume else 0.0,
    )
    keeper = Keeper(run, identity, record if team.first else None, progress, seconds)
    keeper.record_now()
    with keeper.recorded():
        result = team.together(
            lambda: (
                sampler.sample(
                    values,
                    n_samples=len(share),
                    seed=root,
                    shape=sizes,
                    channels=given.channels,
                    mask=None if given.mask is None else given.mask.to(device),
                    periodic=given.periodic,
                    first_sample=share.start,
                    callback=keeper,
                    state=state,
                )
                if share
                else None
            )
        )
        outcome = _finish(
            run, given, chosen, result, keeper, team, table=tuple(getattr(moments, "table", ())), seed=root
        )
    keeper.close(outcome.status)
    return outcome


def _finish(
    run: RunFolder,
    given: SynthesisInput,
    settings: SynthesisSettings,
    result: SamplerResult | None,
    keeper: Keeper,
    team: Ranks,
    *,
    table: tuple[Any, ...],
    seed: int,
) -> SynthesisOutcome:
    """Store the checkpoints of an unfinished run, then write what all ranks have reached."""
    open_here = result is not None and unfinished(result.status)
    if open_here:
        keeper.store()
    if team.any(open_here) and not open_here:
        keeper.store()  # to go on, the finished samples are needed too
    parts = team.gather(None if result is None else on_cpu(result))

    def write() -> SynthesisOutcome:
        whole = merged([part for part in parts if part is not None])
        metrics = write_results(run, given, settings, whole, table=table, seed=seed)
        return SynthesisOutcome(
            status=whole.status,
            losses=whole.losses,
            n_evaluations=whole.n_evaluations,
            folder=run.path,
            metrics=metrics,
            samples=whole.samples,
        )

    return team.agree(write)


def _identity(
    given: SynthesisInput, settings: SynthesisSettings, shape: tuple[int, int], *, n_samples: int, seed: int
) -> dict[str, Any]:
    """Return what a resumed run must share with its checkpoint: everything but the limits."""
    free = ["max_evaluations", "chunk"]
    if not isinstance(settings.tolerance, Mapping):
        free.append("tolerance")  # numbers by class weight the loss
    return {
        "field": given.identity(),
        "shape": shape,
        "n_samples": n_samples,
        "seed": seed,
        "dtype": str(given.values.dtype).removeprefix("torch."),
        **{name: value for name, value in asdict(settings).items() if name not in free},
    }
