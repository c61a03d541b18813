"""The state of the Langevin chains: a plain record of tensors and numbers, and its checkpoint form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

_BLOCK = 4096
"""Numbers of noise drawn at a time for a chain; small problems would otherwise wait for their generators."""
_VECTORS = ("point", "potential", "slope", "observables", "step_size", "acceptance", "acceptance_sum")


class Evaluation(NamedTuple):
    """What a potential says of points (n, ...).

    Attributes
    ----------
    potential : torch.Tensor, shape (n,)
        U, of which exp(-U) is sampled.
    gradient : torch.Tensor, shape (n, ...)
        Its gradient.
    observables : torch.Tensor, shape (n, k), or None
        Numbers of each point that came with it, such as moments; the chains carry them along.
    """

    potential: torch.Tensor
    gradient: torch.Tensor
    observables: torch.Tensor | None = None


@dataclass(frozen=True)
class LangevinState:
    """Where a batch of chains stands.

    Attributes
    ----------
    seed : int
        Chain i has the noise of (seed, i).
    chains : tuple of int
        The number i of each chain.
    n_steps : int
        Steps made.
    point : torch.Tensor, shape (n, ...)
        Where the chains are.
    potential : torch.Tensor, shape (n,), float64
        U there.
    slope : torch.Tensor, shape (n, ...)
        R^T times the gradient of U there.
    observables : torch.Tensor, shape (n, k), float64
        What the potential tells of the points besides.
    step_size : torch.Tensor, shape (n,), float64
        h of each chain.
    acceptance : torch.Tensor, shape (n,), float64
        Acceptance probability of the last trial (for unadjusted chains too: what it would have been).
    acceptance_sum : torch.Tensor, shape (n,), float64
        Its sum over the steps after the burn-in.
    n_counted : int
        Steps after the burn-in.
    block : pair of torch.Tensor, shapes (n, m, ...) and (n, m)
        Noise, and logarithms of uniform numbers, for the m steps of which the next one is the
        (``n_steps`` modulo m)-th.
    """

    seed: int
    chains: tuple[int, ...]
    n_steps: int
    point: torch.Tensor
    potential: torch.Tensor
    slope: torch.Tensor
    observables: torch.Tensor
    step_size: torch.Tensor
    acceptance: torch.Tensor
    acceptance_sum: torch.Tensor
    n_counted: int
    block: tuple[torch.Tensor, torch.Tensor]

    @property
    def mean_acceptance(self) -> torch.Tensor:
        """Mean acceptance probability of each chain after the burn-in, shape (n,); NaN before."""
        return (
            self.acceptance_sum / self.n_counted if self.n_counted else torch.full_like(self.acceptance, math.nan)
        )

    @property
    def noise(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The normal noise (n, ...) and the logarithm of a uniform number (n,) of the next step."""
        position = self.n_steps % block_length(self.point)
        return self.block[0][:, position], self.block[1][:, position]

    @property
    def block_is_used_up(self) -> bool:
        """Whether the next step needs a new block of noise."""
        return self.n_steps % block_length(self.point) == 0

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Return the state as a flat dictionary of tensors, for a checkpoint; nothing is rounded."""
        tensors = {name: getattr(self, name) for name in _VECTORS}
        counts = torch.tensor([self.seed, self.n_steps, self.n_counted])
        return {**tensors, "counts": counts, "chains": torch.tensor(self.chains)}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, torch.Tensor], *, device: torch.device | str | None = None
    ) -> LangevinState:
        """Return the state that `to_tensors` wrote, its chains on ``device``.

        Raises
        ------
        ValueError
            If the dictionary is not one of `to_tensors`.
        """
        try:
            place = torch.device("cpu" if device is None else device)
            vectors = {name: tensors[name].to(place).clone() for name in _VECTORS}
            seed, n_steps, n_counted = tensors["counts"].tolist()
            chains = tuple(tensors["chains"].tolist())
            empty = vectors["point"].new_empty(0)
            state = cls(
                seed=seed, chains=chains, n_steps=n_steps, n_counted=n_counted, block=(empty, empty), **vectors
            )
            return replace(state, block=drawn_block(state))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"`tensors` must be what LangevinState.to_tensors returns: {error}") from error


def block_length(point: torch.Tensor) -> int:
    """Return for how many steps noise is drawn at a time: a function of the size of one chain alone."""
    return max(1, _BLOCK // max(1, math.prod(point.shape[1:])))


def drawn_block(state: LangevinState) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the block of noise of the next step: numbers of (seed, chain, block) alone, drawn on the CPU."""
    shape, length = state.point.shape[1:], block_length(state.point)
    number = state.n_steps // length
    noise, logarithms = [], []
    for chain in state.chains:
        word = np.random.SeedSequence(state.seed, spawn_key=(chain, number)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(word))
        noise.append(torch.randn(length, *shape, generator=generator, dtype=torch.float64))
        logarithms.append(torch.rand(length, generator=generator, dtype=torch.float64).log())
    return torch.stack(noise).to(state.point), torch.stack(logarithms).to(state.potential)
