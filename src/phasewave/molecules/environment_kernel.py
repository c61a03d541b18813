"""Features of a molecule from the likeness of its atoms' environments to those of reference atoms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from phasewave.checks import fail, integer
from phasewave.molecules.environments import AtomicEnvironments
from phasewave.molecules.pairs import molecule_chunks
from phasewave.molecules.structures import Molecules, as_molecules

# eigenvalues of a reference kernel below this share of the largest are rounding
_RANK_TOLERANCE = 1e-10
_POOL = 5  # environments looked at for each reference chosen
_LEADING = 64  # columns of the rows that hold all but a few hundredths of their length


class EnvironmentKernel(TransformerMixin, BaseEstimator):
    r"""Nystroem features of the sum over atoms of a polynomial kernel of their environments.

    Two molecules A and B are compared by

    .. math:: K(A, B) = \sum_{i \in A} \sum_{j \in B} \delta_{z_i z_j} (p_i \cdot p_j)^d

    with the unit rows ``p`` of `AtomicEnvironments`. With references R of one element among the training atoms and
    ``K_RR = V diag(s) V^T``, the features are ``diag(s)^{-1/2} V^T sum_i (p_R . p_i)^d``, one block for each
    element: ridge regression on them (unscaled) is kernel ridge regression seen through the references, and the
    energy is a sum over atoms.

    Parameters
    ----------
    environments : AtomicEnvironments, optional
        By default its own default.
    n_references : int
        Of all elements together, shared in proportion to the square root of the elements' atoms; each the farthest
        from those before, among five times as many atoms drawn at random.
    degree : int
        ``d``.
    seed : int
        Of the draw.

    Attributes
    ----------
    environments_ : AtomicEnvironments
        Fitted.
    references_, whitenings_ : dict of int to Tensor
        Element -> (n, n_columns) and (n, rank).

    Notes
    -----
    Cost for a molecule of n atoms: ``n M D``, with M references and D columns. `transform` computes in float32,
    but for what rounding would spoil: small eigenvalues of ``K_RR`` magnify errors up to 10^5 times, so the large
    part of the inner products, the sums and the features are float64. Energies of models then differ from those of
    float64 features by some 10^-4 eV (measured on QM9 with 5,000 molecules and 6,000 references: 3 10^-4 eV).
    """

    def __init__(
        self,
        *,
        environments: AtomicEnvironments | None = None,
        n_references: int = 4000,
        degree: int = 2,
        seed: int = 0,
    ) -> None:
        self.environments = environments
        self.n_references = n_references
        self.degree = degree
        self.seed = seed

    def fit(self, X: Any, y: object = None) -> EnvironmentKernel:
        """Fit the environments and choose the references among the atoms of molecules.

        Parameters
        ----------
        X : molecules
            Anything `as_molecules` takes.
        y : ignored

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range or a molecule unsound.
        """
        integer("n_references", self.n_references, minimum=1)
        integer("degree", self.degree, minimum=1, maximum=8)
        molecules = as_molecules(X).to(dtype=torch.float32)
        base = AtomicEnvironments() if self.environments is None else clone(self.environments)
        self.environments_ = base.fit(molecules)
        generator = torch.Generator().manual_seed(self.seed)
        numbers = molecules.numbers.cpu()
        counts = {z: int((numbers == z).sum()) for z in molecules.elements}
        total = sum(count**0.5 for count in counts.values())
        self.references_, self.whitenings_ = {}, {}
        for z, count in counts.items():
            wanted = min(count, max(1, round(self.n_references * count**0.5 / total)))
            atoms = (numbers == z).nonzero()[:, 0]
            pool = atoms[torch.randperm(count, generator=generator)[: _POOL * wanted]].sort()[0]
            rows = self._rows_of(molecules, pool.to(molecules.numbers.device))
            references = rows[_farthest(rows, wanted)]
            kernel = (references.double() @ references.double().T) ** self.degree
            values, vectors = torch.linalg.eigh(kernel)
            kept = values > _RANK_TOLERANCE * values[-1]
            self.references_[z] = references
            self.whitenings_[z] = vectors[:, kept] * values[kept].rsqrt()
        return self

    def forward(self, molecules: Molecules) -> Tensor:
        """Return the features (n, n_features), differentiable, in the dtype and on the device of the positions.

        Raises
        ------
        ValueError
            If an atom is of an element that the fit has not seen.
        """
        check_is_fitted(self)
        rows = self.environments_.forward(molecules)
        parts = []
        for z, references in self.references_.items():
            mine = (molecules.numbers == z).nonzero()[:, 0]
            alike = _inner_products(rows[mine], references.to(rows)) ** self.degree
            sums = alike.new_zeros(len(molecules), len(references))
            sums = sums.index_add(0, molecules.owner[mine], alike)
            parts.append(sums @ self.whitenings_[z].to(sums))
        return torch.cat(parts, 1).to(rows.dtype)

    def transform(self, X: Any) -> np.ndarray:
        """Return the features (n, n_features), float32, of molecules (anything `as_molecules` takes)."""
        check_is_fitted(self)
        molecules = as_molecules(X).to(dtype=torch.float32)
        if len(molecules) == 0:
            fail("X", "hold a molecule", "none")
        rows = np.empty((len(molecules), self.n_features_), dtype=np.float32)
        start = 0
        with torch.no_grad():
            for part in molecule_chunks(molecules, self.environments_.tile):
                rows[start : start + len(part)] = self.forward(part).cpu().numpy()
                start += len(part)
        return rows

    @property
    def n_features_(self) -> int:
        """Number of features."""
        return sum(whitening.shape[1] for whitening in self.whitenings_.values())

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names of the features: the element and the number of the direction."""
        from ase.data import chemical_symbols

        names = [f"{chemical_symbols[z]}{i}" for z, w in self.whitenings_.items() for i in range(w.shape[1])]
        return np.asarray(names, dtype=object)

    def state(self) -> dict[str, Any]:
        """Return what was learned as a dict of tensors and plain values."""
        check_is_fitted(self)
        return {
            "environments": self.environments_.state(),
            "references": {str(z): rows for z, rows in self.references_.items()},
            "whitenings": {str(z): rows for z, rows in self.whitenings_.items()},
        }

    @classmethod
    def from_state(cls, settings: Mapping[str, Any], state: Mapping[str, Any]) -> EnvironmentKernel:
        """Return a fitted transformer from its parameters and `state`: the same features, bit for bit."""
        found = cls(**settings)
        base = AtomicEnvironments() if found.environments is None else found.environments
        found.environments_ = AtomicEnvironments.from_state(base.get_params(), state["environments"])
        found.references_ = {int(z): rows for z, rows in state["references"].items()}
        found.whitenings_ = {int(z): rows for z, rows in state["whitenings"].items()}
        return found

    def _rows_of(self, molecules: Molecules, atoms: Tensor) -> Tensor:
        """Return the rows of some atoms (ascending), from their molecules alone."""
        owners = molecules.owner[atoms]
        chosen = torch.unique(owners)
        part = molecules[chosen]
        place = torch.searchsorted(chosen, owners)
        local = atoms - molecules.offsets[owners] + part.offsets[place]
        rows, start = [], 0
        with torch.no_grad():
            for batch in molecule_chunks(part, self.environments_.tile):
                inside = local[(local >= start) & (local < start + batch.n_atoms)] - start
                rows.append(self.environments_.forward(batch)[inside])
                start += batch.n_atoms
        return torch.cat(rows)


def _inner_products(rows: Tensor, references: Tensor) -> Tensor:
    """Return ``rows references^T`` in float64; the last, small columns may be multiplied in float32."""
    large = rows[:, :_LEADING].double() @ references[:, :_LEADING].double().T
    return large + rows[:, _LEADING:] @ references[:, _LEADING:].T


def _farthest(rows: Tensor, n: int) -> Tensor:
    """Return the indices of n unit rows, each the farthest from those before it."""
    chosen = [0]
    nearest = 2 - 2 * (rows @ rows[0])
    for _ in range(n - 1):
        chosen.append(int(nearest.argmax()))
        torch.minimum(nearest, 2 - 2 * (rows @ rows[chosen[-1]]), out=nearest)
    return torch.tensor(chosen, device=rows.device)
