"""Order 1: integrals of the moduli of a density's wavelet transform at one scale, from the closed form."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import torch
from torch import Tensor

from phasewave.core.recompute import recomputed
from phasewave.molecules.harmonic_fields import HarmonicGroup, gaussian_powers, gaussian_reach, squared_moduli
from phasewave.molecules.lattice import Extents, Lattice
from phasewave.molecules.power_sums import power_sums


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

    def gaussians(self, lattice: Lattice, width: float, n_powers: int) -> tuple[Tensor, Tensor, Tensor]:
        """`gaussian_powers` of the atoms on each axis, ``(n_atoms, n_powers, n_nodes)``."""
        nodes = torch.cat(lattice.nodes).to(self.positions)
        centres = torch.cat([self.positions[:, i : i + 1].expand(-1, n) for i, n in enumerate(lattice.shape)], 1)
        x, y, z = gaussian_powers((nodes - centres) / width, n_powers).split(lattice.shape, -1)
        return x, y, z


def first_order(
    molecule: ArrangedMolecule,
    lattice: Lattice,
    width: float,
    groups: tuple[HarmonicGroup, ...],
    *,
    powers: tuple[float, ...],
    tile: int,
    keep: bool,
    sums_of: tuple[tuple[int, int], ...] = (),
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
    sums_of : tuple of pairs of int
        The last channels are sums of these.

    Returns
    -------
    sums : torch.Tensor
        float64 ``(n_degrees, n_channels, n_powers)``.
    moduli : torch.Tensor or None
        ``(n_degrees - 1, n_channels, n_x, n_y, n_z)``, without degree 0.

    Notes
    -----
    Cost: for each node and atom near its slab less than ``n_channels (max_degree + 1)^3 / 2`` products, over the
    channels that are no sums.
    """
    positions, n_channels = molecule.positions, len(molecule.charges)
    charges = molecule.charges[: n_channels - len(sums_of)]
    n_atoms, n_degrees = len(positions), len(groups[0].squares)
    n_x, n_y, n_z = lattice.shape
    x_weights, y_weights, z_weights = torch.cat(lattice.weights).to(positions).split(lattice.shape)
    x, y, z = molecule.gaussians(lattice, width, n_degrees)
    rows, tables = [], []
    for group in groups:
        powers_of_x = x[:, group.x_powers].permute(2, 0, 1)
        rows.append(charges[:, None, :, None] * powers_of_x)
        n_f, n_i, n_j, n_k = group.coefficients.shape
        matrix = group.coefficients.permute(1, 0, 3, 2).reshape(-1, n_j)
        tables.append((matrix @ y).view(n_atoms, n_i, n_f, n_k, n_y).transpose(-1, -2))
    squares = tuple(group.squares for group in groups)

    depth = max(1, tile // (n_x * n_z))
    integrals, kept = [], []
    reach = width * gaussian_reach(positions.dtype)
    along = lattice.nodes[1].tolist()
    for start in range(0, n_y, depth):
        stop = min(start + depth, n_y)
        low, high = along[start] - reach, along[stop - 1] + reach
        near = slice(bisect_left(molecule.along, low), bisect_right(molecule.along, high))
        weight = (x_weights[:, None, None] * (y_weights[start:stop, None] * z_weights)).flatten()

        def work(x: tuple[Tensor, ...], y: tuple[Tensor, ...], z: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
            return power_sums(squared_moduli(x, y, z, squares, sums_of), w, powers)

        sums, moduli = recomputed(
            work,
            tuple(table[:, :, near] for table in rows),
            tuple(table[near, :, :, start:stop] for table in tables),
            z[near],
            weight,
        )
        integrals.append(sums)
        if keep:
            kept.append(moduli.view(n_degrees, n_channels, n_x, stop - start, n_z)[1:])
    total = torch.stack(integrals).double().sum(0)
    fields = None if not keep else kept[0] if len(kept) == 1 else torch.cat(kept, 3)
    return total.view(n_degrees, n_channels, len(powers)), fields
