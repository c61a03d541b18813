"""The commands ``phasewave molecules predict`` and ``relax``: what a fitted model says of a user's molecules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from phasewave.cli.counting import CountProgress
from phasewave.cli.devices import choose_device
from phasewave.cli.errors import ExitCode
from phasewave.cli.options import DeviceOption, OverwriteOption, ThreadsOption
from phasewave.cli.outputs import may_write, stoppable
from phasewave.molecules.datasets import read_dataset
from phasewave.molecules.evaluating import open_model
from phasewave.molecules.predictions import predict_molecules
from phasewave.molecules.relaxing import molecular_forces, relax, write_extxyz
from phasewave.molecules.report import shown_unit
from phasewave.runs.interrupt import stop_on_signal

_ROWS = 60  # of a table on the screen

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a fit, or its model.h5.")]
MoleculesArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="xyz, extxyz, or what else ASE reads; HDF5 of `prepare`.")
]


def predict_command(
    model: ModelArgument,
    file: MoleculesArgument,
    out: Annotated[Path | None, typer.Option(help="Extended xyz to write, with the energies.")] = None,
    forces: Annotated[bool, typer.Option("--forces", help="Compute forces too.")] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Predict the energies of the molecules in FILE, with their uncertainty if MODEL is an ensemble."""
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    may_write(out, overwrite=overwrite)
    fitted = open_model(model)
    molecules = read_dataset(file).molecules
    record = fitted.training_
    unit = record.get("unit", "eV")
    if unit != "eV" and (forces or out is not None):
        raise ValueError(f"forces and extended xyz must be of an energy in eV, got a model of {unit!r}")
    with stoppable(), console.status("predicting"):
        found = predict_molecules(fitted, molecules, device=choose_device(device))
        pulls = molecular_forces(fitted, molecules) if forces else None
        if out is not None:
            write_extxyz(out, molecules.to_atoms(), found.values, std=found.std, forces=pulls)
    shown, size = shown_unit(unit)
    columns = ["", "formula", "atoms", f"energy [{unit}]" if unit == "eV" else f"value [{unit}]"]
    columns += [f"± [{unit}]", f"± [{shown}]"] if size != 1.0 else [f"± [{unit}]"]
    columns += ["largest force [eV/Å]"] if pulls is not None else []
    table = Table(*map(escape, columns))
    atoms = molecules[:_ROWS].to_atoms()
    for i, one in enumerate(atoms):
        std = None if found.std is None else found.std[i]
        words = [str(i), one.get_chemical_formula(), str(len(one)), f"{found.values[i]:.4f}"]
        words.append("-" if std is None else f"{std:.4f}")
        if size != 1.0:
            words.append("-" if std is None else f"{std / size:.2f}")
        if pulls is not None:
            words.append(f"{(pulls[i] ** 2).sum(1).max() ** 0.5:.3f}")
        table.add_row(*words)
    console.print(table)
    lines = [f"{record.get('property', 'energy')}, {_relative(record.get('relative_to'))}"]
    if len(molecules) > _ROWS:
        lines.append(f"and {len(molecules) - _ROWS:,} more molecules")
    if found.std is None:
        lines.append("no uncertainty: the model is one fit, not an ensemble (fit --ensemble 5)")
    if out is not None:
        lines.append(f"{len(molecules):,} molecules in {out}")
    console.print("\n".join(lines), markup=False, soft_wrap=True)


def relax_command(
    model: ModelArgument,
    file: MoleculesArgument,
    out: Annotated[Path, typer.Option(help="Extended xyz to write.")] = Path("relaxed.extxyz"),
    fmax: Annotated[float, typer.Option(help="Largest force at the end, eV/Å.")] = 0.02,
    steps: Annotated[int, typer.Option(min=1, help="Most steps for a molecule.")] = 200,
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Relax the molecules in FILE to minima of the model's energy.

    Ctrl-C writes what is reached. Exit code 4: some molecules have not converged.
    """
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    may_write(out, overwrite=overwrite)
    fitted = open_model(model)
    molecules = read_dataset(file).molecules
    live = CountProgress(console, "molecules")
    with live, stop_on_signal() as stop:

        def progress(done: int, total: int) -> bool:
            live.update(done, total)
            return stop()

        found = relax(fitted, molecules, fmax=fmax, max_steps=steps, progress=progress)
    if found:
        write_extxyz(
            out,
            [one.atoms for one in found],
            [one.energy for one in found],
            forces=[one.forces for one in found],
        )
    columns = ("", "formula", "status", "steps", "energy [eV]", "gained [eV]", "force [eV/Å]", "moved [Å]")
    table = Table(*map(escape, columns))
    for i, one in enumerate(found[:_ROWS]):
        status = "[green]converged[/]" if one.converged else "[yellow]not converged[/]"
        table.add_row(
            str(i),
            one.atoms.get_chemical_formula(),
            status,
            str(one.n_steps),
            f"{one.energy:.4f}",
            f"{one.energy_before - one.energy:.4f}",
            f"{one.largest_force:.3f}",
            f"{one.moved:.2f}",
        )
    console.print(table)
    lines = [f"and {len(found) - _ROWS:,} more molecules"] if len(found) > _ROWS else []
    if len(found) < len(molecules):
        lines.append(f"interrupted: {len(molecules) - len(found):,} molecules were not begun")
    if found:
        lines.append(f"{len(found):,} molecules in {out}")
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    if len(found) < len(molecules) or not all(one.converged for one in found):
        raise typer.Exit(ExitCode.NOT_CONVERGED)


def _relative(to: str | None) -> str:
    return (
        "relative to isolated atoms"
        if to == "isolated atoms"
        else "as in the data set that the model was fitted to"
    )
