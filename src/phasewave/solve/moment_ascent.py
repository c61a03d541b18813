"""Learning an exponential family by stochastic moment ascent with persistent Langevin chains (SOUL)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from phasewave.checks import fail, integer
from phasewave.solve.exponential_family import ExponentialFamily
from phasewave.solve.langevin import Langevin
from phasewave.solve.moment_ascent_state import AscentState
from phasewave.solve.result import Status

_DIVERGED = 1e12
"""A relative squared distance of the moments at which the chains are lost."""


@dataclass(frozen=True)
class MomentAscent:
    r"""Finds theta with E f = t by ascent of the likelihood, the expectations taken along persistent chains.

    One cycle moves every chain ``steps_per_update`` Langevin steps under the present theta. In the first
    ``n_updates`` cycles, f-bar being the mean of f over the chains and steps of the cycle,

    .. math:: \theta \leftarrow \theta + \delta_n (A^{-1} + B^{-1}) (\bar f - t), \qquad
              \delta_n = \text{rate}\, (1 + n / \text{delay})^{-\text{decay}},

    shortened where the model would change by more than ``max_divergence`` nats, which the chains could not
    follow; A is the metric at the start and B that of as many recent points of the chains
    (`ExponentialFamily.uphill`). Then theta is the average of the path, the n-th weighting 4 / (n + 4) of it,
    and stays so for ``n_measurements`` cycles, the second half of which measure the expectations.

    Parameters
    ----------
    n_updates, n_measurements, steps_per_update : int
        See above. ``n_measurements`` is at least 2.
    rate, delay, decay : float
        Of delta_n: rate and delay > 0, decay in [0, 1]. Convergence needs a decay in (.5, 1]. A rate above
        about 2 overshoots, and much earlier where the chains are slow.
    max_divergence : float
        Nats.
    step_size : float
        h of the Langevin steps. That of adjusted chains adapts while theta is learnt (`Langevin`).
    adjusted : bool
        Whether the chains are Metropolis-adjusted; unadjusted ones, as in the references, learn theta with a
        bias of the order of h, and diverge where the gradient grows faster than the distance.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.

    Notes
    -----
    Cost of a cycle: ``steps_per_update`` + 1 evaluations of the potential and its gradient, of every chain.

    References
    ----------
    De Bortoli, Durmus, Pereyra and Vidal 2019, arXiv:1906.12281 (SOUL); De Bortoli, Desolneux, Durmus, Galerne
    and Leclaire 2019, arXiv:1912.01691 (maximum entropy); Shamir and Zhang, ICML 2013 (the average).
    """

    n_updates: int = 300
    n_measurements: int = 100
    steps_per_update: int = 5
    rate: float = 0.1
    delay: float = 100.0
    decay: float = 0.6
    max_divergence: float = 1.0
    step_size: float = 0.05
    adjusted: bool = True

    def __post_init__(self) -> None:
        for name, minimum in (("n_updates", 1), ("n_measurements", 2), ("steps_per_update", 1)):
            integer(name, getattr(self, name), minimum=minimum)
        for name in ("rate", "delay", "max_divergence"):
            if not 0.0 < getattr(self, name) < math.inf:
                fail(name, "be a finite number > 0", getattr(self, name))
        if not 0.0 <= self.decay <= 1.0:
            fail("decay", "be in [0, 1]", self.decay)
        self.langevin()

    @property
    def n_cycles(self) -> int:
        """All cycles, of learning and of measuring."""
        return self.n_updates + self.n_measurements

    def langevin(self) -> Langevin:
        """Return the solver of the chains; adjusted ones adapt their step in the time of learning."""
        burn_in = self.n_updates * self.steps_per_update if self.adjusted else 0
        return Langevin(self.step_size, adjusted=self.adjusted, burn_in=burn_in)

    def init(
        self,
        family: ExponentialFamily,
        x: torch.Tensor,
        *,
        seed: int | torch.Generator = 0,
        theta: torch.Tensor | None = None,
    ) -> AscentState:
        """Return the first state: chains at ``x`` (n, ...), and ``theta`` (k,), zero by default.

        Raises
        ------
        TypeError, ValueError
            As `Langevin.init`; also if the observables of the potential, or ``theta``, are not as many as the
            target.
        """
        start = torch.zeros_like(family.target) if theta is None else theta.detach().double().clone()
        if start.shape != family.target.shape:
            fail("theta", f"be of shape {tuple(family.target.shape)}", tuple(start.shape))
        chains = self.langevin().init(family.potential(start), x, seed=seed)
        if chains.observables.shape[1] != len(start):
            fail("potential", f"return {len(start)} observables", chains.observables.shape[1])
        return AscentState(
            chains=chains,
            theta=start,
            mean_theta=start,
            n_cycles=0,
            recent=family.draws,
            sums=torch.zeros_like(chains.observables),
            n_summed=0,
            losses=torch.zeros(0, dtype=torch.float64),
            acceptances=torch.zeros(0, len(x), dtype=torch.float64),
        )

    def step(self, family: ExponentialFamily, state: AscentState) -> AscentState:
        """Return the state after one more cycle; ``state`` is not changed.

        Raises
        ------
        ValueError
            If the chains have diverged.
        """
        learning = state.n_cycles < self.n_updates
        theta = state.theta if learning else state.mean_theta
        potential, solver = family.potential(theta), self.langevin()
        chains = solver.refreshed(potential, state.chains)
        sums, acceptance = torch.zeros_like(state.sums), torch.zeros_like(chains.acceptance)
        for _ in range(self.steps_per_update):
            chains = solver.step(potential, chains)
            sums, acceptance = sums + chains.observables, acceptance + chains.acceptance
        moments = sums.mean(0) / self.steps_per_update
        loss = family.loss(moments)
        if not loss < _DIVERGED:
            fail("step_size", "be smaller, or the chains adjusted: they diverge", self.step_size)
        row = (acceptance / self.steps_per_update).to("cpu")[None]
        following = replace(
            state,
            chains=chains,
            n_cycles=state.n_cycles + 1,
            losses=torch.cat([state.losses, torch.tensor([loss], dtype=torch.float64)]),
            acceptances=torch.cat([state.acceptances, row]),
        )
        if learning:
            direction, square = family.uphill(moments, state.recent)
            rate = self.rate * (1.0 + state.n_cycles / self.delay) ** -self.decay
            length = min(rate, (2.0 * self.max_divergence / square) ** 0.5) if square > 0.0 else rate
            theta = theta + length * direction
            share = 4.0 / (state.n_cycles + 4.0)
            recent = torch.cat([state.recent, chains.observables])[len(chains.observables) :]
            mean_theta = torch.lerp(state.mean_theta, theta, share)
            return replace(following, theta=theta, mean_theta=mean_theta, recent=recent)
        if 2 * (state.n_cycles - self.n_updates) < self.n_measurements:
            return following
        return replace(following, sums=state.sums + sums, n_summed=state.n_summed + self.steps_per_update)


def ascend(
    family: ExponentialFamily,
    x: torch.Tensor | None,
    *,
    solver: MomentAscent | None = None,
    tolerance: float = 1e-2,
    seed: int | torch.Generator = 0,
    callback: Callable[[AscentState], bool | None] | None = None,
    state: AscentState | None = None,
) -> tuple[AscentState, Status]:
    """Learn a family, and measure what was reached.

    Parameters
    ----------
    family : ExponentialFamily
        The densities, and what is wanted.
    x : torch.Tensor or None, shape (n, ...)
        Where the chains start; not looked at when there is a ``state``.
    solver : MomentAscent, optional
        ``MomentAscent()`` by default.
    tolerance : float
        The family has converged when the relative loss of the measured expectations is at most this: the
        noise of the measurement counts, so a small tolerance wants many chains and cycles.
    seed : int or torch.Generator
        Of the noise of the chains.
    callback : callable, optional
        Called with the state after every cycle; stops the work by returning True.
    state : AscentState, optional
        Go on from this state, as if there had been no stop.

    Returns
    -------
    state : AscentState
        ``mean_theta`` is the answer, ``moments`` its expectations with ``standard_errors``.
    status : Status
        ``CONVERGED``, ``MAX_EVALUATIONS`` (all cycles done, and the expectations are not those wanted) or
        ``INTERRUPTED`` (by the callback or Ctrl-C: the state is that of the last complete cycle).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    if not tolerance >= 0.0:
        fail("tolerance", "be a number >= 0", tolerance)
    method = MomentAscent() if solver is None else solver
    if state is None:
        if x is None:
            fail("x", "be given, or a state", None)
        state = method.init(family, x, seed=seed)
    try:
        while state.n_cycles < method.n_cycles:
            state = method.step(family, state)
            if callback is not None and callback(state) and state.n_cycles < method.n_cycles:
                return state, Status.INTERRUPTED
    except KeyboardInterrupt:
        if state.n_cycles < method.n_cycles:
            return state, Status.INTERRUPTED
    converged = family.loss(state.moments) <= tolerance
    return state, Status.CONVERGED if converged else Status.MAX_EVALUATIONS
