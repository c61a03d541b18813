"""A batch worked by several processes: each its rows, with the noise, gradients and buffers of the whole."""

from __future__ import annotations

from collections.abc import Callable

import torch

from phasewave.runs.distributed import Ranks
from phasewave.runs.trainable import TrainableNetwork


class BatchNoise(torch.Generator):
    """The random numbers of a batch, on the CPU, for a process that works some of its rows.

    Parameters
    ----------
    seed : int
    n_samples : int
        Rows of the whole batch.
    rows : range
        Those of this process, consecutive.
    """

    n_samples: int
    rows: range

    def __new__(cls, seed: int, *, n_samples: int, rows: range) -> BatchNoise:
        """Make the generator; the class's base takes its arguments here."""
        self: BatchNoise = super().__new__(cls)
        self.manual_seed(seed)
        self.n_samples, self.rows = n_samples, rows
        return self


def per_sample(draw: Callable[[int], torch.Tensor], n: int, *, noise: torch.Generator) -> torch.Tensor:
    """Draw random numbers for n samples so that each sample has the same however many processes there are.

    Parameters
    ----------
    draw : callable
        Draws from ``noise`` for a number of samples, along the first axis:
        ``lambda n: torch.randn(n, 3, generator=noise)``. With a `BatchNoise` it is asked for the whole batch.
    n : int
        Samples that this process works.
    noise : torch.Generator
        That of `TrainableNetwork.losses`: any generator, or a `BatchNoise`.

    Returns
    -------
    torch.Tensor, shape (n, ...)

    Raises
    ------
    ValueError
        If n is not the number of rows of a `BatchNoise`.
    """
    if not isinstance(noise, BatchNoise):
        return draw(n)
    if n != len(noise.rows):
        raise ValueError(f"`n` must be {len(noise.rows)}, the rows of this process, got {n}")
    return draw(noise.n_samples)[noise.rows.start : noise.rows.stop]


class SharedStep:
    """What the processes tell each other about one batch: loss, gradients, and the buffers that it changed.

    Gradients of losses weighted by share are summed; of a buffer of floating numbers that any process changed,
    all take the mean, weighted by share: exact for what is linear in the samples (means, a controller of the
    mean), and not for the rest (the batch normalisation's variances leave out what lies between the shares' means;
    as everywhere without synchronised normalisation, the statistics of a batch are those of the share).

    Parameters
    ----------
    network : TrainableNetwork
    ranks : Ranks
    """

    def __init__(self, network: TrainableNetwork, ranks: Ranks) -> None:
        self.network, self.ranks = network, ranks
        self.before = [(buffer, buffer._version) for buffer in self._buffers()]

    def combine(self, loss: torch.Tensor, *, weight: float) -> float:
        """Leave the gradients and buffers of the whole batch in the network, and return its loss.

        Parameters
        ----------
        loss : torch.Tensor
            Of this process's rows, times ``weight``, with the gradients of that in the network.
        weight : float
            Its share of the batch.
        """
        if self.ranks.size == 1:
            return float(loss)
        parameters = list(self.network.parameters())
        buffers = self._buffers()
        flags = [value.grad is not None for value in parameters]
        for now, (before, version) in zip(buffers, self.before, strict=True):
            flags.append(now is not before or now._version != version)
        anywhere = (self.ranks.total(torch.tensor(flags, dtype=torch.int32)) > 0).tolist()
        learnt = [value for value, flag in zip(parameters, anywhere, strict=False) if flag]
        changed = [value for value, flag in zip(buffers, anywhere[len(parameters) :], strict=True) if flag]
        for value in learnt:
            if value.grad is None:
                value.grad = torch.zeros_like(value)
        own = [loss.detach(), *(value.grad for value in learnt), *(weight * value for value in changed)]
        whole = self.ranks.total(torch.cat([value.flatten() for value in own if value is not None]))
        sums = whole[1:].split([value.numel() for value in (*learnt, *changed)])
        with torch.no_grad():
            for target, result in zip((*(value.grad for value in learnt), *changed), sums, strict=True):
                if target is not None:
                    target.copy_(result.view_as(target))
        return float(whole[0])

    def _buffers(self) -> list[torch.Tensor]:
        return [buffer for buffer in self.network.buffers() if buffer.is_floating_point()]
