"""Wavelet coefficients of a scale on the smallest grid that carries them, or on a finer one."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from phasewave.checks import fail, grid_shape, integer
from phasewave.core.bank import low_pass_profiles, scale_wavelets
from phasewave.core.bump import BumpSteerable
from phasewave.core.fourier import Band, Support
from phasewave.core.grids import smooth_size

Shape = tuple[int, int]
TOLERANCE = 1e-12
SMALLEST_GRID = 64
"""Points an axis below which no grid goes: small grids cost nothing, and average little of their aliasing."""


class Pyramid(nn.Module):
    r"""Spectra of ``x * psi_{j,l}``, all orientations of a scale at once, on grids fit for each scale.

    Level ``e`` has about ``n 2^{oversampling - e}`` points an axis: never fewer than the wavelets of scale
    ``e`` need, never more than ``n``, and a product of 2, 3 and 5 where it is fewer than ``n``. Coefficients of
    scale ``j`` are exact on level ``j`` and on every finer one; what is made of them by a modulus is not
    band-limited, and ``oversampling`` sets its error.

    Parameters
    ----------
    shape : pair of int
        Sizes of the field.
    family : BumpSteerable
        The wavelets.
    n_scales : int
        Number of scales.
    oversampling : int
        Octaves of resolution above the wavelets' own, at least 0.
    dtype : torch.dtype
        Real dtype.

    Raises
    ------
    ValueError
        If the shape is too small for the scales.
    """

    def __init__(
        self,
        shape: Shape,
        family: BumpSteerable,
        *,
        n_scales: int,
        oversampling: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        sizes = grid_shape("shape", shape, n_axes=2)
        self.shape: Shape = (sizes[0], sizes[1])
        if 2**n_scales > min(self.shape):
            largest = int(math.log2(min(self.shape)))
            fail("n_scales", f"be at most {largest} for fields of {self.shape}", n_scales)
        integer("oversampling", oversampling, minimum=0)
        self.family, self.dtype = family, dtype
        self.levels = [self._grid(level, oversampling) for level in range(n_scales)]
        self.bands = nn.ModuleDict()

    def _grid(self, level: int, oversampling: int) -> Shape:
        wanted, supports = [], self.wavelets(level)
        for axis, n in enumerate(self.shape):
            reach = max(
                max(-support.start[axis], support.start[axis] + support.extent[axis] - 1) for support in supports
            )
            octaves = math.ceil(1.5 * n * 2.0 ** (oversampling - level))
            size = smooth_size(max(2 * reach + 1, octaves, SMALLEST_GRID))
            wanted.append(min(n, size))
        return wanted[0], wanted[1]

    def wavelets(self, scale: int) -> tuple[Support, ...]:
        """The wavelets of a scale in float64. They are large, and not kept: large grids are designed anew."""
        return scale_wavelets(self.shape, self.family, scale, tolerance=TOLERANCE)

    def low_pass(self) -> Support:
        """The low-pass under all scales, on the whole grid."""
        rows, columns = low_pass_profiles(self.shape, self.family, len(self.levels))
        corner = (-(self.shape[0] // 2), -(self.shape[1] // 2))
        return Support(corner, torch.fft.fftshift(rows[:, None] * columns))

    def add(self, scale: int, grid: Shape) -> None:
        """Prepare the filters of a scale for a grid."""
        key = _key(scale, grid)
        if key not in self.bands:
            self.bands[key] = Band(self.wavelets(scale), self.shape, grid, dtype=self.dtype)

    def band(self, scale: int, grid: Shape) -> Band:
        """The filters of a scale onto a grid that was added."""
        return cast(Band, self.bands[_key(scale, grid)])

    def forward(self, spectrum: torch.Tensor, scale: int, grid: Shape) -> torch.Tensor:
        """Spectra of the coefficients of a scale on a grid that was added.

        Parameters
        ----------
        spectrum : torch.Tensor
            FFT of the fields, shape ``(n, H, W)``.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, n_angles, *grid)``.
        """
        product: torch.Tensor = self.band(scale, grid)(spectrum)
        return product


def _key(scale: int, grid: Shape) -> str:
    return f"{scale} on {grid[0]}x{grid[1]}"
