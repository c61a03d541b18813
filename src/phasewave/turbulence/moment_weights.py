"""Weights of moments in the loss: a mean over many structures is known better than one over few."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from phasewave.turbulence.circular_table import CircularMoment
from phasewave.turbulence.moment_table import Channel, Moment

EXPONENT = 0.5


def scale_weights(table: Sequence[CircularMoment | Moment], *, exponent: float = EXPONENT) -> torch.Tensor:
    r"""Weights of wavelet moments by the number of modes that they average over.

    .. math:: w = n^{a}, \qquad n = \min\big(1,\; \xi^2 / 4 \pi,\; 1 / 4 \pi \sigma^2\big)

    with ``n`` the modes per pixel of the coarser of the two channels, of central frequency :math:`\xi`, and of the
    Gaussian of width :math:`\sigma` between them. The moments of a single field fluctuate by
    :math:`1/\sqrt{n\,N}`, so that ``a = 1`` would weight them by what they are worth; ``a = 0.5``, the default,
    leaves the large scales more say. Unweighted (``a = 0``), the many moments of few large structures are met to
    the last digit, which copies the field, at the cost of the fine ones.

    Parameters
    ----------
    table : sequence of CircularMoment or Moment
        Rows of `CircularMoments` or of `PhaseHarmonicMoments`.
    exponent : float
        ``a``.

    Returns
    -------
    torch.Tensor
        float64, shape ``(len(table),)``.
    """
    return torch.tensor([_modes(row) ** exponent for row in table], dtype=torch.float64)


def _modes(row: CircularMoment | Moment) -> float:
    """Modes per pixel."""
    if isinstance(row, CircularMoment):
        octaves = max(row.first.scale, row.second.scale) / 2
        sigma = row.smoothing or 0.0
    else:
        octaves, sigma = max(_octaves(row.first), _octaves(row.second)), 0.0
    modes = min(1.0, (0.85 * math.pi * 2.0**-octaves) ** 2 / (4 * math.pi))
    return min(modes, 1 / (4 * math.pi * sigma**2)) if sigma else modes


def _octaves(channel: Channel) -> float:
    """Octaves of a channel's central frequency, or a low-pass's cutoff, below that of the finest wavelet."""
    return channel.scale if channel.source == "wavelet" else max(channel.scale, 0) + 2
