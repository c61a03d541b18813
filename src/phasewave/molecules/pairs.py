"""Pairs of atoms of one molecule within a distance, and harmonics of their directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from phasewave.core.solid import solid_harmonics
from phasewave.molecules.structures import Molecules


class Pairs(NamedTuple):
    """Ordered pairs of different atoms of one molecule.

    Parameters
    ----------
    centre, neighbour : Tensor
        int64 (n_pairs,), atom indices.
    vectors : Tensor
        (n_pairs, 3), from the centre to the neighbour, Angstrom; differentiable.
    """

    centre: Tensor
    neighbour: Tensor
    vectors: Tensor


def neighbour_pairs(molecules: Molecules, cutoff: float) -> Pairs:
    """Return all ordered pairs of atoms of one molecule nearer than ``cutoff`` (Angstrom).

    Cost: the sum of squared molecule sizes.
    """
    sizes = molecules.sizes
    squares = sizes**2
    total = int(squares.sum())
    device = sizes.device
    owner = torch.repeat_interleave(torch.arange(len(sizes), device=device), squares, output_size=total)
    within = torch.arange(total, device=device) - (squares.cumsum(0) - squares)[owner]
    size, first = sizes[owner], molecules.offsets[:-1][owner]
    centre, neighbour = first + within // size, first + within % size
    vectors = molecules.positions[neighbour] - molecules.positions[centre]
    near = (centre != neighbour) & (vectors.detach().square().sum(-1) < cutoff**2)
    return Pairs(centre[near], neighbour[near], vectors[near])


def molecule_chunks(molecules: Molecules, n_pairs: int) -> Iterator[Molecules]:
    """Yield the molecules in turn, in batches of at most ``n_pairs`` pairs of atoms, or of one molecule."""
    squares = (molecules.sizes**2).cumsum(0).cpu()
    start, done = 0, 0
    while start < len(molecules):
        stop = max(start + 1, int(torch.searchsorted(squares, done + n_pairs, right=True)))
        yield molecules[start:stop]
        start, done = stop, int(squares[stop - 1])


def direction_harmonics(directions: Tensor, max_degree: int) -> Tensor:
    r"""Real spherical harmonics of unit vectors, scaled so that :math:`\sum_m Y_{lm}^2 = 1` for every degree.

    Parameters
    ----------
    directions : Tensor
        (n, 3), of length one; of vectors of length r the values are :math:`r^l Y_{lm}`, solid harmonics.
    max_degree : int

    Returns
    -------
    Tensor
        (n, (max_degree + 1)^2), column ``l^2 + l + m``.
    """
    table = solid_harmonics(max_degree)
    powers = [torch.ones_like(directions)]
    for _ in range(max_degree):
        powers.append(powers[-1] * directions)
    parts = []
    for l in range(max_degree + 1):
        rows = table[l * l : (l + 1) ** 2] * (4 * torch.pi / (2 * l + 1)) ** 0.5
        used = rows.abs().sum(0).nonzero()
        monomials = torch.stack([powers[i][:, 0] * powers[j][:, 1] * powers[k][:, 2] for i, j, k in used.tolist()])
        coefficients = rows[:, used[:, 0], used[:, 1], used[:, 2]].to(directions)
        parts.append(coefficients @ monomials)
    return torch.cat(parts).T
