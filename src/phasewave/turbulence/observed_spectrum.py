"""Power spectra on other grids, averaged over neighbours, and of fields with gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from phasewave.turbulence.fill import Fill
from phasewave.turbulence.noise import white_noise

ROUNDS = 8
"""Fillings, the second half of which is averaged."""


def reflected(spectrum: Tensor) -> Tensor:
    """Return S(-omega)."""
    return spectrum.flip((-2, -1)).roll((1, 1), (-2, -1))


def periodogram(x: Tensor) -> Tensor:
    """Return the mean over fields (n, H, W) of |X(omega)|^2 / (H W), without its value at zero, made even."""
    power = torch.fft.fft2(x).abs().square().mean(0) / (x.shape[-2] * x.shape[-1])
    power[0, 0] = 0.0
    return (power + reflected(power)) / 2


def lag_window(shape: Sequence[int], *, width: float) -> Tensor:
    """Return the Gaussian on the lags by which a spectrum is averaged over ``width`` frequency spacings."""
    axes = [torch.fft.fftfreq(n, dtype=torch.float64) for n in shape]
    return torch.exp(-0.5 * (2 * torch.pi * width) ** 2 * (axes[0][:, None] ** 2 + axes[1] ** 2))


def averaged(spectrum: Tensor, *, width: float) -> Tensor:
    """Return a spectrum averaged over neighbours by a Gaussian of ``width`` spacings, of the same total."""
    window = lag_window(spectrum.shape, width=width).to(spectrum.device)
    average = torch.fft.fft2(torch.fft.ifft2(spectrum) * window).real.clamp(min=0.0)
    average[0, 0] = 0.0
    total = average.mean()
    return average * (spectrum.mean() / total) if float(total) > 0 else average


def averaged_log(spectrum: Tensor, *, width: float, count: int) -> Tensor:
    """Return the geometric average over neighbours of the mean of ``count`` periodograms, unbiased for noise.

    A steep spectrum is not spilt over by its strong frequencies. The logarithm of a mean of ``count`` exponential
    variables is ``digamma(count) - log(count)`` too low.
    """
    filled = spectrum.clone()
    filled[0, 0] = (filled[1, 0] + filled[-1, 0] + filled[0, 1] + filled[0, -1]) / 4
    window = lag_window(spectrum.shape, width=width).to(spectrum.device)
    logarithm = filled.clamp(min=1e-14 * float(filled.max())).log()
    smooth = torch.fft.ifft2(torch.fft.fft2(logarithm) * window).real
    bias = torch.digamma(smooth.new_tensor(float(count))) - math.log(count)
    average = torch.exp(smooth - bias)
    average[0, 0] = 0.0
    return average


def resampled(spectrum: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a spectrum on the frequencies of another grid, of the same total: see `GaussianModel`."""
    filled = spectrum.clone()
    filled[0, 0] = (filled[1, 0] + filled[-1, 0] + filled[0, 1] + filled[0, -1]) / 4
    rows, columns = (interpolation(n, new).to(filled) for n, new in zip(spectrum.shape, shape, strict=True))
    density = rows @ filled @ columns.T
    density[0, 0] = 0.0
    density = (density + reflected(density)) / 2
    total = density.mean()
    return density * (spectrum.mean() / total) if float(total) > 0 else density


def interpolation(n: int, new: int) -> Tensor:
    """Return the (new, n) matrix of the triangular kernel between two periodic frequency axes."""
    distance = torch.arange(new, dtype=torch.float64)[:, None] / new - torch.arange(n, dtype=torch.float64) / n
    distance = (distance - distance.round()).abs() * min(n, new)
    weight = (1 - distance).clamp(min=0)
    return weight / weight.sum(1, keepdim=True)


def observed_spectrum(x: Tensor, mask: Tensor, *, width: float = 2.0, seed: int = 0) -> Tensor:
    r"""Return the power spectrum of fields of which only some pixels are known.

    Windows leak: where a field is cut off, its periodogram falls as :math:`|\omega|^{-3}`, far above a smooth
    field. So the gaps are filled, first smoothly and then by samples of a Gaussian field given the observed
    pixels (constrained realisations, Hoffman and Ribak 1991, ApJ 380, L5), whose spectrum is the last one found,
    averaged over neighbours: stochastic expectation maximisation. What is returned is the mean periodogram of the
    last fillings.

    Parameters
    ----------
    x : Tensor (n, H, W), float64
        Fields of one process; any values in the gaps.
    mask : Tensor (H, W), bool
        True where they are observed.
    width : float
        Of the average over neighbours, in frequency spacings.
    seed : int
        Of the samples.

    Returns
    -------
    Tensor (H, W), float64
        As `periodogram`.
    """
    filled = Fill(mask, tolerance=1e-3)(x)
    last = []
    for number in range(ROUNDS):
        power = averaged_log(periodogram(filled), width=width, count=len(x))
        fill = Fill(mask, power=power, tolerance=1e-3)
        noise = white_noise(len(x), x.shape[-2:], seed=seed + number).to(x.device)
        draw = torch.fft.ifft2(torch.fft.fft2(noise) * power.sqrt()).real
        filled = torch.where(mask, x, draw + fill(x - draw))
        if 2 * number >= ROUNDS:
            last.append(periodogram(filled))
    return torch.stack(last).mean(0)
