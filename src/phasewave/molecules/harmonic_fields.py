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
        ``(f, i, j, k)``; the i are those of ``x_powers``.
    squares : torch.Tensor
        ``(n_degrees, f)``: how the squared fields add up to the squared moduli.
    """

    x_powers: slice
    coefficients: Tensor
    squares: Tensor


def smoothing(wavelets: SolidHarmonicWavelets, scale: int, blur: float) -> tuple[float, ...]:
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
        groups.append(HarmonicGroup(x_powers, polynomials[own][:, x_powers].contiguous(), squares[:, own]))
    return tuple(groups)


def gaussian_reach(dtype: torch.dtype) -> float:
    """Distance, in widths, from which on `gaussian_powers` is 0."""
    return math.sqrt(2 * _CUT[dtype])


def gaussian_powers(offsets: Tensor, n_powers: int) -> Tensor:
    r"""Return :math:`\xi^p e^{-\xi^2/2}`, ``p < n_powers``, on a new axis before the last; far out exactly 0."""
    exponent = -0.5 * offsets * offsets
    power = torch.where(exponent < -_CUT[offsets.dtype], torch.zeros_like(exponent), exponent.exp())
    powers = [power]
    for _ in range(n_powers - 1):
        power = power * offsets
        powers.append(power)
    return torch.stack(powers, -2)


def squared_moduli(
    x: tuple[Tensor, ...],
    y: tuple[Tensor, ...],
    z: Tensor,
    squares: tuple[Tensor, ...],
    sums_of: tuple[tuple[int, int], ...] = (),
) -> Tensor:
    r"""Sum over atoms and square: the squared moduli of one tile.

    .. math::

        U_l^2(x, y, z) = \sum_{m} \Big[\sum_{a,i} X_{c,x,(a,i)} \sum_k Y_{(a,i,m,y),k} Z_{a,k,z}\Big]^2

    Parameters
    ----------
    x : tuple of torch.Tensor
        One a group, ``(n_channels, n_x, a, i)``; the charges are in.
    y : tuple of torch.Tensor
        One a group, ``(a, i, f, n_y, k)``: the polynomials' coefficients are in.
    z : torch.Tensor
        ``(a, k, n_z)``.
    squares : tuple of torch.Tensor
        One a group, see `HarmonicGroup`.
    sums_of : tuple of pairs of int
        Channels to be added: fields that are the sums of those of two others.

    Returns
    -------
    torch.Tensor
        ``(n_degrees, n)``, ``n = n_channels * n_x * n_y * n_z``, the added channels last.
    """
    totals: list[Tensor] = []
    for rows, tables, weights in zip(x, y, squares, strict=True):
        n_atoms, n_powers, n_fields, n_y, n_k = tables.shape
        planes = torch.bmm(tables.reshape(n_atoms, n_powers * n_fields * n_y, n_k), z)
        planes = planes.view(n_atoms * n_powers, n_fields, n_y * z.shape[-1]).transpose(0, 1)
        n_channels, n_x = rows.shape[:2]
        matrix = rows.reshape(1, n_channels * n_x, n_atoms * n_powers)
        fields = torch.bmm(matrix.expand(n_fields, -1, -1), planes)
        channels = fields.view(n_fields, n_channels, n_x * n_y * z.shape[-1])
        parts = [channels[:, a] + channels[:, b] for a, b in sums_of]
        parts = [_square(values).flatten(1) for values in (channels, *parts)]
        if totals:
            totals = [total.addmm_(weights, part) for total, part in zip(totals, parts, strict=True)]
        else:
            floor = weights.new_full((1, 1), FLOOR)
            totals = [torch.addmm(floor, weights, part) for part in parts]
    return torch.cat(totals, 1) if sums_of else totals[0]


def _square(values: Tensor) -> Tensor:
    return values.square() if values.requires_grad else values.square_()
