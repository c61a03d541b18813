"""Order 2 on a CPU in float32, without gradients: `phasewave.molecules.second_order`, several times faster."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phasewave.molecules.blurring import lattice_kernels
from phasewave.molecules.compiling import compiled, power_sum, share_out
from phasewave.molecules.first_order import ArrangedMolecule
from phasewave.molecules.harmonic_fields import FLOOR
from phasewave.molecules.lattice import Lattice
from phasewave.molecules.second_order import Contraction

_LINES = 32  # tiles of numbers that are contracted along two axes; monomials take one, and stay in the cache


@compiled
def _lines(field: Any, y_kernel: Any, z_kernel: Any, degree: Any, along_z: Any, lines: Any) -> None:
    """Contract z and y: lines ``(j, k, n_x, Z * Y)`` of a field ``(n_x, n_z, n_y)``, for ``j + k <= degree``."""
    n_x, _, n_y = field.shape
    n_lines, n_targets = z_kernel.shape[2], y_kernel.shape[2]
    for k in range(degree + 1):
        for x in range(n_x):
            np.dot(z_kernel[k].T, field[x], along_z[k, x])
    for j in range(degree + 1):
        n_rows = (degree - j + 1) * n_x * n_lines
        np.dot(
            along_z[: degree - j + 1].reshape(n_rows, n_y),
            y_kernel[j],
            lines[j, : degree - j + 1].reshape(n_rows, n_targets),
        )


@compiled
def integrate_second_moduli(
    fields: Any,
    kernels: Any,
    atoms: Any,
    weights: Any,
    coefficients: Any,
    smoothing: Any,
    floor: Any,
    powers: Any,
    block: Any,
    sums: Any,
) -> None:
    """Integrate powers of the moduli of one channel on one lattice.

    Parameters
    ----------
    fields : ndarray
        ``(n_degrees - 1, n_x, n_z, n_y)``.
    kernels : tuple of three ndarray
        ``(n_degrees, n_source, n_target)`` along x, y and z.
    atoms : tuple of two ndarray
        ``(n_atoms, X)`` with the charges in, and ``(n_atoms, Z * Y)``: their product is the field of degree 0.
    weights : tuple of two ndarray
        ``(X,)`` and ``(Z * Y,)``.
    coefficients : ndarray
        ``(n_degrees - 1, harmonic, monomial)``, 0 where a degree has fewer.
    smoothing : ndarray
        By degree.
    floor : float
        Added to each squared modulus.
    powers : ndarray
        The ``q``.
    block : int
        Planes of constant x at a time.
    sums : ndarray
        float64 ``(n_degrees, n_powers)``, to which the integrals are added.
    """
    x_kernel, y_kernel, z_kernel = kernels
    x_atoms, plane_atoms = atoms
    x_weight, plane_weight = weights
    n_degrees, n_targets, n = len(smoothing), len(x_weight), len(plane_weight)
    n_monomials, n_harmonics = coefficients.shape[2], coefficients.shape[1]
    first = np.empty((n_targets, n), np.float32)
    np.dot(x_atoms.T, plane_atoms, first)
    for x in range(n_targets):
        for p in range(n):
            first[x, p] = first[x, p] * first[x, p] + floor
    if n_degrees > 1:
        n_x, n_y, n_lines = fields.shape[1], fields.shape[3], z_kernel.shape[2]
        along_z = np.empty((n_degrees, n_x, n_lines, n_y), np.float32)
        lines = np.empty((n_degrees, n_degrees, n_x, n), np.float32)
    monomials = np.empty((n_monomials, block, n), np.float32)
    harmonic, modulus = np.empty(n, np.float32), np.empty(n, np.float32)
    squared = np.empty((block, n), np.float32)
    for l in range(n_degrees):
        if l > 0:
            _lines(fields[l - 1], y_kernel, z_kernel, l, along_z, lines)
        for start in range(0, n_targets, block):
            stop = min(start + block, n_targets)
            for x in range(start, stop):
                for p in range(n):
                    squared[x - start, p] = first[x, p] if l == 0 else smoothing[l] * first[x, p] + floor
            if l > 0:
                m = 0
                for j in range(l + 1):
                    for k in range(l - j + 1):
                        across = np.ascontiguousarray(x_kernel[l - j - k, :, start:stop])
                        np.dot(across.T, lines[j, k], monomials[m, : stop - start])
                        m += 1
                for x in range(stop - start):
                    for f in range(min(2 * l + 1, n_harmonics)):
                        for p in range(n):
                            harmonic[p] = 0
                        for i in range(m):
                            share = coefficients[l - 1, f, i]
                            if share != 0:
                                for p in range(n):
                                    harmonic[p] += share * monomials[i, x, p]
                        for p in range(n):
                            squared[x, p] += harmonic[p] * harmonic[p]
            for x in range(start, stop):
                own = squared[x - start]
                for p in range(n):
                    modulus[p] = np.sqrt(own[p])
                for q in range(len(powers)):
                    sums[l, q] += np.float64(x_weight[x]) * power_sum(plane_weight, own, modulus, powers[q])


def contraction_table(steps: tuple[Contraction, ...]) -> np.ndarray:
    """Arrange the harmonics of all degrees in one table, see `integrate_second_moduli`."""
    if not steps:
        return np.zeros((0, 0, 0), np.float32)
    table = np.zeros((len(steps), *steps[-1].coefficients.shape), np.float32)
    for own, step in zip(table, steps, strict=True):
        n_harmonics, n_monomials = step.coefficients.shape
        own[:n_harmonics, :n_monomials] = step.coefficients.numpy()
    return table


def compiled_second_order(
    fields: Tensor | None,
    source: Lattice,
    target: Lattice,
    width: float,
    coefficients: np.ndarray,
    *,
    molecule: ArrangedMolecule,
    total_width: float,
    smoothing: tuple[float, ...],
    powers: tuple[float, ...],
    tile: int,
) -> Tensor:
    """Integrate powers of the moduli of order 2.

    Parameters and result are those of `phasewave.molecules.second_order.second_order`, in float32 on the CPU, but
    that the harmonics come as one table, see `integrate_second_moduli`. Channels and lattices are shared out over
    PyTorch's threads; the result does not depend on how many there are. Large lattices are cut across the middle
    axis.
    """
    charges = molecule.charges
    n_channels, n_degrees = len(charges), len(smoothing)
    a_x, a_y, a_z = molecule.gaussians(target, total_width, 1)
    rows = charges[:, None, :, None] * a_x[:, :, 0] / ((2 * torch.pi) ** 1.5 * total_width**3)
    planes = a_z[:, :, 0, :, None] * a_y[:, :, 0, None]
    n_lattices = len(planes)
    if fields is None:
        own = np.empty((n_channels, 0, 1, 1, 1), np.float32)
        kernels = [np.empty((n_lattices, 1, 1, 1), np.float32)] * 3
    else:
        own = fields.transpose(0, 1).contiguous().numpy()
        kernels = [
            kernel.contiguous().numpy() for kernel in lattice_kernels(source, target, width, n_degrees, fields)
        ]
    x_weights, y_weights, z_weights = (one.numpy() for one in target.weights_like(charges))
    n_x, n_y, n_z = target.shape
    depth = min(n_y, max(1, _LINES * tile // (n_degrees**2 * kernels[0].shape[2] * n_z)))
    block = max(1, min(n_x, tile // (max(1, coefficients.shape[2]) * depth * n_z)))
    sums = np.zeros((n_lattices, n_channels, n_degrees, len(powers)))

    def work(job: tuple[int, int]) -> None:
        h, c = job
        for start in range(0, n_y, depth):
            slab = slice(start, start + depth)
            integrate_second_moduli(
                own[c],
                (kernels[0][h], np.ascontiguousarray(kernels[1][h][..., slab]), kernels[2][h]),
                (rows[c, h].contiguous().numpy(), planes[h][..., slab].flatten(1).contiguous().numpy()),
                (x_weights[h], (z_weights[h, :, None] * y_weights[h, slab]).ravel()),
                coefficients,
                np.array(smoothing, np.float32),
                np.float32(FLOOR),
                np.array(powers),
                block,
                sums[h, c],
            )

    share_out(work, list(product(range(n_lattices), range(n_channels))))
    return torch.from_numpy(sums.sum(0)).transpose(0, 1)
