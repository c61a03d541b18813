"""The part of an energy that the counts of elements explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from phasewave.checks import fail
from phasewave.molecules.elements import check_elements
from phasewave.molecules.structures import Molecules, as_molecules


class CompositionBaseline(RegressorMixin, BaseEstimator):
    """Least squares of energies on element counts: ``E = sum_e n_e E_e``, no intercept, no penalty.

    Where compositions leave the energies per atom undetermined (one formula only, say), the solution of least
    norm is taken: predictions of compositions like those of the fit are exact all the same.

    Attributes
    ----------
    elements_ : tuple of int
        Atomic numbers seen in the fit, increasing.
    atom_energies_ : ndarray (n_elements,)
        float64, the unit of the energies.
    rank_ : int
        Independent compositions; less than ``len(elements_)`` where energies per atom are undetermined.

    Examples
    --------
    >>> from ase.build import molecule
    >>> atoms = [molecule(name) for name in ("H2", "H2O", "O2")]
    >>> baseline = CompositionBaseline().fit(atoms, [-2.0, -7.0, -10.0])
    >>> baseline.elements_, baseline.predict([molecule("H2O2")]).round(9).tolist()
    ((1, 8), [-12.0])
    """

    def fit(self, X: Any, y: Any) -> CompositionBaseline:
        """Fit to molecules (anything `as_molecules` takes) and their energies (n,).

        Raises
        ------
        ValueError
            If the energies are not finite or not one per molecule.
        """
        molecules = as_molecules(X)
        energies = np.asarray(y, dtype=np.float64)
        if energies.shape != (len(molecules),) or not len(molecules):
            fail("y", f"hold one energy per molecule, shape ({len(molecules)},) and not empty", energies.shape)
        bad = np.flatnonzero(~np.isfinite(energies))
        if bad.size:
            raise ValueError(f"`y` must be finite, got {energies[bad[0]]} for molecule {bad[0]}")
        self.elements_ = molecules.elements
        counts = molecules.counts(self.elements_).cpu().numpy().astype(np.float64)
        self.atom_energies_, _, rank, _ = np.linalg.lstsq(counts, energies, rcond=None)
        self.rank_ = int(rank)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the energies (n,), float64, of molecules.

        Raises
        ------
        ValueError
            If a molecule holds an element that the fit has not seen; the message names both.
        """
        return self.energies(as_molecules(X)).cpu().numpy()

    def energies(self, molecules: Molecules) -> torch.Tensor:
        """Return the energies (n,), float64, on the device of the molecules; constant in the positions."""
        check_is_fitted(self)
        check_elements(molecules, self.elements_)
        counts = molecules.counts(self.elements_).to(torch.float64)
        # elementwise, not BLAS: a molecule's value does not depend on its batch
        return (counts * torch.from_numpy(self.atom_energies_).to(counts.device)).sum(dim=1)

    def state(self) -> dict[str, Any]:
        """Return what was learned as a dict of tensors and plain values."""
        check_is_fitted(self)
        return {
            "elements": list(self.elements_),
            "atom_energies": torch.from_numpy(self.atom_energies_),
            "rank": self.rank_,
        }

    @classmethod
    def from_state(cls, settings: Mapping[str, Any], state: Mapping[str, Any]) -> CompositionBaseline:
        """Return a fitted baseline from its parameters (none) and `state`."""
        baseline = cls(**settings)
        baseline.elements_ = tuple(state["elements"])
        baseline.atom_energies_ = state["atom_energies"].cpu().numpy()
        baseline.rank_ = state["rank"]
        return baseline
