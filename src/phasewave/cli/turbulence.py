"""The commands ``phasewave turbulence ...``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from rich.console import Console
from rich.table import Table

from phasewave.cli.devices import choose_device
from phasewave.cli.errors import ExitCode
from phasewave.cli.observations import denoise_command, inpaint_command
from phasewave.cli.progress import EvaluationProgress, n_samples
from phasewave.cli.ranks import spoken_once
from phasewave.cli.statistics import compare_command, gaussian_command, moments_command
from phasewave.runs.distributed import Ranks, stop_on_any_signal, torchrun_ranks
from phasewave.runs.interrupt import stop_on_signal
from phasewave.solve.loop import Progress
from phasewave.solve.result import Status
from phasewave.turbulence.inputs import SynthesisInput, read_input
from phasewave.turbulence.settings import MomentChoice, SynthesisSettings
from phasewave.turbulence.synthesis import SynthesisOutcome, synthesize

app = typer.Typer(no_args_is_help=True, help="Maximum-entropy models of stationary fields.")

_DEFAULTS = SynthesisSettings()


app.command("gaussian")(gaussian_command)
app.command("compare")(compare_command)
app.command("moments")(moments_command)
app.command("inpaint")(inpaint_command)
app.command("denoise")(denoise_command)


@app.callback()
def _turbulence() -> None:
    """Maximum-entropy models of stationary fields."""


@app.command("synthesize")
def synthesize_command(
    field: Annotated[
        Path | None,
        typer.Argument(
            metavar="FIELD",
            help="A .npy, .npz, .h5, .mat, PNG, TIFF or JPEG file; without it, the vorticity field that comes "
            "with the package.",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many new fields.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed gives the same fields.")] = 0,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("run"),
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="H W", help="Size of the new fields; by default that of FIELD."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Which array of a file that holds several.")] = None,
    index: Annotated[int | None, typer.Option(help="Which field of a stack (N, H, W), from 0.")] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Take all fields of the stack, as realisations of one process.")
    ] = False,
    channel: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Another field of the same sky, to be made with FIELD; may be repeated."
        ),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A mask, not zero where FIELD is observed.")
    ] = None,
    non_periodic: Annotated[
        bool, typer.Option("--non-periodic", help="Opposite sides of FIELD do not belong together.")
    ] = False,
    moments: Annotated[
        MomentChoice,
        typer.Option(help="circular: the full set, which brings back vortices and filaments; pywph: 3e3 moments."),
    ] = _DEFAULTS.moments,
    scales: Annotated[
        int | None, typer.Option(help="Octaves of scales; by default 5, or what a small FIELD can bear.")
    ] = None,
    angles: Annotated[
        int | None, typer.Option(help="Orientations over half a turn; by default 8, or what FIELD can bear.")
    ] = None,
    tolerance: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|CLASS=NUMBER,...",
            help="Relative loss at which a sample has converged; or one for each class of moments, such as "
            "S11=1e-5,rest=1e-3.",
        ),
    ] = str(_DEFAULTS.tolerance),
    max_evaluations: Annotated[
        int, typer.Option(help="Evaluations of the loss allowed to a sample.")
    ] = _DEFAULTS.max_evaluations,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...; auto: a GPU if there is one.")] = "auto",
    dtype: Annotated[Literal["float32", "float64"], typer.Option(help="Precision.")] = "float32",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; by default PyTorch's choice.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of an earlier run in the folder.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run in the folder.")] = False,
) -> None:
    """Make new fields with the statistics of FIELD.

    The folder gets samples.h5, moments.h5, figure.png, metrics.json and run.json.

    Ctrl-C saves what is reached; the same command with --resume goes on.

    torchrun --nproc-per-node N -m phasewave turbulence synthesize ... shares the new fields out.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    settings = SynthesisSettings(
        moments=moments,
        n_scales=scales,
        n_angles=angles,
        tolerance=read_tolerance(tolerance),
        max_evaluations=max_evaluations,
    )
    with torchrun_ranks() as ranks, spoken_once(ranks):
        target = ranks.together(
            lambda: read_input(
                field,
                dataset=dataset,
                index=index,
                dtype=getattr(torch, dtype),
                ensemble=ensemble,
                channels=channel or (),
                mask=mask,
                periodic=not non_periodic,
            )
        )
        where = choose_device(device, local_rank=ranks.local_rank if ranks.size > 1 else None)
        console = Console(highlight=False, quiet=not ranks.first)
        shape = target.shape if size is None else size
        _announce(console, target, settings, shape, f"{n_samples(samples)} on {where}, {dtype}", ranks)
        goal = settings.tolerance if isinstance(settings.tolerance, float) else None
        live = EvaluationProgress(console, max_evaluations=max_evaluations, tolerance=goal)
        with live, stop_on_signal() if ranks.size == 1 else stop_on_any_signal() as stop:

            def progress(state: Progress) -> bool:
                live.update(state.n_evaluations, state.losses.tolist(), state.status)
                return stop()

            outcome = synthesize(
                target,
                n_samples=samples,
                seed=seed,
                out=out,
                settings=settings,
                shape=shape,
                device=where,
                progress=progress,
                resume=resume,
                overwrite=overwrite,
                ranks=ranks,
            )
        show_outcome(console, outcome, ranks=ranks)
    if not all(status is Status.CONVERGED for status in outcome.status):
        raise typer.Exit(ExitCode.NOT_CONVERGED)


def read_tolerance(text: str) -> float | dict[str, float]:
    """Return a tolerance as it was written: one number, or CLASS=NUMBER,CLASS=NUMBER,...

    Raises
    ------
    ValueError
        If it is neither.
    """
    try:
        if "=" not in text:
            return float(text)
        pairs = (entry.split("=") for entry in text.split(","))
        return {kind.strip(): float(number) for kind, number in pairs}
    except ValueError as error:
        raise ValueError(
            f"`tolerance` must be a number, or CLASS=NUMBER,CLASS=NUMBER,..., got {text!r}"
        ) from error


def _announce(
    console: Console,
    target: SynthesisInput,
    settings: SynthesisSettings,
    shape: tuple[int, int],
    work: str,
    ranks: Ranks,
) -> None:
    """Print what is about to be done, and of how large a set of moments if the field is small."""
    height, width = target.shape
    words = [f"{target.fields[0].source.path}: {height} x {width}"]
    if len(target.fields) > 1:
        words.append(f"{len(target.fields)} {'fields of one sky' if target.channels else 'realisations'}")
    if target.mask is not None:
        words.append(f"{float(target.mask.float().mean()):.1%} observed")
    words.append(work if shape == target.shape else f"{work}, of {shape[0]} x {shape[1]}")
    if ranks.size > 1:
        words.append(f"{ranks.size} processes")
    console.print(", ".join(words), markup=False, soft_wrap=True)
    least = (min(height, shape[0]), min(width, shape[1]))
    reduced = settings.reduction(least, n_fields=target.n_channels)
    if reduced is not None:
        console.print(reduced, markup=False, soft_wrap=True)


def show_outcome(console: Console, outcome: SynthesisOutcome, *, ranks: Ranks | None = None) -> None:
    """Print what a synthesis reached, how to go on with it, and where its files are."""
    table = Table("sample", "status", "relative loss", "evaluations")
    rows = zip(outcome.status, outcome.losses.tolist(), outcome.n_evaluations, strict=True)
    for number, (status, loss, n_evaluations) in enumerate(rows):
        colour = "green" if status is Status.CONVERGED else "yellow"
        table.add_row(str(number), f"[{colour}]{status.value}[/]", f"{loss:.2e}", str(n_evaluations))
    console.print(table)
    classes = {kind: max(losses) for kind, losses in outcome.metrics["synthesis"]["class_losses"].items()}
    worst = max(classes, key=lambda kind: classes[kind])
    console.print(f"largest loss of a class of moments: {worst} {classes[worst]:.2e}", markup=False)
    plateau = _on_plateau(outcome)
    if plateau is not None:
        console.print(plateau, markup=False, soft_wrap=True)
    console.print(_copying(outcome.metrics), markup=False, soft_wrap=True)
    given = [word for word in sys.argv[1:] if word not in ("--overwrite", "--resume")]
    size = 1 if ranks is None else ranks.size
    start = ["phasewave"] if size == 1 else ["torchrun", "--nproc-per-node", str(size), "-m", "phasewave"]
    again = shlex.join([*start, *given, "--resume"])
    lines = []
    if Status.INTERRUPTED in outcome.status:
        lines.append(f"Interrupted; all is saved. Go on with: {again}")
    elif Status.MAX_EVALUATIONS in outcome.status:
        lines.append(f"Not converged. Go on with a larger --max-evaluations: {again}")
    files = sorted(file.name for file in outcome.folder.iterdir() if not file.name.startswith("."))
    lines += [f"files in {outcome.folder}: {', '.join(files)}", f"figure: {outcome.folder / 'figure.png'}"]
    console.print("\n".join(lines), markup=False, soft_wrap=True)


def _on_plateau(outcome: SynthesisOutcome) -> str | None:
    """Say why samples above the tolerance have converged: the target has gaps or borders."""
    reached = outcome.metrics["synthesis"]
    pairs = zip(outcome.status, outcome.losses.tolist(), strict=True)
    above = [loss for status, loss in pairs if status is Status.CONVERGED and loss > reached["loss_tolerance"]]
    if not above:
        return None
    return (
        f"converged above the tolerance {reached['loss_tolerance']:.3g}: the loss stopped falling at up to "
        f"{max(above):.2e}. Moments estimated beside gaps and borders contradict each other: no field has them "
        f"all (losses up to about {reached['plateau_loss']:.2e} are laid to that)"
    )


def _copying(metrics: dict[str, Any]) -> str:
    """Say how near the samples are to copies of the field, and warn where the moments could make them so."""
    if "samples" not in metrics:
        return "no report: no part of the field without gaps is as large as 16 x 16"
    near, model = (metrics[part]["cross_correlation"]["mean"] for part in ("samples", "gaussian"))
    line = f"largest correlation with the field: {near:.2f}, of the Gaussian model {model:.2f}, of a copy 1"
    moments, pixels = (metrics["synthesis"][name] for name in ("n_moments", "n_pixels"))
    if moments > pixels:
        line += (
            f"\nwarning: {moments} moments for {pixels} pixels can make the samples copies of the field: "
            "take a larger field, or fewer --scales and --angles"
        )
    return line
