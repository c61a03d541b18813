"""What a field is outside its borders: periodic, mirrored or zero."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

Border = Literal["periodic", "reflect", "zero"]


def mirrored_index(n: int, before: int, after: int) -> torch.Tensor:
    """Indices that extend an axis of ``n`` samples by reflection about its end samples, as often as needed.

    Parameters
    ----------
    n : int
        Number of samples.
    before, after : int
        Samples to add at each end; they may exceed ``n``.

    Returns
    -------
    torch.Tensor
        Shape ``(before + n + after,)``, int64.
    """
    period = max(1, 2 * (n - 1))
    position = torch.remainder(torch.arange(-before, n + after), period)
    return torch.minimum(position, period - position) if n > 1 else torch.zeros_like(position)


class Extension(nn.Module):
    """Centres planar fields on a larger grid and fills the margin as the border says.

    Parameters
    ----------
    shape, extended : tuple of int
        Height and width before and after; equal for a periodic border.
    border : {"periodic", "reflect", "zero"}
        What a field is outside its borders.
    """

    rows: torch.Tensor
    columns: torch.Tensor

    def __init__(self, shape: tuple[int, int], extended: tuple[int, int], *, border: Border) -> None:
        super().__init__()
        self.border = border
        before = [(m - n) // 2 for n, m in zip(shape, extended, strict=True)]
        after = [m - n - b for n, m, b in zip(shape, extended, before, strict=True)]
        self.margins = (before[1], after[1], before[0], after[0])
        for name, n, first, last in zip(("rows", "columns"), shape, before, after, strict=True):
            self.register_buffer(name, mirrored_index(n, first, last), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Extend real fields ``(batch, H, W)``."""
        if self.border == "periodic":
            return x
        if self.border == "zero":
            return nn.functional.pad(x, self.margins)
        return x[:, self.rows][:, :, self.columns]
