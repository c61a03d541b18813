"""Power spectra of fields in log-spaced bands of frequency, and the distance between two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from phasewave import checks


def radial_frequency(shape: Sequence[int]) -> Tensor:
    """Return |omega| in radians per pixel on the grid of ``torch.fft.rfft2``: (H, W // 2 + 1), float64."""
    height, width = checks.grid_shape("shape", shape, n_axes=2, minimum=2)
    rows = 2 * math.pi * torch.fft.fftfreq(height, dtype=torch.float64)
    columns = 2 * math.pi * torch.fft.rfftfreq(width, dtype=torch.float64)
    return torch.hypot(rows[:, None], columns)


def log_bands(shape: Sequence[int], *, n_bands: int = 12) -> Tensor:
    r"""Return the edges of log-spaced bands from one cycle of the shorter side to the corner of the spectrum.

    .. math:: \omega_b = \omega_0 (\omega_1 / \omega_0)^{b / B},
              \quad \omega_0 = 2 \pi / \min(H, W), \quad \omega_1 = \sqrt 2 \pi.

    Lower frequencies, of the longer side only, are left out: a band of one mode is no statistic.

    Parameters
    ----------
    shape : (H, W)
    n_bands : int >= 1
        B.

    Returns
    -------
    Tensor (n_bands + 1,), float64, radians per pixel
    """
    sizes = checks.grid_shape("shape", shape, n_axes=2, minimum=2)
    count = checks.integer("n_bands", n_bands, minimum=1)
    low, high = math.log(2 * math.pi / min(sizes)), math.log(math.sqrt(2) * math.pi)
    return torch.linspace(low, high, count + 1, dtype=torch.float64).exp()


def band_spectrum(x: Tensor, edges: Tensor) -> Tensor:
    r"""Return the power spectrum of a field averaged over bands of |omega|.

    .. math:: P_b = \frac{1}{|\Omega_b|} \sum_{\omega \in \Omega_b} \frac{|X(\omega)|^2}{H W},
              \quad \Omega_b = \{\omega \neq 0 : e_b \le |\omega| < e_{b+1}\},

    the last band closed above. Not dependent on the field's size: white noise of variance s has P_b = s.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    edges : Tensor (B + 1,)
        Increasing band edges in radians per pixel, as ``log_bands`` makes them.

    Returns
    -------
    Tensor (..., B), float64, in squared units of the field
        NaN in a band without a frequency of this grid.
    """
    checks.real_field("x", x)
    height, width = x.shape[-2:]
    power = torch.fft.rfft2(x.to(torch.float64)).abs().square() / (height * width)
    frequency = radial_frequency((height, width)).to(power.device)
    limits = edges.to(power)
    tiny = 1e-9 * float(limits[-1])
    band = torch.bucketize(frequency, limits - tiny, right=True) - 1
    outside = (band < 0) | (frequency > limits[-1] + tiny) | (frequency == 0)
    n_bands = limits.numel() - 1
    band = torch.where(outside, n_bands, band.clamp(max=n_bands - 1)).flatten()
    columns = torch.arange(frequency.shape[1], device=power.device)
    weight = torch.where((columns == 0) | (2 * columns == width), 1.0, 2.0).to(power)
    weight = weight.expand_as(frequency).flatten()
    counts = torch.zeros(n_bands + 1).to(power).index_add_(0, band, weight)
    flat = (power.flatten(-2) * weight).reshape(-1, weight.numel())
    sums = torch.zeros(flat.shape[0], n_bands + 1).to(power).index_add_(1, band, flat)
    return (sums / counts)[:, :n_bands].reshape(*x.shape[:-2], n_bands)


def spectrum_error(x: Tensor, target: Tensor, *, n_bands: int = 12) -> Tensor:
    r"""Return the mean relative error of the power spectrum over log-spaced bands.

    .. math:: \frac1B \sum_b \left| P_b(x) / P_b(\text{target}) - 1 \right|,

    the bands being those of the target's grid. Bands in which a grid has no frequency are left out, and those in
    which the target has less than 1e-10 of the power of its strongest band: rounding, not a spectrum.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    target : Tensor (H', W'), real
    n_bands : int
        B.

    Returns
    -------
    Tensor (...), float64
    """
    edges = log_bands(target.shape[-2:], n_bands=n_bands)
    wanted = band_spectrum(target, edges)
    present = wanted >= 1e-10 * wanted.nan_to_num(nan=0.0).amax(-1, keepdim=True)
    error = (band_spectrum(x, edges) / wanted - 1).abs()
    return torch.where(present, error, torch.nan).nanmean(-1)
