"""The standard deviations by which channels are divided."""

from __future__ import annotations

import torch

FLOOR = 1e-4
"""Share of the strongest channel's deviation under which a channel counts as empty."""


def floored(deviations: torch.Tensor, *, floor: float = FLOOR) -> torch.Tensor:
    """Raise deviations to ``floor`` times the largest; all 1 if all are zero.

    A field that is smoother than its grid leaves the finest channels with rounding noise alone. Divided by their
    own deviation, these would rule the loss; divided by the floor, they only have to stay small.

    Parameters
    ----------
    deviations : torch.Tensor
        Standard deviations >= 0 of channels in the same units, any shape.
    floor : float
        Share of the largest.

    Returns
    -------
    torch.Tensor
        The same shape, all positive.
    """
    largest = deviations.max()
    return torch.where(largest > 0, deviations.clamp(min=floor * largest), 1)
