"""Parts shared by the convolutional baselines: sizes, blocks, widths."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.runs.trainable import n_parameters

_SMALLEST = 8


class ResizedConvolution(nn.Module):
    """Bilinear resizing to a given size, 5 x 5 convolution, batch normalisation, rectifier.

    Parameters
    ----------
    n_inputs, n_outputs : int
    size : tuple of int
        Of the output.
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.convolution = nn.Conv2d(n_inputs, n_outputs, 5, padding=2, bias=False)
        self.normalisation = nn.BatchNorm2d(n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, n_outputs, H, W) of (n, n_inputs, h, w)."""
        x = nn.functional.interpolate(x, size=self.size, mode="bilinear", align_corners=False)
        return self.normalisation(self.convolution(x)).relu()


class StridedConvolution(nn.Module):
    """5 x 5 convolution of stride 2, batch normalisation, rectifier: sizes n become ceil(n / 2).

    Parameters
    ----------
    n_inputs, n_outputs : int
    """

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(n_inputs, n_outputs, 5, stride=2, padding=2, bias=False)
        self.normalisation = nn.BatchNorm2d(n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, n_outputs, ceil(H / 2), ceil(W / 2)) of (n, n_inputs, H, W)."""
        return self.normalisation(self.convolution(x)).relu()


def halved_sizes(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return ``size``, its half (rounded up) and so on, the last with no side above 4.

    Raises
    ------
    ValueError
        If a side is under 8 or the sides differ by more than 4 times.
    """
    height, width = size
    if min(size) < _SMALLEST or max(size) > 4 * min(size):
        fail("size", f"be sides >= {_SMALLEST}, neither over 4 times the other", size)
    n_levels = math.ceil(math.log2(max(size) / 4))
    return [(-(-height // 2**k), -(-width // 2**k)) for k in range(n_levels + 1)]


def image_shape(size: int | tuple[int, int], n_channels: int) -> tuple[int, tuple[int, int]]:
    """Return (C, (H, W)), checked.

    Raises
    ------
    TypeError, ValueError
        If the size is not one or two integers, or the channels are not 1 or 3.
    """
    if n_channels not in (1, 3):
        fail("n_channels", "be 1 or 3", n_channels)
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2:
        fail("size", "be one or two integers", size)
    height, width = (integer("size", side, minimum=_SMALLEST) for side in sides)
    return n_channels, (height, width)


def matching_width(make: Callable[[int], nn.Module], target: int, *, largest: int = 256) -> int:
    """Return the width at which a network has nearest to so many trained values.

    Parameters
    ----------
    make : callable
        Makes the network from a width; its size must grow with it. Called on the meta device: costs nothing.
    target : int
        Number of trained values.
    largest : int
        Widths tried: 1 to this.
    """
    integer("target", target, minimum=1)

    def miss(width: int) -> float:
        with torch.device("meta"):
            return abs(math.log(n_parameters(make(width)) / target))

    low, high = 1, largest
    while high - low > 2:  # the miss falls, then rises
        middle = (low + high) // 2
        if miss(middle) <= miss(middle + 1):
            high = middle + 1
        else:
            low = middle
    return min(range(low, high + 1), key=miss)
