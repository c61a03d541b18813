"""Band-limited filtering in Fourier: multiply on the filter's support, fold onto the output grid.

Convention: ``X = fftn(x)`` without normalisation, frequencies ``2 pi k / n`` radians per pixel, axis 0 first.
A filter is known on a box of signed frequency indices; it may reach past the Nyquist index, where the
spectrum of the sampled field repeats.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn


@dataclass(frozen=True)
class Support:
    """A filter in Fourier on the box of frequency indices that holds it.

    Attributes
    ----------
    start : tuple of int
        First signed frequency index of the box on each axis.
    values : torch.Tensor
        The filter on the box, float64 or complex128; zero outside.
    """

    start: tuple[int, ...]
    values: torch.Tensor

    @property
    def extent(self) -> tuple[int, ...]:
        """Number of frequencies on each axis."""
        return tuple(self.values.shape)

    def clipped(self, shape: Sequence[int]) -> Support:
        """The part with ``-n/2 <= k < n/2`` on each axis: what a grid of ``shape`` can carry."""
        cuts, start = [], []
        for first, extent, n in zip(self.start, self.extent, shape, strict=True):
            low = max(first, -(n // 2))
            high = max(low, min(first + extent, (n + 1) // 2))
            cuts.append(slice(low - first, high - first))
            start.append(low)
        return Support(tuple(start), self.values[tuple(cuts)])

    def folded(self, shape: Sequence[int]) -> Support:
        """The filter on one period of each axis that its box outgrows, with the repeats summed."""
        values, start = self.values, list(self.start)
        for axis, n in enumerate(shape):
            if values.shape[axis] > n:
                start[axis] = -(n // 2)
                index = torch.remainder(torch.arange(values.shape[axis]) + self.start[axis] - start[axis], n)
                size = (*values.shape[:axis], n, *values.shape[axis + 1 :])
                values = torch.zeros(size, dtype=values.dtype).index_add_(axis, index, values)
        return Support(tuple(start), values)

    def index(self, shape: Sequence[int]) -> tuple[torch.Tensor, ...]:
        """Where the box lies on a grid of ``shape`` in FFT order: one broadcastable index an axis."""
        axes = [
            torch.remainder(torch.arange(first, first + extent), n)
            for first, extent, n in zip(self.start, self.extent, shape, strict=True)
        ]
        return tuple(torch.meshgrid(*axes, indexing="ij"))

    def on_grid(self, shape: Sequence[int]) -> torch.Tensor:
        """The filter on the whole grid of ``shape`` in FFT order, repeats summed."""
        folded = self.folded(shape)
        grid = torch.zeros(tuple(shape), dtype=self.values.dtype)
        return grid.index_put_(folded.index(shape), folded.values)


class _Piece(NamedTuple):
    """A rectangle of one filter that neither wraps on the input grid nor on the output grid."""

    filter: int
    shape: tuple[int, ...]
    source: int  # offset in the flattened input grid
    target: int  # offset in the flattened output grid
    weights: int  # offset in the flattened weights
    fills: bool  # covers the whole output grid


def _segments(start: int, extent: int, n: int, m: int) -> list[tuple[int, int]]:
    """Cut ``[start, start + extent)`` at the multiples of ``n`` and of ``m``; returns (first, length)."""
    cuts = {start, start + extent}
    for size in (n, m):
        cuts.update(range(-(-start // size) * size, start + extent, size))
    ordered = sorted(cuts)
    return [(a, b - a) for a, b in itertools.pairwise(ordered)]


def _unwrapped(support: Support, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Support:
    """Start a box that spans a whole axis of both grids at frequency 0, so that it is one segment."""
    start, values = list(support.start), support.values
    for axis, (n, m) in enumerate(zip(in_shape, out_shape, strict=True)):
        if n == m == values.shape[axis]:
            values = values.roll(start[axis], dims=axis)
            start[axis] = 0
    return Support(tuple(start), values)


def _row_strides(shape: tuple[int, ...], step: int) -> tuple[int, ...]:
    """Strides of a contiguous grid whose last axis counts ``step`` numbers a point; that axis has stride 1."""
    rows = (step * math.prod(shape[axis + 1 :]) for axis in range(len(shape) - 1))
    return (*rows, 1)


class Band(nn.Module):
    r"""Filters a spectrum by a set of band-limited filters, each onto a smaller grid.

    .. math:: Y_f[q] = \frac{M}{N} \sum_{k \equiv q \,(m)} W_f[k]\, X[k \bmod n]

    so that ``ifftn(Y_f)`` is ``x * w_f`` sampled at ``m`` equally spaced points an axis. Only the support of
    each filter is touched. Linear in ``X``, differentiable to any order; the filters are constants.

    Parameters
    ----------
    supports : sequence of Support
        The filters, all real or all complex in Fourier.
    in_shape, out_shape : tuple of int
        Grid sizes ``n`` of the spectrum and ``m`` of the output.
    dtype : torch.dtype
        Real dtype of the computation, float32 or float64.
    """

    weights: torch.Tensor

    def __init__(
        self,
        supports: Sequence[Support],
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.in_shape, self.out_shape, self.n_filters = tuple(in_shape), tuple(out_shape), len(supports)
        self.real = all(not support.values.is_complex() for support in supports)
        # Real weights act on the interleaved real view of a spectrum, whose last axis is twice as long.
        self._step = 2 if self.real else 1
        self._strides = tuple(_row_strides(shape, self._step) for shape in (self.in_shape, self.out_shape))
        scale = math.prod(self.out_shape) / math.prod(self.in_shape)
        self._pieces: list[list[_Piece]] = []
        flat: list[torch.Tensor] = []
        stored = 0
        for given in supports:
            support = _unwrapped(given, self.in_shape, self.out_shape)
            axes = [
                _segments(*args)
                for args in zip(support.start, support.extent, self.in_shape, self.out_shape, strict=True)
            ]
            pieces = []
            for segments in itertools.product(*axes):
                values = scale * self._cut(support, segments).to(dtype if self.real else dtype.to_complex())
                values = values.repeat_interleave(self._step, dim=-1)
                pieces.append(self._place(segments, stored, values))
                flat.append(values.reshape(-1))
                stored += values.numel()
            self._pieces.append(pieces)
        weights = torch.cat(flat)
        # Complex weights are kept as pairs of reals, which `Module.to(dtype)` converts without loss.
        self.register_buffer(
            "weights", weights if self.real else torch.view_as_real(weights).flatten(), persistent=False
        )

    def _cut(self, support: Support, segments: tuple[tuple[int, int], ...]) -> torch.Tensor:
        box = tuple(
            slice(first - start, first - start + length)
            for (first, length), start in zip(segments, support.start, strict=True)
        )
        return support.values[box]

    def _place(self, segments: tuple[tuple[int, int], ...], offset: int, values: torch.Tensor) -> _Piece:
        source, target = (
            sum(stride * (first % n) for (first, _), n, stride in zip(segments, shape, strides, strict=True))
            for shape, strides in zip((self.in_shape, self.out_shape), self._corner_strides(), strict=True)
        )
        fills = all(
            length == m == n for (_, length), m, n in zip(segments, self.out_shape, self.in_shape, strict=True)
        )
        return _Piece(len(self._pieces), tuple(values.shape), source, target, offset, fills)

    def _corner_strides(self) -> tuple[tuple[int, ...], ...]:
        return tuple((*strides[:-1], self._step) for strides in self._strides)

    def forward(self, spectrum: torch.Tensor, first: int = 0, last: int | None = None) -> torch.Tensor:
        """Apply the filters ``first`` to ``last - 1``.

        Parameters
        ----------
        spectrum : torch.Tensor
            Complex, shape ``(..., *in_shape)``.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(..., last - first, *out_shape)``.
        """
        last = self.n_filters if last is None else last
        product: torch.Tensor = _BandProduct.apply(spectrum, self, first, last)
        return product

    def adjoint(self, filtered: torch.Tensor) -> torch.Tensor:
        """Apply the adjoint of all filters: spread ``(..., n_filters, *out_shape)`` back and sum the filters."""
        spectrum: torch.Tensor = _BandAdjoint.apply(filtered, self, 0, self.n_filters)
        return spectrum

    def apply_(self, spectrum: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Compute the product of `forward` outside autograd; ``spectrum`` is contiguous."""
        batch = spectrum.shape[: -len(self.in_shape)]
        fills = all(len(pieces) == 1 and pieces[0].fills for pieces in self._pieces[first:last])
        make = spectrum.new_empty if fills else spectrum.new_zeros
        out = make((*batch, last - first, *self.out_shape))
        for source, target, weights in self._rectangles(spectrum, out, first, last):
            if fills:
                torch.mul(source, weights, out=target)
            else:
                target.addcmul_(source, weights)
        return out

    def accumulate_adjoint_(self, gradient: torch.Tensor, into: torch.Tensor, first: int, last: int) -> None:
        """Add the adjoint of `forward` at ``gradient`` to ``into`` outside autograd; both are contiguous."""
        for source, target, weights in self._rectangles(into, gradient, first, last):
            source.addcmul_(target, weights if self.real else weights.conj())

    def _rectangles(
        self, spectrum: torch.Tensor, filtered: torch.Tensor, first: int, last: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Views of each piece in the input, in the output and in the weights."""
        source, target = (
            torch.view_as_real(z).view(-1) if self.real else z.view(-1) for z in (spectrum, filtered)
        )
        in_size, out_size = (self._step * math.prod(shape) for shape in (self.in_shape, self.out_shape))
        batch = spectrum.numel() // math.prod(self.in_shape)
        in_strides = (in_size, *self._strides[0])
        out_strides = ((last - first) * out_size, *self._strides[1])
        in_start, out_start = source.storage_offset(), target.storage_offset()
        weights = self.weights if self.real else torch.view_as_complex(self.weights.view(-1, 2))
        for piece in itertools.chain.from_iterable(self._pieces[first:last]):
            shape = (batch, *piece.shape)
            offset = out_start + (piece.filter - first) * out_size + piece.target
            yield (
                source.as_strided(shape, in_strides, in_start + piece.source),
                target.as_strided(shape, out_strides, offset),
                weights.as_strided(piece.shape, _row_strides(piece.shape, 1), piece.weights),
            )


class _BandProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spectrum: torch.Tensor, band: Band, first: int, last: int) -> torch.Tensor:
        ctx.band, ctx.range = band, (first, last)
        return band.apply_(spectrum.resolve_conj().contiguous(), first, last)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return _BandAdjoint.apply(gradient, ctx.band, *ctx.range), None, None, None


class _BandAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, band: Band, first: int, last: int) -> torch.Tensor:
        ctx.band, ctx.range = band, (first, last)
        batch = gradient.shape[: -len(band.out_shape) - 1]
        spectrum = gradient.new_zeros((*batch, *band.in_shape))
        band.accumulate_adjoint_(gradient.resolve_conj().contiguous(), spectrum, first, last)
        return spectrum

    @staticmethod
    def backward(ctx: Any, spectrum: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return _BandProduct.apply(spectrum, ctx.band, *ctx.range), None, None, None
