"""Exponential families of which the expectations are given, and the metric of their likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from phasewave.checks import fail
from phasewave.solve.langevin import Potential


class ExponentialFamily:
    r"""The densities p_theta(x) ~ exp(-U_0(x) - theta . f(x)), and the expectations wanted of f.

    Parameters
    ----------
    potential : callable
        Maps theta, (k,) float64, to a `Potential` of U_0 + theta . f whose observables are f (n, k).
    target : torch.Tensor, shape (k,)
        t, the expectations of f wanted.
    draws : torch.Tensor, shape (m, k), m >= 2
        f of m samples of the density that the ascent starts from (or of one like it). Their covariance C is
        the curvature of the likelihood there, and its metric: A = C + ridge diag(C) (with 1e-3 of the median
        variance added to every one).
    ridge : float
        Share of the diagonal added, > 0: it bounds the steps where m draws know too little.

    Raises
    ------
    TypeError, ValueError
        If a shape is wrong, a value is not finite, ``ridge`` is not positive, or no f varies over the draws.

    Notes
    -----
    An f whose variance is under 1e-8 of the median is taken for a constant: its theta stays what it is.
    A is never formed: its inverse costs m^2 k operations (Woodbury's identity).
    """

    def __init__(
        self,
        potential: Callable[[torch.Tensor], Potential],
        target: torch.Tensor,
        draws: torch.Tensor,
        *,
        ridge: float = 0.1,
    ) -> None:
        if target.ndim != 1 or target.is_complex() or not bool(torch.isfinite(target).all()):
            fail("target", "be finite real expectations (k,)", (tuple(target.shape), target.dtype))
        if draws.ndim != 2 or len(draws) < 2 or draws.shape[1] != len(target):
            fail("draws", f"be of shape (m, {len(target)}), m >= 2", tuple(draws.shape))
        if draws.is_complex() or not bool(torch.isfinite(draws).all()):
            fail("draws", "be real and finite", draws.dtype)
        if not 0.0 < ridge < math.inf:
            fail("ridge", "be a finite number > 0", ridge)
        self.potential = potential
        self.target = target.detach().double()
        self.draws = draws.detach().double()
        self.ridge = ridge
        variances = self.draws.var(0)
        if not bool((variances > 0.0).any()):
            fail("draws", "vary", "the same row m times")
        median = variances[variances > 0.0].median()
        self.varies, self.floor = variances > 1e-8 * median, 1e-3 * median
        self.metric = self._metric(self.draws)

    def uphill(self, moments: torch.Tensor, recent: torch.Tensor) -> tuple[torch.Tensor, float]:
        r"""Return g = (A^-1 + B^-1) (m - t) for moments m (k,), and (m - t) . g.

        B is the metric of f at recent points of the chains (m', k) as A is that of the draws. The likelihood's
        curvature is B's where the chains are in equilibrium, and may be far below A's; but chains that have
        run away scatter so much that B alone would hardly move.

        (m - t) . B^-1 (m - t) is about twice the divergence from the model that has the moments m to the one
        that has t, in nats.
        """
        error = moments - self.target
        direction = self.metric.solve(error) + self._metric(recent).solve(error)
        return direction, float(error @ direction)

    def loss(self, moments: torch.Tensor) -> float:
        """Return the relative squared distance of moments to the target (absolute if that is zero)."""
        scale = float(self.target.square().sum())
        return float((moments - self.target).square().sum()) / (scale if scale > 0.0 else 1.0)

    def _metric(self, points: torch.Tensor) -> _Metric:
        inverse = 1.0 / (self.ridge * (points.var(0) + self.floor))
        return _Metric(points, torch.where(self.varies, inverse, 0.0))


class _Metric:
    """C + D, C the covariance of points (m, k) and D diagonal: its inverse by Woodbury's identity.

    ``inverse`` (k,) is that of D, with zeros for what is to be left alone.
    """

    def __init__(self, points: torch.Tensor, inverse: torch.Tensor) -> None:
        self.centred = (points - points.mean(0)) / (len(points) - 1) ** 0.5
        self.inverse = inverse
        inner = torch.eye(len(points)).to(points) + (self.centred * inverse) @ self.centred.T
        self.factor = torch.linalg.cholesky(inner)

    def solve(self, x: torch.Tensor) -> torch.Tensor:
        """Return the inverse times x (k,)."""
        scaled = self.inverse * x
        inside = torch.cholesky_solve((self.centred @ scaled)[:, None], self.factor)[:, 0]
        return scaled - self.inverse * (inside @ self.centred)
