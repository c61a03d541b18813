"""Statistics of the values of a field, wherever they are: moments, density, Wasserstein distance."""

from __future__ import annotations

import torch
from torch import Tensor

from phasewave import checks


def skewness(x: Tensor) -> Tensor:
    r"""Return E[(x - m)^3] / E[(x - m)^2]^{3/2} over the last two axes: (..., H, W) -> (...), float64."""
    return _standard_moment(x, 3)


def kurtosis(x: Tensor) -> Tensor:
    r"""Return E[(x - m)^4] / E[(x - m)^2]^2 (3 for a Gaussian): (..., H, W) -> (...), float64."""
    return _standard_moment(x, 4)


def wasserstein(x: Tensor, target: Tensor) -> Tensor:
    r"""Return the Wasserstein-1 distance of the one-point laws in units of the target's deviation.

    .. math:: W_1 / \sigma = \frac{1}{\sigma} \int |F_x(t) - F_{\text{target}}(t)| \, dt,

    with F the empirical distribution functions of the pixels and sigma the standard deviation of the
    target. For fields of one size it is the mean distance between sorted values.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    target : Tensor (H', W'), real
        May be of another size.

    Returns
    -------
    Tensor (...), float64

    Raises
    ------
    ValueError
        If the target is constant.
    """
    a = _values("x", x).sort(-1).values
    b = _values("target", target).flatten().sort().values
    scale = b.std(correction=0)
    if float(scale) == 0:
        checks.fail("target", "vary over space", "a constant field")
    if a.shape[-1] == b.shape[-1]:
        return (a - b).abs().mean(-1) / scale
    rows = a.reshape(-1, a.shape[-1])
    reference = b.expand(rows.shape[0], -1)
    merged = torch.cat([rows, reference], -1).sort(-1).values
    left = merged[:, :-1].contiguous()
    gap = (
        torch.searchsorted(rows.contiguous(), left, right=True) / rows.shape[-1]
        - torch.searchsorted(reference.contiguous(), left, right=True) / b.shape[-1]
    ).abs()
    return ((gap * merged.diff(dim=-1)).sum(-1) / scale).reshape(a.shape[:-1])


def density(x: Tensor, edges: Tensor) -> Tensor:
    r"""Return the histogram estimate of the probability density of the values.

    .. math:: p_b = \frac{\#\{u : e_b \le x(u) < e_{b+1}\}}{H W (e_{b+1} - e_b)}

    Values outside the edges count in no bin.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    edges : Tensor (B + 1,)
        Increasing bin edges, in units of the field.

    Returns
    -------
    Tensor (..., B), float64
    """
    values = _values("x", x).sort(-1).values
    limits = edges.to(values)
    below = torch.searchsorted(values, limits.expand(*values.shape[:-1], -1).contiguous())
    return below.diff(dim=-1) / (values.shape[-1] * limits.diff())


def _values(name: str, x: Tensor) -> Tensor:
    checks.real_field(name, x)
    return x.detach().to(torch.float64).flatten(-2)


def _standard_moment(x: Tensor, order: int) -> Tensor:
    values = _values("x", x)
    centred = values - values.mean(-1, keepdim=True)
    return centred.pow(order).mean(-1) / centred.square().mean(-1).pow(order / 2)
