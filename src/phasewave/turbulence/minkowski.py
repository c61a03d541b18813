"""Minkowski functionals of the excursion sets of a field: area, boundary length, Euler characteristic."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from phasewave import checks


def minkowski_functionals(
    x: Tensor, levels: Tensor, *, mean: float | Tensor = 0.0, scale: float | Tensor = 1.0
) -> Tensor:
    r"""Return the Minkowski functionals per pixel of {u : x(u) >= mean + scale level}, on the torus.

    The set is a union of closed unit squares, one a pixel. With n1, n2 the pairs of vertical and
    horizontal neighbours and n4 the 2 x 2 blocks, counts are exact:

    .. math:: A = \#\text{pixels}, \qquad
              L = \#\text{pairs with one pixel in the set}, \qquad
              \chi = \tfrac12 (\chi_4 + \chi_8),

    .. math:: \chi_4 = \#\text{pixels} - \#\text{pairs in the set} + \#\text{blocks in the set}, \qquad
              \chi_8 = \#\text{pixels} - \#\text{pairs touching} + \#\text{blocks touching},

    the Euler characteristics (components less holes) with pixels joined by sides (4 neighbours) or also by
    corners (8). Their mean changes sign when the set is exchanged with its complement, so a field and its
    negative are treated alike. L is the length of the pixel sides that separate the set from the rest:
    4 / pi times the length of a smooth isotropic boundary.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    levels : Tensor (n,)
        Thresholds in units of ``scale`` above ``mean``.
    mean, scale : float or scalar Tensor
        Normally the mean and the standard deviation of the target.

    Returns
    -------
    Tensor (..., 3, n), float64
        A, L and chi, each divided by the number of pixels.
    """
    checks.real_field("x", x)
    field = (x.detach().to(torch.float64) - mean) / scale
    curves = []
    for level in levels.tolist():
        inside = field >= level
        down, right = inside.roll(-1, -2), inside.roll(-1, -1)
        diagonal = down.roll(-1, -1)
        pixels = _count(inside)
        vertical, horizontal = _count(inside & down), _count(inside & right)
        block_all = _count(inside & down & right & diagonal)
        block_any = _count(inside | down | right | diagonal)
        joined = pixels - vertical - horizontal + block_all
        touching = pixels - (4 * pixels - vertical - horizontal) + block_any
        boundary = 4 * pixels - 2 * vertical - 2 * horizontal
        curves.append(torch.stack([pixels, boundary, (joined + touching) / 2], -1))
    return torch.stack(curves, -1) / (field.shape[-2] * field.shape[-1])


def gaussian_minkowski(levels: Tensor, slope: float) -> Tensor:
    r"""Return the expectation for a smooth isotropic Gaussian field, per unit area (Tomita's formulae).

    .. math:: A = \tfrac12 \operatorname{erfc}(\nu / \sqrt 2), \qquad
              \ell = \tfrac12 \lambda e^{-\nu^2 / 2}, \qquad
              \chi = \frac{\lambda^2}{(2 \pi)^{3/2}} \nu e^{-\nu^2 / 2},

    for levels nu in standard deviations, lambda^2 = E|grad x|^2 / (2 Var x). The boundary is returned as
    pixel sides, L = (4 / pi) l, to be compared with ``minkowski_functionals``.

    Parameters
    ----------
    levels : Tensor (n,)
    slope : float
        lambda, per pixel.

    Returns
    -------
    Tensor (3, n), float64
    """
    nu = levels.to(torch.float64)
    bell = torch.exp(-nu.square() / 2)
    area = torch.erfc(nu / math.sqrt(2)) / 2
    boundary = 4 / math.pi * slope / 2 * bell
    euler = slope**2 / (2 * math.pi) ** 1.5 * nu * bell
    return torch.stack([area, boundary, euler])


def minkowski_error(x: Tensor, target: Tensor, *, reach: float = 1.0, step: float = 0.2) -> Tensor:
    r"""Return the relative error of the three functionals, averaged over them.

    .. math:: \frac13 \sum_{V \in \{A, L, \chi\}}
              \frac{\sum_\nu |V_x(\nu) - V_{\text{target}}(\nu)|}{\sum_\nu |V_{\text{target}}(\nu)|},

    over levels nu = -reach, -reach + step, ..., reach in deviations of the target above its mean.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    target : Tensor (H', W'), real
    reach, step : float > 0
        Within one deviation the counts of real realisations agree best; a reach of 3 also judges the tails.

    Returns
    -------
    Tensor (...), float64
    """
    if not 0 < step <= reach:
        checks.fail("step", "be positive and at most `reach`", step)
    count = round(reach / step)
    levels = step * torch.arange(-count, count + 1, dtype=torch.float64)
    reference = target.detach().to(torch.float64)
    mean, scale = reference.mean(), reference.std(correction=0)
    wanted = minkowski_functionals(reference, levels, mean=mean, scale=scale)
    given = minkowski_functionals(x, levels, mean=mean, scale=scale)
    distance = (given - wanted).abs().sum(-1)
    return torch.where(distance == 0, 0.0, distance / wanted.abs().sum(-1)).mean(-1)


def _count(inside: Tensor) -> Tensor:
    """Return the number of pixels in the set, in float64: whole numbers add up exactly."""
    return inside.sum((-2, -1)).to(torch.float64)
