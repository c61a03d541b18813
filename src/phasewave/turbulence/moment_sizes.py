"""How large a set of moments a field can bear: no more moments than pixels, if it can be helped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_SCALES = 5
"""Octaves of a large field's set."""


@dataclass(frozen=True)
class MomentSize:
    """The numbers that fix the size of a set of moments.

    Attributes
    ----------
    n_scales, n_angles : int
        Octaves, and orientations of the oriented wavelets.
    max_momentum : int
        Largest momentum of the circular harmonics.
    smoothings : tuple of float
        Widths of the circular covariances in pixels.
    n_bins : int
        Bins of a quantile function.
    """

    n_scales: int
    n_angles: int
    max_momentum: int = 4
    smoothings: tuple[float, ...] = (0.0, 2.0, 5.0)
    n_bins: int = 128


# From the full set down: angles, momentum, smoothings, bins.
_LEVELS = (
    (8, 4, (0.0, 2.0, 5.0), 128),
    (8, 4, (0.0, 2.0), 128),
    (8, 4, (0.0,), 128),
    (4, 4, (0.0,), 64),
    (4, 3, (0.0,), 64),
    (4, 2, (0.0,), 64),
    (4, 2, (0.0,), 32),
)
_LEAST = ((2, 1, (0.0,), 16), (2, 1, (0.0,), 8))


def fitting_size(
    shape: tuple[int, int],
    count: Callable[[MomentSize], int],
    *,
    n_pixels: int,
    n_scales: int | None = None,
    n_angles: int | None = None,
) -> MomentSize:
    """Return the first size, from the full set down, that has at most as many moments as there are pixels.

    The full set has 5 octaves, or as many as leave 4 periods of the largest scale in the field; 8 angles,
    momenta to 4, three smoothings, 128 bins. First the smoothings go, then angles and bins, then momenta, then one
    octave with the same steps again; last come 2 angles, momentum 1 and 16 or 8 bins, with ever fewer octaves. If
    not even the least size fits, it is returned.

    Parameters
    ----------
    shape : pair of int
        Of the smallest field that the moments are taken of.
    count : callable
        Number of real moments of a size.
    n_pixels : int
        Values of a target or of a sample, whichever has fewer.
    n_scales, n_angles : int, optional
        Given, they are kept.
    """
    size = MomentSize(1, 1)
    for size in _sizes(shape, n_scales, n_angles):
        if count(size) <= n_pixels:
            break
    return size


def _sizes(shape: tuple[int, int], n_scales: int | None, n_angles: int | None) -> Iterator[MomentSize]:
    most = min(MAX_SCALES, max(1, int(math.log2(min(shape))) - 2)) if n_scales is None else n_scales
    fewer = max(1, most - 1) if n_scales is None else most
    for octaves in dict.fromkeys((most, fewer)):
        for level in _LEVELS:
            yield _size(octaves, level, n_angles)
    for octaves in range(fewer, 0, -1) if n_scales is None else (most,):
        for level in _LEAST:
            yield _size(octaves, level, n_angles)


def _size(n_scales: int, level: tuple[int, int, tuple[float, ...], int], n_angles: int | None) -> MomentSize:
    angles, momentum, smoothings, bins = level
    return MomentSize(n_scales, angles if n_angles is None else n_angles, momentum, smoothings, bins)
