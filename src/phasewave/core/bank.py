"""Filter banks: the wavelets of several scales on one grid, their Littlewood-Paley sum, tight normalisation."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from phasewave.checks import fail, grid_shape, integer
from phasewave.core.fourier import Support
from phasewave.core.grids import signed_frequencies

KEPT = 256**2
"""Points of the largest grid whose design is kept for later calls: a few tens of megabytes."""


class WaveletFamily(Hashable, Protocol):
    """What a family of wavelets states about itself; it is hashable, a frozen dataclass of numbers."""

    @property
    def n_filters(self) -> int:
        """Number of wavelets at each scale (angles, or angular momenta)."""

    def dilation(self, scale: int) -> float:
        """Width of the wavelets of a scale relative to scale 0."""

    def wavelets(self, shape: tuple[int, ...], scale: int, *, tolerance: float) -> tuple[Support, ...]:
        """Wavelets of one scale in Fourier, each on its box."""

    def low_pass(self, omega: torch.Tensor, n_scales: int) -> torch.Tensor:
        """Axis profile of the separable low-pass below ``n_scales`` scales."""


@dataclass(frozen=True)
class FilterBank:
    r"""The wavelets of ``n_scales`` scales and the low-pass on one grid, in float64.

    Attributes
    ----------
    shape : tuple of int
        Grid sizes.
    wavelets : tuple of tuple of Support
        ``wavelets[j][f]``: filter ``f`` of scale ``j``.
    low_pass : tuple of torch.Tensor
        One profile an axis in FFT order; their outer product is :math:`\hat\phi_J`.
    """

    shape: tuple[int, ...]
    wavelets: tuple[tuple[Support, ...], ...]
    low_pass: tuple[torch.Tensor, ...]

    @property
    def n_scales(self) -> int:
        """Number of scales ``J``."""
        return len(self.wavelets)

    def littlewood_paley(self) -> torch.Tensor:
        r"""Littlewood-Paley sum for real fields.

        .. math:: A(\omega) = |\hat\phi_J(\omega)|^2
            + \frac12 \sum_\lambda (|\hat\psi_\lambda(\omega)|^2 + |\hat\psi_\lambda(-\omega)|^2)

        Returns
        -------
        torch.Tensor
            Shape ``shape``, FFT order. The bank is a Parseval frame of real fields when it is 1 everywhere.
        """
        return _outer(self.low_pass) ** 2 + _wavelet_energy(self.wavelets, self.shape)

    def low_pass_support(self) -> Support:
        """The low-pass as one filter on the whole grid."""
        start = tuple(-(n // 2) for n in self.shape)
        values = torch.fft.fftshift(_outer(self.low_pass))
        return Support(start, values)


def octaves(family: WaveletFamily, n_scales: int) -> list[int]:
    """Octave of each scale, ``floor(log2(dilation))``: how far its coefficients may be subsampled."""
    return [math.floor(math.log2(family.dilation(scale))) for scale in range(n_scales)]


def filter_bank(
    shape: Sequence[int],
    family: WaveletFamily,
    *,
    n_scales: int,
    tight: bool = False,
    tolerance: float,
) -> FilterBank:
    r"""Design a bank; equal calls in a process share one design, of grids up to 256x256.

    Parameters
    ----------
    shape : tuple of int
        Grid sizes, each at least 16.
    family : WaveletFamily
        For example ``Morlet(n_angles=8)``.
    n_scales : int
        Number ``J`` of scales; the wavelets of the last one must fit the grid, ``dilation(J - 1) <= n / 2``.
    tight : bool
        Scale every wavelet by :math:`\sqrt{(1-|\hat\phi_J|^2)/\Psi(\omega)}` with :math:`\Psi` the wavelets' part
        of the Littlewood-Paley sum, so that it is 1: a Parseval frame. The low-pass stays separable.
    tolerance : float
        Amplitude under which a filter counts as zero.

    Returns
    -------
    FilterBank

    Raises
    ------
    ValueError
        If a size, the number of scales or the tolerance is out of range.
    """
    sizes = grid_shape("shape", shape, n_axes=len(shape))
    integer("n_scales", n_scales, minimum=1)
    if family.dilation(n_scales - 1) > min(sizes) / 2:
        largest = max(j for j in range(n_scales) if family.dilation(j) <= min(sizes) / 2) + 1
        fail("n_scales", f"be at most {largest} for a grid of {sizes}", n_scales)
    if not 0 < tolerance < 1:
        fail("tolerance", "lie between 0 and 1", tolerance)

    design = _design if math.prod(sizes) <= KEPT else _design.__wrapped__
    with torch.device("cpu"):  # a design is shared by all later callers, whatever their default device
        return design(sizes, family, n_scales, tight, tolerance)


def scale_wavelets(
    shape: tuple[int, ...], family: WaveletFamily, scale: int, *, tolerance: float
) -> tuple[Support, ...]:
    """The wavelets of one scale on the frequencies of a grid: those of `filter_bank`, not made tight.

    Equal calls in a process share one design, of grids up to 256x256.

    Parameters
    ----------
    shape : tuple of int
        Grid sizes.
    family : WaveletFamily
    scale : int
    tolerance : float
        Amplitude under which a filter counts as zero.

    Returns
    -------
    tuple of Support
    """
    design = _design_scale if math.prod(shape) <= KEPT else _design_scale.__wrapped__
    with torch.device("cpu"):
        return design(shape, family, scale, tolerance)


@functools.lru_cache(maxsize=64)
def _design_scale(
    sizes: tuple[int, ...], family: WaveletFamily, scale: int, tolerance: float
) -> tuple[Support, ...]:
    return tuple(support.folded(sizes) for support in family.wavelets(sizes, scale, tolerance=tolerance))


@functools.lru_cache(maxsize=32)
def _design(
    sizes: tuple[int, ...], family: WaveletFamily, n_scales: int, tight: bool, tolerance: float
) -> FilterBank:
    wavelets = tuple(scale_wavelets(sizes, family, scale, tolerance=tolerance) for scale in range(n_scales))
    low_pass = low_pass_profiles(sizes, family, n_scales)
    if tight:
        low_pass = tuple(profile / profile[0] for profile in low_pass)  # a sampled Gaussian exceeds 1 at J = 1
        wavelets = _tight(wavelets, low_pass, sizes)
    return FilterBank(sizes, wavelets, low_pass)


def low_pass_profiles(
    shape: Sequence[int], family: WaveletFamily, n_scales: int, *, images: int = 1
) -> tuple[torch.Tensor, ...]:
    """The low-pass of a family sampled on a grid: one profile an axis, in FFT order.

    Parameters
    ----------
    shape : sequence of int
        Grid sizes.
    family : WaveletFamily
    n_scales : int
        Number of scales above it.
    images : int
        Images of the spectrum that sampling folds in, on each side.
    """
    cells = 2 * math.pi * torch.arange(-images, images + 1, dtype=torch.float64)[:, None]
    return tuple(
        family.low_pass(cells + 2 * math.pi / n * signed_frequencies(n).to(torch.float64), n_scales).sum(dim=0)
        for n in shape
    )


def _outer(profiles: tuple[torch.Tensor, ...]) -> torch.Tensor:
    product = profiles[0]
    for profile in profiles[1:]:
        product = product[..., None] * profile
    return product


def _wavelet_energy(wavelets: tuple[tuple[Support, ...], ...], shape: tuple[int, ...]) -> torch.Tensor:
    energy = torch.zeros(shape, dtype=torch.float64)
    for support in (support for scale in wavelets for support in scale):
        energy += 0.5 * support.on_grid(shape).abs() ** 2
    mirrored = torch.flip(energy, dims=tuple(range(len(shape))))
    return energy + torch.roll(mirrored, shifts=(1,) * len(shape), dims=tuple(range(len(shape))))


def _tight(
    wavelets: tuple[tuple[Support, ...], ...], low_pass: tuple[torch.Tensor, ...], shape: tuple[int, ...]
) -> tuple[tuple[Support, ...], ...]:
    energy = _wavelet_energy(wavelets, shape)
    missing = (1 - _outer(low_pass) ** 2).clamp_min(0)
    if bool(((energy == 0) & (missing > 1e-15)).any()):
        raise ValueError(
            "`tight` needs wavelets that cover every frequency the low-pass leaves; widen `tolerance`"
        )
    gain = torch.where(energy > 0, missing / energy, 0).sqrt()
    return tuple(tuple(_scaled(support, gain) for support in scale) for scale in wavelets)


def _scaled(support: Support, gain: torch.Tensor) -> Support:
    return Support(support.start, support.values * gain[support.index(gain.shape)])
