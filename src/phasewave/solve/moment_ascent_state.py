"""The state of a stochastic moment ascent: a plain record, and its checkpoint form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from phasewave.solve.langevin_state import LangevinState

_TENSORS = ("theta", "mean_theta", "recent", "sums", "losses", "acceptances")


@dataclass(frozen=True)
class AscentState:
    """Where a moment ascent stands.

    Attributes
    ----------
    chains : LangevinState
        The persistent chains.
    theta : torch.Tensor, shape (k,), float64
        The last parameters.
    mean_theta : torch.Tensor, shape (k,), float64
        Their average along the path: the estimate.
    n_cycles : int
        Cycles done, of learning and of measuring.
    recent : torch.Tensor, shape (m, k), float64
        Observables of the chains after the last cycles of learning, oldest first; before there were as many,
        those of the draws of the family.
    sums : torch.Tensor, shape (n, k), float64
        Sum of the observables of each chain over the measured steps.
    n_summed : int
        Measured steps.
    losses : torch.Tensor, shape (n_cycles,), float64 on the CPU
        Relative squared distance of the moments of each cycle to the target: it has the noise of a few steps
        of a few chains, and does not go to zero.
    acceptances : torch.Tensor, shape (n_cycles, n), float64 on the CPU
        Mean acceptance probability of each cycle and chain.
    """

    chains: LangevinState
    theta: torch.Tensor
    mean_theta: torch.Tensor
    n_cycles: int
    recent: torch.Tensor
    sums: torch.Tensor
    n_summed: int
    losses: torch.Tensor
    acceptances: torch.Tensor

    @property
    def moments(self) -> torch.Tensor:
        """Measured expectations of f under ``mean_theta``, shape (k,); NaN before anything is measured."""
        return self.sums.mean(0) / self.n_summed if self.n_summed else torch.full_like(self.theta, math.nan)

    @property
    def standard_errors(self) -> torch.Tensor:
        """Their standard errors, from the scatter of the chains, shape (k,); NaN of one chain."""
        n = len(self.sums)
        if n < 2 or not self.n_summed:
            return torch.full_like(self.theta, math.nan)
        return self.sums.std(0) / (self.n_summed * n**0.5)

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Return the state as a flat dictionary of tensors, for a checkpoint; nothing is rounded."""
        chains = {f"chains.{name}": tensor for name, tensor in self.chains.to_tensors().items()}
        own = {name: getattr(self, name) for name in _TENSORS}
        return {**chains, **own, "counts": torch.tensor([self.n_cycles, self.n_summed])}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, torch.Tensor], *, device: torch.device | str | None = None
    ) -> AscentState:
        """Return the state that `to_tensors` wrote, its chains on ``device``.

        Raises
        ------
        ValueError
            If the dictionary is not one of `to_tensors`.
        """
        try:
            chains = {key.removeprefix("chains."): value for key, value in tensors.items() if key[:7] == "chains."}
            place = torch.device("cpu" if device is None else device)
            theta, mean_theta, recent, sums = (tensors[name].to(place).clone() for name in _TENSORS[:4])
            losses, acceptances = (tensors[name].to("cpu").clone() for name in _TENSORS[4:])
            n_cycles, n_summed = tensors["counts"].tolist()
            state = LangevinState.from_tensors(chains, device=place)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"`tensors` must be what AscentState.to_tensors returns: {error}") from error
        return cls(
            chains=state,
            theta=theta,
            mean_theta=mean_theta,
            n_cycles=n_cycles,
            recent=recent,
            sums=sums,
            n_summed=n_summed,
            losses=losses,
            acceptances=acceptances,
        )
