"""An ASE calculator: energies and forces of a fitted model, for relaxations and dynamics."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from ase.calculators.calculator import Calculator, all_changes
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from phasewave.molecules.features import SolidScattering
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.model_file import load_model
from phasewave.molecules.structures import Molecules

if TYPE_CHECKING:
    from ase import Atoms


class ScatteringCalculator(Calculator):
    r"""Energies and forces of isolated, neutral molecules from a fitted `EnergyModel`.

    .. math:: F_a = -\partial E / \partial r_a

    by automatic differentiation through features and regressor, from float64 positions. Energies in eV, of the
    kind that the model was fitted to (relative to isolated atoms, say), forces in eV / Angstrom. The free energy
    is the energy: there is no electronic temperature.

    A model knows what it was fitted to. One of relaxed molecules alone, such as those of QM9, has never seen a
    force: those it gives are extrapolated, several eV / Angstrom at the minima themselves, and a relaxation may
    break the molecule. Forces need molecules away from their minima in the training set.

    Parameters
    ----------
    model : EnergyModel, str or path-like
        Fitted, or the file of `phasewave.molecules.model_file.save_model`.
    force_step : float, optional
        For a model on `SolidScattering`: the step of its lattice, finer than the one it was fitted with, so that
        energies are smoother in the positions. Energies and forces are both of this step, so that each is the
        gradient of the other; energies then differ from ``model.predict`` by the error of the coarser lattice.

    Attributes
    ----------
    model : EnergyModel
        What is asked: that given, or a copy of it with the finer step.

    Raises
    ------
    TypeError
        If ``model`` is something else, or its features have no step though one is given.
    ValueError
        If ``force_step`` is out of range, or the file is damaged or no model.
    FileNotFoundError
        If there is no such file.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    Examples
    --------
    >>> from ase.build import molecule
    >>> from phasewave.molecules.environment_kernel import EnvironmentKernel
    >>> from phasewave.molecules.ridge import LeaveOneOutRidge
    >>> known = [molecule(name) for name in ("H2O", "CH4", "NH3", "CH3OH", "C2H6", "CO2")]
    >>> model = EnergyModel(EnvironmentKernel(n_references=8), LeaveOneOutRidge())
    >>> water = molecule("H2O")
    >>> water.calc = ScatteringCalculator(model.fit(known, [-10.1, -18.2, -12.9, -22.2, -30.8, -16.9]))
    >>> water.get_forces().shape
    (3, 3)
    """

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012  (declared so by ASE)

    def __init__(self, model: EnergyModel | str | os.PathLike[str], *, force_step: float | None = None) -> None:
        super().__init__()
        if isinstance(model, (str, os.PathLike)):
            model = load_model(model)
        if not isinstance(model, EnergyModel):
            raise TypeError(f"`model` must be an EnergyModel or the path of one, got {type(model).__name__}")
        check_is_fitted(model)
        self.model = model if force_step is None else _with_step(model, force_step)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute what is asked for into ``results``; ASE calls this.

        Parameters
        ----------
        atoms : ase.Atoms
            One isolated, neutral molecule.
        properties : sequence of str
            Of ``implemented_properties``. Forces cost some two or three energies; the energy comes with them.
        system_changes : sequence of str
            What is new; any change computes everything anew.

        Raises
        ------
        ValueError
            If the system is periodic or charged, has no atoms, two atoms on one point or a position that is not
            finite, or holds an element that the model has not seen.
        """
        super().calculate(atoms, list(properties), list(system_changes))
        molecule = Molecules.from_atoms(self.atoms)
        if "forces" in properties:
            energies, forces = self.model.forces(molecule)
            self.results["forces"] = forces.cpu().numpy()
        else:
            with torch.no_grad():
                energies = self.model.energies(molecule)
        self.results["energy"] = self.results["free_energy"] = float(energies[0])


def _with_step(model: EnergyModel, step: float) -> EnergyModel:
    """Return a copy of a fitted model whose features have another step; the rest is shared."""
    if not isinstance(model.features_, SolidScattering):
        kind = type(model.features_).__name__
        raise TypeError(f"`force_step` must be None for a model on {kind}, which has no step, got {step!r}")
    finer = copy.copy(model)
    finer.features_ = clone(model.features_).set_params(step=step)
    finer.features_.plan  # noqa: B018  (checks the step)
    return finer
