"""How near to white Gaussian noise a set of codes is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from phasewave.checks import fail, finite, integer


@dataclass(frozen=True)
class Gaussianity:
    """Measures of n codes of dimension d, each beside what n draws of N(0, I) give.

    Attributes
    ----------
    kurtosis : float
        Mean over coordinates of the fourth central moment over the squared variance; 3 for a normal law.
    norm_spread : float
        Deviation over codes of ``|w|^2 / d``.
    norm_spread_gaussian : float
        ``sqrt(2 / d)``, what N(0, I) has.
    sliced_distance : float
        Root mean square over random directions of the 2-Wasserstein distance between the codes' projections
        and N(0, 1).
    sliced_distance_floor : float
        The same of n draws of N(0, I).
    """

    kurtosis: float
    norm_spread: float
    norm_spread_gaussian: float
    sliced_distance: float
    sliced_distance_floor: float


def gaussianity(codes: torch.Tensor, *, n_directions: int = 256, seed: int = 0) -> Gaussianity:
    """Measure how near to N(0, I) codes are.

    Parameters
    ----------
    codes : torch.Tensor (n, d)
        At least two. Not standardised here: a wrong mean or variance counts.
    n_directions : int
    seed : int
        Of the directions and of the draws behind the floor.

    Raises
    ------
    TypeError
        If they are not a real floating tensor.
    ValueError
        If the shape is wrong, values are not finite, or a coordinate is constant.
    """
    if not isinstance(codes, torch.Tensor) or not codes.is_floating_point():
        raise TypeError(f"`codes` must be a real floating tensor, got {getattr(codes, 'dtype', type(codes))}")
    if codes.ndim != 2 or len(codes) < 2 or codes.shape[1] < 1:
        fail("codes", "have the shape (n >= 2, d >= 1)", tuple(codes.shape))
    integer("n_directions", n_directions, minimum=1)
    w = finite("codes", codes).double()
    centred = w - w.mean(0)
    variances = centred.square().mean(0)
    if not bool((variances > 0).all()):
        fail("codes", "vary in every coordinate", f"{int((variances == 0).sum())} constant coordinates")
    kurtosis = ((centred**4).mean(0) / variances**2).mean()
    d = w.shape[1]
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(d, n_directions, dtype=w.dtype, generator=generator)
    directions /= directions.norm(dim=0)
    white = torch.randn(w.shape, dtype=w.dtype, generator=generator)
    return Gaussianity(
        kurtosis=float(kurtosis),
        norm_spread=float((w.square().sum(1) / d).std()),
        norm_spread_gaussian=math.sqrt(2 / d),
        sliced_distance=_sliced(directions.T @ w.cpu().T),
        sliced_distance_floor=_sliced(directions.T @ white.T),
    )


def _sliced(projections: torch.Tensor) -> float:
    """Root mean square distance to N(0, 1) of the rows: sorted values against the law's mid-quantiles."""
    n = projections.shape[1]
    levels = (torch.arange(n, dtype=projections.dtype) + 0.5) / n
    quantiles = torch.special.ndtri(levels)
    return float((projections.sort(1).values - quantiles).square().mean().sqrt())
