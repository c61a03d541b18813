"""Shifted sums of products of the spectra of two layers, for any pairs of their channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from phasewave.turbulence.covariances import Shape, ShiftedSums

Pair = tuple[int, int, tuple[int, int]]
"""Channel of the first layer, of the second, and shift in pixels."""


class PairSums(nn.Module):
    r"""Sums :math:`\sum_q A_q \overline{B_q} e^{i q \cdot \tau}` over the frequencies that two grids share.

    Parameters
    ----------
    pairs : sequence of Pair
        One a sum.
    grids : pair of pair of int
        Sizes of the grids of the two layers.
    field : pair of int
        Sizes of the field, whose pixels are the unit of the shifts.
    n_channels : int
        Channels of each layer.
    dtype : torch.dtype
        Real dtype.

    Attributes
    ----------
    order : list of int
        Which pair each output is.
    """

    picks: torch.Tensor
    firsts: torch.Tensor
    seconds: torch.Tensor

    def __init__(
        self,
        pairs: Sequence[Pair],
        grids: tuple[Shape, Shape],
        field: Shape,
        *,
        n_channels: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.grid: Shape = (min(grids[0][0], grids[1][0]), min(grids[0][1], grids[1][1]))
        moved = {pair[:2] for pair in pairs if pair[2] != (0, 0)}
        together = [n for n, pair in enumerate(pairs) if pair[:2] not in moved]
        members: dict[tuple[int, int], list[int]] = {channels: [] for channels in sorted(moved)}
        for n, (first, second, _) in enumerate(pairs):
            if (first, second) in members:
                members[first, second].append(n)
        self.order = [*together, *(n for numbers in members.values() for n in numbers)]
        self.shifted = None
        if members:
            shifts = [[pairs[n][2] for n in numbers] for numbers in members.values()]
            self.shifted = ShiftedSums(shifts, self.grid, field, dtype=dtype)
        picks = [pairs[n][0] * n_channels + pairs[n][1] for n in together]
        for name, index in (
            ("picks", picks),
            ("firsts", [first for first, _ in members]),
            ("seconds", [second for _, second in members]),
        ):
            self.register_buffer(name, torch.tensor(index, dtype=torch.int64), persistent=False)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The sums in the order `order`.

        Parameters
        ----------
        a, b : torch.Tensor
            Spectra of the two layers, shape ``(n, n_channels, *grid)`` each.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, n_pairs)``.
        """
        a, b = cropped(a, self.grid), cropped(b, self.grid)
        values = []
        if len(self.picks):
            gram = a.flatten(2) @ b.flatten(2).mH
            values.append(gram.flatten(1).index_select(1, self.picks))
        if self.shifted is not None:
            values.append(_ProductSums.apply(a, b, self.shifted, self.firsts, self.seconds))
        return torch.cat(values, dim=-1)


def cropped(spectrum: torch.Tensor, grid: Shape) -> torch.Tensor:
    """Keep the frequencies of a smaller grid, the values unchanged.

    Parameters
    ----------
    spectrum : torch.Tensor
        In FFT order, shape ``(..., n_0, n_1)``.
    grid : pair of int
        Sizes ``m <= n``.

    Returns
    -------
    torch.Tensor
        Shape ``(..., m_0, m_1)``; the index ``-m/2`` of an even ``m`` is kept, ``m/2`` is not.
    """
    for axis, m in zip((-2, -1), grid, strict=True):
        n = spectrum.shape[axis]
        if m < n:
            positive = (m + 1) // 2
            parts = (spectrum.narrow(axis, 0, positive), spectrum.narrow(axis, n - m + positive, m - positive))
            spectrum = torch.cat(parts, dim=axis)
    return spectrum


class _ProductSums(torch.autograd.Function):
    """Shifted sums of the products of pairs of channels; the backward pass makes the products again."""

    @staticmethod
    def forward(
        ctx: Any,
        a: torch.Tensor,
        b: torch.Tensor,
        shifts: ShiftedSums,
        firsts: torch.Tensor,
        seconds: torch.Tensor,
    ) -> torch.Tensor:
        ctx.shifts = shifts
        ctx.save_for_backward(a, b, firsts, seconds)
        return shifts(a.index_select(1, firsts).mul_(b.conj_physical().index_select(1, seconds)))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        a, b, firsts, seconds = ctx.saved_tensors
        spread = ctx.shifts.spread(gradient)
        of_a = torch.zeros_like(a).index_add(1, firsts, spread.conj() * b.index_select(1, seconds))
        of_b = torch.zeros_like(b).index_add(1, seconds, spread * a.index_select(1, firsts))
        return of_a, of_b, None, None, None
