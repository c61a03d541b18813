"""Networks that are convex in their input: the sufficient condition, a projection on it, a test at midpoints."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from phasewave.checks import fail, real_field
from phasewave.diagnostics.pieces import PIECEWISE, layers_of


def convexity_violation(
    function: Callable[[torch.Tensor], torch.Tensor], a: torch.Tensor, b: torch.Tensor
) -> torch.Tensor:
    r"""Violation of convexity at midpoints, :math:`\max(0, f((a + b) / 2) - (f(a) + f(b)) / 2)`.

    Parameters
    ----------
    function : callable
        Of (n, ...) to (n, ...), each output a function of its input alone.
    a, b : torch.Tensor (n, ...)
        Ends of segments.

    Returns
    -------
    torch.Tensor (n, ...)
        0 (rounding aside) everywhere for convex outputs.

    Raises
    ------
    TypeError, ValueError
        If the ends are not of one shape.

    Notes
    -----
    Cost: three passes.
    """
    real_field("a", a)
    real_field("b", b)
    if a.shape != b.shape:
        fail("b", f"have the shape {tuple(a.shape)} of `a`", tuple(b.shape))
    with torch.no_grad():
        return (function((a + b) / 2) - (function(a) + function(b)) / 2).clamp_min(0)


def is_convex_by_design(network: nn.Sequential) -> bool:
    r"""Whether every output is convex by the signs of the weights.

    Sufficient: after the first non-linearity all weights are non-negative, and all non-linearities are convex and,
    but for the first, nondecreasing. (Up to the first one the network is affine, with weights of any sign.)

    Parameters
    ----------
    network : torch.nn.Sequential
        As `AffineSpline` takes, seen in evaluation mode.

    Returns
    -------
    bool
        False does not mean that it is not convex.

    Raises
    ------
    TypeError
        If it is not such a network.

    Notes
    -----
    Cost: one look at the weights.

    References
    ----------
    Balestriero, Baraniuk, "A spline theory of deep learning", ICML 2018; Amos, Xu, Kolter, "Input convex neural
    networks", ICML 2017.
    """
    affine = True
    for layer in layers_of(network):
        if isinstance(layer, PIECEWISE):
            low, high = _slopes(layer)
            if high > 1 or (low < 0 and not affine):
                return False
            affine = False
        elif not affine and any(bool((weight < 0).any()) for weight in _gains(layer)):
            return False
    return True


def make_convex(network: nn.Sequential) -> None:
    """Set negative weights after the first non-linearity to 0, in place: the nearest weights of convex outputs.

    Parameters
    ----------
    network : torch.nn.Sequential
        As `AffineSpline` takes. After each step of an optimiser it keeps a network in training convex.

    Raises
    ------
    TypeError
        If it is not such a network.
    ValueError
        If a non-linearity is itself not convex, or not nondecreasing after the first.

    Notes
    -----
    Cost: one pass over the weights.
    """
    affine = True
    for layer in layers_of(network):
        if isinstance(layer, PIECEWISE):
            low, high = _slopes(layer)
            if high > 1 or (low < 0 and not affine):
                fail("network", "have convex, after the first one nondecreasing, non-linearities", str(layer))
            affine = False
        elif not affine:
            for weight in _gains(layer):
                weight.clamp_(min=0)


def _slopes(layer: nn.Module) -> tuple[float, float]:
    """Least and largest slope left of the kink, where that right of it is 1; the largest is inf if concave."""
    if isinstance(layer, nn.Hardtanh):
        return 0.0, torch.inf
    if isinstance(layer, nn.LeakyReLU):
        return layer.negative_slope, layer.negative_slope
    if isinstance(layer, nn.PReLU):
        return float(layer.weight.detach().min()), float(layer.weight.detach().max())
    return 0.0, 0.0


def _gains(layer: nn.Module) -> list[torch.Tensor]:
    """Weights of an affine layer whose signs matter; averages and reshapings have none."""
    weight = getattr(layer, "weight", None)
    return [] if weight is None else [weight.detach()]
