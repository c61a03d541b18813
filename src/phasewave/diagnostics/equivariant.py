"""Small linear layers that commute with a group: permutations, cyclic shifts, rotations by quarter turns."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from phasewave.checks import choice, fail, integer, real_field

_TURNS = 4


class PermutationLinear(nn.Module):
    r"""Linear layer on sets that commutes with all permutations of the elements.

    .. math::
        y_i = \Lambda x_i + \Gamma\, \tfrac{1}{n} \sum_j x_j + b.

    With one channel it has two parameters (and b): :math:`\lambda I + \gamma 1 1^T / n` are all the matrices that
    commute with every permutation.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Channels.
    pooling : {"mean", "sum"}
        "sum" leaves out 1 / n.
    bias : bool
    seed : int
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost: two products of n_inputs x n_outputs, one for each element and one for the set.

    References
    ----------
    Zaheer et al., "Deep sets", NeurIPS 2017.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        *,
        pooling: Literal["mean", "sum"] = "mean",
        bias: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.n_inputs = integer("n_inputs", n_inputs, minimum=1)
        integer("n_outputs", n_outputs, minimum=1)
        self.pooling = choice("pooling", pooling, ("mean", "sum"))
        generator = torch.Generator().manual_seed(seed)
        self.own = _weights(n_outputs, n_inputs, fan=n_inputs, generator=generator)
        self.common = _weights(n_outputs, n_inputs, fan=n_inputs, generator=generator)
        self.bias = nn.Parameter(torch.zeros(n_outputs)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (..., n, n_outputs) of (..., n, n_inputs)."""
        real_field("x", x, (self.n_inputs,))
        if x.ndim < 2:
            fail("x", f"have the shape (..., n, {self.n_inputs})", tuple(x.shape))
        pooled = x.mean(-2, keepdim=True) if self.pooling == "mean" else x.sum(-2, keepdim=True)
        return nn.functional.linear(x, self.own, self.bias) + nn.functional.linear(pooled, self.common)


class CyclicLinear(nn.Module):
    r"""Linear layer on functions of the cyclic group :math:`Z_N` that commutes with its shifts.

    .. math::
        y_o(g) = b_o + \sum_i \sum_{h \in Z_N} w_{o,i}(h)\, x_i(g - h).

    Parameters
    ----------
    order : int
        N.
    n_inputs, n_outputs : int
        Channels.
    bias : bool
    seed : int
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    All such layers, N parameters a pair of channels. Cost: N^2 n_inputs n_outputs.

    References
    ----------
    Cohen, Welling, "Group equivariant convolutional networks", ICML 2016.
    """

    def __init__(self, order: int, n_inputs: int, n_outputs: int, *, bias: bool = True, seed: int = 0) -> None:
        super().__init__()
        self.order = integer("order", order, minimum=1)
        self.n_inputs = integer("n_inputs", n_inputs, minimum=1)
        integer("n_outputs", n_outputs, minimum=1)
        generator = torch.Generator().manual_seed(seed)
        self.weight = _weights(n_outputs, n_inputs, order, fan=n_inputs * order, generator=generator)
        self.bias = nn.Parameter(torch.zeros(n_outputs)) if bias else None
        steps = torch.arange(order)
        self._difference: torch.Tensor
        self.register_buffer("_difference", (steps[:, None] - steps) % order, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (..., n_outputs, N) of (..., n_inputs, N)."""
        real_field("x", x, (self.n_inputs, self.order))
        y = torch.einsum("oigk,...ik->...og", self.weight[..., self._difference], x)
        return y if self.bias is None else y + self.bias[:, None]


class RotationLifting(nn.Module):
    r"""Convolution with filters turned by quarter turns, :math:`y_o(r) = \sum_i x_i * R^r w_{o,i} + b_o`.

    If x is turned by a quarter turn, y is turned and its rotations r are shifted by one.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Channels.
    size : int
        Of the filters, odd; images keep their size, padded by zeros.
    bias : bool
    seed : int
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost: a convolution to 4 n_outputs channels. Source: Cohen and Welling 2016, first layer for p4.
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, size: int = 3, bias: bool = True, seed: int = 0) -> None:
        super().__init__()
        self.n_inputs = integer("n_inputs", n_inputs, minimum=1)
        integer("n_outputs", n_outputs, minimum=1)
        self.size = _odd(size)
        generator = torch.Generator().manual_seed(seed)
        self.weight = _weights(n_outputs, n_inputs, size, size, fan=n_inputs * size**2, generator=generator)
        self.bias = nn.Parameter(torch.zeros(n_outputs)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, n_outputs, 4, H, W) of (n, n_inputs, H, W)."""
        real_field("x", x)
        if x.ndim != 4 or x.shape[1] != self.n_inputs:
            fail("x", f"have the shape (n, {self.n_inputs}, H, W)", tuple(x.shape))
        turned = torch.stack([torch.rot90(self.weight, r, (-2, -1)) for r in range(_TURNS)], 1)
        bias = None if self.bias is None else self.bias.repeat_interleave(_TURNS)
        y = nn.functional.conv2d(x, turned.flatten(0, 1), bias, padding=self.size // 2)
        return y.unflatten(1, (-1, _TURNS))


class RotationConvolution(nn.Module):
    r"""Convolution over places and quarter turns.

    .. math::
        y_o(r) = b_o + \sum_i \sum_s x_i(s) * R^r w_{o,i}(s - r).

    If x is turned and its rotations shifted by one, so is y: it follows `RotationLifting`.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Channels, each of 4 rotations.
    size : int
        Of the filters, odd; images keep their size, padded by zeros.
    bias : bool
    seed : int
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost: a convolution of 4 n_inputs to 4 n_outputs channels. Source: Cohen and Welling 2016, layers for p4.
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, size: int = 3, bias: bool = True, seed: int = 0) -> None:
        super().__init__()
        self.n_inputs = integer("n_inputs", n_inputs, minimum=1)
        integer("n_outputs", n_outputs, minimum=1)
        self.size = _odd(size)
        generator = torch.Generator().manual_seed(seed)
        fan = n_inputs * _TURNS * size**2
        self.weight = _weights(n_outputs, n_inputs, _TURNS, size, size, fan=fan, generator=generator)
        self.bias = nn.Parameter(torch.zeros(n_outputs)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, n_outputs, 4, H, W) of (n, n_inputs, 4, H, W)."""
        real_field("x", x)
        if x.ndim != 5 or x.shape[1:3] != (self.n_inputs, _TURNS):
            fail("x", f"have the shape (n, {self.n_inputs}, {_TURNS}, H, W)", tuple(x.shape))
        # Entry s of the rolled filters is w(s - r).
        turned = torch.stack([torch.rot90(self.weight.roll(r, 2), r, (-2, -1)) for r in range(_TURNS)], 1)
        bias = None if self.bias is None else self.bias.repeat_interleave(_TURNS)
        filters = turned.flatten(0, 1).flatten(1, 2)
        y = nn.functional.conv2d(x.flatten(1, 2), filters, bias, padding=self.size // 2)
        return y.unflatten(1, (-1, _TURNS))


def quarter_turn(x: torch.Tensor, turns: int = 1) -> torch.Tensor:
    """The action of quarter turns on functions of place and rotation (..., 4, H, W): turned, rotations shifted.

    Cost: one copy.

    Raises
    ------
    TypeError, ValueError
        If it is not such a tensor.
    """
    real_field("x", x)
    if x.ndim < 3 or x.shape[-3] != _TURNS:
        fail("x", f"have the shape (..., {_TURNS}, H, W)", tuple(x.shape))
    return torch.rot90(x, turns, (-2, -1)).roll(turns, -3)


def _weights(*shape: int, fan: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter((2 * torch.rand(*shape, generator=generator) - 1) * math.sqrt(3 / fan))


def _odd(size: int) -> int:
    integer("size", size, minimum=1)
    if size % 2 == 0:
        fail("size", "be odd", size)
    return size
