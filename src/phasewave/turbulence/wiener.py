"""Noise of known spectrum, the spectrum of a field seen through it, and the Wiener filter between the two."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from phasewave import checks
from phasewave.turbulence.gaussian import GaussianModel, white_noise


@dataclass(frozen=True, eq=False)
class Noise:
    r"""Stationary noise: its power spectrum, and draws of it.

    Attributes
    ----------
    spectrum : Tensor (H, W), float64
        S_n, in squared units of the field, in the order of ``torch.fft.fft2``; white noise of standard deviation
        sigma has S_n = sigma^2.
    maps : Tensor (n, H, W), float64, or None
        Samples that were given; noise without them is Gaussian.
    """

    spectrum: Tensor
    maps: Tensor | None

    @property
    def variance(self) -> float:
        """Variance of a pixel."""
        return float(self.spectrum.mean())

    def draws(self, n_draws: int, *, seed: int | torch.Generator) -> Tensor:
        """Return draws of the noise: (n, H, W), float64.

        The maps that were given, at most ``n_draws`` of them; or else Gaussian noise in pairs of opposite sign,
        whose mean is zero exactly, so that nothing can correlate with it.

        Parameters
        ----------
        n_draws : int, even
        seed : int or torch.Generator

        Raises
        ------
        ValueError
            If ``n_draws`` is odd or below 4.
        """
        count = checks.integer("n_draws", n_draws, minimum=4)
        if count % 2:
            checks.fail("n_draws", "be even", count)
        if self.maps is not None:
            return self.maps[:count]
        white = white_noise(count // 2, self.spectrum.shape, seed=seed).to(self.spectrum)
        half = torch.stack([self.colour(row) for row in white])
        return torch.stack((half, -half), dim=1).flatten(0, 1)

    def colour(self, white: Tensor) -> Tensor:
        """Return Gaussian noise of this spectrum made from white noise (..., H, W)."""
        return filtered(white, self.spectrum.sqrt())


def as_noise(noise: float | Tensor, shape: Sequence[int]) -> Noise:
    """Return noise given as a number, a spectrum or samples.

    Parameters
    ----------
    noise : float, or Tensor (H, W), or Tensor (n, H, W)
        The standard deviation of white noise; or the power spectrum S_n on the grid of ``torch.fft.fft2``
        (``GaussianModel(map).smoothed().spectrum`` for one map of the noise); or four or more maps of the noise.
    shape : (H, W)
        Of the field.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If it is not positive or not finite, a spectrum is negative, or a shape is wrong.
    """
    size = tuple(checks.plane_shape("shape", shape))
    if isinstance(noise, int | float) and not isinstance(noise, bool):
        if not 0.0 < noise < float("inf"):
            checks.fail("noise", "be a standard deviation > 0", noise)
        return Noise(torch.full(size, float(noise) ** 2, dtype=torch.float64), None)
    if not isinstance(noise, Tensor):
        raise TypeError(f"`noise` must be a number, a spectrum or maps of noise, got {type(noise).__name__}")
    checks.real_field("noise", noise, size)
    values = checks.finite("noise", noise.detach().to(torch.float64))
    if values.ndim == 2:
        if bool((values < 0).any()) or not float(values.sum()) > 0:
            checks.fail("noise", "be a power spectrum >= 0, and not zero everywhere", float(values.min()))
        return Noise(_even(values), None)
    if values.ndim != 3 or len(values) < 4:
        checks.fail("noise", "be a spectrum (H, W) or four or more maps (n, H, W)", tuple(noise.shape))
    model = GaussianModel(values)
    if not model.variance() > 0:
        checks.fail("noise", "vary over space", "constant maps")
    return Noise(model.smoothed().spectrum, values)


class WienerFilter:
    r"""The Gaussian posterior of a field seen through noise: y = x + n.

    With spectra S of the field and S_n of the noise, in Fourier,

    .. math:: E[X|Y] = W Y, \quad W = \frac{S}{S + S_n}, \qquad \mathrm{Var}[X|Y] = \frac{S S_n}{S + S_n}.

    Parameters
    ----------
    model : GaussianModel
        Mean and spectrum S of the field (`signal_model`).
    noise : Noise
    """

    def __init__(self, model: GaussianModel, noise: Noise) -> None:
        self.model = model
        power, disturbance = model.spectrum, noise.spectrum.to(model.spectrum)
        total = power + disturbance
        self.response = torch.where(total > 0, power / total.clamp(min=torch.finfo(total.dtype).tiny), 0.0)
        self.response[0, 0] = 1.0
        self.fluctuation = self.response * disturbance
        self.fluctuation[0, 0] = 0.0

    def mean(self, field: Tensor) -> Tensor:
        """Return the best linear estimate of x from y (..., H, W), float64."""
        return filtered(field.to(torch.float64), self.response)

    def sample(self, field: Tensor, n_samples: int, *, seed: int | torch.Generator) -> Tensor:
        """Draw from the Gaussian posterior: (n_samples, H, W), float64; sample i depends on (seed, i) alone."""
        white = white_noise(checks.integer("n_samples", n_samples, minimum=0), field.shape, seed=seed)
        mean, amplitude = self.mean(field), self.fluctuation.sqrt()
        samples = torch.empty_like(white, device=field.device)
        for i, row in enumerate(white.to(field.device)):
            samples[i] = mean + filtered(row, amplitude)
        return samples


def signal_model(field: Tensor, noise: Noise) -> GaussianModel:
    r"""Return the Gaussian model of a field that was seen through noise.

    Its spectrum is that of ``field`` less that of the noise: the mean over shells of :math:`|\omega|`, times the
    smoothed spectrum over the smoothed mean, which is its anisotropy. The mean falls, at small scales, below the
    sampling error :math:`S_n \sqrt{2 / n}` of the noise (n modes); from the first shell k_0 at which it is less
    than three times that, it is continued by the parabola

    .. math:: \ln S(k) = a + b \ln(k / k_0) + c \ln^2(k / k_0), \qquad b, c \le 0,

    most probable (Whittle likelihood) given the observed power from k_0 / 2 to the end: a power law alone stands
    far above a range of dissipation. Measured on vorticity and dust behind white noise of a tenth to half their
    deviation, the continuation is within 1.7 of the truth down to a hundredth of the noise, where the power law is
    2.7 to 5.5 times too high.

    Parameters
    ----------
    field : Tensor (H, W), real
        The observed field.
    noise : Noise

    Raises
    ------
    ValueError
        If the noise has as much variance as the field, or hides it at all scales.
    """
    checks.real_field("field", field, tuple(noise.spectrum.shape))
    observed = GaussianModel(field)
    if noise.variance >= observed.variance():
        variances = f"{noise.variance:.4g} and {observed.variance():.4g}"
        raise ValueError(f"`noise` must have less variance than the field, got {variances}")
    disturbance = noise.spectrum.to(observed.spectrum)
    axes = [torch.fft.fftfreq(n, dtype=torch.float64, device=disturbance.device) for n in observed.shape]
    radius = torch.hypot(axes[0][:, None], axes[1]) * min(observed.shape)
    shell = radius.round().long()
    counts = _shell_sums(torch.ones_like(radius), shell)
    power, known = (_shell_sums(x, shell) / counts for x in (observed.spectrum, disturbance))
    excess, error = power - known, known * (2.0 / counts).sqrt()
    hidden = torch.nonzero(excess[1:] < 3.0 * error[1:]).flatten()
    last = int(hidden[0]) if len(hidden) else len(excess) - 1
    if last < 2:
        raise ValueError("`noise` must leave some scales of the field above it, got noise that hides them all")
    isotropic = copy.copy(observed)
    isotropic.spectrum = power[shell]
    anisotropy = observed.smoothed().spectrum / isotropic.smoothed().spectrum.clamp(min=1e-300)
    local = isotropic.spectrum * anisotropy - disturbance
    wanted = torch.maximum(local, 0.1 * excess[shell])
    if len(hidden):
        wanted = torch.where(shell > last, _continued(power, known, counts, last)[shell], wanted)
    wanted[0, 0] = 0.0
    model = copy.copy(observed)
    model.spectrum = wanted
    return model


def _continued(power: Tensor, noise: Tensor, counts: Tensor, last: int) -> Tensor:
    """Return the most probable parabola of ln S in ln k on all shells: see `signal_model`."""
    observed, known, modes = (
        values[max(1, last // 2) :].cpu().numpy() for values in (power / power[last], noise / power[last], counts)
    )
    shells = np.arange(1, len(power), dtype=np.float64)
    logarithm = np.log(shells / last)
    basis = np.stack([np.ones_like(logarithm), logarithm, logarithm**2])
    fitted = basis[:, -len(observed) :]

    def likelihood(parabola: np.ndarray) -> tuple[float, np.ndarray]:
        signal = np.exp(np.clip(parabola @ fitted, -100.0, 100.0))
        total = signal + known
        value = (modes * (np.log(total) + observed / total)).sum()
        slope = modes * (1.0 - observed / total) / total * signal
        return value / modes.sum(), (fitted * slope).sum(axis=1) / modes.sum()

    bounds = [(None, None), (None, 0.0), (None, 0.0)]
    found = minimize(likelihood, [0.0, -2.0, -1.0], jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-14)
    beyond = np.exp(np.clip(found.x @ basis, -100.0, 100.0)) * float(power[last])
    return torch.from_numpy(np.concatenate([[0.0], beyond])).to(power)


def filtered(x: Tensor, response: Tensor) -> Tensor:
    """Return a real field (..., H, W) times a real, even response (H, W) in Fourier."""
    half = response[:, : x.shape[-1] // 2 + 1].to(x)
    return torch.fft.irfft2(torch.fft.rfft2(x) * half, s=x.shape[-2:])


def _shell_sums(values: Tensor, shell: Tensor) -> Tensor:
    sums = torch.zeros(int(shell.max()) + 1, dtype=values.dtype, device=values.device)
    return sums.index_add(0, shell.flatten(), values.flatten())


def _even(spectrum: Tensor) -> Tensor:
    return (spectrum + spectrum.flip((-2, -1)).roll((1, 1), (-2, -1))) / 2
