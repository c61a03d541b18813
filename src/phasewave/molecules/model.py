"""A model of energies: composition, features, regressor; what is fitted, saved, and asked for forces."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from phasewave.checks import choice, fail
from phasewave.molecules.baseline import CompositionBaseline
from phasewave.molecules.structures import Molecules, as_molecules

Pooling = Literal["sum", "mean"]


class EnergyModel(RegressorMixin, BaseEstimator):
    r"""Energies of molecules: element counts, and a regressor on invariant features for the rest.

    .. math:: E(x) = \sum_z n_z(x)\, E_z + f(\Phi(x))

    with :math:`E_z` by least squares, :math:`\Phi` the features and ``f`` the regressor. Molecules in, eV out; the
    energy is differentiable in the positions, so forces follow by `energies` and autograd. Properties that do not
    grow with the molecule, such as orbital energies, are means over atoms: with ``pooling="mean"`` all this is
    fitted to N times the property, N the number of atoms, and divided by N.

    Parameters
    ----------
    features : transformer
        Molecules to rows: `SolidScattering`, `EnvironmentKernel`.
    regressor : EnergyRegressor
        Rows to what the composition leaves.
    pooling : {"sum", "mean"}
        Whether the property is a sum over atoms or a mean.

    Attributes
    ----------
    baseline_, features_, regressor_
        Fitted copies.
    training_ : dict
        What the model was fitted to: the number of molecules, and what the caller adds; saved with it.

    Examples
    --------
    >>> from ase.build import molecule
    >>> from phasewave.molecules.environment_kernel import EnvironmentKernel
    >>> from phasewave.molecules.ridge import LeaveOneOutRidge
    >>> atoms = [molecule(name) for name in ("H2O", "CH4", "NH3", "CH3OH", "C2H6", "CO2")]
    >>> model = EnergyModel(EnvironmentKernel(n_references=8), LeaveOneOutRidge())
    >>> model.fit(atoms, [-10.0, -18.0, -13.0, -22.0, -31.0, -17.0]).predict(atoms).shape
    (6,)
    """

    def __init__(self, features: Any, regressor: Any, pooling: Pooling = "sum") -> None:
        self.features = features
        self.regressor = regressor
        self.pooling = pooling

    def fit(self, X: Any, y: Any) -> EnergyModel:
        """Fit to molecules (anything `as_molecules` takes) and their energies (n,), eV.

        Raises
        ------
        ValueError
            If the energies are not finite or not one per molecule, a molecule is unsound, or ``pooling`` is
            neither of its values.
        """
        molecules = as_molecules(X)
        rest = self._fit_baseline(molecules, y)
        self.features_ = clone(self.features).fit(molecules)
        self.regressor_ = clone(self.regressor).fit(self.features_.transform(molecules), rest)
        return self

    def fit_rows(self, X: Any, rows: Any, y: Any) -> EnergyModel:
        """Fit to molecules whose features are there already, of the fitted ``features`` given to the constructor.

        Parameters
        ----------
        X : molecules
        rows : array or HDF5 dataset (n, n_features)
        y : array (n,)
            eV.
        """
        molecules = as_molecules(X)
        if len(rows) != len(molecules):
            fail("rows", f"have one row for each of {len(molecules)} molecules", len(rows))
        rest = self._fit_baseline(molecules, y)
        self.features_ = self.features
        self.regressor_ = clone(self.regressor).fit(rows, rest)
        return self

    def predict(self, X: Any, return_std: bool = False) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict the energies of molecules.

        Features are computed as `features.transform` does, in float32 unless they say otherwise: within 2e-5 eV of
        `energies` in float64 for `EnvironmentKernel` (1,500 references, 2,000 molecules of QM9).

        Parameters
        ----------
        X : molecules
            Anything `as_molecules` takes.
        return_std : bool
            Return the standard deviation too; the regressor must give one (an ensemble does).

        Returns
        -------
        ndarray (n,), or two of them
            eV, float64.

        Raises
        ------
        ValueError
            If a molecule is unsound, or holds an element that the fit has not seen.
        """
        check_is_fitted(self)
        molecules = as_molecules(X)
        base = self.baseline_.predict(molecules)
        size = self.atoms_pooled(molecules).cpu().numpy()
        rows = self.features_.transform(molecules)
        if return_std:
            mean, deviation = self.regressor_.predict(rows, return_std=True)
            return (base + mean) / size, deviation / size
        return (base + self.regressor_.predict(rows)) / size

    def energies(self, molecules: Molecules) -> Tensor:
        """Return the energies (n,), eV, float64, differentiable in the positions (float64 for good forces)."""
        check_is_fitted(self)
        base = self.baseline_.energies(molecules)
        total = base + self.regressor_.energies(self.features_.forward(molecules)).to(base)
        return total / self.atoms_pooled(molecules)

    def forces(self, molecules: Molecules) -> tuple[Tensor, Tensor]:
        """Return energies (n,), eV, and forces (n_atoms, 3), eV / Angstrom: minus the gradient of the energies."""
        positions = molecules.positions.detach().to(torch.float64).requires_grad_(True)
        energies = self.energies(molecules.with_positions(positions))
        (gradient,) = torch.autograd.grad(energies.sum(), positions)
        return energies.detach(), -gradient

    def atoms_pooled(self, molecules: Molecules) -> Tensor:
        """By what sums over atoms are divided: their number, or 1. Float64 (n,)."""
        sizes = molecules.sizes.to(torch.float64)
        return sizes if self.pooling == "mean" else torch.ones_like(sizes)

    def _fit_baseline(self, molecules: Molecules, y: Any) -> np.ndarray:
        choice("pooling", self.pooling, get_args(Pooling))
        values = np.asarray(y, dtype=np.float64)
        if values.shape == (len(molecules),):
            values = values * self.atoms_pooled(molecules).cpu().numpy()
        self.baseline_ = CompositionBaseline().fit(molecules, values)
        self.training_: dict[str, Any] = {"n_molecules": len(molecules)}
        return values - self.baseline_.predict(molecules)
