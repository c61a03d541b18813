"""Wavelet transform: each scale on its own grid, and its exact inverse for tight banks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from phasewave.checks import fail, integer, real_dtype, real_field
from phasewave.core.bank import FilterBank, WaveletFamily, filter_bank, octaves
from phasewave.core.fourier import Band, Support
from phasewave.core.grids import subsampled_size

SUPPORT_TOLERANCE = {torch.float32: 4e-6, torch.float64: 1e-16}
"""Amplitude under which a filter counts as zero, by the dtype of the computation."""


class WaveletTransform(nn.Module):
    r"""Wavelet coefficients :math:`x * \psi_{j,f}` and the low-pass :math:`x * \phi_J` of periodic fields.

    Scale ``j`` is sampled on ``ceil(n / 2^(j - oversampling))`` points an axis.

    Parameters
    ----------
    shape : tuple of int
        Grid sizes, one to three axes, each at least 16.
    family : WaveletFamily
        For example ``Morlet(n_angles=8)``.
    n_scales : int
        Number ``J`` of scales.
    tight : bool
        Parseval normalisation, which `inverse` needs.
    oversampling : int
        Octaves by which each grid is finer than critical; from the value on at which no filter aliases the
        coefficients are exact samples and the inverse is exact.
    dtype : torch.dtype
        float32 or float64.

    Attributes
    ----------
    bank : FilterBank
        The filters, float64.
    grids : tuple of tuple of int
        Grid of each scale, then that of the low-pass.
    """

    def __init__(
        self,
        shape: Sequence[int],
        family: WaveletFamily,
        *,
        n_scales: int,
        tight: bool = False,
        oversampling: int = 1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        integer("oversampling", oversampling, minimum=0)
        real_dtype("dtype", dtype)
        self.bank: FilterBank = filter_bank(
            shape, family, n_scales=n_scales, tight=tight, tolerance=SUPPORT_TOLERANCE[dtype]
        )
        self.shape, self.tight, self.oversampling = self.bank.shape, tight, oversampling
        low = _trimmed(self.bank.low_pass_support(), SUPPORT_TOLERANCE[dtype])
        filters = [*self.bank.wavelets, (low,)]
        levels = octaves(family, n_scales)
        resolutions = [max(0, level - oversampling) for level in (*levels, levels[-1] + 1)]
        self.grids = tuple(tuple(subsampled_size(n, r) for n in self.shape) for r in resolutions)
        self.bands = nn.ModuleList(
            Band(supports, self.shape, grid, dtype=dtype)
            for supports, grid in zip(filters, self.grids, strict=True)
        )
        self._aliased = [
            grid
            for supports, grid in zip(filters, self.grids, strict=True)
            if grid != self.shape and any(_exceeds(support, grid) for support in supports)
        ]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Transform fields.

        Parameters
        ----------
        x : torch.Tensor
            Real, shape ``(..., *shape)``.

        Returns
        -------
        low : torch.Tensor
            Real, shape ``(..., *grids[-1])``.
        coefficients : list of torch.Tensor
            Complex, one a scale, shape ``(..., n_filters, *grids[j])``.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not a real field of ``shape``.
        """
        real_field("x", x, self.shape, dtype=cast(Band, self.bands[0]).weights.dtype)
        axes = tuple(range(-len(self.shape), 0))
        batch = x.shape[: axes[0]]
        if 0 in batch:  # FFT libraries refuse an empty batch
            sizes = [
                (*batch, cast(Band, band).n_filters, *grid)
                for band, grid in zip(self.bands, self.grids, strict=True)
            ]
            *scales, low = (x.new_zeros(size, dtype=x.dtype.to_complex()) for size in sizes)
            return low.real.squeeze(axes[0] - 1), scales
        spectrum = torch.fft.fftn(x, dim=axes)
        *scales, low = (torch.fft.ifftn(band(spectrum), dim=axes) for band in self.bands)
        return low.real.squeeze(-len(axes) - 1), scales

    def inverse(self, low: torch.Tensor, coefficients: Sequence[torch.Tensor]) -> torch.Tensor:
        r"""Recover the field: :math:`x = \phi_J * a + \mathrm{Re} \sum_\lambda \tilde\psi_\lambda * c_\lambda`.

        Parameters
        ----------
        low, coefficients
            As `forward` returns them.

        Returns
        -------
        torch.Tensor
            Real, shape ``(..., *shape)``.

        Raises
        ------
        ValueError
            If the bank is not tight, a scale is aliased on its grid, or the number of scales is wrong.
        """
        if not self.tight:
            raise ValueError("the inverse needs a Parseval bank: construct the transform with `tight=True`")
        if self._aliased:
            fail("oversampling", f"be larger: filters alias on the grids {self._aliased}", self.oversampling)
        if len(coefficients) != len(self.bands) - 1:
            fail("coefficients", f"hold {len(self.bands) - 1} scales", len(coefficients))
        axes = tuple(range(-len(self.shape), 0))
        if 0 in low.shape:
            return low.new_zeros((*low.shape[: axes[0]], *self.shape))
        filtered = [*coefficients, low.unsqueeze(-len(axes) - 1)]
        spectra = [
            cast(Band, band).adjoint(torch.fft.fftn(z, dim=axes)) * (math.prod(self.shape) / math.prod(grid)) ** 2
            for band, z, grid in zip(self.bands, filtered, self.grids, strict=True)
        ]
        return torch.fft.ifftn(torch.stack(spectra).sum(dim=0), dim=axes).real


def _exceeds(support: Support, grid: tuple[int, ...]) -> bool:
    return any(extent > m for extent, m in zip(support.extent, grid, strict=True))


def _trimmed(support: Support, tolerance: float) -> Support:
    """Cut the margins of a box where the filter is under ``tolerance``."""
    large = support.values.abs() > tolerance
    cuts, start = [], []
    for axis, first in enumerate(support.start):
        others = tuple(a for a in range(large.ndim) if a != axis)
        used = torch.nonzero(large.any(dim=others) if others else large).flatten()
        cuts.append(slice(int(used[0]), int(used[-1]) + 1))
        start.append(first + int(used[0]))
    return Support(tuple(start), support.values[tuple(cuts)])
