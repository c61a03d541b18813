"""Quantiles of a field at many scales, and of its squared gradient: one-point laws as moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import nn

from phasewave.checks import fail, integer, plane_shape, real_dtype, real_field
from phasewave.core.bank import scale_wavelets
from phasewave.core.circular import CircularHarmonics
from phasewave.core.fourier import Band, Support
from phasewave.core.grids import angular_frequencies
from phasewave.core.recompute import recomputed
from phasewave.turbulence.copies import sharing_copy
from phasewave.turbulence.fill import Fill
from phasewave.turbulence.masks import observed_mask, seen
from phasewave.turbulence.plain_moments import quantile_means
from phasewave.turbulence.scales import floored

TOLERANCE = 1e-7
"""Amplitude at which band-passes are cut."""
Source = Literal["field", "low-pass", "band-pass", "squared gradient"]


@dataclass(frozen=True)
class Quantile:
    """One moment: the mean of the values of a field in one bin of their ranks.

    Attributes
    ----------
    source : {"field", "low-pass", "band-pass", "squared gradient"}
        Which field.
    scale : float
        Width of the Gaussian low-pass in pixels; number of the band-pass, half octaves from the finest.
    number, bins : int
        The bin, from 0, and how many there are.
    """

    source: Source
    scale: float
    number: int
    bins: int

    @property
    def kind(self) -> str:
        """``"quantiles"``, the class of all of them."""
        return "quantiles"


class Marginals(nn.Module):
    r"""Quantile means of a field, its low-passes, its isotropic band-passes and its squared gradient.

    The values of each are sorted; a moment is the mean of those in one of ``n_bins`` bins of equal number, over
    the standard deviation that `standardized` fixes from a target. Matching them matches the one-point law.

    Parameters
    ----------
    shape : pair of int
        Height and width.
    n_scales : int
        Octaves; the band-passes are those of `CircularHarmonics` at momentum 0.
    widths : sequence of float
        Widths of the Gaussian low-passes in pixels.
    n_bins : int
        Bins; fewer for a coarse band-pass, so that a bin averages 16 values or more.
    chunk : int, optional
        Samples at a time, which are computed again in the backward pass. This bounds the memory and changes no
        value. By default all samples at once.
    dtype : torch.dtype
        float32 or float64.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range or the field too small for the scales.
    """

    responses: torch.Tensor
    deviations: torch.Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_scales: int,
        widths: Sequence[float] = (1.0, 2.0, 4.0, 8.0),
        n_bins: int = 128,
        chunk: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.shape = plane_shape("shape", shape)
        real_dtype("dtype", dtype)
        self.n_scales, self.widths = integer("n_scales", n_scales, minimum=1), tuple(widths)
        self.n_bins = integer("n_bins", n_bins, minimum=1)
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)
        if any(not width > 0 for width in widths):
            fail("widths", "be positive", tuple(widths))
        if 2**n_scales > min(self.shape):
            fail("n_scales", f"satisfy 2^n_scales <= {min(self.shape)}, the smaller side", n_scales)
        family = CircularHarmonics(0)
        self.bands = nn.ModuleList()
        self.sources: list[tuple[Source, float]] = [("field", 0.0), *(("low-pass", width) for width in widths)]
        self.sizes = [math.prod(self.shape)] * len(self.sources)
        for i in range(2 * n_scales - 1):
            grid = family.grid(self.shape, i)
            self.bands.append(Band([self._wavelet(i)], self.shape, grid, dtype=dtype))
            self.sources.append(("band-pass", float(i)))
            self.sizes.append(math.prod(grid))
        self.sources.append(("squared gradient", 0.0))
        self.sizes.append(math.prod(self.shape))
        self.bins = [min(self.n_bins, size // 16) for size in self.sizes]

        low = [_low_pass(self.shape, width, real=True).to(torch.complex128) for width in self.widths]
        responses = torch.stack([*low, *_ramps(self.shape)])
        self.register_buffer("responses", torch.view_as_real(responses).to(dtype), persistent=False)
        self.fill: Fill | None = None
        self.register_buffer("deviations", torch.ones(len(self.bins), dtype=dtype), persistent=False)

    @property
    def table(self) -> tuple[Quantile, ...]:
        """What each moment is."""
        return tuple(
            Quantile(source, scale, number, bins)
            for (source, scale), bins in zip(self.sources, self.bins, strict=True)
            for number in range(bins)
        )

    @property
    def dtype(self) -> torch.dtype:
        """Real dtype of the fields."""
        return self.deviations.dtype

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return sum(self.bins)

    @property
    def is_complex(self) -> bool:
        """False: all are real."""
        return False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Quantile means.

        Parameters
        ----------
        x : torch.Tensor
            Real, of the module's dtype, shape ``(..., H, W)``.

        Returns
        -------
        torch.Tensor
            Real, shape ``(..., n_moments)``.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not a real tensor of the module's dtype and shape.
        """
        if real_field("x", x, self.shape, dtype=self.dtype).numel() == 0:
            return x.new_zeros((*x.shape[:-2], self.n_moments))
        fields = x.reshape(-1, *self.shape)
        if self.chunk is None:
            values = self._quantiles(fields)
        else:
            values = torch.cat([recomputed(self._quantiles, part) for part in fields.split(self.chunk)])
        return values.view(*x.shape[:-2], -1)

    def _quantiles(self, fields: torch.Tensor) -> torch.Tensor:
        """Moments of fields ``(n, H, W)``."""
        # A bin of n values has the weight 1 / sqrt(bins): the moments of one field then count as one.
        parts = [
            quantile_means(values, bins) / (deviation * math.sqrt(bins))
            for values, bins, deviation in zip(self._values(fields), self.bins, self.deviations, strict=True)
        ]
        return torch.cat(parts, dim=-1)

    def standardized(self, target: torch.Tensor) -> Marginals:
        """The same moments over the standard deviations that the fields have in a target.

        Parameters
        ----------
        target : torch.Tensor
            One field or several, shape ``(..., H, W)``.

        Returns
        -------
        Marginals
            A new module; this one is unchanged.
        """
        module = sharing_copy(self)
        with torch.no_grad():
            real_field("target", target, self.shape, dtype=self.dtype)
            *plain, gradient = [values.std(correction=0) for values in self._values(target)]
            module.deviations = torch.cat((floored(torch.stack(plain)), floored(gradient[None])))
        return module

    def resized(self, shape: Sequence[int]) -> Marginals:
        """The same moments, with the same bins and deviations, of fields of another size (and no mask).

        Parameters
        ----------
        shape : pair of int
            The new height and width.

        Returns
        -------
        Marginals
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            If the shape is not two sizes, too small for the scales, or a field would have fewer values than bins.
        """
        module = Marginals(shape, n_scales=self.n_scales, widths=self.widths, n_bins=self.n_bins, dtype=self.dtype)
        module.chunk = self.chunk
        for (source, scale), bins, size in zip(self.sources, self.bins, module.sizes, strict=True):
            if size < bins:
                fail("shape", f"leave {bins} values or more to {source} {scale:g}", module.shape)
        module.bins, module.deviations = list(self.bins), self.deviations.clone()
        return module.to(self.deviations.device)

    def masked(self, mask: torch.Tensor) -> Marginals:
        """Estimates of the same moments from fields that are known only where ``mask`` is True.

        Quantiles are taken over the pixels at which a filter has at most 1e-2 of its energy in gaps, of fields
        whose gaps are filled smoothly (`Fill`); those of the gradient where the 24 neighbours are observed too.

        Parameters
        ----------
        mask : torch.Tensor
            Boolean, shape ``(H, W)``, True where fields are observed.

        Returns
        -------
        Marginals
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            If the mask is not one of the fields' shape, False everywhere, or leaves a field fewer values than
            it has bins.
        """
        observed = observed_mask(mask, self.shape)
        corner = tuple(-(n // 2) for n in self.shape)
        low = [torch.fft.fftshift(_low_pass(self.shape, width, real=False)) for width in self.widths]
        windows = [observed, *seen(observed, [Support(corner, response) for response in low], self.shape)]
        for i, band in enumerate(self.bands):
            windows.append(seen(observed, [self._wavelet(i)], cast(Band, band).out_shape)[0])
        turns = [observed.roll((a, b), (0, 1)) for a in range(-2, 3) for b in range(-2, 3)]
        windows.append(torch.stack(turns).all(dim=0))
        for (source, scale), bins, window in zip(self.sources, self.bins, windows, strict=True):
            if (count := int(window.sum())) < bins:
                raise ValueError(
                    f"`mask` must keep at least {bins} values of {source} {scale:g} far from gaps, got {count}: "
                    "use fewer scales, or a mask with fewer gaps"
                )
        module = sharing_copy(self)
        device = self.deviations.device
        module.fill = Fill(observed.to(device))
        for number, window in enumerate(windows):
            module.register_buffer(f"window_{number}", window.to(device), persistent=False)
        return module

    def _wavelet(self, i: int) -> Support:
        return scale_wavelets(self.shape, CircularHarmonics(0), i, tolerance=TOLERANCE)[0]

    def _values(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The values of every field at the pixels that are kept: ``(n, number)`` each."""
        fields = self._fields(x)
        if self.fill is None:
            return [field.flatten(1) for field in fields]
        return [field[:, self.get_buffer(f"window_{number}")] for number, field in enumerate(fields)]

    def _fields(self, x: torch.Tensor) -> list[torch.Tensor]:
        fields = x.reshape(-1, *self.shape)
        if self.fill is not None:
            fields = self.fill(fields)
        responses = torch.view_as_complex(self.responses)
        filtered = torch.fft.irfft2(torch.fft.rfft2(fields)[:, None] * responses, s=self.shape)
        *low, along_0, along_1 = filtered.unbind(dim=1)
        spectrum = torch.fft.fft2(fields)
        bands = [torch.fft.ifft2(band(spectrum)[:, 0]).real for band in self.bands]
        return [fields, *low, *bands, along_0.square() + along_1.square()]


def _low_pass(shape: tuple[int, int], width: float, *, real: bool) -> torch.Tensor:
    """Gaussian on the frequencies of ``fft2`` or ``rfft2``."""
    omega_0, omega_1 = angular_frequencies(shape, real=real)
    return torch.exp(-0.5 * width**2 * (omega_0**2 + omega_1**2))


def _ramps(shape: tuple[int, int]) -> list[torch.Tensor]:
    """``i omega``, the derivatives along the two axes."""
    size = (shape[0], shape[1] // 2 + 1)
    return [1j * omega.expand(size) for omega in angular_frequencies(shape, real=True)]
