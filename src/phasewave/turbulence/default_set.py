"""The set of moments that the main job matches by default."""

from __future__ import annotations

import math

import torch

from phasewave.turbulence.band_powers import BandPowers
from phasewave.turbulence.circular_moments import CircularMoments
from phasewave.turbulence.circular_table import channels_of_scale
from phasewave.turbulence.joint import JointMoments
from phasewave.turbulence.marginals import Marginals
from phasewave.turbulence.moment_sizes import MomentSize
from phasewave.turbulence.moment_table import PYWPH_CLASSES, MomentClass, MomentSet
from phasewave.turbulence.moment_weights import scale_weights
from phasewave.turbulence.moments import PhaseHarmonicMoments
from phasewave.turbulence.whitening import Whitened

CLASSES: tuple[MomentClass, ...] = (*PYWPH_CLASSES, "C00")
"""Of the oriented wavelets."""
FINE_SCALES = 2
"""Octaves of the circular moments of the whitened field."""
N_BANDS = 12
LARGE = 512**2
"""Pixels above which values are computed again in the backward pass, to bound the memory."""


def default_set(shape: tuple[int, int], size: MomentSize, dtype: torch.dtype) -> JointMoments:
    """Return the default set for one field.

    Circular moments and oriented phase harmonics of the field, weighted by scale; circular moments of the two
    finest octaves and quantiles of the whitened field; quantiles of the field at all scales; its power in bands.
    What each part brings is measured in ``benchmarks/turbulence.md``.

    Parameters
    ----------
    shape : pair of int
    size : MomentSize
    dtype : torch.dtype

    Raises
    ------
    TypeError, ValueError
        As the modules.
    """
    chunk = 1 if math.prod(shape) > LARGE else None
    circular, fine = (
        CircularMoments(
            shape,
            n_scales=n_scales,
            max_momentum=size.max_momentum,
            smoothings=size.smoothings,
            chunk=chunk,
            dtype=dtype,
        )
        for n_scales in (size.n_scales, min(FINE_SCALES, size.n_scales))
    )
    oriented = PhaseHarmonicMoments(
        shape, n_scales=size.n_scales, n_angles=size.n_angles, classes=CLASSES, chunk=chunk, dtype=dtype
    )
    plain, bands = (
        Marginals(shape, n_scales=size.n_scales, widths=widths, n_bins=size.n_bins, chunk=chunk, dtype=dtype)
        for widths in ((1.0, 2.0, 4.0, 8.0), ())
    )
    white = Whitened(JointMoments([fine, bands], weights=(scale_weights(fine.table), 2.0), chunk=chunk))
    return JointMoments(
        [circular, oriented, white, plain, BandPowers(shape, n_bands=N_BANDS, dtype=dtype)],
        weights=(scale_weights(circular.table), scale_weights(oriented.table), 1.0, 4.0, 10.0),
        chunk=chunk,
    )


def default_count(shape: tuple[int, int], size: MomentSize) -> int:
    """Return the number of real moments of the default set, or a little more."""
    oriented = MomentSet(n_scales=size.n_scales, n_angles=size.n_angles, classes=CLASSES).table()
    bins = min(size.n_bins, math.prod(shape) // 16)
    fine = _circular_count(min(FINE_SCALES, size.n_scales), size)
    return (
        _circular_count(size.n_scales, size) + 2 * len(oriented) + fine + bins * (4 * size.n_scales + 6) + N_BANDS
    )


def _circular_count(n_scales: int, size: MomentSize) -> int:
    channels = len(channels_of_scale(0, size.max_momentum)) * (2 * n_scales - 1)
    return channels + channels * (channels + 1) // 2 * len(size.smoothings)
