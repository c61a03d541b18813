"""What a solver returns: a value, a status for each sample, and the record of how it got there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch


class Status(str, Enum):
    """Why the work on one sample ended."""

    CONVERGED = "converged"
    """The loss is at most the tolerance."""
    STALLED = "stalled"
    """The loss cannot be lowered any more: a stationary point, or the rounding of the dtype."""
    MAX_EVALUATIONS = "max_evaluations"
    """The evaluations allowed were used up."""
    INTERRUPTED = "interrupted"
    """Stopped from outside; the state can be resumed."""


@dataclass(frozen=True)
class Result:
    """Outcome of a batch of independent minimisations.

    Attributes
    ----------
    value : torch.Tensor, shape (n, ...)
        The best point found for each sample.
    status : tuple of Status
        One for each sample.
    n_steps : int
        Calls of the objective after the first one.
    n_evaluations : tuple of int
        Evaluations of each sample: finished samples are not evaluated any more, so these may differ.
    losses : torch.Tensor, shape (n,), float64 on the CPU
        Loss of ``value``.
    history : torch.Tensor, shape (n_steps + 1, n), float64 on the CPU
        Best loss so far of each sample, after every call of the objective.
    """

    value: torch.Tensor
    status: tuple[Status, ...]
    n_steps: int
    n_evaluations: tuple[int, ...]
    losses: torch.Tensor
    history: torch.Tensor

    @property
    def converged(self) -> bool:
        """Whether every sample has converged."""
        return all(status is Status.CONVERGED for status in self.status)
