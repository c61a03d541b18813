"""Fields with pixels that are not observed: the check of a mask, and where a wavelet sees observed pixels only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage

from phasewave.checks import fail
from phasewave.core.fourier import Support
from phasewave.core.grids import angular_frequencies, signed_frequencies

LEAK = 1e-2
"""Share of its energy that a wavelet may have in gaps."""
BRIDGED = 0.7
"""Pixels within ``BRIDGED / omega`` of an observed one are no gap for a wavelet of central frequency ``omega``."""


def observed_mask(mask: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return ``mask`` if it can say which pixels of fields of this shape are observed.

    Raises
    ------
    TypeError
        If it is not a boolean tensor.
    ValueError
        If its shape is another, or it is False everywhere.
    """
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
        kind = mask.dtype if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise TypeError(f"`mask` must be a boolean tensor, got {kind}")
    if tuple(mask.shape) != tuple(shape):
        fail("mask", f"have the shape of the fields {tuple(shape)}", tuple(mask.shape))
    if not bool(mask.any()):
        fail("mask", "be True at the observed pixels", "a mask that is False everywhere")
    return mask


def gap_depth(mask: torch.Tensor) -> torch.Tensor:
    """Distance in pixels, on the periodic grid, of each from the nearest observed one: ``(H, W)``, float64."""
    gaps = ~mask.cpu().numpy()
    margins = [(n + 1) // 2 for n in gaps.shape]
    tiled = np.pad(gaps, [(m, m) for m in margins], mode="wrap")
    depth = ndimage.distance_transform_edt(tiled)
    inner = tuple(slice(m, m + n) for m, n in zip(margins, gaps.shape, strict=True))
    return torch.from_numpy(depth[inner].copy())


def seen(
    mask: torch.Tensor, filters: Sequence[Support], grid: Sequence[int], *, leak: float = LEAK
) -> torch.Tensor:
    r"""Where wavelets see observed pixels: their share of energy in gaps is at most ``leak``.

    .. math:: \sum_v |\psi(u - v)|^2\, 1_{gap}(v) \le \epsilon \sum_v |\psi(v)|^2

    Within a fraction of a wavelength of observed pixels a smooth filling is as good as an observation (of a field
    whose spectrum falls), so a gap is what lies deeper than ``0.7 / omega``, with ``omega`` the mean frequency of
    the filter.

    Parameters
    ----------
    mask : torch.Tensor
        Boolean, shape ``(H, W)``, True where fields are observed.
    filters : sequence of Support
        The wavelets, on a grid of the mask's shape.
    grid : pair of int
        Points on which the answer is wanted, equally spaced over the field.
    leak : float
        :math:`\epsilon`.

    Returns
    -------
    torch.Tensor
        Boolean, shape ``(n_filters, *grid)``, on the mask's device.

    Notes
    -----
    Float64 on the CPU, three FFTs a filter. The share is band-limited, so that its values at the points of a
    coarse grid are those of its folded spectrum, exactly.
    """
    shape = tuple(mask.shape)
    omega = torch.hypot(*angular_frequencies(shape)).to(torch.float64)
    depth = gap_depth(mask)
    kept = torch.empty((len(filters), *grid), dtype=torch.bool)
    for number, support in enumerate(filters):
        response = support.on_grid(shape)
        power = response.abs().square()
        radius = BRIDGED * float(power.sum() / (power * omega).sum())
        gaps = torch.fft.fft2((depth > radius).to(torch.float64))
        energy = torch.fft.ifft2(response).abs().square()
        share = gaps * torch.fft.fft2(energy / energy.sum())
        for axis, (n, m) in enumerate(zip(shape, grid, strict=True)):
            folded = torch.zeros(
                [m if a == axis else size for a, size in enumerate(share.shape)], dtype=share.dtype
            )
            share = folded.index_add_(axis, torch.remainder(signed_frequencies(n), m), share)
        kept[number] = torch.fft.ifft2(share).real * (math.prod(grid) / math.prod(shape)) <= leak
    return kept.to(mask.device)
