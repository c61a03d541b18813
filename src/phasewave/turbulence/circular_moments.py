"""Covariances of circular-harmonic channels: rotation-invariant moments that see cores, rings and filaments."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from phasewave.checks import fail, integer, plane_shape, real_field
from phasewave.core.bank import filter_bank
from phasewave.core.circular import CircularHarmonics
from phasewave.core.fourier import Band
from phasewave.core.grids import signed_frequencies
from phasewave.core.phases import modulus
from phasewave.turbulence.circular_table import CircularMoment, channels_of_scale
from phasewave.turbulence.scales import floored
from phasewave.turbulence.spectral_covariances import SpectralCovariances


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
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"`dtype` must be torch.float32 or torch.float64, got {dtype}")
        self.dtype = dtype
        family = CircularHarmonics(max_momentum)
        bank = filter_bank(self.shape, family, n_scales=2 * n_scales - 1, tolerance=1e-7)
        # Moduli reach a little past the band of their wavelets: a quarter of an octave of room keeps their aliases
        # under a percent.
        room = 2**0.25
        self.grids = [family.grid(self.shape, i, room=room) for i in range(bank.n_scales)]
        self.bands = nn.ModuleList(
            Band(wavelets, self.shape, grid, dtype=dtype)
            for wavelets, grid in zip(bank.wavelets, self.grids, strict=True)
        )
        for i, grid in enumerate(self.grids):
            self.register_buffer(
                f"direction_{i}", _directions(grid, self.shape).to(dtype.to_complex()), persistent=False
            )
        self.channels = tuple(
            channel for i in range(bank.n_scales) for channel in channels_of_scale(i, max_momentum)
        )
        per_scale = len(self.channels) // bank.n_scales
        self.covariances = SpectralCovariances(
            self.shape, self.grids, n_channels=per_scale, smoothings=self.smoothings, dtype=dtype
        )
        self.table = tuple(CircularMoment(c, c, None) for c in self.channels) + tuple(
            CircularMoment(self.channels[a], self.channels[b], sigma) for sigma, a, b in self.covariances.pairs()
        )
        self.register_buffer("means", torch.zeros(len(self.channels), dtype=dtype), persistent=False)
        self.register_buffer("deviations", torch.ones(len(self.channels), dtype=dtype), persistent=False)
        self.register_buffer("softening", torch.zeros(bank.n_scales, dtype=dtype), persistent=False)

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
        spectra = self._channel_spectra(x)
        sizes = [spectrum.shape[1] for spectrum in spectra]
        means = torch.cat([spectrum[..., 0, 0].real for spectrum in spectra], dim=1)
        scaled = [
            spectrum / deviation[:, None, None]
            for spectrum, deviation in zip(spectra, self.deviations.split(sizes), strict=True)
        ]
        values = torch.cat([(means - self.means) / self.deviations, self.covariances(scaled)], dim=1)
        return values.view(*x.shape[:-2], -1)

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
        module = copy.deepcopy(self)
        with torch.no_grad():
            fields = real_field("target", target, self.shape, dtype=self.dtype).reshape(-1, *self.shape)
            spectrum = torch.fft.fft2(fields)
            for i, (band, grid) in enumerate(zip(module.bands, self.grids, strict=True)):
                power = cast(Band, band).forward(spectrum)[:, 1].abs().square().mean() / math.prod(grid)
                module.softening[i] = 0.1 * power.sqrt()
            module.softening = floored(module.softening)
            spectra = module._channel_spectra(target)
            module.means = torch.cat([s[..., 0, 0].real.mean(dim=0) for s in spectra])
            variance = torch.cat([self.covariances.variances(s).mean(dim=0) for s in spectra])
            module.deviations = floored(variance.sqrt())
        return module

    def resized(self, shape: Sequence[int]) -> CircularMoments:
        """The same moments, with the same means and deviations, of fields of another size.

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
            dtype=self.dtype,
        )
        return module._with(self.means, self.deviations, self.softening)

    def _with(self, means: torch.Tensor, deviations: torch.Tensor, softening: torch.Tensor) -> CircularMoments:
        """Take over a standardisation, and its device."""
        self.means, self.deviations, self.softening = means.clone(), deviations.clone(), softening.clone()
        return self.to(means.device)

    def _channel_spectra(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Spectra of the channels of each scale over their pixels' number: ``(n, C, m_0, m_1 // 2 + 1)``."""
        spectrum = torch.fft.fft2(x.reshape(-1, *self.shape))
        return [self._scale(spectrum, i) for i in range(len(self.bands))]

    def _scale(self, spectrum: torch.Tensor, i: int) -> torch.Tensor:
        c = torch.fft.ifft2(self.bands[i](spectrum))
        direction = getattr(self, f"direction_{i}")
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
        gradient_part, curl_part = _split(spins)
        return torch.cat((fourier, gradient_part, curl_part), dim=1) / math.prod(self.grids[i])


def _directions(grid: Sequence[int], field: Sequence[int]) -> torch.Tensor:
    """``exp(-i s arg omega)`` for the spins 2 and 1, zero where it is not defined: at the origin, at Nyquist."""
    axes = [signed_frequencies(m).to(torch.float64) / n for m, n in zip(grid, field, strict=True)]
    omega_0, omega_1 = torch.meshgrid(*axes, indexing="ij")
    distance = torch.hypot(omega_0, omega_1)
    unit = torch.complex(omega_1, -omega_0) / torch.where(distance > 0, distance, 1)
    for axis, m in enumerate(grid):
        if m % 2 == 0:
            unit.select(axis, m // 2).zero_()
    return torch.stack((unit * unit, unit))


def _split(spectrum: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Half spectra of the real and imaginary parts of the fields that have this spectrum."""
    half = spectrum.shape[-1] // 2 + 1
    mirrored = torch.roll(spectrum.flip((-2, -1)), (1, 1), dims=(-2, -1))[..., :half].conj()
    kept = spectrum[..., :half]
    return (kept + mirrored) / 2, (kept - mirrored) / 2j
