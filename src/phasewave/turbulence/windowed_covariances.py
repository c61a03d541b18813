"""Means and smoothed covariances of channels over the windows in which they are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from phasewave.turbulence.spectral_covariances import SpectralCovariances

LEAST = 16
"""Points of its grid that a scale must keep, and two scales in common: an independent value needs about four."""


class WindowedCovariances(nn.Module):
    r"""What `SpectralCovariances` computes, estimated from the points inside a window for each scale.

    .. math:: C_\sigma(a, b) = \frac{\langle W_a (a - m_a)\; g_\sigma * [W_b (b - m_b)] \rangle}
        {\langle W_a\; g_\sigma * W_b \rangle}, \qquad m_a = \langle W_a a \rangle / \langle W_a \rangle

    Every pair of points is used whose two points are known, with the weight of their distance, so that the
    expectation for stationary channels is the covariance (less that of the means, as always).

    Parameters
    ----------
    covariances : SpectralCovariances
        The covariances over all points.
    windows : sequence of torch.Tensor
        For each scale, boolean on its grid.

    Raises
    ------
    ValueError
        If a scale, or two scales in common, keep fewer than 16 points; the message names it.
    """

    scales: torch.Tensor

    def __init__(self, covariances: SpectralCovariances, windows: Sequence[torch.Tensor]) -> None:
        super().__init__()
        dtype, count = covariances.dtype, covariances.n_channels
        self.grids = covariances.grids
        for scale, window in enumerate(windows):
            _check(scale, int(window.sum()))
            self.register_buffer(f"window_{scale}", window.to(dtype), persistent=False)
        self.covariances, alone = (
            SpectralCovariances(
                covariances.shape,
                covariances.grids,
                n_channels=n,
                smoothings=covariances.smoothings,
                origin=True,
                dtype=kind,
            )
            for n, kind in ((count, dtype), (1, torch.float64))
        )
        spectra = [torch.fft.rfft2(window.to(torch.float64))[None, None] / window.numel() for window in windows]
        shares = alone.to(windows[0].device)(spectra)[0]
        repeats = []
        for (sigma, first, second), share in zip(alone.pairs(), shares.tolist(), strict=True):
            # Numbers of channels are those of scales here; the coarser of the two has the grid.
            if sigma == 0 or not share > 0:
                _check(max(first, second), round(share * math.prod(self.grids[max(first, second)])))
            repeats.append(count * (count + 1) // 2 if first == second else count**2)
        scales = shares.repeat_interleave(torch.tensor(repeats, device=shares.device))
        self.register_buffer("scales", scales.to(dtype), persistent=False)

    def means(self, spectra: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Mean of every channel over its window, for each scale ``(n, n_channels)``."""
        return [_mean(field, window) for field, window in zip(self._fields(spectra), self._windows(), strict=True)]

    def variances(self, spectra: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Variance of every channel over its window, for each scale ``(n, n_channels)``."""
        windows = [_half(window[None, None]) for window in self._windows()]
        return [_energy(z) / _energy(w) for z, w in zip(self._windowed(spectra), windows, strict=True)]

    def forward(self, spectra: Sequence[torch.Tensor]) -> torch.Tensor:
        """Covariances of all pairs, in the order of ``covariances.pairs()``.

        Parameters
        ----------
        spectra : sequence of torch.Tensor
            For each scale, complex half spectra over the number of points, ``(n, n_channels, m_0, m_1 // 2 + 1)``.

        Returns
        -------
        torch.Tensor
            Real, shape ``(n, n_pairs)``.
        """
        return cast(torch.Tensor, self.covariances(self._windowed(spectra))) / self.scales

    def _windows(self) -> list[torch.Tensor]:
        return [self.get_buffer(f"window_{scale}") for scale in range(len(self.grids))]

    def _windowed(self, spectra: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Spectra of the channels less their means, 0 outside the windows."""
        return [
            _half((field - _mean(field, window)[..., None, None]) * window)
            for field, window in zip(self._fields(spectra), self._windows(), strict=True)
        ]

    def _fields(self, spectra: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [
            torch.fft.irfft2(spectrum, s=tuple(grid)) * math.prod(grid)
            for spectrum, grid in zip(spectra, self.grids, strict=True)
        ]


def _mean(field: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    return (field * window).sum((-2, -1)) / window.sum()


def _half(field: torch.Tensor) -> torch.Tensor:
    return torch.fft.rfft2(field) / math.prod(field.shape[-2:])


def _energy(spectrum: torch.Tensor) -> torch.Tensor:
    """Sum of the power at the frequencies that covariances are taken of, the zero one too."""
    return SpectralCovariances.variances(spectrum) + spectrum[..., 0, 0].real.square()


def _check(scale: int, count: int) -> None:
    if count < LEAST:
        raise ValueError(
            f"`mask` must keep at least {LEAST} points far from gaps at scale {scale} (half octaves), "
            f"got {max(0, count)}: use fewer scales, or a mask with fewer gaps"
        )
