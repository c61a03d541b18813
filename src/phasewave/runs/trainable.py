"""What the training of networks asks of them, their weights from a seed, and how many they are."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn


class TrainableNetwork(nn.Module, ABC):
    """A network that `train_network` can train."""

    @abstractmethod
    def losses(self, *parts: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """Return the loss (n,) of each sample of a batch.

        Random numbers come from ``noise``, on the CPU, by `phasewave.runs.shared_batches.per_sample`: then a
        sample has the same ones however many processes share the batch.
        """


def draw_weights(network: nn.Module, *, seed: int) -> None:
    """Give a network built on the meta device memory and weights that depend on the seed alone.

    Weights normal of variance 2 / inputs, biases and single parameters 0, batch normalisations as they start.
    """
    generator = torch.Generator().manual_seed(seed)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan_in) ** 0.5)
            else:
                parameter.zero_()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def n_parameters(network: nn.Module) -> int:
    """Return the number of trained values of a network."""
    return sum(parameter.numel() for parameter in network.parameters())
