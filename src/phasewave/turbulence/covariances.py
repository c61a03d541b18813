r"""Covariances of two periodic fields from their spectra, at many shifts, without an inverse FFT each.

With ``A``, ``B`` the FFTs of fields sampled at ``n_A`` and ``n_B`` points, cut to the frequencies ``q`` of both,

.. math:: \langle a(u + \tau)\, \overline{b(u)} \rangle = \frac{1}{n_A n_B} \sum_q A_q \overline{B_q}\,
    e^{2\pi i (q_0 \tau_0 / N_0 + q_1 \tau_1 / N_1)}

is exact when one of the two is band-limited to those frequencies. The phases are separable: one matrix
product an axis serves all shifts of all pairs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from phasewave.core.grids import signed_frequencies

Shape = tuple[int, int]


def square(z: torch.Tensor) -> torch.Tensor:
    """``|z|^2`` of complex ``z``: the real products alone."""
    value: torch.Tensor = _Square.apply(z)
    return value


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(z)
        parts = torch.view_as_real(z)
        squares = parts * parts
        return squares[..., 0] + squares[..., 1]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (z,) = ctx.saved_tensors
        return z * (2 * gradient).to(z.dtype)


def cropped_and_joined(finer: torch.Tensor | None, own: torch.Tensor) -> torch.Tensor:
    """Cut spectra to the frequencies of a smaller grid and put the spectra that live there behind them.

    Parameters
    ----------
    finer : torch.Tensor, optional
        Spectra on a grid at least as fine, in FFT order, shape ``(n, layers, n_channels, n_0, n_1)``.
    own : torch.Tensor
        Shape ``(n, n_channels, m_0, m_1)``.

    Returns
    -------
    torch.Tensor
        Shape ``(n, layers + 1, n_channels, m_0, m_1)``, the values unchanged.
    """
    if finer is None:
        return own[:, None]
    joined: torch.Tensor = _CropAndJoin.apply(finer, own)
    return joined


def _quarters(fine: torch.Size, coarse: torch.Size) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Where the frequencies of each pair of signs lie on the fine and on the coarse grid."""
    axes = []
    for n, m in zip(fine[-2:], coarse[-2:], strict=True):
        positive, negative = (m + 1) // 2, m // 2
        low, high = slice(0, positive), slice(positive, m)
        axes.append([(low, low), (slice(n - negative, n), high)])
    return [((..., a, c), (..., b, d)) for (a, b), (c, d) in itertools.product(*axes)]


class _CropAndJoin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, finer: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        ctx.fine = finer.shape
        n_layers = finer.shape[1]
        joined = own.new_empty((len(own), n_layers + 1, *own.shape[1:]))
        joined[:, n_layers] = own
        for source, target in _quarters(finer.shape, own.shape):
            joined[:, :n_layers][target] = finer[source]
        return joined

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return _Separate.apply(gradient, ctx.fine)


class _Separate(torch.autograd.Function):
    """The adjoint of `_CropAndJoin`."""

    @staticmethod
    def forward(ctx: Any, joined: torch.Tensor, fine: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
        n_layers = fine[1]
        kept = joined[:, :n_layers]
        if kept.shape == fine:
            return kept.contiguous(), joined[:, n_layers].contiguous()
        finer = joined.new_zeros(fine)
        for target, source in _quarters(fine, joined.shape):
            finer[target] = kept[source]
        return finer, joined[:, n_layers].contiguous()

    @staticmethod
    def backward(ctx: Any, finer: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _CropAndJoin.apply(finer, own), None


class ShiftedSums(nn.Module):
    r"""Sums over frequency of products of spectra against the phases of sets of shifts, one set a channel.

    Parameters
    ----------
    shifts : sequence of sequence of (int, int)
        The shifts of each channel, in pixels of the field, axis 0 first.
    grid, field : pair of int
        Sizes of the spectra, and of the field, whose pixels are the unit of the shifts.
    dtype : torch.dtype
        Real dtype.
    """

    parts_0: torch.Tensor
    parts_1: torch.Tensor
    picks: torch.Tensor

    def __init__(
        self, shifts: Sequence[Sequence[tuple[int, int]]], grid: Shape, field: Shape, *, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.n_channels = len(shifts)
        steps = [sorted({shift[axis] for row in shifts for shift in row}) for axis in range(2)]
        for axis in range(2):
            angle = 2 * math.pi / field[axis] * signed_frequencies(grid[axis]).to(torch.float64)
            phase = angle[:, None] * torch.tensor(steps[axis], dtype=torch.float64)
            # Kept as pairs of reals, which `Module.to(dtype)` converts.
            parts = torch.stack((phase.cos(), phase.sin()), dim=-1).to(dtype)
            self.register_buffer(f"parts_{axis}", parts, persistent=False)
        picks = [
            (number * len(steps[1]) + steps[1].index(shift[1])) * len(steps[0]) + steps[0].index(shift[0])
            for number, row in enumerate(shifts)
            for shift in row
        ]
        self.register_buffer("picks", torch.tensor(picks), persistent=False)

    @property
    def phases(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Phases of the shifts on each axis, complex, shape ``(m, steps)``."""
        return torch.view_as_complex(self.parts_0), torch.view_as_complex(self.parts_1)

    def forward(self, product: torch.Tensor) -> torch.Tensor:
        """Sums of complex products of shape ``(n, n_channels, m_0, m_1)``; returns ``(n, shifts in all)``."""
        return self._contracted(product @ self.phases[1])

    def of_energy(self, power: torch.Tensor) -> torch.Tensor:
        """The same of real products."""
        rows = (power @ self.parts_1.flatten(-2)).unflatten(-1, (-1, 2))
        return self._contracted(torch.view_as_complex(rows))

    def spread(self, gradient: torch.Tensor) -> torch.Tensor:
        """Conjugate of the gradient of `forward` with respect to its products, outside autograd."""
        phases_0, phases_1 = self.phases
        steps_0, steps_1 = phases_0.shape[1], phases_1.shape[1]
        values = gradient.new_zeros((len(gradient), self.n_channels * steps_1 * steps_0))
        values = values.index_add_(1, self.picks, gradient.conj()).unflatten(1, (-1, steps_1, steps_0))
        return (phases_0 @ values.mT) @ phases_1.T

    def _contracted(self, rows: torch.Tensor) -> torch.Tensor:
        """Sum over the axis 0 of ``(n, n_channels, m_0, steps_1)`` and pick the shifts."""
        sums = rows.mT @ self.phases[0]
        return sums.flatten(1).index_select(1, self.picks)


class _CrossSums(torch.autograd.Function):
    """Shifted sums of the products of some layers with a field, and the Gram matrix of all layers with it."""

    @staticmethod
    def forward(
        ctx: Any, a: torch.Tensor, b: torch.Tensor, shifts: ShiftedSums | None, layers: slice
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.shifts, ctx.layers = shifts, layers
        ctx.save_for_backward(a, b)
        conjugate = b.conj_physical()
        gram = a.flatten(3).flatten(1, 2) @ conjugate.flatten(2).mT
        if shifts is None:
            return gram.new_zeros((len(a), 0)), gram
        return shifts((a[:, layers] * conjugate[:, None]).flatten(1, 2)), gram

    @staticmethod
    def backward(
        ctx: Any, of_sums: torch.Tensor, of_gram: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        a, b = ctx.saved_tensors
        of_a = (of_gram @ b.flatten(2)).view(a.shape)
        of_b = (of_gram.mH @ a.flatten(3).flatten(1, 2)).view(b.shape)
        if ctx.shifts is not None:
            some = a[:, ctx.layers]
            spread = ctx.shifts.spread(of_sums).unflatten(1, some.shape[1:3])
            of_b = of_b + (spread * some).sum(1)
            of_a[:, ctx.layers].add_(spread.conj() * b[:, None])
        return of_a, of_b, None, None


class Covariances(nn.Module):
    """The covariances of the channels of several layers with those of one: zero shifts by one matrix product.

    Parameters
    ----------
    rows : sequence of (int, int, int, (int, int))
        Layer and channel of the first field, channel of the second, shift: one a moment. A pair with shifts
        is of equal channels.
    grid, field : pair of int
        Sizes of the spectra, and of the field.
    n_layers, n_channels : int
        Layers of the first, channels of each.
    dtype : torch.dtype
        Real dtype.

    Attributes
    ----------
    order : list of int
        Which row each output is.
    """

    picks: torch.Tensor

    def __init__(
        self,
        rows: Sequence[tuple[int, int, int, tuple[int, int]]],
        grid: Shape,
        field: Shape,
        *,
        n_layers: int,
        n_channels: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        moved = {layer for layer, _, _, shift in rows if shift != (0, 0)}
        self.layers = slice(min(moved, default=0), max(moved, default=-1) + 1)
        sets: list[list[int]] = [[] for _ in range((self.layers.stop - self.layers.start) * n_channels)]
        together = []
        for number, (layer, a, b, _) in enumerate(rows):
            if a == b and layer in moved:
                sets[(layer - self.layers.start) * n_channels + a].append(number)
            else:
                together.append(number)
        self.order = [*itertools.chain.from_iterable(sets), *together]
        self.shifted = None
        if moved:
            shifts = [[rows[number][3] for number in numbers] for numbers in sets]
            self.shifted = ShiftedSums(shifts, grid, field, dtype=dtype)
        picks = [(rows[n][0] * n_channels + rows[n][1]) * n_channels + rows[n][2] for n in together]
        self.register_buffer("picks", torch.tensor(picks, dtype=torch.int64), persistent=False)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Sums over frequency; divide by the number of points of both to have covariances.

        Parameters
        ----------
        a : torch.Tensor
            Spectra, shape ``(n, n_layers, n_channels, m_0, m_1)``.
        b : torch.Tensor
            Spectra, shape ``(n, n_channels, m_0, m_1)``.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, len(rows))``, in the order `order`.
        """
        sums, gram = _CrossSums.apply(a, b, self.shifted, self.layers)
        return torch.cat([sums, gram.flatten(1).index_select(1, self.picks)], dim=-1)
