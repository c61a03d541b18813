"""Relaxation of molecules to the minimum of a model's energy, and extended xyz of what a model says of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from phasewave.checks import fail, integer
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.structures import Molecules
from phasewave.runs.atomic import replacing

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, eq=False)
class Relaxed:
    """One molecule before and after its relaxation.

    Attributes
    ----------
    atoms : ase.Atoms
        As it ended, without calculator.
    energy_before, energy : float
        eV.
    forces : ndarray (n_atoms, 3)
        At the end, eV / Angstrom.
    n_steps : int
    converged : bool
        Whether no force exceeds the limit.
    moved : float
        Largest displacement of an atom, Angstrom.
    """

    atoms: Atoms
    energy_before: float
    energy: float
    forces: np.ndarray
    n_steps: int
    converged: bool
    moved: float

    @property
    def largest_force(self) -> float:
        """Largest force on an atom, eV / Angstrom."""
        return float(np.linalg.norm(self.forces, axis=1).max())


def relax(
    model: EnergyModel,
    molecules: Molecules,
    *,
    fmax: float = 0.02,
    max_steps: int = 200,
    progress: Callable[[int, int], bool | None] | None = None,
) -> list[Relaxed]:
    """Relax molecules one after the other, by ASE's BFGS with line search, on `ScatteringCalculator`.

    The energy falls at every step (BFGS without line search can end on a barrier of a poor model).

    Parameters
    ----------
    model : EnergyModel
        Fitted, of an energy in eV.
    molecules : Molecules
    fmax : float
        The largest force allowed at the end, eV / Angstrom.
    max_steps : int
        Most steps for a molecule.
    progress : callable, optional
        Told how many molecules are done and in all, at every step; returning True ends the work: the molecule at
        hand is kept as it is, and those after it are not begun.

    Returns
    -------
    list of Relaxed
        Shorter than the input if the work was ended.

    Raises
    ------
    ValueError
        If a parameter is out of range, the model's unit is not eV, or it has not seen an element.
    """
    from ase.optimize import BFGSLineSearch

    from phasewave.molecules.calculator import ScatteringCalculator

    if not 0 < fmax < float("inf"):
        fail("fmax", "be a positive force in eV / Angstrom", fmax)
    integer("max_steps", max_steps, minimum=1)
    if model.training_.get("unit", "eV") != "eV":
        fail("model", "be of an energy in eV", model.training_.get("unit"))
    model.baseline_.predict(molecules)  # refuses elements that were not in the training, before any work
    found = []
    for number, atoms in enumerate(molecules.to_atoms()):
        if progress is not None and progress(number, len(molecules)):
            break
        start = atoms.positions.copy()
        atoms.calc = ScatteringCalculator(model)
        before = float(atoms.get_potential_energy())
        optimizer = BFGSLineSearch(atoms, logfile=StringIO())
        ended = False
        try:
            for _ in optimizer.irun(fmax=fmax, steps=max_steps):
                if progress is not None and progress(number, len(molecules)):
                    ended = True
                    break
        except RuntimeError as error:  # ASE's own, where no step lowers the energy: not converged, as it stands
            if "LineSearch failed" not in str(error):
                raise
        forces = atoms.get_forces()
        energy = float(atoms.get_potential_energy())
        atoms.calc = None
        found.append(
            Relaxed(
                atoms,
                before,
                energy,
                forces,
                optimizer.nsteps,
                bool(np.linalg.norm(forces, axis=1).max() <= fmax),
                float(np.linalg.norm(atoms.positions - start, axis=1).max()),
            )
        )
        if ended:
            break
    if progress is not None:
        progress(len(found), len(molecules))
    return found


def molecular_forces(model: EnergyModel, molecules: Molecules) -> list[np.ndarray]:
    """Return the forces on the atoms of each molecule, eV / Angstrom; one molecule at a time bounds the memory."""
    return [model.forces(molecules[i])[1].cpu().numpy() for i in range(len(molecules))]


def write_extxyz(
    path: str | os.PathLike[str],
    atoms: Sequence[Atoms],
    energies: Sequence[float] | np.ndarray,
    *,
    std: np.ndarray | None = None,
    forces: Sequence[np.ndarray] | None = None,
) -> None:
    """Write molecules with their energies, and forces if given, as extended xyz, atomically.

    Parameters
    ----------
    path : path-like
    atoms : sequence of ase.Atoms
    energies : sequence of float
        eV: ``energy`` of each frame.
    std : ndarray, optional
        ``energy_std`` of each frame, eV.
    forces : sequence of ndarray, optional
        eV / Angstrom.

    Raises
    ------
    OSError
        If the file cannot be written; no half file is left.
    """
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    frames = []
    for i, one in enumerate(atoms):
        frame = one.copy()
        results = {"energy": float(energies[i])} | ({} if forces is None else {"forces": forces[i]})
        frame.calc = SinglePointCalculator(frame, **results)
        if std is not None:
            frame.info["energy_std"] = float(std[i])
        frames.append(frame)
    text = StringIO()
    write(text, frames, format="extxyz")
    with replacing(path) as stream:
        stream.write(text.getvalue().encode())
