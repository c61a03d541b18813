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

from phasewave.cli.errors import ExitCode
from phasewave.cli.progress import EvaluationProgress
from phasewave.runs.interrupt import stop_on_signal
from phasewave.solve.loop import Progress
from phasewave.solve.result import Status
from phasewave.turbulence.fields import read_field
from phasewave.turbulence.settings import MomentChoice, SynthesisSettings
from phasewave.turbulence.synthesis import SynthesisOutcome, synthesize

app = typer.Typer(no_args_is_help=True, help="Maximum-entropy models of stationary fields.")

_DEFAULTS = SynthesisSettings()


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
    dataset: Annotated[str | None, typer.Option(help="Which array of a file that holds several.")] = None,
    index: Annotated[int | None, typer.Option(help="Which field of a stack (N, H, W), from 0.")] = None,
    moments: Annotated[
        MomentChoice,
        typer.Option(help="circular: the full set, which brings back vortices and filaments; pywph: 3e3 moments."),
    ] = _DEFAULTS.moments,
    scales: Annotated[int, typer.Option(help="Octaves of scales.")] = _DEFAULTS.n_scales,
    angles: Annotated[int, typer.Option(help="Orientations over half a turn.")] = _DEFAULTS.n_angles,
    tolerance: Annotated[
        float, typer.Option(help="Relative loss at which a sample has converged.")
    ] = _DEFAULTS.tolerance,
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

    The folder gets samples.h5, figure.png, metrics.json and run.json.

    Ctrl-C saves what is reached; the same command with --resume goes on.
    """
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    target = read_field(field, dataset=dataset, index=index, dtype=getattr(torch, dtype))
    settings = SynthesisSettings(
        moments=moments, n_scales=scales, n_angles=angles, tolerance=tolerance, max_evaluations=max_evaluations
    )
    where = choose_device(device)
    height, width = target.source.shape
    console.print(
        f"{target.source.path}: {height} x {width} {dtype}, {samples} samples on {where}",
        markup=False,
        soft_wrap=True,
    )
    live = EvaluationProgress(console, max_evaluations=max_evaluations, tolerance=tolerance)
    with live, stop_on_signal() as stop:

        def progress(state: Progress) -> bool:
            live.update(state.n_evaluations, state.losses.tolist(), state.status)
            return stop()

        outcome = synthesize(
            target,
            n_samples=samples,
            seed=seed,
            out=out,
            settings=settings,
            device=where,
            progress=progress,
            resume=resume,
            overwrite=overwrite,
        )
    show_outcome(console, outcome)
    if not all(status is Status.CONVERGED for status in outcome.status):
        raise typer.Exit(ExitCode.NOT_CONVERGED)


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is a GPU if there is one, else the CPU.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"`device` must be auto, cpu, cuda or cuda:N, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"`device` must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"`device` must exist, got {name!r}: {torch.cuda.device_count()} GPUs are visible here")
    return device


def show_outcome(console: Console, outcome: SynthesisOutcome) -> None:
    """Print what a synthesis reached, how to go on with it, and where its files are."""
    table = Table("sample", "status", "relative loss", "evaluations")
    rows = zip(outcome.status, outcome.losses.tolist(), outcome.n_evaluations, strict=True)
    for number, (status, loss, n_evaluations) in enumerate(rows):
        colour = "green" if status is Status.CONVERGED else "yellow"
        table.add_row(str(number), f"[{colour}]{status.value}[/]", f"{loss:.2e}", str(n_evaluations))
    console.print(table)
    console.print(_copying(outcome.metrics), markup=False, soft_wrap=True)
    given = [word for word in sys.argv[1:] if word not in ("--overwrite", "--resume")]
    again = shlex.join(["phasewave", *given, "--resume"])
    lines = []
    if Status.INTERRUPTED in outcome.status:
        lines.append(f"Interrupted; all is saved. Go on with: {again}")
    elif Status.MAX_EVALUATIONS in outcome.status:
        lines.append(f"Not converged. Go on with a larger --max-evaluations: {again}")
    files = sorted(file.name for file in outcome.folder.iterdir() if not file.name.startswith("."))
    lines += [f"files in {outcome.folder}: {', '.join(files)}", f"figure: {outcome.folder / 'figure.png'}"]
    console.print("\n".join(lines), markup=False, soft_wrap=True)


def _copying(metrics: dict[str, Any]) -> str:
    """Say how near the samples are to copies of the field, and warn where the moments could make them so."""
    near, model = (metrics[part]["cross_correlation"]["mean"] for part in ("samples", "gaussian"))
    line = f"largest correlation with the field: {near:.2f}, of the Gaussian model {model:.2f}, of a copy 1"
    moments, pixels = (metrics["synthesis"][name] for name in ("n_moments", "n_pixels"))
    if moments > pixels:
        line += (
            f"\nwarning: {moments} moments for {pixels} pixels can make the samples copies of the field: "
            "take a larger field, fewer --scales, or --moments pywph"
        )
    return line
