"""The commands ``phasewave molecules ...``: the group, and what makes data sets and features."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from phasewave.cli.counting import CountProgress
from phasewave.cli.devices import choose_device
from phasewave.cli.energies import evaluate_command, fit_command, learning_curve_command
from phasewave.cli.errors import ExitCode
from phasewave.cli.options import (
    AtAtomsOption,
    ChannelsOption,
    DataArgument,
    DegreeOption,
    DeviceOption,
    DtypeOption,
    OrderOption,
    OverwriteOption,
    PowersOption,
    ResumeOption,
    ScalesOption,
    SecondOrderChannelsOption,
    StepOption,
    ThreadsOption,
    scattering,
    scattering_settings,
)
from phasewave.cli.outputs import stoppable
from phasewave.cli.predictions import predict_command, relax_command
from phasewave.cli.progress import duration
from phasewave.cli.ranks import spoken_once
from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.datasets import read_dataset, write_dataset
from phasewave.molecules.featurizing import Featurized, featurize
from phasewave.molecules.prepare import prepare_qm9
from phasewave.molecules.qm9_formats import is_published
from phasewave.runs.distributed import stop_on_any_signal, torchrun_ranks
from phasewave.runs.interrupt import stop_on_signal

app = typer.Typer(no_args_is_help=True, help="Energies and forces of molecules.")
app.command("fit")(fit_command)
app.command("evaluate")(evaluate_command)
app.command("learning-curve")(learning_curve_command)
app.command("predict")(predict_command)
app.command("relax")(relax_command)


@app.callback()
def _molecules() -> None:
    """Energies and forces of molecules, from features that do not change when a molecule turns."""


@app.command("prepare")
def prepare_command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="QM9 as published (wheel qm9pack, dsgdb9nsd.xyz.tar.bz2, gdb9.sdf, or a folder), qm7.mat or "
            ".npz, xyz, extxyz, or an ASE database.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The HDF5 file to make.")],
    uncharacterized: Annotated[
        Path | None,
        typer.Option(help="QM9: list of molecules to leave out; by default uncharacterized.txt beside SOURCE."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="QM9: SOURCE is a part of it; no checksums, no figures of the whole.")
    ] = False,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="QM9: leave corrupt records out, and say which.")
    ] = False,
    n_molecules: Annotated[
        int | None, typer.Option(min=1, help="Only so many, drawn at random; not for QM9 as published.")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make one checked HDF5 file of a data set, in eV and Angstrom, with named splits."""
    console = Console(highlight=False)
    if source.is_dir() or is_published(source):
        if n_molecules is not None:
            raise ValueError("`--n-molecules` draws from the HDF5 of `prepare`: make that of the whole first")
        columns = (SpinnerColumn(), TextColumn("{task.completed:,} records"), TimeElapsedColumn())
        with stoppable(), Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=None)
            dataset, skipped = prepare_qm9(
                source,
                out,
                uncharacterized=uncharacterized,
                partial=partial,
                skip_corrupt=skip_corrupt,
                overwrite=overwrite,
                progress=lambda n: bar.update(task, completed=n),
            )
        for text in skipped:
            console.print(f"skipped {text}", markup=False, soft_wrap=True)
    else:
        if partial or skip_corrupt or uncharacterized is not None:
            raise ValueError(
                "`--partial`, `--skip-corrupt` and `--uncharacterized` are for QM9 as published alone"
            )
        if out.exists() and not overwrite:
            raise FileExistsError(f"the file {out} is there already: choose another name, or --overwrite")
        dataset = read_dataset(source)
        if n_molecules is not None:
            dataset = dataset.sample(n_molecules)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_dataset(out, dataset)
    _describe(console, out, dataset)


@app.command("featurize")
def featurize_command(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="The HDF5 file to make.")] = Path("features.h5"),
    channels: ChannelsOption = None,
    second_order_channels: SecondOrderChannelsOption = None,
    scales: ScalesOption = None,
    max_degree: DegreeOption = None,
    powers: PowersOption = None,
    order: OrderOption = None,
    step: StepOption = None,
    at_atoms: AtAtomsOption = False,
    max_points: Annotated[
        int | None, typer.Option(min=1, help="Most lattice nodes that a molecule may need; by default 2e7.")
    ] = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "float32",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
) -> None:
    """Write the solid-harmonic scattering features of all molecules of DATA to one HDF5 file.

    Ctrl-C keeps what is done, and so does a killed process; the same command with --resume goes on.

    torchrun --nproc-per-node N -m phasewave molecules featurize ... shares the molecules out.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    with torchrun_ranks() as ranks, spoken_once(ranks):
        dataset = ranks.together(lambda: read_dataset(data))
        asked = scattering_settings(
            dataset.molecules,
            channels=channels,
            second_order_channels=second_order_channels,
            scales=scales,
            max_degree=max_degree,
            powers=powers,
            order=order,
            step=step,
            at_atoms=at_atoms,
        )
        limits = {} if max_points is None else {"max_points": max_points}
        features = scattering({**asked, **limits, "dtype": dtype})
        where = choose_device(device, local_rank=ranks.local_rank if ranks.size > 1 else None)
        console = Console(highlight=False, quiet=not ranks.first)
        words = f"{data}: {len(dataset):,} molecules, {features.n_features} features each, on {where}, {dtype}"
        many = f", {ranks.size} processes" if ranks.size > 1 else ""
        console.print(words + many, markup=False, soft_wrap=True)
        live = CountProgress(console, "molecules", times=ranks.size)
        stopping = stop_on_signal() if ranks.size == 1 else stop_on_any_signal()
        with live, _without_denormals(), stopping as stop:

            def progress(done: int, total: int) -> bool:
                live.update(done, total)
                return stop()

            found = featurize(
                dataset,
                features,
                out,
                device=where,
                progress=progress,
                resume=resume,
                overwrite=overwrite,
                ranks=ranks,
            )
        _show_featurized(console, found, n_processes=ranks.size)
    if not found.finished:
        raise typer.Exit(ExitCode.NOT_CONVERGED)


@contextmanager
def _without_denormals() -> Iterator[None]:
    """Round the far tails of Gaussians to 0 in the block: a CPU takes a sixth longer with them."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _show_featurized(console: Console, found: Featurized, *, n_processes: int) -> None:
    rate = found.n_new / found.seconds if found.seconds else 0.0
    took = f"{found.n_new:,} molecules in {duration(found.seconds)}, {rate:.3g}/s"
    if found.finished:
        shape = f"{found.n_molecules:,} x {found.n_features}"
        console.print(f"{took}\nfeatures {shape} in {found.path}", markup=False, soft_wrap=True)
        return
    given = [word for word in sys.argv[1:] if word not in ("--overwrite", "--resume")]
    torchrun = ["torchrun", "--nproc-per-node", str(n_processes), "-m", "phasewave"]
    again = shlex.join([*(["phasewave"] if n_processes == 1 else torchrun), *given, "--resume"])
    console.print(
        f"{took}\nInterrupted with {found.n_done:,} of {found.n_molecules:,} done, and saved. Go on with: {again}",
        markup=False,
        soft_wrap=True,
    )


def _describe(console: Console, out: Path, dataset: Dataset) -> None:
    sizes = dataset.molecules.sizes
    lines = [
        f"wrote {out}: {len(dataset):,} molecules of {int(sizes.min())} to {int(sizes.max())} atoms",
        f"properties: {', '.join(dataset.properties) or 'none'}",
        f"splits: {', '.join(sorted(dataset.splits)) or 'none'}",
    ]
    console.print("\n".join(lines), markup=False, soft_wrap=True)
