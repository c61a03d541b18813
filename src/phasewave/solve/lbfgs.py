"""L-BFGS on a batch of independent problems, written for objectives that cost far more than the solver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from phasewave.checks import fail, integer
from phasewave.solve.lbfgs_state import LBFGSState, Pair, SampleState, dot
from phasewave.solve.linesearch import LineSearch

Objective = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Maps points (n, ...) to losses (n,) and gradients (n, ...); every sample is a problem of its own."""


@dataclass(frozen=True)
class LBFGS:
    r"""Limited-memory BFGS with a strong-Wolfe line search, for a batch of independent problems.

    Each sample x_i minimises its own f(x_i) with its own memory, direction and line search:

        x <- x - a H grad f(x),

    H the two-loop recursion on the last ``history_size`` pairs of differences, scaled by s.y / y.y. Every
    sample is at its own place of its own search, and one `step` evaluates the next trial of all of them in
    one call of the objective: no sample waits for another, and samples that are finished are not evaluated.
    A sample's trajectory does not depend on the samples beside it, as far as the objective's does not.

    The first direction is the steepest descent, its first step f / \|grad f\|^2 (the scale of the inverse
    curvature of a loss that can reach zero), at most \|x\| / \|grad f\|. Later searches start from the unit
    step.

    Parameters
    ----------
    history_size : int
        Pairs of differences kept.
    c1, c2 : float
        Constants of the Wolfe conditions, 0 < c1 < c2 < 1.
    max_line_search : int
        Trials after which a line search is given up; the memory is then dropped, and a sample whose
        steepest descent fails too has stalled.
    patience : int
        A sample has stalled when this many evaluations did not lower its loss by more than rounding:
        eps sqrt(f f_0), the rounding of a sum of squares f of which f_0 was the start.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.

    Notes
    -----
    Memory: 2 ``history_size`` + 4 tensors of the size of a sample for each sample. One transfer of losses
    and slopes to the host in each step.

    References
    ----------
    Nocedal and Wright, Numerical Optimization, 2006, algorithms 7.4 and 7.5.
    """

    history_size: int = 20
    c1: float = 1e-4
    c2: float = 0.9
    max_line_search: int = 20
    patience: int = 20

    def __post_init__(self) -> None:
        for name in ("history_size", "max_line_search", "patience"):
            integer(name, getattr(self, name), minimum=1)
        if not 0.0 < self.c1 < self.c2 < 1.0:
            fail("c1, c2", "satisfy 0 < c1 < c2 < 1", (self.c1, self.c2))

    def init(self, objective: Objective, x: torch.Tensor) -> LBFGSState:
        """Evaluate the objective at ``x`` (n, ...) and return the first state.

        A sample that starts at a stationary point, or where the loss is not finite, has stalled.

        Raises
        ------
        ValueError
            If the objective returns losses or gradients of a wrong shape.
        """
        losses, gradients = _evaluated(objective, x)
        squares = torch.stack([dot(gradient, gradient) for gradient in gradients])
        norms = torch.stack([dot(point, point) for point in x])
        numbers = _on_host(losses, squares, norms)
        samples = []
        for point, gradient, loss, square, norm in zip(x, gradients, *numbers, strict=True):
            sample = SampleState(
                point=point.clone(),
                gradient=gradient,
                loss=loss,
                direction=-gradient,
                search=LineSearch.begin(loss, -square, _first_step(loss, square, norm)),
                low_gradient=gradient,
                pairs=(),
                scale=abs(loss),
                level=loss,
                stalled=not (0.0 < square < float("inf")) or not abs(loss) < float("inf"),
            )
            samples.append(sample)
        return LBFGSState(samples=tuple(samples), history=torch.tensor([numbers[0]], dtype=torch.float64))

    def step(self, objective: Objective, state: LBFGSState, *, active: Sequence[bool] | None = None) -> LBFGSState:
        """Evaluate the next trial of every active sample, in one call, and return the next state.

        Parameters
        ----------
        objective : callable
            The objective of `init`.
        state : LBFGSState
            The last state; it is not changed.
        active : sequence of bool, optional
            The samples to go on with; all of them by default. Stalled samples are left as they are.
        """
        chosen = [
            index
            for index, sample in enumerate(state.samples)
            if not sample.stalled and (active is None or active[index])
        ]
        samples = list(state.samples)
        if chosen:
            trials = torch.stack([samples[index].trial_point for index in chosen])
            losses, gradients = _evaluated(objective, trials)
            slopes = torch.stack(
                [
                    dot(gradient, samples[index].direction)
                    for gradient, index in zip(gradients, chosen, strict=True)
                ]
            )
            numbers = _on_host(losses, slopes)
            for index, gradient, loss, slope in zip(chosen, gradients, *numbers, strict=True):
                samples[index] = self._advanced(samples[index], loss, slope, gradient)
        row = torch.tensor([[sample.best_loss for sample in samples]], dtype=torch.float64)
        return LBFGSState(samples=tuple(samples), history=torch.cat([state.history, row]))

    def _advanced(self, sample: SampleState, loss: float, slope: float, gradient: torch.Tensor) -> SampleState:
        """Return the sample's next state, told what was found at its trial point."""
        noise = torch.finfo(gradient.dtype).eps * (abs(sample.loss) * max(sample.scale, abs(sample.loss))) ** 0.5
        tried = sample.search.step
        search = sample.search.advance(
            loss, slope, c1=self.c1, c2=self.c2, max_trials=self.max_line_search, noise=noise
        )
        progress = search.low.loss < sample.level - noise
        sample = replace(
            sample,
            search=search,
            low_gradient=gradient if search.low.step == tried else sample.low_gradient,
            level=search.low.loss if progress else sample.level,
            n_since_progress=0 if progress else sample.n_since_progress + 1,
            n_evaluations=sample.n_evaluations + 1,
        )
        if search.accepted or (search.failed and search.low.step > 0.0):
            sample = self._moved(sample)
        elif search.failed:
            sample = _restarted(sample) if sample.pairs else replace(sample, stalled=True)
        if sample.n_since_progress >= self.patience:
            sample = replace(sample, stalled=True)
        return sample

    def _moved(self, sample: SampleState) -> SampleState:
        """Return the sample at the end of its line search, with its next direction."""
        low = sample.search.low
        step = low.step * sample.direction
        change = sample.low_gradient - sample.gradient
        products = torch.stack([dot(step, change), dot(step, step), dot(change, change)])
        curvature, length, size = products.to(torch.float64).tolist()
        pairs = sample.pairs
        if curvature > torch.finfo(step.dtype).eps * (length * size) ** 0.5:
            pairs = (*pairs, Pair(step, change, products[0]))[-self.history_size :]
        point = sample.best_point
        direction = _two_loop(sample.low_gradient, pairs)
        products = torch.stack(
            [dot(direction, sample.low_gradient), dot(sample.low_gradient, sample.low_gradient)]
        )
        slope, square = products.to(torch.float64).tolist()
        moved = replace(
            sample,
            point=point,
            gradient=sample.low_gradient,
            loss=low.loss,
            direction=direction,
            search=LineSearch.begin(low.loss, slope, 1.0),
            pairs=pairs,
            n_iterations=sample.n_iterations + 1,
            stalled=square == 0.0,
        )
        return moved if pairs and -float("inf") < slope < 0.0 else _restarted(moved)


def _restarted(sample: SampleState) -> SampleState:
    """Return the sample with an empty memory, along its steepest descent."""
    products = torch.stack([dot(sample.gradient, sample.gradient), dot(sample.point, sample.point)])
    square, norm = products.to(torch.float64).tolist()
    return replace(
        sample,
        direction=-sample.gradient,
        search=LineSearch.begin(sample.loss, -square, _first_step(sample.loss, square, norm)),
        low_gradient=sample.gradient,
        pairs=(),
        stalled=sample.stalled or not square > 0.0,
    )


def _two_loop(gradient: torch.Tensor, pairs: tuple[Pair, ...]) -> torch.Tensor:
    """Return -H g, H the inverse Hessian estimate of the pairs: the two-loop recursion."""
    direction = -gradient
    if not pairs:
        return direction
    shares = []
    for step, change, curvature in reversed(pairs):
        share = dot(step, direction) / curvature
        direction = torch.addcmul(direction, share, change, value=-1.0)
        shares.append(share)
    change = pairs[-1].change
    direction = direction * (pairs[-1].curvature / dot(change, change))
    for (step, change, curvature), share in zip(pairs, reversed(shares), strict=True):
        direction = torch.addcmul(direction, share - dot(change, direction) / curvature, step)
    return direction


def _first_step(loss: float, square: float, norm: float) -> float:
    """Return the first step along the steepest descent; ``square`` = |g|^2 and ``norm`` = |x|^2."""
    if not square > 0.0:
        return 1.0
    longest = max(norm, 1.0) ** 0.5 / square**0.5
    return min(loss / square, longest) if loss > 0.0 else longest


def _evaluated(objective: Objective, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the losses and one contiguous gradient a sample, checked for their shapes."""
    losses, gradients = objective(x)
    if losses.shape != x.shape[:1] or gradients.shape != x.shape:
        fail(
            "objective",
            f"return losses {tuple(x.shape[:1])} and gradients {tuple(x.shape)}",
            (tuple(losses.shape), tuple(gradients.shape)),
        )
    return losses.detach(), [gradient.detach().clone() for gradient in gradients]


def _on_host(*numbers: torch.Tensor) -> list[list[float]]:
    """Return vectors of numbers as lists, in one transfer."""
    return torch.stack([vector.to(torch.float64) for vector in numbers]).tolist()
