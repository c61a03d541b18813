"""Fields of solid harmonics as sums over atoms of separable terms, tile by tile, and the moduli over an orbit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from phasewave.core.solid import SolidHarmonicWavelets

# Gaussians are cut to exact zeros where one axis' exponent is below: the product of three stays a normal number.
_CUT = {torch.float32: 28.0, torch.float64: 230.0}
# The modulus of degree l >= 1 is sqrt(U_l^2 + e_l U_0^2 + FLOOR), which is smooth where U_l vanishes: e_l is this
# part of the ratio of the integrals of U_l^2 and U_0^2 for one atom. FLOOR keeps cubes of moduli far from all
# atoms normal numbers in float32: denormal ones take a hundred times as long.
_SMOOTHING = 1e-6
FLOOR = 1e-24


@dataclass(frozen=True)
class HarmonicGroup:
    """Harmonics whose polynomials have the same powers of x.

    Attributes
    ----------
    x_powers : slice
        Those powers, of one parity.
    coefficients : torch.Tensor
        ``(k, i, f, j)``; the i are those of ``x_powers``.
    squares : torch.Tensor
        ``(n_degrees, f)``: how the squared fields add up to the squared moduli.
    """

    x_powers: slice
    coefficients: Tensor
    squares: Tensor


def smoothing(wavelets: SolidHarmonicWavelets, scale: float, blur: float) -> tuple[float, ...]:
    """How much of ``U_0^2`` is added to ``U_l^2``, by degree, for a density of Gaussians of width ``blur``."""
    energies = [wavelets.energy(l, scale, blur=blur) for l in range(wavelets.max_degree + 1)]
    return (0.0, *(_SMOOTHING * energy / energies[0] for energy in energies[1:]))


def harmonic_groups(wavelets: SolidHarmonicWavelets, scale: int, blur: float) -> tuple[HarmonicGroup, ...]:
    """Group the harmonics of the blurred wavelets of one scale by their powers of x."""
    polynomials = wavelets.polynomials(scale, blur=blur)
    n_degrees = polynomials.shape[1]
    squares = polynomials.new_zeros(n_degrees, len(polynomials))
    for l in range(n_degrees):
        squares[l, l * l : (l + 1) ** 2] = 1.0
    squares[:, 0] += squares.new_tensor(smoothing(wavelets, scale, blur))
    members: dict[int, list[int]] = {}
    for f, present in enumerate((polynomials != 0).flatten(2).any(2)):
        members.setdefault(int(present.nonzero().max()), []).append(f)
    groups = []
    for last, own in members.items():
        x_powers = slice(last % 2, last + 1, 2)
        coefficients = polynomials[own][:, x_powers].permute(3, 1, 0, 2).contiguous()
        groups.append(HarmonicGroup(x_powers, coefficients, squares[:, own]))
    return tuple(groups)


def gaussian_reach(dtype: torch.dtype) -> float:
    """Distance, in widths, from which on `gaussian_powers` is 0."""
    return math.sqrt(2 * _CUT[dtype])


def gaussian_powers(offsets: Tensor, n_powers: int) -> Tensor:
    r"""Return :math:`\xi^p e^{-\xi^2/2}`, ``p < n_powers``, on a new axis before the last; far out exactly 0."""
    exponent = offsets.square() * -0.5
    power = torch.where(exponent < -_CUT[offsets.dtype], 0.0, exponent.exp())
    powers = [power]
    for _ in range(n_powers - 1):
        power = power * offsets
        powers.append(power)
    return torch.stack(powers, -2)


def squared_moduli(x: Tensor, y: Tensor, z: Tensor, groups: tuple[HarmonicGroup, ...]) -> Tensor:
    r"""Sum over atoms and square: the squared moduli of one tile, on each of ``h`` lattices.

    .. math::

        U_l^2(x, y, z) = \sum_{m} \Big[\sum_{a,i} X_{c,x,(a,i)} \sum_k \Big(\sum_j C_{k,i,m,j} Y_{a,j,y}\Big)
        Z_{a,k,z}\Big]^2

    Parameters
    ----------
    x : torch.Tensor
        ``(h, n_channels, n_x, a, i)``; the charges are in.
    y, z : torch.Tensor
        ``(h, a, j, n_y)`` and ``(h, a, k, n_z)``.
    groups : tuple of HarmonicGroup
        The polynomials ``C``.

    Returns
    -------
    torch.Tensor
        ``(h * n_channels * n_x, n_degrees, n_y * n_z)``.
    """
    n_lattices, n_atoms, n_y, n_nodes = len(x), y.shape[1], y.shape[-1], y.shape[-1] * z.shape[-1]
    n_rows = x.shape[1] * x.shape[2]
    y, z = y.flatten(0, 1), z.flatten(0, 1)
    total: Tensor | None = None
    for group in groups:
        n_k, n_i, n_fields, n_j = group.coefficients.shape
        tables = group.coefficients.view(1, -1, n_j).expand(len(y), -1, -1).bmm(y)
        planes = tables.view(len(y), n_k, n_i * n_fields * n_y).transpose(1, 2).bmm(z)
        rows = x[..., group.x_powers].reshape(n_lattices, n_rows, n_atoms * n_i)
        fields = rows.bmm(planes.view(n_lattices, n_atoms * n_i, n_fields * n_nodes))
        fields = fields.view(n_lattices * n_rows, n_fields, n_nodes)
        fields = fields.square() if fields.requires_grad else fields.square_()
        squares = group.squares.expand(len(fields), -1, -1)
        if group.squares.numel() == 1:  # the density
            total = fields * group.squares + FLOOR
        elif total is None:
            total = torch.baddbmm(fields.new_full((1, 1, 1), FLOOR), squares, fields)
        else:
            total = total.baddbmm_(squares, fields)
    if total is None:
        raise ValueError("`groups` must not be empty")
    return total
