"""Statistics of the increments of a field over distances: structure functions, flatness, derivatives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from phasewave import checks
from phasewave.turbulence.onepoint import kurtosis


def dyadic_separations(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the distances 1, 2, 4, ... up to a quarter of the shorter side, in pixels."""
    quarter = min(checks.grid_shape("shape", shape, n_axes=2, minimum=4)) // 4
    return tuple(2**j for j in range(quarter.bit_length()))


def structure_functions(x: Tensor, separations: Sequence[int], *, order: float = 2.0) -> Tensor:
    r"""Return the moments of the absolute increments, the mean of the two axes.

    .. math:: S_p(r) = \frac12 \sum_{a} E_u |x(u + r e_a) - x(u)|^p, \qquad \text{periodic}.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    separations : sequence of int
        r in pixels.
    order : float > 0
        p.

    Returns
    -------
    Tensor (..., len(separations)), float64, in units of the field to the power p
    """
    checks.real_field("x", x)
    if not order > 0:
        checks.fail("order", "be > 0", order)
    field = x.detach().to(torch.float64)
    moments = [
        sum(_increment(field, r, axis).abs().pow(order).mean((-2, -1)) for axis in (-2, -1)) / 2
        for r in separations
    ]
    return torch.stack([torch.as_tensor(moment) for moment in moments], -1)


def flatness(x: Tensor, separations: Sequence[int]) -> Tensor:
    r"""Return the flatness of the increments, the mean of the two axes (3 for a Gaussian field).

    .. math:: F(r) = \frac12 \sum_a \frac{E_u[\delta_a(u)^4]}{E_u[\delta_a(u)^2]^2},
              \qquad \delta_a(u) = x(u + r e_a) - x(u), \quad \text{periodic}.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    separations : sequence of int
        r in pixels.

    Returns
    -------
    Tensor (..., len(separations)), float64
    """
    checks.real_field("x", x)
    field = x.detach().to(torch.float64)
    curves = []
    for r in separations:
        fourth_over_second = [_flatness(_increment(field, r, axis)) for axis in (-2, -1)]
        curves.append((fourth_over_second[0] + fourth_over_second[1]) / 2)
    return torch.stack(curves, -1)


def flatness_error(x: Tensor, target: Tensor) -> Tensor:
    r"""Return the mean relative error of the flatness over the target's dyadic separations.

    .. math:: \frac{1}{n} \sum_r \left| F_x(r) / F_{\text{target}}(r) - 1 \right|

    Parameters
    ----------
    x : Tensor (..., H, W), real
    target : Tensor (H', W'), real

    Returns
    -------
    Tensor (...), float64
    """
    separations = dyadic_separations(target.shape[-2:])
    return (flatness(x, separations) / flatness(target, separations) - 1).abs().mean(-1)


def gradient_kurtosis(x: Tensor, *, axis: int = -1) -> Tensor:
    """Return the kurtosis of the forward difference x(u + e_axis) - x(u), periodic.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    axis : -2 or -1
        The direction of the derivative.

    Returns
    -------
    Tensor (...), float64
    """
    checks.real_field("x", x)
    if axis not in (-2, -1):
        checks.fail("axis", "be -2 or -1", axis)
    return kurtosis(_increment(x.detach().to(torch.float64), 1, axis))


def laplacian_kurtosis(x: Tensor) -> Tensor:
    """Return the kurtosis of the five-point Laplacian, the sum of the four neighbours less 4 x(u), periodic.

    Parameters
    ----------
    x : Tensor (..., H, W), real

    Returns
    -------
    Tensor (...), float64
    """
    checks.real_field("x", x)
    field = x.detach().to(torch.float64)
    neighbours = sum(field.roll(step, axis) for step in (-1, 1) for axis in (-2, -1))
    return kurtosis(neighbours - 4 * field)


def _increment(field: Tensor, separation: int, axis: int) -> Tensor:
    checks.integer("separations", separation, minimum=1)
    return field.roll(-separation, axis) - field


def _flatness(increment: Tensor) -> Tensor:
    square = increment.square()
    return square.square().mean((-2, -1)) / square.mean((-2, -1)).square()
