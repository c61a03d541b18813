"""The stationary Gaussian field with the mean and the power spectrum of a given field, exact by FFT."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from phasewave import checks


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

    Attributes
    ----------
    mean : Tensor (), float64
        mu, the mean over space and realisations.
    spectrum : Tensor (H, W), float64
        S, in squared units of the field, in the order of ``torch.fft.fft2``.

    Raises
    ------
    TypeError
        If ``field`` is not a real floating tensor.
    ValueError
        If it has fewer than two axes, a size below 2, or values that are not finite.

    Notes
    -----
    Cost: two FFTs a sample, in float64. The definition of the spectrum by one periodogram makes the model
    the microcanonical ensemble's Gaussian twin: it shares every second-order moment of the target.
    """

    def __init__(self, field: Tensor) -> None:
        checks.real_field("field", field)
        if field.ndim < 2:
            checks.fail("field", "have axes (..., H, W)", tuple(field.shape))
        self.shape = checks.grid_shape("field.shape", field.shape[-2:], n_axes=2, minimum=2)
        checks.finite("field", field)
        x = field.detach().to(torch.float64).reshape(-1, *self.shape)
        if x.shape[0] == 0:
            checks.fail("field", "hold at least one realisation", tuple(field.shape))
        self.dtype = field.dtype
        self.mean = x.mean()
        periodogram = torch.fft.fft2(x - self.mean).abs().square().mean(0) / (x.shape[-2] * x.shape[-1])
        periodogram[0, 0] = 0.0
        self.spectrum = (periodogram + _reflected(periodogram)) / 2

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
        filled = self.spectrum.clone()
        filled[0, 0] = (filled[1, 0] + filled[-1, 0] + filled[0, 1] + filled[0, -1]) / 4
        rows, columns = (_interpolation(n, new).to(filled) for n, new in zip(self.shape, sizes, strict=True))
        density = rows @ filled @ columns.T
        density[0, 0] = 0.0
        density = (density + _reflected(density)) / 2
        total = density.mean()
        return density * (self.variance() / total) if float(total) > 0 else density

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
        axes = [torch.fft.fftfreq(n, dtype=torch.float64, device=self.spectrum.device) for n in self.shape]
        lag_square = axes[0][:, None] ** 2 + axes[1] ** 2
        window = torch.exp(-0.5 * (2 * torch.pi * width) ** 2 * lag_square)
        average = torch.fft.fft2(torch.fft.ifft2(self.spectrum) * window).real.clamp(min=0.0)
        average[0, 0] = 0.0
        total = average.mean()
        model = copy.copy(self)
        model.spectrum = average * (self.variance() / total) if float(total) > 0 else average
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


def white_noise(n_samples: int, shape: Sequence[int], *, seed: int | torch.Generator) -> Tensor:
    """Draw standard normal fields on the CPU in float64; field i is a function of (seed, i) alone.

    Parameters
    ----------
    n_samples : int
    shape : sequence of int
        Shape of one field.
    seed : int >= 0, or torch.Generator
        A generator gives the integer: one draw from it.

    Returns
    -------
    Tensor (n_samples, *shape), float64
    """
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**62, (), generator=seed, device=seed.device))
    root = checks.integer("seed", seed, minimum=0)
    noise = torch.empty(n_samples, *shape, dtype=torch.float64)
    for i in range(n_samples):
        state = np.random.SeedSequence(root, spawn_key=(i,)).generate_state(1, np.uint64)[0]
        torch.randn(tuple(shape), generator=torch.Generator().manual_seed(int(state)), out=noise[i])
    return noise


def _reflected(spectrum: Tensor) -> Tensor:
    """Return S(-omega)."""
    return spectrum.flip((-2, -1)).roll((1, 1), (-2, -1))


def _interpolation(n: int, new: int) -> Tensor:
    """Return the (new, n) matrix of the triangular kernel between two periodic frequency axes."""
    distance = torch.arange(new, dtype=torch.float64)[:, None] / new - torch.arange(n, dtype=torch.float64) / n
    distance = (distance - distance.round()).abs() * min(n, new)
    weight = (1 - distance).clamp(min=0)
    return weight / weight.sum(1, keepdim=True)
