"""Windows of channels on partly observed fields: 1 where observed pixels are seen, 0 where a gap is felt."""

from __future__ import annotations

import math

import torch

from phasewave.core.fourier import Support
from phasewave.turbulence.covariances import Shape
from phasewave.turbulence.masks import seen
from phasewave.turbulence.pyramid import Pyramid


def layer_window(mask: torch.Tensor, pyramid: Pyramid, scale: int, grid: Shape) -> torch.Tensor:
    """Windows of the wavelets of a scale on a grid.

    Their edges are sharp: rounding them loses pixels, and no bias of a covariance at any shift was seen without.

    Parameters
    ----------
    mask : torch.Tensor
        Boolean, the shape of the fields, True where they are observed.
    pyramid : Pyramid
        The wavelets.
    scale : int
        Their scale.
    grid : pair of int
        Sizes of the grid.

    Returns
    -------
    torch.Tensor
        0 or 1, float64, shape ``(n_angles, *grid)``.
    """
    return seen(mask, pyramid.wavelets(scale), grid).to(torch.float64)


def low_pass_window(mask: torch.Tensor, low_pass: Support) -> torch.Tensor:
    """Where a low-pass sees observed pixels: 0 or 1, float64, the shape of the mask."""
    return seen(mask, (low_pass,), (mask.shape[0], mask.shape[1]))[0].to(torch.float64)


def check_overlap(share: float, shape: Shape, scale: int) -> None:
    """Raise unless windows overlap on at least ``4^(scale + 1)`` pixels, the area of a wavelet.

    Raises
    ------
    ValueError
        Naming the scale, if they do not.
    """
    pixels = share * math.prod(shape)
    if pixels < 4 ** (scale + 1):
        raise ValueError(
            f"`mask` must keep at least {4 ** (scale + 1)} pixels far from gaps at scale {scale}, "
            f"got {max(0, round(pixels))}; use fewer scales"
        )
