"""Live progress of a minimisation: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from phasewave.cli.live_display import LiveDisplay

_LINE_SECONDS = 10.0


class EvaluationProgress(LiveDisplay):
    """Show evaluations, relative loss, evaluations per second and the time left.

    The time left supposes that the loss goes on falling as the power of the number of evaluations that it fell
    as since half of them: about right after ten evaluations, and never more than those still allowed take.

    Parameters
    ----------
    console : rich.console.Console
        Where to write; a bar if it is a terminal, else one line at least every ten seconds of work.
    max_evaluations : int
        Evaluations allowed to each sample.
    tolerance : float or None
        The relative loss at which a sample has converged; None if classes of moments have their own.
    """

    def __init__(self, console: Console, *, max_evaluations: int, tolerance: float | None) -> None:
        columns = (TextColumn("evaluation"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[text]}"))
        super().__init__(console, *columns, seconds=_LINE_SECONDS, total=max_evaluations)
        self.max_evaluations = max_evaluations
        self.tolerance = tolerance
        self._history: list[tuple[int, float]] = []

    def update(
        self, n_evaluations: Sequence[int], losses: Sequence[float], status: Sequence[object | None]
    ) -> None:
        """Show a new state, given one entry per sample.

        Parameters
        ----------
        n_evaluations : sequence of int
            Evaluations so far, those before a resumption included.
        losses : sequence of float
            Relative losses; the largest is shown.
        status : sequence
            None for the samples still under way.
        """
        n_done = max(n_evaluations)
        seconds, done = self._pace(n_done)
        rate = done / seconds if done > 0 and seconds > 0 else None
        open_text = f"{list(status).count(None)} of {n_samples(len(status))} open"
        goal = "by class" if self.tolerance is None else f"{self.tolerance:.3g}"
        text = f"loss {max(losses):.2e} (goal {goal}), {open_text}"
        self._history.append((n_done, max(losses)))
        if rate is not None:
            text += f", {rate:.2f}/s, about {duration(self._evaluations_left() / rate)} left"
        line = f"evaluation {n_done}/{self.max_evaluations}: {text}"
        self._show(text, line, completed=n_done, total=self.max_evaluations)

    def _evaluations_left(self) -> float:
        """Evaluations until the goal by the power law through now and half-way, at most those still allowed."""
        n, loss = self._history[-1]
        allowed = float(self.max_evaluations - n)
        half, earlier = next((entry for entry in reversed(self._history) if 2 * entry[0] <= n), self._history[0])
        if self.tolerance is None:
            return allowed
        if loss <= self.tolerance or half == n or not 0 < loss < earlier:
            return 0.0 if loss <= self.tolerance else allowed
        power = math.log(earlier / loss) / math.log(n / half)
        growth = math.log(loss / self.tolerance) / power
        return min(allowed, n * math.expm1(min(growth, 50.0)))


def n_samples(n: int) -> str:
    """Return a number of samples in words."""
    return f"{n} sample{'' if n == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time in words short enough for one line: 42 s, 3 min 05 s, 2 h 10 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
