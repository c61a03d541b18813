"""Order 1 on a CPU in float32, without gradients: `phasewave.molecules.first_order`, several times faster."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from phasewave.molecules.compiled_moduli import integrate_moduli
from phasewave.molecules.compiling import share_out
from phasewave.molecules.first_order import ArrangedMolecule, Bridge
from phasewave.molecules.harmonic_fields import FLOOR, HarmonicGroup
from phasewave.molecules.lattice import Lattice
from phasewave.molecules.mixing import Mixing

_PLANES = 8  # a thread works on at least


@dataclass(frozen=True, eq=False)
class HarmonicTables:
    """The harmonics of one scale as arrays.

    Attributes
    ----------
    coefficients : ndarray
        float32 ``(group, k, i, f, j)``, 0 where a group has fewer i or f.
    counts : ndarray
        ``(group, 2)``: how many i and f it has.
    lowest : ndarray
        ``(group,)``: its lowest power of x.
    degrees : ndarray
        Of each field, group by group.
    smoothing : ndarray
        float32, by degree.
    """

    coefficients: np.ndarray
    counts: np.ndarray
    lowest: np.ndarray
    degrees: np.ndarray
    smoothing: np.ndarray

    @staticmethod
    def of(groups: tuple[HarmonicGroup, ...]) -> HarmonicTables:
        """Arrange groups, of which the first starts with degree 0."""
        shapes = [group.coefficients.shape for group in groups]
        sizes = [max(shape[axis] for shape in shapes) for axis in range(4)]
        coefficients = np.zeros((len(groups), *sizes), np.float32)
        for table, group, (n_k, n_i, n_f, n_j) in zip(coefficients, groups, shapes, strict=True):
            table[:n_k, :n_i, :n_f, :n_j] = group.coefficients.numpy()
        return HarmonicTables(
            coefficients,
            np.array([shape[1:3] for shape in shapes]),
            np.array([group.x_powers.start for group in groups]),
            np.concatenate([group.squares.argmax(0).numpy() for group in groups]),
            groups[0].squares[:, 0].float().numpy(),
        )


def compiled_first_order(
    molecule: ArrangedMolecule,
    lattice: Lattice,
    width: float,
    tables: HarmonicTables,
    mixing: Mixing,
    *,
    powers: tuple[float, ...],
    bridge: Bridge | None,
) -> tuple[Tensor, Tensor | None]:
    """Integrate powers of the moduli, and blur those of some channels for order 2.

    Parameters and results are those of `phasewave.molecules.first_order.first_order`, in float32 on the CPU, but
    that the harmonics come as tables and that ``mixing`` says how the channels' fields add up. Planes are shared
    out over PyTorch's threads; the result does not depend on how many there are.
    """
    n_x, n_y, n_z = lattice.shape
    n_degrees, n_channels = len(tables.smoothing), len(molecule.charges)
    gaussians = tuple(np.ascontiguousarray(own.numpy()) for own in molecule.gaussians(lattice, width, n_degrees))
    x_weights, y_weights, z_weights = (weights.numpy() for weights in lattice.weights_like(molecule.positions))
    atoms = (
        molecule.charges[[source.channel for source in mixing.sources]].numpy(),
        np.array([(s.elements.start, s.elements.stop) for s in mixing.sources], np.int64).reshape(-1, 2),
        np.array(molecule.elements),
    )
    kept = np.full(n_channels, -1)
    channels = [] if bridge is None else bridge.channels
    kept[channels] = np.arange(len(channels))
    n_lattices = len(x_weights)
    sums = np.empty((n_lattices, n_y, n_degrees, n_channels, len(powers)))
    if bridge is None:
        blurs = (np.zeros((n_lattices, n_x, 0), np.float32), np.zeros((n_lattices, n_z, 0), np.float32))
    else:
        blurs = (bridge.kernels[0].contiguous().numpy(), bridge.kernels[2].contiguous().numpy())
    targets = (blurs[1].shape[2], blurs[0].shape[2])
    moduli = np.empty((n_lattices, n_y, len(channels), n_degrees - 1, *targets), np.float32)

    def work(planes: tuple[int, int]) -> None:
        integrate_moduli(
            planes,
            gaussians,
            (x_weights, z_weights),
            blurs,
            atoms,
            mixing.matrix,
            (tables.coefficients, tables.counts, tables.lowest, tables.degrees, tables.smoothing),
            np.float32(FLOOR),
            np.array(powers),
            kept,
            sums,
            moduli,
        )

    n_parts = max(1, min(torch.get_num_threads(), n_y // _PLANES))
    ends = np.linspace(0, n_y, n_parts + 1).astype(int).tolist()
    share_out(work, list(pairwise(ends)))
    total = torch.from_numpy(np.einsum("hydcq,hy->dcq", sums, y_weights.astype(np.float64)))
    if bridge is None:
        return total, None
    along_y = bridge.kernels[1].flatten(0, 1).T @ torch.from_numpy(moduli).flatten(0, 1).flatten(1)
    fields = along_y.view(-1, len(channels), n_degrees - 1, *targets)
    return total, fields.permute(2, 1, 4, 3, 0).contiguous()  # degree, channel, x, z, y
