"""The driver of the solvers: stop rules, progress, interruption, resumption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from phasewave.checks import fail, integer
from phasewave.solve.lbfgs import LBFGS, Objective
from phasewave.solve.lbfgs_state import LBFGSState, SampleState
from phasewave.solve.result import Result, Status


@dataclass(frozen=True)
class Progress:
    """What a callback is told after every call of the objective.

    Attributes
    ----------
    n_evaluations : tuple of int
        Evaluations of each sample so far, those before a resumption included.
    losses : torch.Tensor, shape (n,), float64 on the CPU
        Best loss of each sample so far.
    status : tuple of Status or None
        Status of each sample; None for those still under way.
    state : LBFGSState
        Everything needed to go on from here: ``state.value`` are the samples, ``state.to_tensors()`` the
        checkpoint.
    """

    n_evaluations: tuple[int, ...]
    losses: torch.Tensor
    status: tuple[Status | None, ...]
    state: LBFGSState


@dataclass(frozen=True)
class Plateau:
    """A loss that has stopped falling low enough: for problems whose least loss is above zero.

    Attributes
    ----------
    loss : float
        At most this.
    decrease : float
        Share by which it may still have fallen,
    window : int
        in this many evaluations.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range.
    """

    loss: float
    decrease: float = 0.05
    window: int = 20

    def __post_init__(self) -> None:
        integer("window", self.window, minimum=1)
        if not self.loss >= 0.0:
            fail("loss", "be a number >= 0", self.loss)
        if not 0.0 <= self.decrease < 1.0:
            fail("decrease", "lie between 0 and 1", self.decrease)

    def reached(self, losses: torch.Tensor, *, ended: bool) -> bool:
        """Whether a sample with these best losses, one an evaluation, is on it: surely if they fall no more."""
        last = float(losses[-1])
        if last > self.loss or ended:
            return last <= self.loss
        return len(losses) > self.window and last >= (1.0 - self.decrease) * float(losses[-1 - self.window])


def minimize(
    objective: Objective,
    x0: torch.Tensor | None,
    *,
    solver: LBFGS | None = None,
    tolerance: float,
    max_evaluations: int,
    plateau: Plateau | None = None,
    callback: Callable[[Progress], bool | None] | None = None,
    state: LBFGSState | None = None,
) -> Result:
    """Minimise a batch of independent problems until each has converged or cannot go on.

    Parameters
    ----------
    objective : callable
        Maps points (n, ...) to losses (n,) and gradients (n, ...). It is given the unfinished samples only.
    x0 : torch.Tensor or None, shape (n, ...)
        The start of each sample; not looked at when there is a ``state``.
    solver : LBFGS, optional
        ``LBFGS()`` by default.
    tolerance : float
        A sample has converged when its loss is at most this.
    max_evaluations : int
        Evaluations allowed to each sample, those before a resumption included.
    plateau : Plateau, optional
        A sample that is on it has converged too.
    callback : callable, optional
        Called with a `Progress` after every call of the objective, the first one included; stops the work
        by returning True.
    state : LBFGSState, optional
        Go on from this state, as if there had been no stop.

    Returns
    -------
    Result
        Its status tells, sample by sample, why the work ended. An interruption (Ctrl-C in an evaluation or
        in the callback, or a callback that returned True) is no exception: the unfinished samples are
        returned as they were after the last complete evaluation, with `Status.INTERRUPTED`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    KeyboardInterrupt
        If interrupted in the very first evaluation, when there is nothing to return.
    """
    if not tolerance >= 0.0:
        fail("tolerance", "be a number >= 0", tolerance)
    limit = integer("max_evaluations", max_evaluations, minimum=1)
    method = LBFGS() if solver is None else solver
    if state is None:
        if x0 is None or x0.ndim < 2 or not x0.is_floating_point():
            got = None if x0 is None else (x0.dtype, tuple(x0.shape))
            fail("x0", "be a real floating tensor of shape (n, ...)", got)
        state = method.init(objective, x0)
    try:
        status = _status(state, tolerance, limit, plateau)
        stop = _told(callback, state, status)
        while not stop and any(entry is None for entry in status):
            state = method.step(objective, state, active=[entry is None for entry in status])
            status = _status(state, tolerance, limit, plateau)
            stop = _told(callback, state, status)
    except KeyboardInterrupt:
        status = _status(state, tolerance, limit, plateau)
    return Result(
        value=state.value,
        status=tuple(Status.INTERRUPTED if entry is None else entry for entry in status),
        n_steps=state.history.shape[0] - 1,
        n_evaluations=state.n_evaluations,
        losses=state.losses,
        history=state.history,
    )


def _status(state: LBFGSState, tolerance: float, limit: int, plateau: Plateau | None) -> tuple[Status | None, ...]:
    """Return the status of each sample; it follows from the state, so a resumed run may have other limits."""

    def one(sample: SampleState, losses: torch.Tensor) -> Status | None:
        # The losses of a finished sample are repeated while others go on.
        own = losses[: sample.n_evaluations]
        if sample.best_loss <= tolerance or (plateau is not None and plateau.reached(own, ended=sample.stalled)):
            return Status.CONVERGED
        if sample.stalled:
            return Status.STALLED
        return Status.MAX_EVALUATIONS if sample.n_evaluations >= limit else None

    columns = state.history.unbind(1)
    return tuple(one(sample, losses) for sample, losses in zip(state.samples, columns, strict=True))


def _told(
    callback: Callable[[Progress], bool | None] | None, state: LBFGSState, status: tuple[Status | None, ...]
) -> bool:
    """Call the callback, and return whether it asks to stop."""
    if callback is None:
        return False
    return bool(callback(Progress(state.n_evaluations, state.losses, status, state)))
