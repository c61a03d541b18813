"""Covariances between several fields of one sky, oriented and across scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from phasewave.checks import fail, integer, real_field
from phasewave.core.phases import modulus
from phasewave.core.recompute import recomputed
from phasewave.turbulence.copies import sharing_copy
from phasewave.turbulence.cross_covariances import CrossCovariances
from phasewave.turbulence.cross_table import CrossMoment, cross_table
from phasewave.turbulence.scales import floored
from phasewave.turbulence.windowed_wavelets import WindowedWavelets, window_mean, windowed_spectrum
from phasewave.turbulence.windows import check_overlap


class CrossMoments(nn.Module):
    r"""Cross-covariances of wavelet coefficients and their moduli between several fields of one sky.

    With :math:`z = x_c * \psi_{j,l}` of field ``c``, :math:`m` the mean of a modulus and
    :math:`[z]^0 = |z| - m`, :math:`[z]^1 = z`, the moments of each pair of fields are

    .. math:: \langle [x_c * \psi_{j,l}]^k\; \overline{[x_{c'} * \psi_{j',l'}]^{k'}} \rangle / (s\, s')

    ===== ============================ ===============================================================
    X11   ``j' = j``, (1, 1)           angles at most ``angle_reach`` steps apart; likewise the next three
    X00   ``j' = j``, (0, 0)
    X01   ``j' = j``, (0, 1)
    X10   ``j' = j``, (1, 0)
    XC00  ``j < j'``, (0, 0)           all angles; the finer scale of either field
    XC01  ``j < j'``, (0, 1)           the same pairs
    XL    low-passes                   covariance of :math:`x * \phi_J`, one a pair of fields
    ===== ============================ ===============================================================

    They are oriented: the average over angles of the covariance of a scalar and a component of a spin field, such
    as the intensity and the polarisation Q of one sky, vanishes. Moments of the single fields are not among them
    (`EachField`). Means and deviations are fixed from a target, field by field, by `standardized`; fields may have
    different units.

    Coefficients are exact on the grid of their scale; a modulus is not band-limited: standardised moments differ
    from those at full resolution by up to 1e-3 at ``oversampling=1``, and not at all from ``n_scales`` on.

    Parameters
    ----------
    shape : pair of int
        Sizes of the fields, each at least 16 and ``2^n_scales``.
    n_fields : int
        Number of fields, at least 2: axis -3 of what the module takes.
    n_scales, n_angles : int
        Octaves from the finest, and orientations over half a turn.
    angle_reach : int
        Largest step between the angles of a pair of the same scale, at most ``n_angles // 2``.
    oversampling : int
        Octaves of resolution above the wavelets' own at each scale.
    chunk : int, optional
        Samples at a time, computed again in the backward pass. It bounds the memory and changes no value.
    dtype : torch.dtype
        float32 or float64.

    Attributes
    ----------
    table : tuple of CrossMoment
        What each moment is.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range or the fields too small for the scales.

    Notes
    -----
    Cost: 2 complex Fourier transforms a field, scale and angle on the grid of the scale, and products of spectra.
    """

    means: torch.Tensor | None
    low_means: torch.Tensor | None
    factors: torch.Tensor
    overlaps: torch.Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_fields: int,
        n_scales: int,
        n_angles: int = 4,
        angle_reach: int = 1,
        oversampling: int = 1,
        chunk: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.n_fields = integer("n_fields", n_fields, minimum=2)
        self.n_scales = integer("n_scales", n_scales, minimum=1)
        self.n_angles = integer("n_angles", n_angles, minimum=1)
        self.angle_reach = integer("angle_reach", angle_reach, minimum=0, maximum=n_angles // 2)
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)
        self.wavelets = WindowedWavelets(
            (shape[0], shape[1]), n_scales=n_scales, n_angles=n_angles, oversampling=oversampling, dtype=dtype
        )
        self.shape = self.wavelets.shape
        self.table: tuple[CrossMoment, ...] = cross_table(n_fields, n_scales, n_angles, angle_reach)

        self.covariances = CrossCovariances(
            self.table, n_fields=n_fields, n_scales=n_scales, n_angles=n_angles, dtype=dtype
        )
        self.register_buffer("factors", torch.ones(len(self.table), dtype=dtype), persistent=False)
        self.register_buffer("overlaps", torch.ones(len(self.table), dtype=dtype), persistent=False)
        self.register_buffer("means", None, persistent=False)
        self.register_buffer("low_means", None, persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Of the fields."""
        return self.factors.dtype

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return len(self.table)

    @property
    def is_complex(self) -> bool:
        """Whether the moments are complex numbers."""
        return True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields.

        Parameters
        ----------
        x : torch.Tensor
            Real, of the module's dtype, shape ``(..., n_fields, H, W)``.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(..., n_moments)``; X00, XC00 and XL are real.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not a real tensor of the module's dtype and shape.
        """
        fields = self._checked("x", x)
        if len(fields) == 0:
            return x.new_zeros((*x.shape[:-3], self.n_moments), dtype=x.dtype.to_complex())
        pieces = [fields] if self.chunk is None else fields.split(self.chunk)
        kept = self.chunk is None
        values = torch.cat([self._moments(x) if kept else recomputed(self._moments, x) for x in pieces])
        return values.view(*x.shape[:-3], self.n_moments)

    def standardized(self, target: torch.Tensor) -> CrossMoments:
        """The same moments with the means and deviations of every channel fixed from a target.

        Parameters
        ----------
        target : torch.Tensor
            One sky or several, shape ``(..., n_fields, H, W)``.

        Returns
        -------
        CrossMoments
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            As `forward`; also if there is no field.
        """
        fields = self._checked("target", target)
        if len(fields) == 0:
            fail("target", "hold at least one sky", tuple(target.shape))
        module = sharing_copy(self)
        with torch.no_grad():
            spectrum = self.wavelets(fields)
            means, deviations = [], []
            for scale in range(self.n_scales):
                z = torch.fft.ifft2(self.wavelets.coefficients(spectrum, scale)).flatten(1, 2)
                mean = window_mean(modulus(z), self._window(scale)).mean(0)
                power = window_mean(z.abs().square(), self._window(scale)).mean(0)
                means.append(mean)
                deviations.append(torch.stack(((power - mean**2).clamp_min(0).sqrt(), power.sqrt())))
            low, window = self.wavelets.low_pass(spectrum), self.wavelets.low_pass_window()
            low_means = window_mean(low, window).mean(0)
            variance = window_mean((low - low_means[:, None, None]).square(), window).mean(0)
            module.means, module.low_means = torch.stack(means), low_means
            # Axes of the deviations: field, scale, harmonic, angle; each field has its own units.
            split = torch.stack(deviations).unflatten(-1, (self.n_fields, self.n_angles)).movedim(2, 0)
            every = torch.cat((split.flatten(1), variance.sqrt()[:, None]), dim=1)
            module.factors = self.covariances.products(torch.stack([floored(own) for own in every]))
        return module

    def resized(self, shape: Sequence[int]) -> CrossMoments:
        """The same moments and standardisation for fields of another size, without a mask.

        Parameters
        ----------
        shape : pair of int
            Sizes of the fields.

        Raises
        ------
        TypeError, ValueError
            If the shape is too small for the scales.
        """
        module = CrossMoments(
            shape,
            n_fields=self.n_fields,
            n_scales=self.n_scales,
            n_angles=self.n_angles,
            angle_reach=self.angle_reach,
            oversampling=self.wavelets.oversampling,
            chunk=self.chunk,
            dtype=self.dtype,
        ).to(self.factors.device)
        for name in ("factors", "means", "low_means"):
            value = getattr(self, name)
            setattr(module, name, None if value is None else value.clone())
        return module

    def masked(self, mask: torch.Tensor) -> CrossMoments:
        """Estimates of the same moments from skies that are observed only where a mask is True.

        Gaps are filled smoothly from what is observed, and a channel counts where its wavelet has at most 1e-2 of
        its energy in gaps.

        Parameters
        ----------
        mask : torch.Tensor
            Boolean, shape ``(H, W)``, the same for all fields.

        Returns
        -------
        CrossMoments
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            If the mask is not boolean, not of this shape, all False, or leaves a scale too few pixels.
        """
        module = self.resized(self.shape)
        module.wavelets = WindowedWavelets(
            self.shape,
            n_scales=self.n_scales,
            n_angles=self.n_angles,
            oversampling=self.wavelets.oversampling,
            dtype=self.dtype,
            mask=mask,
        ).to(self.factors.device)
        module.overlaps = module._overlaps()
        for row, share in zip(self.table, module.overlaps.tolist(), strict=True):
            check_overlap(share, self.shape, row.second.scale)
        return module

    def _checked(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Check the fields; return them with one batch axis."""
        real_field(name, x, (self.n_fields, *self.shape), dtype=self.dtype)
        return x.reshape(math.prod(x.shape[:-3]), self.n_fields, *self.shape)

    def _window(self, scale: int) -> torch.Tensor | None:
        """Windows of a scale, field after field."""
        window = self.wavelets.window(scale)
        return None if window is None else window.repeat(self.n_fields, 1, 1)

    def _moments(self, fields: torch.Tensor) -> torch.Tensor:
        """Moments of fields ``(n, n_fields, H, W)``."""
        spectrum = self.wavelets(fields)
        coefficients, spectra, moduli = [], [], []
        for scale, grid in enumerate(self.wavelets.grids):
            own = self.wavelets.coefficients(spectrum, scale).flatten(1, 2)
            window = self._window(scale)
            z = torch.fft.ifft2(own)
            size = modulus(z)
            mean = window_mean(size, window) if self.means is None else self.means[scale]
            moduli.append(windowed_spectrum(size - mean[..., None, None], window))
            coefficients.append(z if window is None else z * window)
            spectra.append(own / math.prod(grid) if window is None else windowed_spectrum(z, window))
        low, window = self.wavelets.low_pass(spectrum), self.wavelets.low_pass_window()
        mean = window_mean(low, window) if self.low_means is None else self.low_means
        low = low - mean[..., None, None]
        values = self.covariances(coefficients, spectra, moduli, low if window is None else low * window)
        return values / (self.factors * self.overlaps)

    @torch.no_grad()
    def _overlaps(self) -> torch.Tensor:
        """Mean product of the two windows of each moment."""
        windows = [cast(torch.Tensor, self._window(scale))[None] for scale in range(self.n_scales)]
        spectra = [windowed_spectrum(window, None) for window in windows]
        low = cast(torch.Tensor, self.wavelets.low_pass_window()).expand(1, self.n_fields, *self.shape)
        fields = [window.to(window.dtype.to_complex()) for window in windows]
        values: torch.Tensor = self.covariances(fields, spectra, spectra, low)
        return values[0].real.contiguous()
