"""The bispectrum of a field in shells of frequency, with its exact scatter for a Gaussian field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement, pairwise

import torch
from torch import Tensor

from phasewave import checks
from phasewave.turbulence.spectra import radial_frequency


def octave_shells(shape: Sequence[int]) -> Tensor:
    r"""Return the edges pi/2, pi/4, ... of octave shells, in increasing order.

    They leave out the last octave below the Nyquist frequency (dissipation, pixels) and go down as long
    as the lowest edge is at least two cycles of the shorter side.

    Parameters
    ----------
    shape : (H, W), each >= 16

    Returns
    -------
    Tensor (n_shells + 1,), float64, radians per pixel
    """
    shortest = min(checks.grid_shape("shape", shape, n_axes=2))
    n_shells = math.floor(math.log2(shortest / 8) + 1e-9)
    return math.pi / 2 * torch.pow(2.0, torch.arange(-n_shells, 1, dtype=torch.float64))


def triangles(edges: Tensor) -> list[tuple[int, int, int]]:
    """Return the shells (i <= j <= k) that closed triangles of wave vectors can have.

    The longest side must be shorter than the sum of the other two: edges[k] < edges[i + 1] + edges[j + 1].
    """
    limits = edges.tolist()
    return [
        (i, j, k)
        for i, j, k in combinations_with_replacement(range(len(limits) - 1), 3)
        if limits[k] < limits[i + 1] + limits[j + 1]
    ]


def bispectrum(x: Tensor, edges: Tensor) -> Tensor:
    r"""Return the shell-averaged bispectrum.

    .. math:: B_{ijk} = E_u[x_i(u) x_j(u) x_k(u)]
              = \frac{1}{N^3} \sum_{\substack{\omega_1 + \omega_2 + \omega_3 = 0 \\
                \omega_1 \in \Omega_i, \omega_2 \in \Omega_j, \omega_3 \in \Omega_k}}
                X(\omega_1) X(\omega_2) X(\omega_3),

    x_i being the field filtered to the shell Omega_i = {e_i <= |omega| < e_{i+1}} and N the pixels. Below
    pi / 2 the three frequencies cannot add up to a multiple of 2 pi: there is no aliasing.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    edges : Tensor (n_shells + 1,)
        As ``octave_shells`` makes them.

    Returns
    -------
    Tensor (..., n_triangles), float64, in cubed units of the field
        In the order of ``triangles(edges)``.
    """
    shells = _filtered(x, edges)
    return torch.stack([(shells[i] * shells[j] * shells[k]).mean((-2, -1)) for i, j, k in triangles(edges)], -1)


def bispectrum_scatter(x: Tensor, edges: Tensor) -> Tensor:
    r"""Return the standard deviation that the bispectrum has for a Gaussian field of the same spectrum.

    Shells are disjoint, so x_i and x_j are independent for a Gaussian field; with R_i the circular
    autocovariance of x_i, Wick's theorem gives exactly

    .. math:: \operatorname{Var} B_{ijk} = \frac{m}{N} \sum_\tau R_i(\tau) R_j(\tau) R_k(\tau),

    m = 1 for three different shells, 2 for two equal ones, 6 for three.

    Parameters
    ----------
    x : Tensor (..., H, W), real
        Only its periodogram matters.
    edges : Tensor (n_shells + 1,)

    Returns
    -------
    Tensor (..., n_triangles), float64, in cubed units of the field
    """
    shells = _filtered(x, edges)
    height, width = x.shape[-2:]
    covariances = [
        torch.fft.irfft2(torch.fft.rfft2(shell).abs().square(), s=(height, width)) / (height * width)
        for shell in shells
    ]
    variances = []
    for i, j, k in triangles(edges):
        pairings = {1: 6, 2: 2, 3: 1}[len({i, j, k})]
        variances.append(pairings * (covariances[i] * covariances[j] * covariances[k]).mean((-2, -1)))
    return torch.stack(variances, -1).clamp(min=0).sqrt()


def bispectrum_z(x: Tensor, target: Tensor) -> Tensor:
    r"""Return the mean distance of the bispectrum from the target's in units of the Gaussian scatter.

    .. math:: z = \frac{1}{n} \sum_{ijk} \frac{|B_{ijk}(x) - B_{ijk}(\text{target})|}{\sigma_{ijk}},

    over the triangles of the target's octave shells, sigma being ``bispectrum_scatter`` of the target.
    Two independent fields of one Gaussian process have z = 2 / sqrt(pi) = 1.13 on average, and a target
    with a zero bispectrum (a process symmetric under x -> -x) cannot tell more than that.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    target : Tensor (H', W'), real

    Returns
    -------
    Tensor (...), float64
    """
    edges = octave_shells(target.shape[-2:])
    scatter = bispectrum_scatter(target, edges)
    reached = scatter > 1e-12 * target.to(scatter).std() ** 3
    distance = (bispectrum(x, edges) - bispectrum(target, edges)).abs()
    return (distance[..., reached] / scatter[reached]).mean(-1)


def _filtered(x: Tensor, edges: Tensor) -> list[Tensor]:
    checks.real_field("x", x)
    sizes = checks.grid_shape("x.shape", x.shape[-2:], n_axes=2)
    spectrum = torch.fft.rfft2(x.detach().to(torch.float64))
    frequency = radial_frequency(sizes).to(spectrum.device)
    limits = edges.tolist()
    return [
        torch.fft.irfft2(spectrum * ((frequency >= low) & (frequency < high)), s=sizes)
        for low, high in pairwise(limits)
    ]
