"""Moduli of order 1 plane by plane, compiled for the CPU: no field is longer in memory than its plane takes.

On a CPU, tensors of all nodes wait for memory: products of matrices take two to five times as long as in cache.
This does what `phasewave.molecules.harmonic_fields` and `phasewave.molecules.power_sums` do, in float32, without
gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phasewave.molecules.compiling import compiled, power_sum


@compiled
def _plane_fields(h: Any, y: Any, gaussians: Any, charges: Any, tables: Any, workspace: Any, fields: Any) -> None:
    """Sum the sources' atoms to fields ``(n_sources, n_fields, n_z, n_x)`` at one y, by products of matrices."""
    x_powers, y_powers, z_powers = gaussians
    source_charges, source_atoms, atom_elements = charges
    coefficients, counts, lowest, _, _ = tables
    near, left, right = workspace
    n_sources, _, n_z, n_x = fields.shape
    n_near = 0
    for a in range(len(atom_elements)):
        if y_powers[h, a, 0, y] != 0:
            near[n_near] = a
            n_near += 1
    first = 0
    for g in range(len(counts)):
        n_i, n_f = counts[g]
        size = n_f * n_z
        for n in range(n_near):
            a = near[n]
            for i in range(n_i):
                row = n * n_i + i
                for s in range(n_sources):
                    charge = source_charges[s, a]
                    for x in range(n_x):
                        right[s, row * n_x + x] = charge * x_powers[h, a, lowest[g] + 2 * i, x]
                for f in range(n_f):
                    start = row * size + f * n_z
                    for z in range(n_z):
                        left[start + z] = 0
                    for k in range(coefficients.shape[1]):
                        factor = np.float32(0)
                        for j in range(coefficients.shape[4]):
                            factor += coefficients[g, k, i, f, j] * y_powers[h, a, j, y]
                        if factor != 0:
                            for z in range(n_z):
                                left[start + z] += factor * z_powers[h, a, k, z]
        for s in range(n_sources):
            begin = 0
            while begin < n_near and atom_elements[near[begin]] < source_atoms[s, 0]:
                begin += 1
            end = begin
            while end < n_near and atom_elements[near[end]] < source_atoms[s, 1]:
                end += 1
            found = fields[s, first : first + n_f].reshape(size, n_x)
            if end > begin:
                n_rows = (end - begin) * n_i
                one = left[begin * n_i * size : end * n_i * size].reshape(n_rows, size)
                other = right[s, begin * n_i * n_x : end * n_i * n_x].reshape(n_rows, n_x)
                np.dot(one.T, other, found)
            else:
                found[:] = 0
        first += n_f


@compiled
def _squared_moduli(
    fields: Any, mix: Any, degrees: Any, smoothing: Any, floor: Any, mixed: Any, squared: Any
) -> None:
    """Mix the fields ``(n_sources, n_fields, n)`` of one channel, square, add up to ``(n_degrees, n)``."""
    n = squared.shape[1]
    for f in range(len(degrees)):
        empty = True
        for s in range(len(mix)):
            share = mix[s]
            if share != 0 and empty:
                for p in range(n):
                    mixed[p] = share * fields[s, f, p]
                empty = False
            elif share != 0:
                for p in range(n):
                    mixed[p] += share * fields[s, f, p]
        if empty:
            for p in range(n):
                mixed[p] = 0
        degree = degrees[f]
        if f == 0:
            for l in range(len(smoothing)):
                share = smoothing[l]
                for p in range(n):
                    squared[l, p] = share * mixed[p] * mixed[p] + floor
        else:
            for p in range(n):
                squared[degree, p] += mixed[p] * mixed[p]


@compiled
def _blur_plane(moduli: Any, x_kernel: Any, z_kernel: Any, along_x: Any, blurred: Any) -> None:
    """Blur planes ``(n, n_z, n_x)`` along both axes to ``(n, n_Z, n_X)``, while they are in the cache."""
    n_planes, n_z, n_x = moduli.shape
    np.dot(moduli.reshape(n_planes * n_z, n_x), x_kernel, along_x.reshape(n_planes * n_z, x_kernel.shape[1]))
    for l in range(n_planes):
        np.dot(z_kernel.T, along_x[l], blurred[l])


@compiled
def integrate_moduli(
    planes: Any,
    gaussians: Any,
    weights: Any,
    blurs: Any,
    charges: Any,
    mixes: Any,
    tables: Any,
    floor: Any,
    powers: Any,
    kept: Any,
    sums: Any,
    moduli: Any,
) -> None:
    r"""Integrate powers of the moduli over planes of constant y.

    Parameters
    ----------
    planes : tuple of int
        The first, and the one after the last.
    gaussians : tuple of three ndarray
        ``(h, n_atoms, n_powers, n_nodes)`` along x, y and z.
    weights : tuple of two ndarray
        ``(h, n_nodes)`` along x and z.
    blurs : tuple of two ndarray
        ``(h, n_nodes, n_targets)`` along x and z: what moduli that are kept are blurred by.
    charges : tuple of three ndarray
        Of the sources ``(n_sources, n_atoms)``; the first element and the one after the last of each
        ``(n_sources, 2)``; the element of each atom, ascending.
    mixes : ndarray
        ``(n_channels, n_sources)``.
    tables : tuple of five ndarray
        See `phasewave.molecules.compiled_first_order.HarmonicTables`.
    floor : float
        Added to each squared modulus.
    powers : ndarray
        The ``q``.
    kept : ndarray
        For each channel where its moduli, blurred, are kept, or -1.
    sums : ndarray
        float64 ``(h, n_y, n_degrees, n_channels, n_powers)``, written.
    moduli : ndarray
        ``(h, n_y, n_kept, n_degrees - 1, n_Z, n_X)``, written.
    """
    _, counts, _, degrees, smoothing = tables
    n_lattices, n_atoms, n_powers, n_x = gaussians[0].shape
    n_z, n_sources, n_degrees = gaussians[2].shape[3], len(charges[0]), len(smoothing)
    n = n_z * n_x
    most = 0
    for g in range(len(counts)):
        most = max(most, counts[g, 0] * counts[g, 1])
    near = np.empty(n_atoms, np.int64)
    left = np.empty(n_atoms * most * n_z, np.float32)
    right = np.empty((n_sources, n_atoms * n_powers * n_x), np.float32)
    fields = np.empty((n_sources, len(degrees), n_z, n_x), np.float32)
    squared = np.empty((n_degrees, n), np.float32)
    mixed, weight = np.empty(n, np.float32), np.empty(n, np.float32)
    own = np.empty((n_degrees, n_z, n_x), np.float32)
    along_x = np.empty((n_degrees - 1, n_z, blurs[0].shape[2]), np.float32)
    for h in range(n_lattices):
        for z in range(n_z):
            for x in range(n_x):
                weight[z * n_x + x] = weights[1][h, z] * weights[0][h, x]
        for y in range(planes[0], planes[1]):
            _plane_fields(h, y, gaussians, charges, tables, (near, left, right), fields)
            every = fields.reshape(n_sources, len(degrees), n)
            for c in range(len(mixes)):
                _squared_moduli(every, mixes[c], degrees, smoothing, floor, mixed, squared)
                for l in range(n_degrees):
                    modulus = own[l].reshape(n)
                    for p in range(n):
                        modulus[p] = np.sqrt(squared[l, p])
                    for q in range(len(powers)):
                        sums[h, y, l, c, q] = power_sum(weight, squared[l], modulus, powers[q])
                if kept[c] >= 0:
                    _blur_plane(own[1:], blurs[0][h], blurs[1][h], along_x, moduli[h, y, kept[c]])
