"""What an atom sees around it: solid-harmonic coefficients of its neighbours, contracted to invariants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from phasewave.checks import fail, integer
from phasewave.molecules.elements import check_elements
from phasewave.molecules.pairs import direction_harmonics, molecule_chunks, neighbour_pairs
from phasewave.molecules.structures import Molecules, as_molecules

_FIT_MOLECULES = 300


class AtomicEnvironments(BaseEstimator):
    r"""Invariants of the environment of every atom, from first-order solid-harmonic coefficients read at the atom.

    The neighbours of atom k that are of element e give the coefficients

    .. math::

        c_{e,n,l,m} = \sum_{i \ne k,\, z_i = e} w(r_i)\, e^{-(r_i - r_n)^2 / 2 b^2}\, Y_{lm}(u_i), \qquad
        w(r) = \frac{1 + \cos(\pi r / R)}{2 \,(1 + (r / r_0)^a)},

    with ``u_i`` and ``r_i <= R`` their directions and distances. The sums over m of products of two coefficients
    of one degree,

    .. math:: p_{en,e'n',l} = \sum_m c_{e,n,l,m}\, c_{e',n',l,m},

    do not change with rotations, reflections, translations and the order of the atoms. The coefficients are first
    projected on their leading principal channels (one set for each degree), the products on their leading
    directions, and each atom's row is brought to length one together with a constant column, which stands for the
    atom itself: so an atom that loses its last neighbour becomes a free atom continuously.

    Parameters
    ----------
    n_shells : int
        Radii ``r_n``, evenly from 0.8 A to half an Angstrom within the cutoff.
    max_degree : int
        Largest degree ``l``.
    cutoff : float
        ``R``, Angstrom.
    width : float
        ``b``, Angstrom.
    decay_radius, decay_power : float
        ``r_0`` in Angstrom and ``a``: near neighbours matter more.
    n_channels : int
        Principal channels kept of the (elements x shells).
    n_components : int
        Directions kept of the products.
    self_weight : float
        The constant column, in units of the mean length of the training rows.
    tile : int
        Pairs of atoms in flight: bounds the memory.

    Attributes
    ----------
    elements_ : tuple of int
        Elements seen in the fit.
    contractions_ : list of Tensor
        For each degree, (elements x shells, channels).
    projection_ : Tensor
        (n_products, n_directions).
    self_column_ : float
        The constant column before each row is brought to length one.

    Notes
    -----
    The products are the power spectrum of Bartok, Kondor and Csanyi (2013); the weight is that of Willatt, Musil
    and Ceriotti (2018). Cost for a molecule of n atoms: ``n^2 n_shells (L+1)^2`` for the
    coefficients, ``n q^2 (L+1) D / 2`` for the projection.
    """

    def __init__(
        self,
        *,
        n_shells: int = 8,
        max_degree: int = 5,
        cutoff: float = 5.0,
        width: float = 0.35,
        decay_radius: float = 1.5,
        decay_power: float = 6.0,
        n_channels: int = 24,
        n_components: int = 600,
        self_weight: float = 0.3,
        tile: int = 16384,
    ) -> None:
        self.n_shells = n_shells
        self.max_degree = max_degree
        self.cutoff = cutoff
        self.width = width
        self.decay_radius = decay_radius
        self.decay_power = decay_power
        self.n_channels = n_channels
        self.n_components = n_components
        self.self_weight = self_weight
        self.tile = tile

    def fit(self, X: Any, y: object = None) -> AtomicEnvironments:
        """Learn elements, channels and directions from molecules (at most 300 of them, evenly spaced).

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
        self._check_parameters()
        molecules = as_molecules(X)
        if len(molecules) == 0:
            fail("X", "hold a molecule", "none")
        self.elements_ = molecules.elements
        stride = -(-len(molecules) // _FIT_MOLECULES)
        some = molecules[::stride].to(dtype=torch.float64)
        covariances: list[Tensor] | None = None
        for part in molecule_chunks(some, self.tile):
            found = [torch.einsum("kcm,kdm->cd", c, c) for c in self._coefficients(part)]
            covariances = (
                found if covariances is None else [a + b for a, b in zip(covariances, found, strict=True)]
            )
        self.contractions_ = [_leading(covariance, self.n_channels) for covariance in covariances or []]
        rows = torch.cat([self._products(part) for part in molecule_chunks(some, self.tile)])
        self.projection_ = _leading(rows.T @ rows, self.n_components)
        lengths = (rows @ self.projection_).norm(dim=1)
        self.self_column_ = self.self_weight * float(lengths.mean()) or 1.0
        return self

    def forward(self, molecules: Molecules) -> Tensor:
        """Return the rows (n_atoms, n_directions + 1) of all atoms, of length one each; differentiable.

        Dtype and device are those of the positions.

        Raises
        ------
        ValueError
            If an atom is of an element that the fit has not seen.
        """
        check_is_fitted(self)
        check_elements(molecules, self.elements_)
        return torch.cat([self._rows(part) for part in molecule_chunks(molecules, self.tile)])

    def state(self) -> dict[str, Any]:
        """Return what was learned as a dict of tensors and plain values."""
        check_is_fitted(self)
        return {
            "elements": list(self.elements_),
            "contractions": list(self.contractions_),
            "projection": self.projection_,
            "self_column": self.self_column_,
        }

    @classmethod
    def from_state(cls, settings: Mapping[str, Any], state: Mapping[str, Any]) -> AtomicEnvironments:
        """Return fitted environments from their parameters and `state`."""
        found = cls(**settings)
        found.elements_ = tuple(state["elements"])
        found.contractions_ = list(state["contractions"])
        found.projection_ = state["projection"]
        found.self_column_ = state["self_column"]
        return found

    def _rows(self, molecules: Molecules) -> Tensor:
        products = self._products(molecules)
        rows = products @ self.projection_.to(products)
        constant = torch.full_like(rows[:, :1], self.self_column_)
        length = (rows.square().sum(1, keepdim=True) + self.self_column_**2).sqrt()
        return torch.cat([rows, constant], 1) / length

    def _products(self, molecules: Molecules) -> Tensor:
        """Return the products of the contracted coefficients: (n_atoms, degrees x q (q + 1) / 2)."""
        parts = []
        for c, contraction in zip(self._coefficients(molecules), self.contractions_, strict=True):
            t = contraction.T.to(c) @ c
            q = t.shape[1]
            row, column = torch.triu_indices(q, q, device=t.device)
            # a product of two different channels stands for both orders
            twice = t.new_full(row.shape, 2.0**0.5).masked_fill_(row == column, 1.0)
            parts.append((t @ t.transpose(1, 2)).flatten(1)[:, row * q + column] * twice)
        return torch.cat(parts, 1)

    def _coefficients(self, molecules: Molecules) -> list[Tensor]:
        """Return the coefficients of each degree: (n_atoms, elements x shells, 2 l + 1)."""
        pairs = neighbour_pairs(molecules, self.cutoff)
        distance = pairs.vectors.norm(dim=1)
        harmonics = direction_harmonics(pairs.vectors / distance[:, None], self.max_degree)
        centres = torch.linspace(0.8, self.cutoff - 0.5, self.n_shells, dtype=torch.float64).to(distance)
        edge = 0.5 + 0.5 * torch.cos(torch.pi * distance / self.cutoff)
        weight = edge / (1 + (distance / self.decay_radius) ** self.decay_power)
        shells = weight[:, None] * torch.exp(-0.5 * ((distance[:, None] - centres) / self.width) ** 2)
        elements = torch.tensor(self.elements_, device=distance.device)
        element = torch.searchsorted(elements, molecules.numbers[pairs.neighbour])
        n_elements, n_harmonics = len(elements), harmonics.shape[1]
        seen = (shells[:, :, None] * harmonics[:, None, :]).flatten(1)
        empty = seen.new_zeros(molecules.n_atoms * n_elements, self.n_shells * n_harmonics)
        total = empty.index_add(0, pairs.centre * n_elements + element, seen)
        total = total.view(molecules.n_atoms, n_elements * self.n_shells, n_harmonics)
        return [total[..., l * l : (l + 1) ** 2] for l in range(self.max_degree + 1)]

    def _check_parameters(self) -> None:
        for name in ("n_shells", "n_channels", "n_components", "tile"):
            integer(name, getattr(self, name), minimum=1)
        integer("max_degree", self.max_degree, minimum=0, maximum=12)
        for name in ("cutoff", "width", "decay_radius", "decay_power", "self_weight"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)):
                raise TypeError(f"`{name}` must be a number, got {value!r}")
            if not 0 < value < math.inf:
                fail(name, "be positive and finite", value)


def _leading(matrix: Tensor, n: int) -> Tensor:
    """Return the eigenvectors of the n largest eigenvalues of a symmetric matrix, the largest first."""
    vectors = torch.linalg.eigh(matrix)[1]
    return vectors[:, -n:].flip(1).contiguous()
