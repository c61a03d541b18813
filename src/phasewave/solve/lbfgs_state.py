"""The state of the batched L-BFGS: plain records of tensors and numbers, and their checkpoint form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from phasewave.solve.linesearch import LineSearch, Trial


class Pair(NamedTuple):
    """One pair of the memory: a step s, the change y of the gradient over it, and s.y > 0 (no axes)."""

    step: torch.Tensor
    change: torch.Tensor
    curvature: torch.Tensor


@dataclass(frozen=True)
class SampleState:
    """Where the minimisation of one sample stands. Tensors have the shape of the sample.

    Attributes
    ----------
    point, gradient, loss
        The last accepted iterate.
    direction
        Search direction from ``point``.
    search : LineSearch
        The line search along ``direction``.
    low_gradient
        Gradient at ``search.low``.
    pairs : tuple of Pair
        The last differences of iterates and of their gradients, oldest first.
    scale : float
        The loss at the start, the scale of the rounding error of later losses.
    level : float
        The loss when progress was last seen.
    n_since_progress, n_evaluations, n_iterations : int
        Evaluations since progress was last seen, evaluations in all, accepted iterates.
    stalled : bool
        Nothing more can be done.
    """

    point: torch.Tensor
    gradient: torch.Tensor
    loss: float
    direction: torch.Tensor
    search: LineSearch
    low_gradient: torch.Tensor
    pairs: tuple[Pair, ...]
    scale: float
    level: float
    n_since_progress: int = 0
    n_evaluations: int = 1
    n_iterations: int = 0
    stalled: bool = False

    @property
    def best_loss(self) -> float:
        """The lowest loss found so far, inside the current line search included."""
        return self.search.low.loss

    @property
    def best_point(self) -> torch.Tensor:
        """The point of the lowest loss."""
        return self._along(self.search.low.step)

    @property
    def trial_point(self) -> torch.Tensor:
        """The point to evaluate next."""
        return self._along(self.search.step)

    def _along(self, step: float) -> torch.Tensor:
        return self.point if step == 0.0 else self.point + step * self.direction


@dataclass(frozen=True)
class LBFGSState:
    """State of a batch: one record for each sample, and the losses after every call of the objective.

    Attributes
    ----------
    samples : tuple of SampleState
        One for each sample.
    history : torch.Tensor, shape (n_steps + 1, n), float64 on the CPU
        Best loss of each sample after every call of the objective.
    """

    samples: tuple[SampleState, ...]
    history: torch.Tensor

    @property
    def value(self) -> torch.Tensor:
        """The best point of each sample, shape (n, ...)."""
        return torch.stack([sample.best_point for sample in self.samples])

    @property
    def losses(self) -> torch.Tensor:
        """The best loss of each sample, shape (n,), float64 on the CPU."""
        return torch.tensor([sample.best_loss for sample in self.samples], dtype=torch.float64)

    @property
    def stalled(self) -> tuple[bool, ...]:
        """Whether nothing more can be done, for each sample."""
        return tuple(sample.stalled for sample in self.samples)

    @property
    def n_evaluations(self) -> tuple[int, ...]:
        """Evaluations of each sample."""
        return tuple(sample.n_evaluations for sample in self.samples)

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Return the state as a flat dictionary of tensors, for a checkpoint; nothing is rounded."""
        tensors = {"history": self.history}
        for index, sample in enumerate(self.samples):
            search, high = sample.search, sample.search.high
            named = {
                "point": sample.point,
                "gradient": sample.gradient,
                "direction": sample.direction,
                "low_gradient": sample.low_gradient,
                "steps": _stacked([pair.step for pair in sample.pairs], sample.point),
                "changes": _stacked([pair.change for pair in sample.pairs], sample.point),
                "numbers": _doubles([sample.loss, sample.scale, sample.level]),
                "counts": torch.tensor(
                    [sample.n_since_progress, sample.n_evaluations, sample.n_iterations, sample.stalled]
                ),
                "search": _doubles([*search.start, *search.low, search.step, search.width]),
                "high": _doubles([] if high is None else high),
                "search_counts": torch.tensor([search.n_trials, search.accepted, search.failed]),
            }
            tensors.update({f"{index}.{name}": tensor for name, tensor in named.items()})
        return tensors

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, torch.Tensor], *, device: torch.device | str | None = None
    ) -> LBFGSState:
        """Return the state that `to_tensors` wrote, its samples on ``device``.

        Raises
        ------
        ValueError
            If the dictionary is not one of `to_tensors`.
        """
        try:
            history = tensors["history"].to("cpu")
            samples = tuple(
                _restored(index, tensors, torch.device("cpu" if device is None else device))
                for index in range(history.shape[1])
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"`tensors` must be what LBFGSState.to_tensors returns: {error}") from error
        return cls(samples=samples, history=history)


def dot(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """Return the dot product of two samples: a reduction of one sample alone, whatever its batch."""
    return torch.dot(one.reshape(-1), two.reshape(-1))


def _doubles(numbers: Sequence[float]) -> torch.Tensor:
    return torch.tensor([float(number) for number in numbers], dtype=torch.float64)


def _stacked(tensors: Sequence[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    return torch.stack(list(tensors)) if tensors else like.new_zeros((0, *like.shape))


def _restored(index: int, tensors: Mapping[str, torch.Tensor], device: torch.device) -> SampleState:
    """Return sample ``index`` of a dictionary of `LBFGSState.to_tensors`."""

    def own(name: str) -> torch.Tensor:
        return tensors[f"{index}.{name}"].to(device).clone()

    loss, scale, level = tensors[f"{index}.numbers"].tolist()
    n_since_progress, n_evaluations, n_iterations, stalled = tensors[f"{index}.counts"].tolist()
    start_and_low = tensors[f"{index}.search"].tolist()
    high = tensors[f"{index}.high"].tolist()
    n_trials, accepted, failed = tensors[f"{index}.search_counts"].tolist()
    search = LineSearch(
        start=Trial(*start_and_low[0:3]),
        low=Trial(*start_and_low[3:6]),
        step=start_and_low[6],
        width=start_and_low[7],
        high=Trial(*high) if high else None,
        n_trials=n_trials,
        accepted=bool(accepted),
        failed=bool(failed),
    )
    return SampleState(
        **{name: own(name) for name in ("point", "gradient", "direction", "low_gradient")},
        pairs=tuple(
            Pair(step.clone(), change.clone(), dot(step.clone(), change.clone()))
            for step, change in zip(own("steps"), own("changes"), strict=True)
        ),
        loss=loss,
        scale=scale,
        level=level,
        search=search,
        n_since_progress=n_since_progress,
        n_evaluations=n_evaluations,
        n_iterations=n_iterations,
        stalled=bool(stalled),
    )
