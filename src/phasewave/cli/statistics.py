"""The commands ``phasewave turbulence gaussian``, ``compare`` and ``moments``: what needs no descent."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import h5py
import torch
import typer
from rich.console import Console
from rich.table import Table

from phasewave.checks import plane_shape
from phasewave.cli.outputs import may_write, show_files, stoppable
from phasewave.runs.folder import RunFolder, open_run
from phasewave.runs.hdf5 import read_samples, write_samples
from phasewave.runs.record import RunRecord, recorded, write_json
from phasewave.turbulence.fields import Field, read_field
from phasewave.turbulence.figure import draw_synthesis
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.interface import Moments
from phasewave.turbulence.moment_file import write_moments
from phasewave.turbulence.report import compare, summary
from phasewave.turbulence.settings import MomentChoice, SynthesisSettings
from phasewave.turbulence.stacks import read_stack
from phasewave.turbulence.two_sample import fits

SAMPLES, METRICS, RECORD, FIGURE = "samples.h5", "metrics.json", "run.json", "figure.png"
_NO_CHECKPOINT = ""  # these runs are done in seconds: there is nothing to resume
_INTERRUPTED = "interrupted before the end: give the command again, with --overwrite if it left files"
_FIXED_BY_SPECTRUM = ("mean", "standard_deviation", "spectrum_error")

FieldArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FIELD",
        help="A .npy, .npz, .h5, .mat, PNG, TIFF or JPEG file; without it, the vorticity field that comes with "
        "the package.",
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
DatasetOption = Annotated[str | None, typer.Option(help="Which array of a file that holds several.")]
IndexOption = Annotated[int | None, typer.Option(help="Which field of a stack (N, H, W), from 0.")]
DtypeOption = Annotated[Literal["float32", "float64"], typer.Option(help="Precision.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads; by default PyTorch's choice.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier run.")]


def gaussian_command(
    field: FieldArgument = None,
    samples: Annotated[int, typer.Option(min=1, help="How many new fields.")] = 4,
    seed: SeedOption = 0,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="H W", help="Size of the new fields; by default that of FIELD."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("gaussian"),
    dataset: DatasetOption = None,
    index: IndexOption = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Take all fields of the stack, as realisations of one process.")
    ] = False,
    dtype: DtypeOption = "float32",
    overwrite: OverwriteOption = False,
) -> None:
    """Make Gaussian fields with the mean and the power spectrum of FIELD: what second-order moments alone give.

    The folder gets samples.h5, figure.png, metrics.json and run.json.
    """
    console = Console(highlight=False)
    fields = _fields(field, dataset, index, dtype, ensemble=ensemble)
    shape = None if size is None else plane_shape("size", size)
    values = torch.stack([each.values for each in fields])
    model = GaussianModel(values)
    run = open_run(out, files=(SAMPLES, FIGURE, METRICS, RECORD), checkpoint=_NO_CHECKPOINT, overwrite=overwrite)
    source = asdict(fields[0].source)
    settings = {"model": "gaussian", "n_samples": samples, "n_fields": len(fields), "shape": shape}
    with _recorded(run, {**settings, "source": source}, seed=seed, dtype=dtype):
        drawn = model.sample(samples, seed=seed, shape=shape)
        others = values[1:] if len(values) > 1 else None
        metrics = compare(drawn, values[0], reference=others, in_loss=_FIXED_BY_SPECTRUM)
        write_samples(
            run / SAMPLES, drawn, source=source, settings=settings, seed=seed, extra={"target": values[0]}
        )
        write_json(run / METRICS, metrics)
        draw_synthesis(values[0], None, drawn, metrics, run / FIGURE, name="Gaussian field")
    _show_report(console, metrics)
    show_files(console, run.path)


def compare_command(
    real: Annotated[
        Path, typer.Argument(metavar="A", help="The real field, or a stack of them: the target first.")
    ],
    samples: Annotated[
        Path, typer.Argument(metavar="B", help="Samples to judge: a field, a stack, or the samples.h5 of a run.")
    ],
    reference: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Other real fields or stacks: the floor. May be repeated."),
    ] = None,
    two_sample: Annotated[
        Literal["none", "weak", "strong"],
        typer.Option(help="Train a judge to tell A from B: weak takes seconds, strong minutes."),
    ] = "none",
    seed: SeedOption = 0,
    out: Annotated[Path | None, typer.Option(help="A folder to make for metrics.json and figure.png.")] = None,
    figure: Annotated[Path | None, typer.Option(help="A picture's file, besides or without a folder.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Which array of A, if it holds several.")] = None,
    samples_dataset: Annotated[str | None, typer.Option(help="Which array of B, if it holds several.")] = None,
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Judge samples B against the real field A by statistics, beside the Gaussian model and other real fields."""
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    fields = list(read_stack(real, dataset=dataset))
    target, *others = [field.values for field in fields]
    others += [field.values for path in reference or [] for field in read_stack(path)]
    drawn = torch.stack([field.values for field in read_stack(samples, dataset=samples_dataset)])
    if len({other.shape for other in others}) > 1:
        raise ValueError(f"real fields must be of one shape, got {sorted({tuple(o.shape) for o in others})}")
    judge = None if two_sample == "none" else two_sample
    if judge is not None:
        fits("A", target.shape, judge)
        fits("B", drawn.shape[-2:], judge)
    may_write(figure, overwrite=overwrite)
    settings = {"real": real, "samples": samples, "reference": reference or [], "two_sample": two_sample}
    run = None
    if out is not None:
        run = open_run(out, files=(METRICS, FIGURE, RECORD), checkpoint=_NO_CHECKPOINT, overwrite=overwrite)
    with stoppable(_INTERRUPTED) if run is None else _recorded(run, settings, seed=seed, dtype="float32"):
        model = GaussianModel(target).sample(max(4, len(drawn)), seed=seed, shape=drawn.shape[-2:])
        with console.status("measuring" if judge is None else "measuring, and training the judges"):
            metrics = compare(
                drawn,
                target,
                gaussian=model,
                reference=torch.stack(others) if others else None,
                in_loss=_in_loss(samples),
                two_sample=judge,
                seed=seed,
            )
        if run is not None:
            write_json(run / METRICS, metrics)
        for path in (figure, None if run is None else run / FIGURE):
            if path is not None:
                draw_synthesis(target, model, drawn, metrics, path)
    _show_report(console, metrics)
    if run is not None:
        show_files(console, run.path)
    if figure is not None:
        console.print(f"figure: {figure}", markup=False, soft_wrap=True)


def moments_command(
    field: FieldArgument = None,
    moments: Annotated[MomentChoice, typer.Option(help="Which set, as in synthesize.")] = "circular",
    scales: Annotated[int | None, typer.Option(help="Octaves of scales; by default as in synthesize.")] = None,
    angles: Annotated[int | None, typer.Option(help="Orientations over half a turn; by default as there.")] = None,
    out: Annotated[Path, typer.Option(help="The HDF5 file to make.")] = Path("moments.h5"),
    dataset: DatasetOption = None,
    index: IndexOption = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Take all fields of the stack: one row of values each.")
    ] = False,
    dtype: DtypeOption = "float32",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the moments of FIELD, standardised by FIELD as in a synthesis, and the table that says what each is.

    The file has the datasets kind, description and target; the screen shows the classes.
    """
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    fields = _fields(field, dataset, index, dtype, ensemble=ensemble)
    settings = SynthesisSettings(moments=moments, n_scales=scales, n_angles=angles)
    values = torch.stack([each.values for each in fields])
    kinds = cast(Moments, settings.build(tuple(values.shape[-2:]), values.dtype))
    may_write(out, overwrite=overwrite)
    with torch.no_grad(), stoppable(_INTERRUPTED):
        fixed = kinds.standardized(values if ensemble else values[0])
        found = fixed(values if ensemble else values[0])
    source = [asdict(each.source) for each in fields]
    recorded = {"source": source if ensemble else source[0], "settings": asdict(settings)}
    write_moments(out, fixed.table, {"target": found}, attributes=recorded)
    table = Table("class", "moments", "root mean square")
    for kind, number in Counter(row.kind for row in fixed.table).items():
        chosen = torch.tensor([row.kind == kind for row in fixed.table])
        size = float(found[..., chosen].abs().square().mean().sqrt())
        table.add_row(kind, str(number), f"{size:.3g}")
    console.print(table)
    console.print(f"{len(fixed.table)} moments in {out}", markup=False, soft_wrap=True)


def _fields(
    path: Path | None, dataset: str | None, index: int | None, dtype: str, *, ensemble: bool
) -> tuple[Field, ...]:
    """Return the field asked for, or all of the stack.

    Raises
    ------
    ValueError
        If a stack is asked for with an index, or of the embedded field.
    """
    kind = getattr(torch, dtype)
    if not ensemble:
        return (read_field(path, dataset=dataset, index=index, dtype=kind),)
    if path is None or index is not None:
        raise ValueError(f"`--ensemble` must be given with {'FIELD' if path is None else 'no --index'}")
    return read_stack(path, dataset=dataset, dtype=kind)


def _in_loss(path: Path) -> list[str]:
    """Return the statistics that the samples of a run were made to match; none where the file does not tell."""
    try:
        settings = read_samples(path).settings if h5py.is_hdf5(path) else {}
    except ValueError:
        return []
    if settings.get("model") == "gaussian":
        return list(_FIXED_BY_SPECTRUM)
    for choice in get_args(MomentChoice):
        if settings.get("moments") == choice:
            return SynthesisSettings(moments=choice).in_loss()
    return []


@contextlib.contextmanager
def _recorded(run: RunFolder, settings: dict[str, Any], *, seed: int, dtype: str) -> Iterator[None]:
    """Write run.json before and after the block."""
    record = RunRecord(settings=settings, seed=seed, device="cpu", dtype=dtype)
    with stoppable(_INTERRUPTED), recorded(record, run / RECORD):
        yield


def _show_report(console: Console, metrics: dict[str, Any]) -> None:
    rows = summary(metrics)
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)
    if any(entry["in_loss"] for entry in metrics["definitions"].values()):
        console.print("* fixed by the moments that the samples were made from", markup=False)
