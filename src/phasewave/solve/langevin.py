"""Langevin dynamics for a batch of independent chains: unadjusted, and with Metropolis acceptance (MALA)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from phasewave.checks import fail, integer
from phasewave.solve.langevin_state import Evaluation, LangevinState, drawn_block

Potential = Callable[[torch.Tensor], Evaluation | tuple[torch.Tensor, torch.Tensor]]
"""Maps points (n, ...) to U (n,) and its gradients (n, ...), as an objective of `phasewave.solve.lbfgs`, or to an
`Evaluation`, which also holds what is to be known of every state; every chain is a problem of its own."""
LinearMap = Callable[[torch.Tensor], torch.Tensor]
"""A linear map of one point (...), without the axis of the chains."""


@dataclass(frozen=True)
class Langevin:
    r"""Langevin dynamics that samples exp(-U), for a batch of independent chains.

    One step of size h moves each chain by its own drift and its own noise,

    .. math:: x' = x - h\, R R^T \nabla U(x) + \sqrt{2 h}\, R\, \xi, \qquad \xi \sim N(0, 1),

    and, if ``adjusted``, keeps the move with the probability that makes exp(-U) exactly stationary,

    .. math:: \alpha = \min\Big(1, \exp\big(U(x) - U(x') + \tfrac12 |\xi|^2 - \tfrac12 |\xi'|^2\big)\Big), \qquad
              \xi' = \sqrt{h/2}\; R^T (\nabla U(x) + \nabla U(x')) - \xi,

    xi' being the noise of the way back. Without it (ULA) the samples are biased to the first order in h: a
    Gaussian direction of unit variance, seen through R, gets the variance 1 / (1 - h/2). A trial whose potential
    is not finite is never accepted, adjusted or not.

    ``root`` R is the preconditioner: R R^T should be near the covariance of exp(-U). A diagonal one in an
    orthonormal basis Q is R = Q^T diag(s), R^T = diag(s) Q; by filters, R = R^T = F^{-1} s F.

    Parameters
    ----------
    step_size : float
        h, in units of the curvature of U seen through R; for a unit Gaussian of d dimensions the best of MALA
        is about 1.36 d^{-1/3}.
    adjusted : bool
        Whether moves are accepted or rejected (MALA) or always made (ULA).
    burn_in : int
        The first steps, in which each chain adapts its own step size: log h += (t + 1)^-0.6 (alpha - wanted).
        Afterwards the step is fixed, as the stationarity of exp(-U) demands.
    target_acceptance : float
        The mean acceptance probability wanted in the burn-in, in (0, 1).
    root, root_transpose : callable, optional
        R and R^T, each a linear map of one point; the identity by default. A symmetric R needs no transpose.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range, or there is a transpose of no root.

    Notes
    -----
    Cost of a step: one evaluation of U and its gradient, R, and R^T twice. Chain i depends on the seed and on i
    alone, to the last bit, as far as U and its gradient do.

    References
    ----------
    Roberts and Tweedie, Bernoulli 2, 1996; Roberts and Rosenthal, J. R. Stat. Soc. B 60, 1998 (acceptance .574).

    Examples
    --------
    >>> def unit_normal(x):
    ...     return x.square().sum(1) / 2, x
    >>> solver = Langevin(0.5)
    >>> state = solver.init(unit_normal, torch.zeros(4, 3), seed=0)
    >>> for _ in range(10):
    ...     state = solver.step(unit_normal, state)
    >>> state.point.shape, state.n_steps
    (torch.Size([4, 3]), 10)
    """

    step_size: float
    adjusted: bool = True
    burn_in: int = 0
    target_acceptance: float = 0.574
    root: LinearMap | None = None
    root_transpose: LinearMap | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.step_size < math.inf:
            fail("step_size", "be a finite number > 0", self.step_size)
        integer("burn_in", self.burn_in, minimum=0)
        if not 0.0 < self.target_acceptance < 1.0:
            fail("target_acceptance", "be in (0, 1)", self.target_acceptance)
        if self.root is None and self.root_transpose is not None:
            fail("root", "be given with `root_transpose`", self.root)

    def init(
        self,
        potential: Potential,
        x: torch.Tensor,
        *,
        seed: int | torch.Generator = 0,
        chains: Sequence[int] | None = None,
    ) -> LangevinState:
        """Evaluate the potential at the starts and return the first state.

        Parameters
        ----------
        potential : callable
            U and its gradient.
        x : torch.Tensor, shape (n, ...)
            Where the chains start.
        seed : int >= 0, or torch.Generator
            A generator gives the integer: one draw from it.
        chains : sequence of int, optional
            The number i of each chain, which fixes its noise; 0 .. n-1 by default.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not real and floating with an axis of chains, a number is out of range, or U is not finite
            at a start or of a wrong shape.
        """
        if not isinstance(x, torch.Tensor) or x.ndim < 2 or not x.is_floating_point() or len(x) == 0:
            got = (x.dtype, tuple(x.shape)) if isinstance(x, torch.Tensor) else type(x).__name__
            fail("x", "be a real floating tensor of shape (n, ...), n >= 1", got)
        if isinstance(seed, torch.Generator):
            seed = int(torch.randint(2**62, (), generator=seed, device=seed.device))
        root = integer("seed", seed, minimum=0, maximum=2**63 - 1)
        numbers = (
            tuple(range(len(x))) if chains is None else tuple(integer("chains", i, minimum=0) for i in chains)
        )
        if len(numbers) != len(x):
            fail("chains", f"be {len(x)} integers", numbers)
        energy, gradient, observables = _evaluated(potential, x.detach())
        if not bool(torch.isfinite(energy).all()):
            fail("potential", "be finite at every start", energy.tolist())
        start = LangevinState(
            seed=root,
            chains=numbers,
            n_steps=0,
            point=x.detach().clone(),
            potential=energy,
            slope=self._each(self._transposed, gradient),
            observables=observables,
            step_size=torch.full_like(energy, self.step_size),
            acceptance=torch.full_like(energy, math.nan),
            acceptance_sum=torch.zeros_like(energy),
            n_counted=0,
            block=(x.new_empty(0), x.new_empty(0)),
        )
        return replace(start, block=drawn_block(start))

    def step(self, potential: Potential, state: LangevinState) -> LangevinState:
        """Move every chain once, with one call of the potential, and return the next state.

        Parameters
        ----------
        potential : callable
            The potential of `init`, or of the last `refreshed`.
        state : LangevinState
            The last state; it is not changed.
        """
        noise, log_uniform = state.noise
        size = state.step_size
        x, kicks = state.point, self._each(self._rooted, noise)
        drift = self._each(self._rooted, state.slope)
        trial = x - _along(size, x) * drift + _along((2.0 * size).sqrt(), x) * kicks
        energy, gradient, observables = _evaluated(potential, trial)
        slope = self._each(self._transposed, gradient)
        both = (state.slope + slope).double()
        half = _along((size / 2.0).sqrt(), both) * both
        log_ratio = state.potential - energy + _sums(half * (noise.double() - half / 2.0))
        finite = torch.isfinite(energy) & torch.isfinite(log_ratio)
        log_ratio = torch.where(finite, log_ratio, -math.inf).clamp(max=0.0)
        acceptance = log_ratio.exp()
        moves = (log_uniform < log_ratio) if self.adjusted else finite
        counted = state.n_steps >= self.burn_in
        if not counted:
            gain = (state.n_steps + 1.0) ** -0.6
            size = size * ((acceptance - self.target_acceptance) * gain).exp()
        following = replace(
            state,
            n_steps=state.n_steps + 1,
            point=torch.where(_along(moves, x), trial, x),
            potential=torch.where(moves, energy, state.potential),
            slope=torch.where(_along(moves, x), slope, state.slope),
            observables=torch.where(moves[:, None], observables, state.observables),
            step_size=size,
            acceptance=acceptance,
            acceptance_sum=state.acceptance_sum + acceptance if counted else state.acceptance_sum,
            n_counted=state.n_counted + int(counted),
        )
        return replace(following, block=drawn_block(following)) if following.block_is_used_up else following

    def refreshed(self, potential: Potential, state: LangevinState) -> LangevinState:
        """Return the same chains under another potential, evaluated where they stand."""
        energy, gradient, observables = _evaluated(potential, state.point)
        return replace(
            state,
            potential=energy,
            slope=self._each(self._transposed, gradient),
            observables=observables,
        )

    def _rooted(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.root is None else self.root(x)

    def _transposed(self, x: torch.Tensor) -> torch.Tensor:
        transpose = self.root if self.root_transpose is None else self.root_transpose
        return x if transpose is None else transpose(x)

    def _each(self, function: LinearMap, x: torch.Tensor) -> torch.Tensor:
        """Return a linear map of every chain, one at a time (FFTs round by the batch)."""
        return x if self.root is None else torch.stack([function(one.clone()) for one in x])


def _along(numbers: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return one number a chain with the axes of ``x``, in its dtype (truth values stay so)."""
    shaped = numbers.view(-1, *[1] * (x.ndim - 1))
    return shaped if numbers.dtype is torch.bool else shaped.to(x.dtype)


def _sums(x: torch.Tensor) -> torch.Tensor:
    """Return the sum over each chain (n, ...) by halves: additions alone, so that no batch changes their order."""
    x = x.flatten(1)
    while x.shape[1] > 1:
        half = x.shape[1] // 2
        folded = x[:, :half] + x[:, half : 2 * half]
        x = torch.cat([folded, x[:, 2 * half :]], dim=1)
    return x.sum(1)


def _evaluated(potential: Potential, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the potential, gradient and observables of points (n, ...), numbers in float64, shapes checked."""
    found = Evaluation(*potential(x))
    n = len(x)
    if found.potential.shape != (n,) or found.gradient.shape != x.shape:
        got = (tuple(found.potential.shape), tuple(found.gradient.shape))
        fail("potential", f"return values {(n,)} and gradients {tuple(x.shape)}", got)
    observables = found.potential.new_empty(n, 0) if found.observables is None else found.observables
    if observables.ndim != 2 or len(observables) != n:
        fail("potential", f"return observables ({n}, k)", tuple(observables.shape))
    return found.potential.detach().double(), found.gradient.detach(), observables.detach().double()
