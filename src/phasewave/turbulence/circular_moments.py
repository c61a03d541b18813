"""Covariances of circular-harmonic channels: rotation-invariant moments that see cores, rings and filaments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from phasewave.checks import fail, integer, plane_shape, real_dtype, real_field
from phasewave.core.bank import scale_wavelets
from phasewave.core.circular import CircularHarmonics
from phasewave.core.fourier import Band, Support
from phasewave.core.phases import modulus
from phasewave.core.recompute import recomputed
from phasewave.turbulence.circular_table import N_SPIN, CircularMoment, channels_of_scale
from phasewave.turbulence.copies import sharing_copy
from phasewave.turbulence.fill import Fill
from phasewave.turbulence.masks import observed_mask, seen
from phasewave.turbulence.scales import floored
from phasewave.turbulence.spectral_covariances import SpectralCovariances
from phasewave.turbulence.spin_fields import directions, split
from phasewave.turbulence.windowed_covariances import WindowedCovariances

TOLERANCE = 1e-7
"""Amplitude at which wavelets are cut."""


class CircularMoments(nn.Module):
    r"""Means and smoothed covariances of rotation-invariant channels of a real periodic field.

    With :math:`c_m = x * \chi_{i,m}` the circular-harmonic coefficients of scale ``i`` and :math:`p = c_1/|c_1|`
    the direction of the local gradient, the channels of a scale are :math:`c_0`, the moduli :math:`|c_m|`, the
    steered coefficients :math:`c_m \bar p^m` (the harmonics in the gradient's frame), and the E and B parts of
    the director :math:`|c_1| p^2` and of the flux :math:`c_0 p`, fields of spin ``s`` that
    :math:`e^{-i s \arg\omega}` turns to scalars in Fourier. Moments are the means of all channels and

    .. math:: C_\sigma(a, b) = \langle (a - \bar a)\, g_\sigma * (b - \bar b) \rangle / (s_a s_b)

    for every pair and every Gaussian ``g`` of width :math:`\sigma` pixels. Means and deviations are fixed from a
    target by `standardized`. Isotropic moduli see cores and rings; the director's E part correlates the
    orientation of an edge with the direction in which its neighbours lie, which makes filaments long.

    Parameters
    ----------
    shape : pair of int
        Height and width, each at least 16.
    n_scales : int
        Octaves; there are ``2 n_scales - 1`` scales, half an octave apart.
    max_momentum : int
        Largest angular momentum, at least 1.
    smoothings : sequence of float
        Widths :math:`\sigma` in pixels.
    chunk : int, optional
        Samples at a time; then the channels of a scale are computed again in the backward pass. This bounds the
        memory and changes no value beyond rounding. By default all samples at once.
    dtype : torch.dtype
        float32 or float64.

    Attributes
    ----------
    channels : tuple of CircularChannel
    table : tuple of CircularMoment
        What each moment is.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range or the field too small for the scales.

    Notes
    -----
    Cost: 10 Fourier transforms a scale on its own grid at ``max_momentum=4``, and products of the cropped
    spectra of all channels.
    """

    means: torch.Tensor
    deviations: torch.Tensor
    softening: torch.Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_scales: int,
        max_momentum: int = 4,
        smoothings: Sequence[float] = (0.0, 2.0, 5.0),
        chunk: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.shape = plane_shape("shape", shape)
        integer("n_scales", n_scales, minimum=1)
        self.n_scales, self.max_momentum = n_scales, integer("max_momentum", max_momentum, minimum=1)
        self.smoothings = tuple(smoothings)
        if any(not sigma >= 0 for sigma in smoothings) or not smoothings:
            fail("smoothings", "be one or more widths >= 0", tuple(smoothings))
        if 2**n_scales > min(self.shape):
            fail("n_scales", f"satisfy 2^n_scales <= {min(self.shape)}, the smaller side", n_scales)
        real_dtype("dtype", dtype)
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)
        self.family = CircularHarmonics(max_momentum)
        # Moduli reach a little past the band of their wavelets: a quarter of an octave of room keeps their aliases
        # under a percent.
        room = 2**0.25
        self.grids = [self.family.grid(self.shape, i, room=room) for i in range(2 * n_scales - 1)]
        self.bands = nn.ModuleList(
            Band(self._wavelets(i), self.shape, grid, dtype=dtype) for i, grid in enumerate(self.grids)
        )
        for height, width in dict.fromkeys(self.grids):
            direction = torch.view_as_real(directions((height, width), self.shape)).to(dtype)
            self.register_buffer(f"direction_{height}_{width}", direction, persistent=False)
        self.channels = tuple(
            channel for i in range(len(self.grids)) for channel in channels_of_scale(i, max_momentum)
        )
        per_scale = len(self.channels) // len(self.grids)
        self.covariances = SpectralCovariances(
            self.shape, self.grids, n_channels=per_scale, smoothings=self.smoothings, dtype=dtype
        )
        self.fill: Fill | None = None
        self.windows: WindowedCovariances | None = None
        self.table = tuple(CircularMoment(c, c, None) for c in self.channels) + tuple(
            CircularMoment(self.channels[a], self.channels[b], sigma) for sigma, a, b in self.covariances.pairs()
        )
        self.register_buffer("means", torch.zeros(len(self.channels), dtype=dtype), persistent=False)
        self.register_buffer("deviations", torch.ones(len(self.channels), dtype=dtype), persistent=False)
        self.register_buffer("softening", torch.zeros(len(self.grids), dtype=dtype), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Real dtype of the fields."""
        return self.means.dtype

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return len(self.table)

    @property
    def is_complex(self) -> bool:
        """False: all are real."""
        return False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields.

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
        parts = [self._values(part) for part in fields.split(len(fields) if self.chunk is None else self.chunk)]
        return torch.cat(parts).view(*x.shape[:-2], -1)

    def _values(self, fields: torch.Tensor) -> torch.Tensor:
        """Moments of fields ``(n, H, W)``."""
        spectra = self._channel_spectra(fields)
        sizes = [spectrum.shape[1] for spectrum in spectra]
        means = self._means(spectra)
        for i, deviation in enumerate(self.deviations.split(sizes)):
            spectra[i] = spectra[i] / deviation[:, None, None]
        covariances = self.covariances if self.windows is None else self.windows
        products = covariances(spectra)
        return torch.cat([(means - self.means) / self.deviations, products], dim=1)

    def standardized(self, target: torch.Tensor) -> CircularMoments:
        """The same moments with the channels' means and deviations fixed from a target.

        Parameters
        ----------
        target : torch.Tensor
            One field or several, shape ``(..., H, W)``.

        Returns
        -------
        CircularMoments
            A new module; this one is unchanged.
        """
        module = sharing_copy(self)
        with torch.no_grad():
            real_field("target", target, self.shape, dtype=self.dtype)
            spectrum = self._spectrum(target)
            softening = []
            for i, band in enumerate(module.bands):
                power = torch.fft.ifft2(cast(Band, band).forward(spectrum)[:, 1]).abs().square()
                if self.windows is not None:
                    power = power[:, self.windows.get_buffer(f"window_{i}") > 0]
                softening.append(0.1 * power.mean().sqrt())
            module.softening = floored(torch.stack(softening))
            spectra = module._channel_spectra(target)
            module.means = self._means(spectra).mean(dim=0)
            variances = (
                [self.covariances.variances(s) for s in spectra]
                if self.windows is None
                else self.windows.variances(spectra)
            )
            module.deviations = floored(torch.cat(variances, dim=1).mean(dim=0).sqrt())
        return module

    def resized(self, shape: Sequence[int]) -> CircularMoments:
        """The same moments, with the same means and deviations, of fields of another size (and no mask).

        Parameters
        ----------
        shape : pair of int
            The new height and width.

        Returns
        -------
        CircularMoments
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            If the shape is not two sizes, or too small for the scales.
        """
        module = CircularMoments(
            shape,
            n_scales=self.n_scales,
            max_momentum=self.max_momentum,
            smoothings=self.smoothings,
            chunk=self.chunk,
            dtype=self.dtype,
        )
        return module._with(self.means, self.deviations, self.softening)

    def masked(self, mask: torch.Tensor) -> CircularMoments:
        r"""Estimates of the same moments from fields that are known only where ``mask`` is True.

        Channels are made from the field with its gaps filled smoothly (`Fill`), and averaged over the points at
        which every wavelet of their scale has at most 1e-2 of its energy in gaps (`WindowedCovariances`). The E
        and B parts of spin fields are not local: their kernels fall as :math:`1/r^2`, so that gaps are felt
        further on; directions of what was filled in average out.

        Parameters
        ----------
        mask : torch.Tensor
            Boolean, shape ``(H, W)``, True where fields are observed.

        Returns
        -------
        CircularMoments
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            If the mask is not one of the fields' shape, False everywhere, or leaves a scale too few points.
        """
        module = sharing_copy(self)
        module.fill = Fill(observed_mask(mask, self.shape).to(self.means.device))
        windows = [seen(module.fill.mask, self._wavelets(i), grid).all(dim=0) for i, grid in enumerate(self.grids)]
        module.windows = WindowedCovariances(self.covariances, windows)
        return module

    def _wavelets(self, i: int) -> tuple[Support, ...]:
        return scale_wavelets(self.shape, self.family, i, tolerance=TOLERANCE)

    def _with(self, means: torch.Tensor, deviations: torch.Tensor, softening: torch.Tensor) -> CircularMoments:
        """Take over a standardisation, and its device."""
        self.means, self.deviations, self.softening = means.clone(), deviations.clone(), softening.clone()
        return self.to(means.device)

    def _channel_spectra(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Spectra of the channels of each scale over their pixels' number: ``(n, C, m_0, m_1 // 2 + 1)``."""
        spectrum = self._spectrum(x)
        if self.chunk is None:
            return [self._scale(spectrum, i) for i in range(len(self.bands))]
        return [recomputed(self._scale, spectrum, i) for i in range(len(self.bands))]

    def _spectrum(self, x: torch.Tensor) -> torch.Tensor:
        fields = x.reshape(-1, *self.shape)
        return torch.fft.fft2(fields if self.fill is None else self.fill(fields))

    def _means(self, spectra: list[torch.Tensor]) -> torch.Tensor:
        if self.windows is not None:
            means = self.windows.means(spectra)
            # The parts of a spin field have no mean but that of a window.
            return torch.cat([nn.functional.pad(m[:, :-N_SPIN], (0, N_SPIN)) for m in means], dim=1)
        return torch.cat([spectrum[..., 0, 0].real for spectrum in spectra], dim=1)

    def _scale(self, spectrum: torch.Tensor, i: int) -> torch.Tensor:
        c = torch.fft.ifft2(self.bands[i](spectrum))
        height, width = self.grids[i]
        direction = torch.view_as_complex(self.get_buffer(f"direction_{height}_{width}"))
        isotropic = c[:, 0].real
        moduli = modulus(c)
        # The direction of the gradient, softened where it has none.
        gradient = c[:, 1]
        p = gradient / (moduli[:, 1].square() + self.softening[i] ** 2 + torch.finfo(self.dtype).tiny).sqrt()
        scalars = [isotropic, *moduli.unbind(dim=1)]
        turn = p.conj()
        power = turn
        for m in range(2, self.max_momentum + 1):
            power = power * turn
            steered = c[:, m] * power
            scalars += [steered.real, steered.imag]
        fourier = torch.fft.rfft2(torch.stack(scalars, dim=1))
        spins = torch.fft.fft2(torch.stack((gradient * p, isotropic * p), dim=1)) * direction
        gradient_part, curl_part = split(spins)
        return torch.cat((fourier, gradient_part, curl_part), dim=1) / math.prod(self.grids[i])
