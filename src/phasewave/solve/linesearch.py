"""Strong-Wolfe line search along one direction, as a pure state machine on plain numbers.

The search never calls the objective: it names the next step to try, is told the loss and the slope
found there, and answers with its next state. Many searches can therefore share one batched evaluation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple


class Trial(NamedTuple):
    """One evaluated step: its length along the direction, the loss and the directional derivative."""

    step: float
    loss: float
    slope: float


@dataclass(frozen=True)
class LineSearch:
    r"""Search for a step a along a direction d that satisfies the strong Wolfe conditions.

    With phi(a) = f(x + a d), a step is accepted when

        phi(a) <= phi(0) + c1 a phi'(0)    and    |phi'(a)| <= c2 |phi'(0)|,

    where the first condition is waived when rounding hides it: \|phi(a) - phi(0)\| <= ``noise``, the bound
    of the rounding error of the loss.

    Attributes
    ----------
    start : Trial
        Step 0: the loss phi(0) and the slope phi'(0) < 0.
    step : float
        The step to evaluate next.
    low : Trial
        The best step so far that decreases the loss enough (``start`` when there is none).
    high : Trial or None
        The other end of an interval that holds an acceptable step; its loss is infinite where the
        objective was not finite. None as long as no such interval is known.
    width : float
        Length of the interval before last, to see whether interpolation shrinks it.
    n_trials : int
        Steps evaluated so far.
    accepted, failed : bool
        The search is over: ``low`` is the answer, or there is no acceptable step (``low`` may still be a
        decrease).

    References
    ----------
    Nocedal and Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6; Hager and Zhang,
    SIAM J. Optim. 16, 2005 (slopes tell more than losses near
    the rounding error).
    """

    start: Trial
    step: float
    low: Trial
    high: Trial | None = None
    width: float = math.inf
    n_trials: int = 0
    accepted: bool = False
    failed: bool = False

    @classmethod
    def begin(cls, loss: float, slope: float, step: float) -> LineSearch:
        """Return a search that will first try ``step`` from a point of this loss and (negative) slope."""
        start = Trial(0.0, loss, slope)
        return cls(start=start, step=step, low=start)

    def advance(
        self, loss: float, slope: float, *, c1: float, c2: float, max_trials: int, noise: float
    ) -> LineSearch:
        """Return the next state, told the loss and slope found at ``step``.

        Parameters
        ----------
        loss, slope : float
            phi and phi' at ``step``; anything not finite is taken as an infinite loss.
        c1, c2 : float
            Constants of the Wolfe conditions, 0 < c1 < c2 < 1.
        max_trials : int
            The search fails when this many steps have been tried.
        noise : float
            Rounding error of the loss.
        """
        if not (math.isfinite(loss) and math.isfinite(slope)):
            trial = Trial(self.step, math.inf, math.nan)
        else:
            trial = Trial(self.step, loss, slope)
        searched = replace(self, n_trials=self.n_trials + 1)
        start, low, high = self.start, self.low, self.high
        decreases = trial.loss <= start.loss + c1 * trial.step * start.slope
        hidden = abs(trial.loss - start.loss) <= noise
        if (decreases or hidden) and abs(trial.slope) <= -c2 * start.slope:
            return replace(searched, low=trial, accepted=True)
        if not decreases or (low.step > 0.0 and trial.loss >= low.loss):
            low, high = low, trial
        elif high is None and trial.slope < 0.0:
            step = _extrapolate(low, trial)
            return replace(searched, low=trial, step=step, failed=searched.n_trials >= max_trials)
        elif high is None or trial.slope * (high.step - low.step) >= 0.0:
            low, high = trial, low
        else:
            low, high = trial, high
        step, width = _interpolate(low, high, self.width)
        exhausted = searched.n_trials >= max_trials or step in (low.step, high.step)
        return replace(searched, low=low, high=high, step=step, width=width, failed=exhausted)


def _cubic_minimum(one: Trial, two: Trial) -> float:
    """Return the minimum of the cubic through two trials, or nan when it has none."""
    span = two.step - one.step
    mean = 3.0 * (two.loss - one.loss) / span
    excess = one.slope + two.slope - mean
    discriminant = excess * excess - one.slope * two.slope
    if not discriminant >= 0.0:
        return math.nan
    root = math.copysign(math.sqrt(discriminant), span)
    denominator = two.slope - one.slope + 2.0 * root
    if denominator == 0.0:
        return math.nan
    return two.step - span * (two.slope + root - excess) / denominator


def _extrapolate(previous: Trial, last: Trial) -> float:
    """Return a longer step than ``last``, where the loss still falls: 2 to 10 times the last advance."""
    advance = last.step - previous.step
    step = _cubic_minimum(previous, last)
    nearest, farthest = last.step + advance, last.step + 9.0 * advance
    if not math.isfinite(step) or step <= last.step:
        return farthest
    return min(max(step, nearest), farthest)


def _interpolate(low: Trial, high: Trial, width: float) -> tuple[float, float]:
    """Return a step inside the interval and the interval's length, to be passed to the next call."""
    span = high.step - low.step
    if not math.isfinite(high.loss):
        return low.step + 0.2 * span, abs(span)
    step = _cubic_minimum(low, high)
    slow = abs(span) > 0.66 * width
    if slow or not math.isfinite(step):
        return low.step + 0.5 * span, abs(span)
    share = min(max((step - low.step) / span, 0.05), 0.9)
    return low.step + share * span, abs(span)
