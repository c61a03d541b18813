"""Covariances of rectified wavelet coefficients, in the view of their phases or of their harmonics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast, get_args

import torch
from torch import nn

from phasewave.checks import choice, fail, integer, real_field
from phasewave.core.phases import rectifier_phases
from phasewave.core.recompute import recomputed
from phasewave.turbulence.copies import sharing_copy
from phasewave.turbulence.layer_covariances import LayerCovariances
from phasewave.turbulence.rectifier_sums import RectifierSums
from phasewave.turbulence.rectifier_table import RectifierMoment, RectifierView, rectifier_table
from phasewave.turbulence.scales import floored
from phasewave.turbulence.windowed_wavelets import WindowedWavelets, window_mean, windowed_spectrum
from phasewave.turbulence.windows import check_overlap


class RectifierMoments(nn.Module):
    r"""Means and covariances of rectified wavelet coefficients, what a layer of a convolutional network computes.

    With :math:`z = x * \psi_{j,l}`, phases :math:`\alpha_a = 2\pi a / A` and :math:`\rho(t) = \max(t, 0)`,

    .. math:: u_a = \rho(\mathrm{Re}\, e^{i\alpha_a} z), \qquad
        R_{ab} = \langle (u_a - m_a) (u'_b - m'_b) \rangle / (s_a s'_b)

    for wavelets of the same scale and of any two scales, at most ``angle_reach`` steps of angle apart. As
    :math:`\rho(\mathrm{Re}\, e^{i\alpha} z) = \sum_k c_k e^{ik\alpha} [z]^k` (`rectifier_harmonic`), each is a sum
    of covariances of phase harmonics,

    .. math:: R_{ab} = \sum_{k,k'} c_k c_{k'} e^{i(k\alpha_a - k'\alpha_b)}\,
        \langle [z]^k\, \overline{[z']^{k'}} \rangle,

    and ``view="harmonics"`` gives the same numbers the other way round: covariances of

    .. math:: h_k = \frac{1}{A c_k} \sum_a e^{-ik\alpha_a} u_a = \sum_n \frac{c_{k+nA}}{c_k} [z]^{k+nA},
        \qquad k = 0, 1, 2, 4 .. A/2,

    with one another and with their conjugates: an invertible linear map of the covariances of the phases.
    :math:`h_1 = z` is exact for every even ``A >= 4``; :math:`h_k` of even ``k`` is :math:`[z]^k` to
    :math:`O(k^2/A^2)`. Means and deviations are those of ``x`` itself and 1, or fixed from a target by
    `standardized`.

    Parameters
    ----------
    shape : pair of int
        Sizes of the fields, each at least 16 and ``2^n_scales``.
    n_scales, n_angles : int
        Octaves from the finest, and orientations over half a turn.
    n_phases : int
        ``A``, even and at least 4.
    angle_reach : int
        Largest step between the angles of a pair, at most ``n_angles // 2``.
    view : {"phases", "harmonics"}
        Which of the two.
    oversampling : int
        Octaves of resolution above the wavelets' own at each scale. A rectified field has a kink: standardised
        moments differ from those at full resolution by up to 6e-3 at 1, 2e-3 at 2, and not at all from
        ``n_scales`` on.
    chunk : int, optional
        Samples at a time, computed again in the backward pass. It bounds the memory and changes no value.
    dtype : torch.dtype
        float32 or float64.

    Attributes
    ----------
    table : tuple of RectifierMoment
        What each moment is.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range or the fields too small for the scales.

    Notes
    -----
    Cost: ``1 + A`` complex Fourier transforms a scale and angle on the grid of the scale, and products of the
    spectra of all scales.
    """

    means: torch.Tensor | None
    factors: torch.Tensor
    overlaps: torch.Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_scales: int,
        n_angles: int = 4,
        n_phases: int = 4,
        angle_reach: int = 1,
        view: RectifierView = "phases",
        oversampling: int = 1,
        chunk: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.n_scales = integer("n_scales", n_scales, minimum=1)
        self.n_angles = integer("n_angles", n_angles, minimum=1)
        self.n_phases = integer("n_phases", n_phases, minimum=4)
        if n_phases % 2:
            fail("n_phases", "be even", n_phases)
        self.angle_reach = integer("angle_reach", angle_reach, minimum=0, maximum=n_angles // 2)
        choice("view", view, get_args(RectifierView))
        self.view: RectifierView = view
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)
        self.wavelets = WindowedWavelets(
            (shape[0], shape[1]), n_scales=n_scales, n_angles=n_angles, oversampling=oversampling, dtype=dtype
        )
        self.shape = self.wavelets.shape
        self.table: tuple[RectifierMoment, ...] = rectifier_table(
            n_scales, n_angles, n_phases=n_phases, angle_reach=angle_reach, view=view
        )
        n_channels = n_angles * n_phases
        self.layers = LayerCovariances(n_scales, n_channels, n_channels)
        self.sums = RectifierSums(
            self.table, self.layers, n_scales=n_scales, n_angles=n_angles, n_phases=n_phases, dtype=dtype
        )
        self.register_buffer("factors", torch.ones(len(self.table), dtype=dtype), persistent=False)
        self.register_buffer("overlaps", torch.ones(len(self.table), dtype=dtype), persistent=False)
        self.register_buffer("means", None, persistent=False)

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
        return self.view == "harmonics"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields.

        Parameters
        ----------
        x : torch.Tensor
            Real, of the module's dtype, shape ``(..., H, W)``.

        Returns
        -------
        torch.Tensor
            Shape ``(..., n_moments)``; real for phases, complex for harmonics.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not a real tensor of the module's dtype and shape.
        """
        fields = self._checked("x", x)
        if len(fields) == 0:
            dtype = self.dtype if self.view == "phases" else self.dtype.to_complex()
            return x.new_zeros((*x.shape[:-2], self.n_moments), dtype=dtype)
        if self.chunk is None:
            values = self._moments(fields)
        else:
            values = torch.cat([recomputed(self._moments, piece) for piece in fields.split(self.chunk)])
        return values.view(*x.shape[:-2], self.n_moments)

    def standardized(self, target: torch.Tensor) -> RectifierMoments:
        """The same moments with the means and deviations of every channel fixed from a target.

        Parameters
        ----------
        target : torch.Tensor
            One field or several, shape ``(..., H, W)``.

        Returns
        -------
        RectifierMoments
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            As `forward`; also if there is no field.
        """
        fields = self._checked("target", target)
        if len(fields) == 0:
            fail("target", "hold at least one field", tuple(target.shape))
        module = sharing_copy(self)
        with torch.no_grad():
            spectrum = self.wavelets(fields)
            means, variances = [], []
            for scale in range(self.n_scales):
                rectified, window = self._rectified(spectrum, scale)
                means.append(window_mean(rectified, window).mean(0))
                channels = self.sums.viewed(rectified - means[-1][:, None, None])
                weights = (
                    None
                    if window is None
                    else window[:: self.n_phases].repeat_interleave(channels.shape[1] // self.n_angles, dim=0)
                )
                variances.append(window_mean(channels.abs().square(), weights).mean(0))
            module.means = torch.stack(means)
            module.factors = self.sums.products(floored(torch.stack(variances).sqrt()))
        return module

    def resized(self, shape: Sequence[int]) -> RectifierMoments:
        """The same moments and standardisation for fields of another size, without a mask.

        Raises
        ------
        TypeError, ValueError
            If the shape is too small for the scales.
        """
        module = RectifierMoments(
            shape,
            n_scales=self.n_scales,
            n_angles=self.n_angles,
            n_phases=self.n_phases,
            angle_reach=self.angle_reach,
            view=self.view,
            oversampling=self.wavelets.oversampling,
            chunk=self.chunk,
            dtype=self.dtype,
        ).to(self.factors.device)
        module.means = None if self.means is None else self.means.clone()
        module.factors = self.factors.clone()
        return module

    def masked(self, mask: torch.Tensor) -> RectifierMoments:
        """Estimates of the same moments from fields that are observed only where a mask is True.

        Parameters
        ----------
        mask : torch.Tensor
            Boolean, shape ``(H, W)``.

        Returns
        -------
        RectifierMoments
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
        with torch.no_grad():
            windows = [cast(torch.Tensor, module._window(scale)) for scale in range(self.n_scales)]
            spectra = [windowed_spectrum(window[None], None) for window in windows]
            module.overlaps = self.sums.overlaps(self.layers(spectra, spectra).real[0])
        for row, share in zip(self.table, module.overlaps.tolist(), strict=True):
            check_overlap(share, self.shape, row.second.scale)
        return module

    def _checked(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Check the fields; return them with one batch axis."""
        real_field(name, x, self.shape, dtype=self.dtype)
        return x.reshape(math.prod(x.shape[:-2]), *self.shape)

    def _window(self, scale: int) -> torch.Tensor | None:
        """Windows of a scale, all phases of an angle side by side."""
        window = self.wavelets.window(scale)
        return None if window is None else window.repeat_interleave(self.n_phases, dim=0)

    def _rectified(self, spectrum: torch.Tensor, scale: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Rectified coefficients of a scale, ``(n, n_angles * n_phases, *grid)``, and their windows."""
        z = torch.fft.ifft2(self.wavelets.coefficients(spectrum, scale))
        return rectifier_phases(z, self.n_phases).movedim(0, 2).flatten(1, 2), self._window(scale)

    def _moments(self, fields: torch.Tensor) -> torch.Tensor:
        spectrum = self.wavelets(fields)
        means, spectra = [], []
        for scale in range(self.n_scales):
            rectified, window = self._rectified(spectrum, scale)
            own = window_mean(rectified, window)
            fixed = own if self.means is None else self.means[scale]
            means.append(own if self.means is None else own - fixed)
            spectra.append(windowed_spectrum(rectified - fixed[..., None, None], window))
        covariances = self.layers(spectra, spectra).real
        return self.sums(torch.cat(means, dim=1), covariances) / (self.factors * self.overlaps)
