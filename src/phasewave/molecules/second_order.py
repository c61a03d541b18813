"""Order 2: integrals of the moduli of the wavelet transform of order 1's moduli, by separable contractions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from phasewave.core.recompute import recomputed
from phasewave.molecules.harmonic_fields import FLOOR, gaussian_powers
from phasewave.molecules.lattice import Lattice
from phasewave.molecules.power_sums import power_sums


@dataclass(frozen=True)
class Contraction:
    """Harmonics of one degree that share the parities of y and of z.

    Attributes
    ----------
    degree : int
        The degree ``l``.
    y_powers, z_powers : slice
        Powers of y and z in them.
    coefficients : torch.Tensor
        ``(f, i, j, k)``: one row a harmonic, the powers of x, y and z.
    """

    degree: int
    y_powers: slice
    z_powers: slice
    coefficients: Tensor

    def __len__(self) -> int:
        n_fields, _, n_j, n_k = self.coefficients.shape
        return n_fields * n_j * n_k


def contractions(polynomials: Tensor) -> tuple[Contraction, ...]:
    """List what has to be contracted, degree by degree, so that few products with zeros are formed.

    Parameters
    ----------
    polynomials : torch.Tensor
        ``(n_harmonics, p, p, p)``, see `phasewave.core.solid.SolidHarmonicWavelets.polynomials`.
    """
    steps = []
    for l in range(polynomials.shape[1]):
        own = polynomials[l * l : (l + 1) ** 2]
        for py, pz in ((0, 0), (0, 1), (1, 0), (1, 1)):
            present = own[:, :, py::2, pz::2] != 0
            members = present.flatten(1).any(1) if present.numel() else present.new_zeros(0)
            if not bool(members.any()):
                continue
            last_y, last_z = (int(present.any(0).any(0).any(1 - axis).nonzero().max()) for axis in (0, 1))
            y, z = slice(py, py + 2 * last_y + 1, 2), slice(pz, pz + 2 * last_z + 1, 2)
            steps.append(Contraction(l, y, z, own[members][:, :, y, z].contiguous()))
    return tuple(steps)


def blurred(sources: tuple[tuple[Tensor, Lattice], ...], target: Lattice, width: float) -> Tensor:
    """Convolve with a normalised Gaussian, from lattices that together make a quadrature to another lattice.

    Parameters
    ----------
    sources : tuple of (torch.Tensor, Lattice)
        Fields ``(..., n_x, n_y, n_z)`` and their lattices.
    target : Lattice
        Where the result is wanted.
    width : float
        Width of the Gaussian, in the unit of the nodes.

    Returns
    -------
    torch.Tensor
        ``(..., N_x, N_y, N_z)``.
    """
    total: Tensor | None = None
    for fields, source in sources:
        kernels = _kernels(source, target, width, 1, fields)
        weights = (axis.to(fields) for axis in source.weights)
        x, y, z = (kernel[0] * weight[:, None] for kernel, weight in zip(kernels, weights, strict=True))
        n_x, n_y, n_z = source.shape
        planes = fields.reshape(-1, n_z) @ z
        planes = y.T.expand(len(planes) // n_y, -1, -1).bmm(planes.view(-1, n_y, z.shape[1]))
        planes = planes.view(-1, n_x, y.shape[1] * z.shape[1])
        part = x.T.expand(len(planes), -1, -1).bmm(planes)
        total = part if total is None else total + part
    if total is None:
        raise ValueError("`sources` must not be empty")
    return total.view(*sources[0][0].shape[:-3], *target.shape) / ((2 * torch.pi) ** 1.5 * width**3)


def second_order(
    fields: Tensor,
    source: Lattice,
    target: Lattice,
    width: float,
    steps: tuple[Contraction, ...],
    *,
    smoothing: tuple[float, ...],
    powers: tuple[float, ...],
    tile: int,
) -> Tensor:
    r"""Integrate powers of :math:`(\sum_m |V_l * \psi_{l,m}|^2)^{1/2}` on one lattice.

    Parameters
    ----------
    fields : torch.Tensor
        ``(n_degrees, n_channels, n_x, n_y, n_z)``: the ``V_l`` on ``source``.
    source, target : Lattice
        Where the fields are, and where the result is integrated.
    width : float
        Width of the wavelets, in the unit of the nodes.
    steps : tuple of Contraction
        What `contractions` made of the wavelets' polynomials.
    smoothing : tuple of float
        Part of the squared modulus of degree 0 that is added to those of each degree.
    powers : tuple of float
        Exponents ``q``.
    tile : int
        Points in flight.

    Returns
    -------
    torch.Tensor
        float64 ``(n_degrees, n_channels, n_powers)``.
    """
    n_degrees, n_channels, n_x, n_y, n_z = fields.shape
    x, y, z = _kernels(source, target, width, n_degrees, fields)
    x_weights, y_weights, z_weights = (axis.to(fields) for axis in target.weights)
    u_weights, v_weights, w_weights = (axis.to(fields) for axis in source.weights)
    fields = fields * (u_weights[:, None, None] * (v_weights[:, None] * w_weights))
    lines = fields.view(-1, n_z) @ z.transpose(0, 1).reshape(n_z, -1)
    lines = lines.view(n_degrees, n_channels * n_x, n_y, -1)
    tables = _tables(x, steps)
    depth = max(1, tile // (len(x_weights) * len(z_weights)))
    integrals = []
    for start in range(0, len(y_weights), depth):
        part = slice(start, start + depth)
        weight = (x_weights[:, None, None] * (y_weights[part, None] * z_weights)).flatten()

        def work(lines: Tensor, y: Tensor, weight: Tensor, *tables: Tensor) -> Tensor:
            squared = _squared_moduli(lines, y, tables, steps, n_channels, smoothing)
            return power_sums(squared, weight, powers)[0]

        integrals.append(recomputed(work, lines, y[:, :, part], weight, *tables))
    return torch.stack(integrals).double().sum(0).view(n_degrees, n_channels, len(powers))


def _tables(x: Tensor, steps: tuple[Contraction, ...]) -> list[Tensor]:
    """The axis x with the coefficients, for each step ``(f * X, j * k * n_x)``."""
    n_powers, n_source, n_target = x.shape
    matrix = torch.cat([step.coefficients.movedim(1, -1).flatten(0, -2) for step in steps])
    rows = (matrix @ x.view(n_powers, -1)).split([len(step) for step in steps])
    tables = []
    for row, step in zip(rows, steps, strict=True):
        n_fields, _, n_j, n_k = step.coefficients.shape
        row = row.view(n_fields, n_j * n_k, n_source, n_target).permute(0, 3, 1, 2)
        tables.append(row.reshape(n_fields * n_target, -1))
    return tables


def _kernels(source: Lattice, target: Lattice, width: float, n_powers: int, like: Tensor) -> list[Tensor]:
    """The wavelets axis by axis, ``(power, n_source, n_target)``: all axes in one go, as they are small."""
    pairs = list(zip(source.nodes, target.nodes, strict=True))
    offsets = torch.cat([((end - start[:, None]) / width).flatten() for start, end in pairs])
    tables = gaussian_powers(offsets.to(like), n_powers).split([len(start) * len(end) for start, end in pairs], -1)
    return [table.view(n_powers, len(start), len(end)) for table, (start, end) in zip(tables, pairs, strict=True)]


def _squared_moduli(
    lines: Tensor,
    y: Tensor,
    tables: tuple[Tensor, ...],
    steps: tuple[Contraction, ...],
    n_channels: int,
    smoothing: tuple[float, ...],
) -> Tensor:
    """Contract y and x, square, add up the harmonics: ``(n_degrees, n_channels, X * Y * Z)``.

    ``lines`` is ``(n_degrees, n_channels * n_x, n_y, k * Z)``, ``y`` ``(j, n_y, Y)``, the tables are of `_tables`.
    """
    n_degrees, n_rows, n_y, _ = lines.shape
    n_z, n_targets = lines.shape[-1] // n_degrees, y.shape[-1]
    by_degree: list[Tensor] = []
    planes = lines
    for table, step in zip(tables, steps, strict=True):
        l = step.degree
        if l == len(by_degree):  # a new degree: all powers of y and z up to l at once
            kernel = y[: l + 1].transpose(1, 2).reshape(-1, n_y).expand(n_rows, -1, -1)
            planes = kernel.bmm(lines[l, :, :, : (l + 1) * n_z])
            planes = planes.view(n_channels, n_rows // n_channels, l + 1, n_targets, l + 1, n_z)
        n_fields = len(step.coefficients)
        chosen = planes[:, :, step.y_powers, :, step.z_powers]
        chosen = chosen.permute(0, 2, 4, 1, 3, 5).reshape(n_channels, -1, n_targets * n_z)
        field = table.expand(n_channels, -1, -1).bmm(chosen)
        squared = (field.square() if field.requires_grad else field.square_()).view(n_channels, n_fields, -1)
        squared = squared.sum(1) if n_fields > 1 else squared[:, 0]
        if l < len(by_degree):
            by_degree[l] = by_degree[l] + squared
        elif l:
            by_degree.append(squared.add(by_degree[0], alpha=smoothing[l]))
        else:
            by_degree.append(squared + FLOOR)
    return torch.stack(by_degree)
