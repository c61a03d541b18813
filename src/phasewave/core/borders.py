"""What a field is outside its borders: periodic, mirrored or zero."""

from __future__ import annotations

from typing import Literal

import torch

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
