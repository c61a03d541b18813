"""How much two fields share pixel by pixel: cross-correlation over all shifts, spread between samples."""

from __future__ import annotations

import torch
from torch import Tensor

from phasewave import checks


def max_cross_correlation(x: Tensor, target: Tensor) -> Tensor:
    r"""Return the largest correlation of a field with the target over all shifts: 1 for a shifted copy.

    .. math:: \max_\tau \left| \frac{E_u[(x(u + \tau) - m_x(\tau))(t(u) - m_t)]}{\sigma_x(\tau) \sigma_t} \right|

    Shifts are circular and computed by FFT. If the sizes differ, t is the target cropped to the smaller
    side along each axis, looked for everywhere in x, with the mean m_x and the deviation sigma_x of the
    window under it. The absolute value catches negated copies of sign-symmetric fields too.

    A constant field has 0. Independent realisations have not: their level is set by the largest structures,
    so compare with it.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    target : Tensor (H', W'), real

    Returns
    -------
    Tensor (...), float64, between 0 and 1
    """
    checks.real_field("x", x)
    checks.real_field("target", target)
    field = x.detach().to(torch.float64)
    height, width = field.shape[-2:]
    template = target.detach().to(torch.float64)[:height, :width]
    pixels = template.numel()
    template = template - template.mean()
    field = field - field.mean((-2, -1), keepdim=True)
    covariance = _correlate(field, template)
    if template.shape == field.shape[-2:]:
        power = field.square().sum((-2, -1), keepdim=True)
    else:
        window = torch.ones_like(template)
        power = _correlate(field.square(), window) - _correlate(field, window).square() / pixels
    floor = 1e-9 * pixels * field.square().mean((-2, -1), keepdim=True)
    normaliser = (power.clamp(min=floor) * template.square().sum()).sqrt()
    correlation = torch.where(normaliser > 0, covariance / normaliser, 0.0)
    return correlation.abs().amax((-2, -1))


def pair_cross_correlations(samples: Tensor) -> Tensor:
    """Return ``max_cross_correlation`` of every pair of samples i < j, in the order of ``combinations``.

    Parameters
    ----------
    samples : Tensor (n, H, W), real

    Returns
    -------
    Tensor (n (n - 1) / 2,), float64
    """
    checks.real_field("samples", samples)
    if samples.ndim != 3:
        checks.fail("samples", "have axes (n, H, W)", tuple(samples.shape))
    rows = [max_cross_correlation(samples[i + 1 :], samples[i]) for i in range(samples.shape[0] - 1)]
    return torch.cat(rows) if rows else samples.new_zeros(0, dtype=torch.float64)


def pixel_spread(samples: Tensor) -> Tensor:
    r"""Return the variance between samples at a pixel relative to the variance of the samples' pixels.

    .. math:: \frac{E_u \operatorname{Var}_i[x_i(u)]}{\operatorname{Var}_{i, u}[x_i(u)]},

    Var_i being the unbiased variance over samples. It is 1 for independent samples of a stationary process
    (to the accuracy of one over the number of samples and of large structures), and 0 if all samples are
    one field: then the sampler does not sample. NaN for one sample.

    Parameters
    ----------
    samples : Tensor (n, H, W), real

    Returns
    -------
    Tensor (), float64
    """
    checks.real_field("samples", samples)
    if samples.ndim != 3:
        checks.fail("samples", "have axes (n, H, W)", tuple(samples.shape))
    fields = samples.detach().to(torch.float64)
    if fields.shape[0] < 2:
        return fields.new_tensor(float("nan"))
    return fields.var(0).mean() / fields.var(correction=0)


def _correlate(field: Tensor, template: Tensor) -> Tensor:
    """Return sum_u field(u + tau) template(u) for all circular shifts tau of the field's grid."""
    size = field.shape[-2:]
    product = torch.fft.rfft2(field) * torch.fft.rfft2(template, s=size).conj()
    return torch.fft.irfft2(product, s=size)
