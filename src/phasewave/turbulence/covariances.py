r"""Covariances of two periodic fields from their spectra, at many shifts, without an inverse FFT each.

With ``A``, ``B`` the FFTs of fields sampled at ``n_A`` and ``n_B`` points, cut to the frequencies ``q`` of both,

.. math:: \langle a(u + \tau)\, \overline{b(u)} \rangle = \frac{1}{n_A n_B} \sum_q A_q \overline{B_q}\,
    e^{2\pi i (q_0 \tau_0 / N_0 + q_1 \tau_1 / N_1)}

is exact when one of the two is band-limited to those frequencies. The phases are separable: one matrix
product an axis serves all shifts of all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from phasewave.core.grids import signed_frequencies

Shape = tuple[int, int]


def crop(spectrum: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Keep the frequencies that a smaller grid carries, in FFT order on both.

    Parameters
    ----------
    spectrum : torch.Tensor
        Shape ``(..., n_0, n_1)``.
    shape : pair of int
        ``(m_0, m_1)``, at most ``(n_0, n_1)``.

    Returns
    -------
    torch.Tensor
        Shape ``(..., m_0, m_1)``, the values unchanged.
    """
    if tuple(spectrum.shape[-2:]) == shape:
        return spectrum
    cut: torch.Tensor = _Crop.apply(spectrum, shape)
    return cut


def _halves(n: int, m: int) -> list[tuple[slice, slice]]:
    """Where the non-negative and the negative frequencies of ``m`` lie on ``n`` and on ``m`` points."""
    positive, negative = (m + 1) // 2, m // 2
    return [(slice(0, positive), slice(0, positive)), (slice(n - negative, n), slice(positive, m))]


class _Crop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spectrum: torch.Tensor, shape: Shape) -> torch.Tensor:
        ctx.shape = tuple(spectrum.shape[-2:])
        out = spectrum.new_empty((*spectrum.shape[:-2], *shape))
        for source_0, target_0 in _halves(ctx.shape[0], shape[0]):
            for source_1, target_1 in _halves(ctx.shape[1], shape[1]):
                out[..., target_0, target_1] = spectrum[..., source_0, source_1]
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Embed.apply(gradient, ctx.shape), None


class _Embed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spectrum: torch.Tensor, shape: Shape) -> torch.Tensor:
        ctx.shape = tuple(spectrum.shape[-2:])
        out = spectrum.new_zeros((*spectrum.shape[:-2], *shape))
        for target_0, source_0 in _halves(shape[0], ctx.shape[0]):
            for target_1, source_1 in _halves(shape[1], ctx.shape[1]):
                out[..., target_0, target_1] = spectrum[..., source_0, source_1]
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Crop.apply(gradient, ctx.shape), None


class ShiftedSums(nn.Module):
    r"""Sums of cross-spectra against the phases of a set of shifts, for pairs of channels of two stacks.

    Parameters
    ----------
    pairs : sequence of (int, int)
        The channel of the first and of the second stack, one a covariance.
    shifts : sequence of sequence of (int, int)
        The shifts of each covariance, in pixels of the field, axis 0 first.
    grid, field : pair of int
        Sizes of the spectra, and of the field, whose pixels are the unit of the shifts.
    n_channels : int
        Channels of each stack.
    dtype : torch.dtype
        Real dtype.
    """

    phases_0: torch.Tensor
    phases_1: torch.Tensor
    picks: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]],
        shifts: Sequence[Sequence[tuple[int, int]]],
        grid: Shape,
        field: Shape,
        *,
        n_channels: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        steps = [sorted({shift[axis] for row in shifts for shift in row}) for axis in range(2)]
        for axis in range(2):
            angle = 2 * math.pi / field[axis] * signed_frequencies(grid[axis]).to(torch.float64)
            phase = angle[:, None] * torch.tensor(steps[axis], dtype=torch.float64)
            table = torch.polar(torch.ones_like(phase), phase).to(dtype.to_complex())
            self.register_buffer(f"phases_{axis}", table, persistent=False)
        picks = [
            (number * len(steps[1]) + steps[1].index(shift[1])) * len(steps[0]) + steps[0].index(shift[0])
            for number, row in enumerate(shifts)
            for shift in row
        ]
        self.register_buffer("picks", torch.tensor(picks), persistent=False)
        self.n_pairs = len(pairs)
        self.diagonal = all(i == k for i, k in pairs)
        whole = list(pairs) == [(i, i) for i in range(n_channels)]
        for name, side in (("first", 0), ("second", 1)):
            index = None if whole else torch.tensor([pair[side] for pair in pairs])
            self.register_buffer(name, index, persistent=False)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Sums over frequency of ``a conj(b)`` times the phases.

        Parameters
        ----------
        a, b : torch.Tensor
            Complex spectra, shape ``(n, n_channels, m_0, m_1)``.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, n_shifts_in_all)``, the shifts of the first covariance first.
        """
        if self.first is not None:
            a, b = a.index_select(1, self.first), b.index_select(1, self.second)
        return self.summed(a * b.conj())

    def energy(self, a: torch.Tensor) -> torch.Tensor:
        """The same as ``forward(a, a)``, with real products."""
        if self.first is not None:
            a = a.index_select(1, self.first)
        table = torch.view_as_real(self.phases_1).flatten(-2)
        rows = torch.view_as_complex((square(a) @ table).unflatten(-1, (-1, 2)))
        return self._contracted(rows)

    def summed(self, product: torch.Tensor) -> torch.Tensor:
        """Sums of given products, one channel a pair: shape ``(n, n_pairs, m_0, m_1)``."""
        return self._contracted(product @ self.phases_1)

    def spread(self, gradient: torch.Tensor) -> torch.Tensor:
        """Conjugate of the gradient of `summed` with respect to its products, outside autograd."""
        steps_0, steps_1 = self.phases_0.shape[1], self.phases_1.shape[1]
        values = gradient.new_zeros((len(gradient), self.n_pairs * steps_1 * steps_0))
        values = values.index_add_(1, self.picks, gradient.conj()).unflatten(1, (-1, steps_1, steps_0))
        return (self.phases_0 @ values.mT) @ self.phases_1.T

    def _contracted(self, rows: torch.Tensor) -> torch.Tensor:
        """Sum over the axis 0 of ``(n, pairs, m_0, steps_1)`` and pick the shifts."""
        sums = rows.mT @ self.phases_0
        return sums.flatten(1).index_select(1, self.picks)


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


class PairSums(nn.Module):
    """Sums over frequency of ``a conj(b)`` for chosen pairs of the channels of two stacks: one matrix product.

    Parameters
    ----------
    pairs : sequence of (int, int)
        The channel of the first and of the second stack.
    n_channels : int
        Channels of the second stack.
    """

    picks: torch.Tensor

    def __init__(self, pairs: Sequence[tuple[int, int]], *, n_channels: int) -> None:
        super().__init__()
        picks = torch.tensor([i * n_channels + k for i, k in pairs])
        self.register_buffer("picks", picks, persistent=False)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Sums of complex spectra of shape ``(n, n_channels, m_0, m_1)``; returns ``(n, n_pairs)``."""
        gram = a.flatten(2) @ b.flatten(2).mH
        return gram.flatten(1).index_select(1, self.picks)


class Covariances(nn.Module):
    """The covariances of two stacks of channels: zero shifts by one matrix product, shifts by their phases.

    Parameters
    ----------
    rows : sequence of (int, int, (int, int))
        Channel of the first stack, channel of the second, shift: one a moment.
    grid, field : pair of int
        Sizes of the coarser of the two spectra, and of the field.
    n_channels : int
        Channels of each stack.
    dtype : torch.dtype
        Real dtype.

    Attributes
    ----------
    order : list of int
        Which row each output is.
    """

    def __init__(
        self,
        rows: Sequence[tuple[int, int, tuple[int, int]]],
        grid: Shape,
        field: Shape,
        *,
        n_channels: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.grid = grid
        by_pair: dict[tuple[int, int], list[int]] = {}
        for number, (i, k, _) in enumerate(rows):
            by_pair.setdefault((i, k), []).append(number)
        moved = {pair for i, k, shift in rows if shift != (0, 0) for pair in [(i, k)]}
        # A few unshifted pairs are cheaper one by one than as a product of all with all.
        alone = [pair for pair in by_pair if pair not in moved]
        if len(alone) <= n_channels:
            alone = []
        together = [pair for pair in by_pair if pair not in alone]
        self.order = [number for pair in (*together, *alone) for number in by_pair[pair]]
        self.shifted = self.paired = None
        if together:
            shifts = [[rows[number][2] for number in by_pair[pair]] for pair in together]
            self.shifted = ShiftedSums(together, shifts, grid, field, n_channels=n_channels, dtype=dtype)
        if alone:
            self.paired = PairSums(alone, n_channels=n_channels)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Sums over frequency; divide by the number of points of both to have covariances.

        Parameters
        ----------
        a, b : torch.Tensor
            Spectra on their own grids, shape ``(n, n_channels, ...)``; the same tensor for one field.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, len(rows))``, in the order `order`.
        """
        same = a is b
        a = crop(a, self.grid)
        b = a if same else crop(b, self.grid)
        sums = []
        if self.shifted is not None:
            sums.append(self.shifted.energy(a) if same and self.shifted.diagonal else self.shifted(a, b))
        if self.paired is not None:
            sums.append(self.paired(a, b))
        return torch.cat(sums, dim=-1)
