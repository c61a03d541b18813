"""Batch normalisation by the whole batch where several processes share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from phasewave.runs.distributed import Ranks

_PATIENCE = timedelta(minutes=10)  # within a batch; a rank that fails there leaves the others waiting so long


class SharedBatchNorm2d(nn.BatchNorm2d):
    r"""`torch.nn.BatchNorm2d` whose mean and variance in training are those over the samples of all ranks.

    .. math::

        y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta, \quad
        \mu = \frac{1}{n} \sum_r \sum_{i \in r} x_i, \quad
        \sigma^2 = \frac{1}{n} \sum_r \sum_{i \in r} x_i^2 - \mu^2

    The sums over ranks r are taken in float64, and gradients run back through them: loss and gradients are those
    of one process up to rounding. Alone, and in ``eval`` mode, it is `torch.nn.BatchNorm2d` itself.

    Notes
    -----
    Source: Ioffe and Szegedy 2015. Cost: one message of 2 ``num_features`` + 1 numbers forward, one backward.
    """

    ranks = Ranks()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the normalised (n, num_features, h, w)."""
        if self.ranks.size == 1 or not self.training:
            return super().forward(input)
        wide = input.to(torch.float64)
        count = wide.new_full((1,), wide.numel() / wide.shape[1])
        own = torch.cat([wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3)), count])
        total: torch.Tensor = _Total.apply(own, self.ranks)
        n = total[-1].detach()
        mean, square = (total[:-1] / n).split(self.num_features)
        variance = (square - mean.square()).clamp(min=0)
        self._follow(mean.detach(), variance.detach() * n / (n - 1))
        scale = (variance + self.eps).rsqrt().to(input.dtype) * self.weight
        centred = input - mean.to(input.dtype)[:, None, None]
        return centred * scale[:, None, None] + self.bias[:, None, None]

    @torch.no_grad()
    def _follow(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Take a batch into the running statistics."""
        for running, value in ((self.running_mean, mean), (self.running_var, variance)):
            if running is not None and self.momentum is not None:
                running.lerp_(value.to(running.dtype), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


@contextmanager
def whole_batches(network: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Let the normalisations of a network work on the batches of all ranks within the block.

    They have a process group of their own, so that an error on one rank ends the others after ten minutes and does
    not mix up their messages.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, SharedBatchNorm2d)]
    if ranks.size == 1 or not layers:
        yield
        return
    group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    for layer in layers:
        layer.ranks = Ranks(ranks.rank, ranks.size, ranks.local_rank, group)
    try:
        yield
    finally:
        for layer in layers:
            del layer.ranks
        dist.destroy_process_group(group)


class _Total(torch.autograd.Function):
    """The sum over ranks; the gradients of all ranks' losses come back summed."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, ranks: Ranks) -> torch.Tensor:
        ctx.ranks = ranks
        return ranks.total(value)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.ranks.total(gradients[0]), None
