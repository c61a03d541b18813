"""Order 1: integrals of the moduli of a density's wavelet transform at one scale, from the closed form."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from phasewave.molecules.harmonic_fields import HarmonicGroup, gaussian_powers, gaussian_reach, squared_moduli
from phasewave.molecules.lattice import Extents, Lattice
from phasewave.molecules.power_sums import power_sums

Result = TypeVar("Result")


@dataclass(frozen=True)
class ArrangedMolecule:
    """One molecule about its centroid, longest axis in the middle, atoms sorted along it.

    Attributes
    ----------
    charges : torch.Tensor
        ``(n_channels, n_atoms)``.
    positions : torch.Tensor
        ``(n_atoms, 3)``.
    along : list of float
        The positions along the axis in the middle, ascending.
    extents : three pairs of float
        Lowest and highest coordinate along each axis.
    """

    charges: Tensor
    positions: Tensor
    along: list[float]
    extents: Extents

    @staticmethod
    def arrange(charges: Tensor, positions: Tensor) -> ArrangedMolecule:
        """Centre, turn and sort one molecule; the centroid takes part in the gradient.

        Thus the lattice moves with the molecule: features do not change, and forces add up to zero, to rounding.
        """
        centred = positions - positions.mean(0)
        fixed = centred.detach().double().cpu()
        low, high = fixed.amin(0), fixed.amax(0)
        second, longest, shortest = (high - low).argsort(descending=True)[[1, 0, 2]].tolist()
        axes = [second, longest, shortest]
        order = fixed[:, longest].argsort()
        centred = centred[:, axes][order.to(positions.device)]
        x, y, z = ((float(low[i]), float(high[i])) for i in axes)
        charges = charges[:, order.to(charges.device)]
        return ArrangedMolecule(charges, centred, fixed[order, longest].tolist(), (x, y, z))


def first_order(
    molecule: ArrangedMolecule,
    lattice: Lattice,
    width: float,
    groups: tuple[HarmonicGroup, ...],
    *,
    powers: tuple[float, ...],
    tile: int,
    keep: bool,
) -> tuple[Tensor, Tensor | None]:
    """Integrate powers of the moduli on one sublattice, and keep the moduli for order 2 if asked.

    Parameters
    ----------
    molecule : ArrangedMolecule
        Its atoms and charges.
    lattice : Lattice
        One sublattice, of nodes in Angstrom.
    width : float
        Width ``s`` of the Gaussians, Angstrom.
    groups : tuple of HarmonicGroup
        The polynomials, in units of ``s``, of the dtype and device of the positions.
    powers : tuple of float
        Exponents ``q``.
    tile : int
        Points in flight: the lattice is cut across the middle axis into slabs of about so many nodes.
    keep : bool
        Whether to return the moduli.

    Returns
    -------
    sums : torch.Tensor
        float64 ``(n_degrees, n_channels, n_powers)``.
    moduli : torch.Tensor or None
        ``(n_degrees, n_channels, n_x, n_y, n_z)``.

    Notes
    -----
    Cost: for each node ``2 n_channels (max_degree + 1)^3`` products for each atom near its slab.
    """
    positions, charges = molecule.positions, molecule.charges
    n_degrees, n_channels = len(groups[0].squares), len(charges)
    n_x, n_y, n_z = lattice.shape
    nodes = [axis.to(positions) for axis in lattice.nodes]
    weights = [axis.to(positions) for axis in lattice.weights]
    x, y, z = (gaussian_powers((nodes[i] - positions[:, i : i + 1]) / width, n_degrees) for i in range(3))
    rows, tables = [], []
    for group in groups:
        table = torch.einsum("ca,aix->cxai", charges, x[:, group.parity :: 2])
        rows.append(table.reshape(n_channels * n_x, len(positions), -1))
        tables.append(torch.einsum("fijk,ajy->aifyk", group.coefficients, y))
    squares = tuple(group.squares for group in groups)

    depth = max(1, tile // (n_x * n_z))
    total: Tensor | None = None
    kept = []
    reach = width * gaussian_reach(positions.dtype)
    for start in range(0, n_y, depth):
        stop = min(start + depth, n_y)
        low, high = float(lattice.nodes[1][start]) - reach, float(lattice.nodes[1][stop - 1]) + reach
        near = slice(bisect_left(molecule.along, low), bisect_right(molecule.along, high))
        plane = (weights[1][start:stop, None] * weights[2]).flatten()
        weight = (weights[0][:, None] * plane).flatten()

        def work(x: tuple[Tensor, ...], y: tuple[Tensor, ...], z: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
            squared = squared_moduli(x, y, z, squares)
            return power_sums(squared.view(n_degrees, n_channels, -1), w, powers)

        sums, moduli = recomputed(
            work,
            tuple(table[:, near] for table in rows),
            tuple(table[near, :, :, start:stop] for table in tables),
            z[near],
            weight,
        )
        total = sums if total is None else total + sums
        if keep:
            kept.append(moduli.view(n_degrees, n_channels, n_x, stop - start, n_z))
    if total is None:
        raise ValueError("`lattice` must hold nodes")
    return total, torch.cat(kept, 3) if keep else None


def recomputed(function: Callable[..., Result], *arguments: object) -> Result:
    """Return ``function(*arguments)``; where gradients flow, keep the arguments alone and compute it again later."""
    if not torch.is_grad_enabled():
        return function(*arguments)
    result: Result = checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
    return result
