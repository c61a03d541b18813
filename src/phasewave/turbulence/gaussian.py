"""The stationary Gaussian field with the mean and the power spectrum of a given field, exact by FFT."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from phasewave import checks
from phasewave.core.grids import smooth_size
from phasewave.turbulence.masks import observed_mask
from phasewave.turbulence.noise import white_noise
from phasewave.turbulence.observed_spectrum import (
    averaged,
    observed_spectrum,
    periodogram,
    resampled,
)

__all__ = ["GaussianModel", "white_noise"]


class GaussianModel:
    r"""Gaussian maximum-entropy model: the mean and the second-order moments of a field, nothing else.

    On the torus of the field's size N = H W, with X the Fourier transform of the field x minus its mean,

    .. math:: S(\omega) = |X(\omega)|^2 / N, \qquad
              E[y(u) y(u - \tau)] - \mu^2 = R(\tau) = \frac1N \sum_\omega S(\omega) e^{i \omega \tau},

    that is, the covariance is the circulant matrix of the field's circular autocovariance. A sample is
    mu + IFFT(S^{1/2} FFT(w)) with w white noise: exactly Gaussian, E|Y(omega)|^2 = |X(omega)|^2, and its
    mean over space is exactly mu, since S(0) = 0.

    Parameters
    ----------
    field : Tensor (..., H, W), real, finite
        One field, or realisations of one process along the leading axes: their periodograms are averaged.
    mask : Tensor (H, W), bool, optional
        True where the field is observed; its other values may be anything. The spectrum is then that of fillings
        drawn from the model itself (`phasewave.turbulence.observed_spectrum`).
    periodic : bool
        False for a field whose opposite borders do not fit: the spectrum is estimated with a margin of a quarter
        of the field, not observed, and brought back to the field's frequencies.

    Attributes
    ----------
    mean : Tensor (), float64
        mu, the mean over (observed) space and realisations.
    spectrum : Tensor (H, W), float64
        S, in squared units of the field, in the order of ``torch.fft.fft2``.

    Raises
    ------
    TypeError
        If ``field`` is not a real floating tensor.
    ValueError
        If it has fewer than two axes, a size below 2, or (observed) values that are not finite; if the mask is
        of another shape or all False.

    Notes
    -----
    Cost: two FFTs a sample, in float64; with a mask some thousand FFTs once. The
    definition of the spectrum by one periodogram makes the model
    the microcanonical ensemble's Gaussian twin: it shares every second-order moment of the target.
    """

    def __init__(self, field: Tensor, *, mask: Tensor | None = None, periodic: bool = True) -> None:
        checks.real_field("field", field)
        if field.ndim < 2:
            checks.fail("field", "have axes (..., H, W)", tuple(field.shape))
        self.shape = checks.grid_shape("field.shape", field.shape[-2:], n_axes=2, minimum=2)
        observed = None if mask is None else observed_mask(mask, self.shape).to(field.device)
        checks.finite("field", field if observed is None else field[..., observed])
        x = field.detach().to(torch.float64).reshape(-1, *self.shape)
        if x.shape[0] == 0:
            checks.fail("field", "hold at least one realisation", tuple(field.shape))
        self.dtype = field.dtype
        known = x if observed is None else x[:, observed]
        self.mean = known.mean()
        if periodic and observed is None:
            self.spectrum = periodogram(x - self.mean)
            return
        if observed is None:
            observed = torch.ones(self.shape, dtype=torch.bool, device=field.device)
        sizes = self.shape if periodic else tuple(smooth_size(n + n // 4, multiple=2) for n in self.shape)
        margins = (0, sizes[1] - self.shape[1], 0, sizes[0] - self.shape[0])
        deviation = torch.nn.functional.pad(torch.where(observed, x - self.mean, 0.0), margins)
        self.spectrum = observed_spectrum(deviation, torch.nn.functional.pad(observed, margins))
        if not periodic:
            self.spectrum = resampled(self.spectrum, self.shape)

    def __repr__(self) -> str:
        return f"GaussianModel(shape={self.shape}, mean={float(self.mean):.4g}, variance={self.variance():.4g})"

    def variance(self) -> float:
        """Return R(0), the variance of a pixel (the field's own variance over space)."""
        return float(self.spectrum.mean())

    def spectral_density(self, shape: Sequence[int] | None = None) -> Tensor:
        r"""Return S on the frequencies of a grid of another size.

        .. math:: S'(\omega') \propto \sum_\omega
                  \Lambda\Big(\frac{\omega'_1 - \omega_1}{\Delta_1}\Big)
                  \Lambda\Big(\frac{\omega'_2 - \omega_2}{\Delta_2}\Big) S(\omega),
                  \quad \Lambda(t) = \max(0, 1 - |t|),

        with Delta the coarser of the two frequency spacings, so that a larger grid interpolates S
        bilinearly and a smaller one averages it. S(0), which the removed mean leaves empty, is first
        replaced by the mean of its four neighbours; then S'(0) = 0 and the variance is restored exactly.
        The pixel keeps its physical size: a larger grid is a larger domain, not a finer one.

        Parameters
        ----------
        shape : (H', W'), optional
            The size wanted; the field's own when None, which gives ``spectrum`` itself.

        Returns
        -------
        Tensor (H', W'), float64
            S', even in omega', with mean ``variance()``.
        """
        if shape is None:
            return self.spectrum
        sizes = checks.grid_shape("shape", shape, n_axes=2, minimum=2)
        if sizes == self.shape:
            return self.spectrum
        return resampled(self.spectrum, sizes)

    def smoothed(self, *, width: float = 3.0) -> GaussianModel:
        r"""Return the model with a spectrum averaged over neighbouring frequencies.

        One periodogram scatters by as much as its mean. A sample that has its every peak correlates with the
        field; one of the average, :math:`S * G` with ``G`` a Gaussian of ``width`` frequency spacings (a lag
        window on the autocovariance, Blackman and Tukey), does not.

        Parameters
        ----------
        width : float
            Standard deviation of ``G`` on each axis, in frequency spacings, > 0.

        Returns
        -------
        GaussianModel
            Of the same mean and variance.
        """
        if not width > 0:
            checks.fail("width", "be positive", width)
        model = copy.copy(self)
        model.spectrum = averaged(self.spectrum, width=width)
        return model

    def colour(self, noise: Tensor) -> Tensor:
        r"""Return mu + IFFT(S^{1/2} FFT(noise)): the linear map from white noise to a sample.

        Parameters
        ----------
        noise : Tensor (..., H', W'), real
            White noise of unit variance, of any size.

        Returns
        -------
        Tensor (..., H', W'), of the dtype and device of ``noise``
        """
        checks.real_field("noise", noise)
        amplitude = self.spectral_density(noise.shape[-2:]).sqrt().to(noise)
        kept = amplitude[:, : noise.shape[-1] // 2 + 1]
        coloured = torch.fft.irfft2(torch.fft.rfft2(noise) * kept, s=noise.shape[-2:])
        return coloured + self.mean.to(noise)

    def sample(self, n_samples: int, *, seed: int | torch.Generator, shape: Sequence[int] | None = None) -> Tensor:
        """Draw independent samples.

        Sample i is a function of (seed, i) alone, to the last bit: it does not depend on ``n_samples``. Nor
        does it, to rounding, on the device. The noise is drawn on the CPU in float64.

        Parameters
        ----------
        n_samples : int >= 0
        seed : int >= 0, or torch.Generator
            A generator gives the integer: one draw from it.
        shape : (H', W'), optional
            Size of the samples; the field's own when None. See ``spectral_density``.

        Returns
        -------
        Tensor (n_samples, H', W'), of the dtype and device of the field

        Raises
        ------
        ValueError
            If ``n_samples`` or ``seed`` is negative, or ``shape`` is not two integers >= 2.
        """
        count = checks.integer("n_samples", n_samples, minimum=0)
        sizes = self.shape if shape is None else checks.grid_shape("shape", shape, n_axes=2, minimum=2)
        noise = white_noise(count, sizes, seed=seed).to(self.spectrum.device)
        samples = torch.empty(count, *sizes, dtype=self.dtype, device=noise.device)
        for i in range(count):
            samples[i] = self.colour(noise[i])
        return samples
