"""The convolution layer of multiscale hierarchical networks: along space and along all earlier attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from phasewave.checks import fail, integer, real_field


class HierarchicalConvolution(nn.Module):
    r"""Circular convolution along space and attributes, whose filters make a new attribute.

    .. math::
        x_{j+1}(u, v_1, \dots, v_j, v_{j+1}) = \rho\big((x_j * \psi_{v_{j+1}})(u, v_1, \dots, v_j)\big)

    A circular shift of an attribute, or of the plane, shifts the output alike, and leaves its sum over that
    attribute as it is. A network of such layers ends with the sum over all attributes but the last.

    Parameters
    ----------
    attributes : sequence of int
        Numbers of values :math:`V_1, \dots, V_j` of the attributes of the input; empty for images.
    n_filters : int
        :math:`V_{j+1}`.
    widths : sequence of int, optional
        Width of the filters along each attribute, at most its number of values; 3, or that number, by default.
    size : int
        Height and width of the filters in space, odd.
    stride : int
        In space.
    nonlinearity : callable
        :math:`\rho`, pointwise.
    seed : int
        Of the weights, uniform with the variance that keeps that of the fields through a ReLU.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Parameters: ``n_filters`` times the product of the widths and ``size^2``. Cost: that of a convolution of
    :math:`V_1 \cdots V_j` by :math:`V_1 \cdots V_{j+1}` channels, as which it is computed.

    References
    ----------
    Jacobsen, Oyallon, Mallat, Smeulders, "Multiscale hierarchical convolutional networks", 2017.
    """

    _place: torch.Tensor
    _inside: torch.Tensor

    def __init__(
        self,
        attributes: Sequence[int],
        n_filters: int,
        *,
        widths: Sequence[int] | None = None,
        size: int = 3,
        stride: int = 1,
        nonlinearity: Callable[[torch.Tensor], torch.Tensor] = torch.relu,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.attributes = tuple(integer("attributes", v, minimum=1) for v in attributes)
        self.n_filters = integer("n_filters", n_filters, minimum=1)
        self.widths = tuple(min(3, v) for v in self.attributes) if widths is None else tuple(widths)
        if len(self.widths) != len(self.attributes):
            fail("widths", f"hold {len(self.attributes)} widths", self.widths)
        for width, v in zip(self.widths, self.attributes, strict=True):
            integer("widths", width, minimum=1, maximum=v)
        self.size, self.stride = integer("size", size, minimum=1), integer("stride", stride, minimum=1)
        if size % 2 == 0:
            fail("size", "be odd", size)
        self.nonlinearity = nonlinearity
        n_taps = math.prod(self.widths)
        draw = torch.rand(n_filters, n_taps, size, size, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter((2 * draw - 1) * math.sqrt(6 / (n_taps * size**2)))
        self.bias = nn.Parameter(torch.zeros(n_filters))
        place, inside = _taps(self.attributes, self.widths)
        self.register_buffer("_place", place, persistent=False)
        self.register_buffer("_inside", inside, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer.

        Parameters
        ----------
        x : torch.Tensor
            Real, shape ``(n, V_1, ..., V_j, H, W)``, sides at least ``size // 2``.

        Returns
        -------
        torch.Tensor
            Shape ``(n, V_1, ..., V_j, V_{j+1}, ceil(H / stride), ceil(W / stride))``.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not such a tensor.
        """
        real_field("x", x, dtype=self.weight.dtype)
        if x.ndim != len(self.attributes) + 3 or x.shape[1:-2] != self.attributes:
            fail("x", f"have the shape (n, {''.join(f'{v}, ' for v in self.attributes)}H, W)", tuple(x.shape))
        n_places, margin = math.prod(self.attributes), self.size // 2
        if min(x.shape[-2:]) < margin:
            fail("x", f"have sides of at least {margin}", tuple(x.shape))
        taps = self.weight[:, self._place] * self._inside[..., None, None].to(self.weight.dtype)
        filters = taps.transpose(0, 1).flatten(0, 1)  # (places * n_filters, places, size, size)
        padded = nn.functional.pad(x.reshape(-1, n_places, *x.shape[-2:]), (margin,) * 4, mode="circular")
        y = nn.functional.conv2d(padded, filters, self.bias.repeat(n_places), stride=self.stride)
        return self.nonlinearity(y.reshape(x.shape[0], *self.attributes, self.n_filters, *y.shape[-2:]))

    def extra_repr(self) -> str:
        """Return the parameters as text."""
        return f"{self.attributes}, {self.n_filters}, widths={self.widths}, size={self.size}, stride={self.stride}"


def _taps(attributes: tuple[int, ...], widths: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """For each place of the output and of the input: which tap joins them, and whether one does."""
    place = torch.zeros(1, 1, dtype=torch.int64)
    inside = torch.ones(1, 1, dtype=torch.bool)
    for n, width in zip(attributes, widths, strict=True):
        values = torch.arange(n)
        tap = (values[:, None] - values + width // 2) % n  # as the middle tap stays in place
        reached = tap < width
        place = place[:, None, :, None] * width + torch.where(reached, tap, 0)[None, :, None, :]
        inside = inside[:, None, :, None] & reached[None, :, None, :]
        rows = place.shape[0] * n
        place, inside = place.reshape(rows, rows), inside.reshape(rows, rows)
    return place, inside
