"""Fields with any leading axes through a transform that takes a few of them at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch

from phasewave.checks import real_field
from phasewave.scattering.planar import Scattering2D


def scatter_in_parts(
    x: torch.Tensor, planar: Scattering2D, n_channels: int, scatter: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Apply a transform of fields ``(n, H, W)`` to fields with any leading axes, in bounded memory.

    Parameters
    ----------
    x : torch.Tensor
        Real, shape ``(..., H, W)``.
    planar : Scattering2D
        Whose fields, output grid and chunk these are.
    n_channels : int
        Of the result.
    scatter : callable
        From ``(n, H, W)`` to ``(n, n_channels, h, w)``.

    Raises
    ------
    TypeError
        If ``x`` is not a real tensor of the transform's dtype.
    ValueError
        If its last axes are not the transform's.
    """
    real_field("x", x, planar.shape, dtype=planar.low.rows.dtype)
    batch = x.shape[:-2]
    size = (n_channels, planar.low.rows.shape[0], planar.low.columns.shape[1])
    if 0 in batch:  # FFT libraries refuse an empty batch
        return x.new_zeros((*batch, *size))
    area = planar.n_filters * planar.padded[0] * planar.padded[1]
    parts = x.reshape(-1, *planar.shape).split(max(1, planar.chunk // area))
    return torch.cat([scatter(part) for part in parts]).reshape(*batch, *size)
