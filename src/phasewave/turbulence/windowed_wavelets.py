"""Oriented wavelet coefficients of fields, each scale on its own grid, and what a mask leaves of them."""

from __future__ import annotations

import torch
from torch import nn

from phasewave.checks import real_dtype
from phasewave.core.bump import BumpSteerable
from phasewave.core.fourier import Band
from phasewave.turbulence.covariances import Shape
from phasewave.turbulence.fill import Fill
from phasewave.turbulence.masks import observed_mask
from phasewave.turbulence.pyramid import Pyramid
from phasewave.turbulence.windows import layer_window, low_pass_window


class WindowedWavelets(nn.Module):
    """Spectra of ``x * psi_{j,l}`` and ``x * phi_J`` of filled fields, with the windows where they count.

    Parameters
    ----------
    shape : pair of int
        Sizes of the fields.
    n_scales, n_angles : int
        Octaves, and orientations over half a turn.
    oversampling : int
        Octaves of resolution above the wavelets' own.
    dtype : torch.dtype
        Real dtype.
    mask : torch.Tensor, optional
        Boolean, True where fields are observed. Elsewhere they are filled from there, and a coefficient counts
        where its wavelet has at most 1e-2 of its energy in gaps.

    Raises
    ------
    TypeError, ValueError
        If the shape is too small for the scales, or the mask is not one.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        n_scales: int,
        n_angles: int,
        oversampling: int,
        dtype: torch.dtype,
        mask: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        real_dtype("dtype", dtype)
        self.n_scales, self.n_angles, self.oversampling, self.dtype = n_scales, n_angles, oversampling, dtype
        self.pyramid = Pyramid(
            shape, BumpSteerable(n_angles), n_scales=n_scales, oversampling=oversampling, dtype=dtype
        )
        self.shape, self.grids = self.pyramid.shape, self.pyramid.levels
        for scale, grid in enumerate(self.grids):
            self.pyramid.add(scale, grid)
        low_pass = self.pyramid.low_pass()
        self.band = Band([low_pass], self.shape, self.shape, dtype=dtype)
        self.fill: Fill | None = None
        if mask is not None:
            observed = observed_mask(mask, self.shape).cpu()
            self.fill = Fill(observed)
            for scale, grid in enumerate(self.grids):
                window = layer_window(observed, self.pyramid, scale, grid)
                self.register_buffer(f"window_{scale}", window.to(dtype), persistent=False)
            window = low_pass_window(observed, low_pass)
            self.register_buffer("low_window", window.to(dtype), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Spectra of fields ``(..., H, W)``, filled if there is a mask."""
        return torch.fft.fft2(x if self.fill is None else self.fill(x))

    def coefficients(self, spectrum: torch.Tensor, scale: int) -> torch.Tensor:
        """FFT of the coefficients of a scale on its grid, shape ``(..., n_angles, *grid)``."""
        return self.pyramid(spectrum, scale, self.grids[scale])

    def low_pass(self, spectrum: torch.Tensor) -> torch.Tensor:
        """``x * phi_J`` on every pixel, real, shape ``(..., H, W)``."""
        return torch.fft.ifft2(self.band(spectrum)).real[..., 0, :, :]

    def window(self, scale: int) -> torch.Tensor | None:
        """Weights of the coefficients of a scale, ``(n_angles, *grid)``; None where every point counts."""
        return None if self.fill is None else self.get_buffer(f"window_{scale}")

    def low_pass_window(self) -> torch.Tensor | None:
        """Weights of the low-pass, ``(H, W)``; None where every point counts."""
        return None if self.fill is None else self.get_buffer("low_window")


def window_mean(field: torch.Tensor, window: torch.Tensor | None) -> torch.Tensor:
    """Means over the last two axes, weighted by a window if there is one."""
    if window is None:
        return field.mean((-2, -1))
    return (field * window).sum((-2, -1)) / window.sum((-2, -1))


def windowed_spectrum(field: torch.Tensor, window: torch.Tensor | None) -> torch.Tensor:
    """FFT of fields over the number of their points, times a window if there is one."""
    return torch.fft.fft2(field if window is None else field * window, norm="forward")
