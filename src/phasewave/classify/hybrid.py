"""Networks over scattering maps, or over pixels for comparison, ending in a linear classifier."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import nn

from phasewave.checks import choice, fail, integer
from phasewave.classify.features import pixels
from phasewave.classify.istc import SparseCodes
from phasewave.classify.normalisation import SharedBatchNorm2d
from phasewave.runs.shared_batches import per_sample
from phasewave.runs.trainable import TrainableNetwork, draw_weights

Kind = Literal["hybrid", "grid", "perceptron", "encoder", "istc", "cnn"]
_SMOOTHING = 0.1  # of the labels
_STEPS = 8  # of the homotopy: the source takes 12, which take half as long again


class ResidualBlock(nn.Module):
    """A rectified sum: x, by a 1 x 1 convolution where shapes differ, and two 3 x 3 convolutions of it.

    Parameters
    ----------
    n_inputs, n_outputs, stride : int
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            convolution(n_inputs, n_outputs, 3, stride=stride),
            nn.ReLU(),
            convolution(n_outputs, n_outputs, 3),
        )
        same = n_inputs == n_outputs and stride == 1
        self.outer = nn.Identity() if same else convolution(n_inputs, n_outputs, 1, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, n_outputs, ceil(h / stride), ceil(w / stride))."""
        return torch.relu(self.inner(x) + self.outer(x))


def convolution(n_inputs: int, n_outputs: int, side: int, *, stride: int = 1) -> nn.Sequential:
    """Return a convolution with its batch normalisation."""
    kernel = nn.Conv2d(n_inputs, n_outputs, side, stride=stride, padding=side // 2, bias=False)
    return nn.Sequential(kernel, SharedBatchNorm2d(n_outputs))


def _connected(n_inputs: int, n_outputs: int) -> nn.Sequential:
    """Return a rectified fully connected layer of maps of ``n_inputs`` values, to maps of one position."""
    return nn.Sequential(
        nn.Flatten(), nn.Unflatten(1, (n_inputs, 1, 1)), convolution(n_inputs, n_outputs, 1), nn.ReLU()
    )


class ClassifierNetwork(TrainableNetwork):
    r"""Standardised maps through a body to a linear classifier, trained by cross-entropy.

    ========== ==========================================================================================
    kind       body
    ========== ==========================================================================================
    hybrid     a 1 x 1 convolution to ``width`` channels, two residual blocks, one of stride 2 to twice
               the channels, the mean over positions
    grid       "hybrid" with a fully connected layer of 4 ``width`` in place of the mean: it tells positions
               apart, which helps where things are centred
    encoder    a local encoder shared by all positions: three 1 x 1 convolutions of ``width`` channels
    perceptron two fully connected layers of 4 ``width``
    istc       sparse codes of 3 x 3 windows over a learnt dictionary of 4 ``width`` atoms, see
               `phasewave.classify.istc.SparseCodes`, then a fully connected layer of 8 ``width``
    cnn        "hybrid" with the scattering replaced by ``n_halvings`` learnt 3 x 3 convolutions of stride 2
               (pixels in)
    ========== ==========================================================================================

    Labels are smoothed by 0.1, and in training a share of what enters the linear classifier is set to 0.

    Parameters
    ----------
    kind : {"hybrid", "grid", "perceptron", "encoder", "istc", "cnn"}
    shape : tuple of int
        (channels, h, w) of the maps.
    n_classes : int
    width : int
    dropout : float
        The share set to 0.
    n_halvings : int
        Of "cnn": as many octaves as the scattering it is compared with.
    seed : int
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        If something is out of range.

    Notes
    -----
    Source: Oyallon, Belilovsky and Zagoruyko 2017; Zarka et al. 2020.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self,
        kind: Kind,
        shape: Sequence[int],
        n_classes: int,
        *,
        width: int = 32,
        dropout: float = 0.2,
        n_halvings: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        choice("kind", kind, get_args(Kind))
        integer("n_classes", n_classes, minimum=2)
        integer("width", width, minimum=1)
        if not 0 <= dropout < 1:
            fail("dropout", "lie in [0, 1)", dropout)
        self.kind, self.dropout = kind, dropout
        channels, height, width_out = (integer("shape", n, minimum=1) for n in shape)
        points, halved = height * width_out, math.ceil(height / 2) * math.ceil(width_out / 2)
        with torch.device("meta"):
            if kind in ("hybrid", "grid", "cnn"):
                entry: list[nn.Module] = [convolution(channels, width, 1)]
                if kind == "cnn":
                    entry = []
                    for octave in range(n_halvings):
                        entry += [convolution(channels if octave == 0 else width, width, 3, stride=2), nn.ReLU()]
                blocks = [ResidualBlock(width, width), ResidualBlock(width, 2 * width, stride=2)]
                end: list[nn.Module] = [nn.AdaptiveAvgPool2d(1)]
                n_features = 2 * width
                if kind == "grid":
                    end = [*_connected(2 * width * halved, 4 * width)]
                    n_features = 4 * width
                self.body = nn.Sequential(*entry, nn.ReLU(), *blocks, *end, nn.Flatten())
            elif kind == "encoder":
                sizes = [channels, width, width, width]
                layers = [(convolution(a, b, 1), nn.ReLU()) for a, b in itertools.pairwise(sizes)]
                self.body = nn.Sequential(*(layer for pair in layers for layer in pair), nn.Flatten())
                n_features = width * points
            elif kind == "perceptron":
                first, second = _connected(channels * points, 4 * width), _connected(4 * width, 4 * width)
                self.body = nn.Sequential(first, second, nn.Flatten())
                n_features = 4 * width
            else:
                codes = SparseCodes(channels, width, 4 * width, n_steps=_STEPS)
                layer = _connected(4 * width * halved, 8 * width)
                self.body = nn.Sequential(codes, SharedBatchNorm2d(4 * width), layer, nn.Flatten())
                n_features = 8 * width
            self.linear = nn.Linear(n_features, n_classes)
            self.register_buffer("mean", torch.zeros(channels, 1, 1))
            self.register_buffer("scale", torch.ones(channels, 1, 1))
        draw_weights(self, seed=seed)
        with torch.no_grad():
            self.mean.zero_()
            self.scale.fill_(1.0)
            self.linear.weight.mul_(0.1)
            for module in self.modules():
                if isinstance(module, SparseCodes):
                    module.begin()

    @torch.no_grad()
    def standardise(self, maps: torch.Tensor) -> None:
        """Take mean and deviation of each channel from maps (n, channels, h, w)."""
        chosen = pixels(maps[:: max(1, len(maps) // 2000)])
        deviation, mean = torch.std_mean(chosen, dim=(0, 2, 3), correction=0)
        self.mean.copy_(mean[:, None, None])
        self.scale.copy_(deviation.clamp(min=1e-6)[:, None, None])

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the scores (n, n_classes) of maps (n, channels, h, w), float32 or uint8."""
        found: torch.Tensor = self.linear(self.hidden(maps))
        return found

    def hidden(self, maps: torch.Tensor) -> torch.Tensor:
        """Return what enters the linear classifier."""
        found: torch.Tensor = self.body(self.standardised(maps))
        return found

    def losses(self, *parts: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """Return the cross-entropy (n,) of maps and labels."""
        maps, labels = parts
        hidden = self.hidden(maps)
        if self.training and self.dropout:
            draw: Callable[[int], torch.Tensor] = lambda n: torch.rand(n, hidden.shape[1], generator=noise)  # noqa: E731
            kept = per_sample(draw, len(hidden), noise=noise).to(hidden.device) >= self.dropout
            hidden = hidden * kept / (1 - self.dropout)
        return nn.functional.cross_entropy(
            self.linear(hidden), labels, reduction="none", label_smoothing=_SMOOTHING
        )

    def standardised(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps less the mean of their channel, over its deviation."""
        return (pixels(maps) - self.mean) / self.scale
