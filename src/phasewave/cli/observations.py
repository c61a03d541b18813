"""The commands ``phasewave turbulence inpaint`` and ``denoise``: observed fields with holes or noise."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from rich.console import Console
from rich.table import Table

from phasewave.cli.devices import choose_device
from phasewave.cli.errors import ExitCode
from phasewave.cli.progress import EvaluationProgress, n_samples
from phasewave.runs.interrupt import stop_on_signal
from phasewave.solve.loop import Progress
from phasewave.solve.result import Status
from phasewave.turbulence.denoising import Start
from phasewave.turbulence.fields import read_field
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.observation_folder import ObservationOutcome, RunOptions
from phasewave.turbulence.observation_runs import denoise, inpaint
from phasewave.turbulence.observations import read_noise, read_observed
from phasewave.turbulence.settings import MomentChoice, SynthesisSettings

_DEFAULTS = SynthesisSettings()
_INPAINTING_EVALUATIONS, _DENOISING_EVALUATIONS = 200, 50

FieldArgument = Annotated[
    Path | None,
    typer.Argument(metavar="FIELD", help="The observed field's file; without it, the field of the package."),
]
TruthOption = Annotated[Path | None, typer.Option(help="The complete, clean field, only to judge the result by.")]
OutOption = Annotated[Path, typer.Option(help="The folder to make for the results.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same fields.")]
SamplesOption = Annotated[int, typer.Option(min=1, help="How many fields.")]
DatasetOption = Annotated[str | None, typer.Option(help="Which array of a file that holds several.")]
IndexOption = Annotated[int | None, typer.Option(help="Which field of a stack (N, H, W), from 0.")]
MomentsOption = Annotated[MomentChoice, typer.Option(help="Which set of moments, as in synthesize.")]
ScalesOption = Annotated[int | None, typer.Option(help="Octaves of scales.")]
AnglesOption = Annotated[int | None, typer.Option(help="Orientations over half a turn.")]
EvaluationsOption = Annotated[int, typer.Option(help="Evaluations of the loss allowed to a sample.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...; auto: a GPU if there is one.")]
DtypeOption = Annotated[Literal["float32", "float64"], typer.Option(help="Precision.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads; by default PyTorch's choice.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the files of an earlier run in the folder.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run in the folder.")]


def inpaint_command(
    field: FieldArgument = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="A file of the field's shape, 1 or True where it was observed; missing too is NaN in FIELD."
        ),
    ] = None,
    training: Annotated[
        Path | None, typer.Option(help="A complete field of the same process and size, to learn from.")
    ] = None,
    truth: TruthOption = None,
    samples: SamplesOption = 4,
    seed: SeedOption = 0,
    out: OutOption = Path("run"),
    dataset: DatasetOption = None,
    index: IndexOption = None,
    moments: MomentsOption = _DEFAULTS.moments,
    scales: ScalesOption = _DEFAULTS.n_scales,
    angles: AnglesOption = _DEFAULTS.n_angles,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Relative loss at which a fill has converged; by default what a true field's would be."),
    ] = None,
    max_evaluations: EvaluationsOption = _INPAINTING_EVALUATIONS,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "float32",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
) -> None:
    """Fill the missing pixels of FIELD with the statistics of the observed ones, which stay as they are.

    The folder gets samples.h5, figure.png, metrics.json and run.json.

    Ctrl-C saves what is reached; the same command with --resume goes on.
    """
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    observed, seen = read_observed(field, mask, dataset=dataset, index=index, dtype=kind)
    complete = None if truth is None else read_field(truth, dtype=kind).values
    other = None if training is None else read_field(training, dtype=kind).values
    settings = SynthesisSettings(moments=moments, n_scales=scales, n_angles=angles)
    where = choose_device(device)
    height, width = observed.source.shape
    share = 100.0 * float((~seen).to(torch.float64).mean())
    line = f"{observed.source.path}: {height} x {width} {dtype}, {share:.1f} % missing, {samples} fills on {where}"
    console.print(line, markup=False, soft_wrap=True)
    live = EvaluationProgress(console, max_evaluations=max_evaluations, tolerance=tolerance or 1e-4)

    def aim(goal: float) -> None:
        live.tolerance = goal

    with live, stop_on_signal() as stop:

        def progress(state: Progress) -> bool:
            live.update(state.n_evaluations, state.losses.tolist(), state.status)
            return stop()

        outcome = inpaint(
            observed,
            seen,
            RunOptions(out, where, progress, on_goal=aim, resume=resume, overwrite=overwrite),
            n_samples=samples,
            seed=seed,
            settings=settings,
            tolerance=tolerance,
            max_evaluations=max_evaluations,
            training=other,
            truth=complete,
        )
    error = outcome.metrics["error"]
    notes = []
    if error is not None:
        notes.append(
            f"error in the missing pixels, in deviations of the field: fills {error['samples']:.3f}, Gaussian "
            f"model {error['gaussian']:.3f}, its mean {error['mean']:.3f}"
        )
    _show(console, outcome, notes)


def denoise_command(
    field: FieldArgument = None,
    noise_std: Annotated[
        float | None, typer.Option(help="Standard deviation of white noise, in units of the field.")
    ] = None,
    noise: Annotated[
        Path | None,
        typer.Option(
            help="A file with a map of the noise (H, W), of which the spectrum is taken, or 4 or more maps."
        ),
    ] = None,
    truth: TruthOption = None,
    samples: SamplesOption = 1,
    seed: SeedOption = 0,
    out: OutOption = Path("run"),
    dataset: DatasetOption = None,
    index: IndexOption = None,
    moments: MomentsOption = _DEFAULTS.moments,
    scales: ScalesOption = _DEFAULTS.n_scales,
    angles: AnglesOption = _DEFAULTS.n_angles,
    draws: Annotated[int, typer.Option(min=4, help="Draws of the noise, an even number.")] = 4,
    start: Annotated[
        Start,
        typer.Option(
            help="Start from the best linear estimate (least error), or from a sample of the Gaussian posterior "
            "(power at all scales, and samples that differ)."
        ),
    ] = "wiener",
    tolerance: Annotated[
        float,
        typer.Option(help="chi^2 of the moments at which a sample has converged; the true field's is near 1."),
    ] = 0.1,
    max_evaluations: EvaluationsOption = _DENOISING_EVALUATIONS,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "float32",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
) -> None:
    """Remove noise of known law from FIELD, so that its statistics are those of the field without noise.

    Give --noise-std or --noise. The folder gets samples.h5, figure.png, metrics.json and run.json.

    Ctrl-C saves what is reached; the same command with --resume goes on.
    """
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    if (noise_std is None) == (noise is None):
        raise ValueError("give one of --noise-std S and --noise FILE: what noise is in the field?")
    kind = getattr(torch, dtype)
    observed = read_field(field, dataset=dataset, index=index, dtype=kind)
    if noise is not None:
        maps = read_noise(noise, observed.source.shape)
        law: float | torch.Tensor = maps if maps.ndim == 3 else GaussianModel(maps).smoothed().spectrum
    else:
        law = float(noise_std or 0.0)
    complete = None if truth is None else read_field(truth, dtype=kind).values
    settings = SynthesisSettings(moments=moments, n_scales=scales, n_angles=angles)
    where = choose_device(device)
    height, width = observed.source.shape
    line = f"{observed.source.path}: {height} x {width} {dtype}, {n_samples(samples)} on {where}"
    console.print(line, markup=False, soft_wrap=True)
    live = EvaluationProgress(console, max_evaluations=max_evaluations, tolerance=tolerance)
    with live, stop_on_signal() as stop:

        def progress(state: Progress) -> bool:
            live.update(state.n_evaluations, state.losses.tolist(), state.status)
            return stop()

        outcome = denoise(
            observed,
            law,
            RunOptions(out, where, progress, resume=resume, overwrite=overwrite),
            n_samples=samples,
            seed=seed,
            settings=settings,
            n_draws=draws,
            start=start,
            tolerance=tolerance,
            max_evaluations=max_evaluations,
            truth=complete,
        )
    notes = [f"noise: {outcome.metrics['noise_share']:.3f} of the observed field's standard deviation"]
    if outcome.metrics["error"] is not None:
        reports = outcome.metrics["reports"]
        for name in ("flatness_error", "minkowski_error", "wasserstein"):
            figures = (f"{part} {reports[part]['samples'][name]['mean']:.3f}" for part in reports)
            notes.append(f"{name.replace('_', ' ')} from the truth: {', '.join(figures)}")
        figures = (f"{part} {value:.3f}" for part, value in outcome.metrics["error"].items())
        notes.append(f"root mean square error, in deviations of the truth: {', '.join(figures)}")
    _show(console, outcome, notes)


def _show(console: Console, outcome: ObservationOutcome, notes: list[str]) -> None:
    """Print what a run reached, how to go on with it, and where its files are; exit 4 if it has not converged."""
    table = Table("sample", "status", "loss", "evaluations")
    rows = zip(outcome.status, outcome.losses.tolist(), outcome.n_evaluations, strict=True)
    for number, (status, loss, n_evaluations) in enumerate(rows):
        colour = "green" if status is Status.CONVERGED else "yellow"
        table.add_row(str(number), f"[{colour}]{status.value}[/]", f"{loss:.2e}", str(n_evaluations))
    console.print(table)
    given = [word for word in sys.argv[1:] if word not in ("--overwrite", "--resume")]
    again = shlex.join(["phasewave", *given, "--resume"])
    lines = list(notes)
    if Status.INTERRUPTED in outcome.status:
        lines.append(f"Interrupted; all is saved. Go on with: {again}")
    elif Status.MAX_EVALUATIONS in outcome.status:
        lines.append(f"Not converged. Go on with a larger --max-evaluations: {again}")
    files = sorted(file.name for file in outcome.folder.iterdir() if not file.name.startswith("."))
    lines += [f"files in {outcome.folder}: {', '.join(files)}", f"figure: {outcome.folder / 'figure.png'}"]
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    if not all(status is Status.CONVERGED for status in outcome.status):
        raise typer.Exit(ExitCode.NOT_CONVERGED)
