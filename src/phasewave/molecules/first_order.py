"""Order 1: integrals of the moduli of a density's wavelet transform at one scale, from the closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from phasewave.core.recompute import recomputed
from phasewave.molecules.blurring import blurred
from phasewave.molecules.harmonic_fields import HarmonicGroup, gaussian_powers, gaussian_reach, squared_moduli
from phasewave.molecules.lattice import Extents, Lattice
from phasewave.molecules.power_sums import power_sums


@dataclass(frozen=True)
class ArrangedMolecule:
    """One molecule about its centroid, longest axis in the middle, atoms sorted by element and along it.

    Attributes
    ----------
    charges : torch.Tensor
        ``(n_channels, n_atoms)``.
    positions : torch.Tensor
        ``(n_atoms, 3)``.
    present : tuple of int
        Atomic numbers of the elements present, ascending.
    elements : list of int
        The place of each atom's element among those; ascending.
    along : list of float
        The positions along the axis in the middle.
    extents : three pairs of float
        Lowest and highest coordinate along each axis.
    """

    charges: Tensor
    positions: Tensor
    present: tuple[int, ...]
    elements: list[int]
    along: list[float]
    extents: Extents

    @staticmethod
    def arrange(numbers: Tensor, charges: Tensor, positions: Tensor) -> ArrangedMolecule:
        """Centre, turn and sort one molecule; the centroid takes part in the gradient.

        Thus the lattice moves with the molecule: features do not change, and forces add up to zero, to rounding.
        """
        centred = positions - positions.mean(0)
        fixed = centred.detach().double().cpu().numpy()
        low, high = fixed.min(0), fixed.max(0)
        longest, second, shortest = (low - high).argsort(kind="stable").tolist()
        axes = [second, longest, shortest]
        present, elements = np.unique(numbers.cpu().numpy(), return_inverse=True)
        order = np.lexsort((fixed[:, longest], elements))
        moved = torch.from_numpy(order).to(positions.device)
        x, y, z = ((float(low[i]), float(high[i])) for i in axes)
        return ArrangedMolecule(
            charges[:, moved],
            centred[:, axes][moved],
            tuple(present.tolist()),
            elements[order].tolist(),
            fixed[order, longest].tolist(),
            (x, y, z),
        )

    def gaussians(self, lattice: Lattice, width: float, n_powers: int) -> tuple[Tensor, Tensor, Tensor]:
        """`gaussian_powers` of the atoms on each axis, ``(n_lattices, n_atoms, n_powers, n_nodes)``."""
        nodes = torch.cat([axis.nodes for axis in lattice.axes], 1).to(self.positions)[:, None]
        centres = torch.cat([self.positions[:, i : i + 1].expand(-1, n) for i, n in enumerate(lattice.shape)], 1)
        x, y, z = gaussian_powers((nodes - centres) / width, n_powers).split(lattice.shape, -1)
        return x, y, z


@dataclass(frozen=True)
class Bridge:
    """What of order 1 goes on to order 2.

    Attributes
    ----------
    channels : list of int
        Those whose moduli are taken.
    kernels : tuple of three torch.Tensor
        By which they are blurred along x, y and z, see `phasewave.molecules.blurring.blur_kernels`.
    """

    channels: list[int]
    kernels: tuple[Tensor, Tensor, Tensor]

    def fields(self, moduli: Tensor) -> Tensor:
        """Blur moduli, ``(n_lattices, channels, degrees, n_y, n_z, n_x)``, see `first_order` for the result."""
        x, y, z = self.kernels
        found = blurred(moduli.flatten(1, 2), (y, z, x))
        return found.view(*moduli.shape[1:3], *found.shape[1:]).permute(1, 0, 4, 3, 2).contiguous()


def first_order(
    molecule: ArrangedMolecule,
    lattice: Lattice,
    width: float,
    groups: tuple[HarmonicGroup, ...],
    *,
    powers: tuple[float, ...],
    tile: int,
    bridge: Bridge | None,
) -> tuple[Tensor, Tensor | None]:
    """Integrate powers of the moduli, and blur those of some channels for order 2.

    Parameters
    ----------
    molecule : ArrangedMolecule
        Its atoms and charges.
    lattice : Lattice
        Nodes in Angstrom.
    width : float
        Width ``s`` of the Gaussians, Angstrom.
    groups : tuple of HarmonicGroup
        The polynomials, in units of ``s``, of the dtype and device of the positions.
    powers : tuple of float
        Exponents ``q``.
    tile : int
        Points in flight: the lattice is cut across the middle axis into slabs of about so many nodes, times
        channels.
    bridge : Bridge or None
        Which moduli are blurred, and how; None for none.

    Returns
    -------
    sums : torch.Tensor
        float64 ``(n_degrees, n_channels, n_powers)``.
    fields : torch.Tensor or None
        The blurred moduli ``(n_degrees - 1, channels, N_x, N_z, N_y)``, without degree 0.

    Notes
    -----
    Cost: for each node and atom near its slab less than ``n_channels (max_degree + 1)^3 / 2`` products.
    """
    positions, n_channels, n_degrees = molecule.positions, len(molecule.charges), len(groups[0].squares)
    n_x, n_y, n_z = lattice.shape
    x_weights, y_weights, z_weights = lattice.weights_like(positions)
    x, y, z = molecule.gaussians(lattice, width, n_degrees)
    rows = molecule.charges[:, None, :, None] * x.permute(0, 3, 1, 2)[:, None]
    n_lattices = len(rows)

    depth = max(1, tile // (n_lattices * n_channels * n_x * n_z))
    integrals, kept = [], []
    reach = width * gaussian_reach(positions.dtype)
    lows, highs = (ends.tolist() for ends in torch.aminmax(lattice.axes[1].nodes, dim=0))
    for start in range(0, n_y, depth):
        stop = min(start + depth, n_y)
        low, high = lows[start] - reach, highs[stop - 1] + reach
        near = [a for a, along in enumerate(molecule.along) if low <= along <= high]
        weight = (y_weights[:, start:stop, None] * z_weights[:, None]).flatten(1)

        def work(x: Tensor, y: Tensor, z: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
            squared = squared_moduli(x, y, z, groups)
            return power_sums(squared.view(n_lattices, -1, weight.shape[1]), weight, powers)

        sums, moduli = recomputed(work, rows[:, :, :, near], y[:, near, :, start:stop], z[:, near], weight)
        integrals.append(sums)
        if bridge is not None:
            whole = moduli.view(n_lattices, n_channels, n_x, n_degrees, stop - start, n_z)
            kept.append(whole[:, bridge.channels, :, 1:].permute(0, 1, 3, 4, 5, 2))
    total = torch.stack(integrals).double().sum(0).view(len(powers), n_lattices, n_channels, n_x, n_degrees)
    total = torch.einsum("qhcxd,hx->dcq", total, x_weights.double())
    if bridge is None:
        return total, None
    moduli = torch.cat(kept, 3)  # h, channel, degree, y, z, x
    return total, bridge.fields(moduli)
