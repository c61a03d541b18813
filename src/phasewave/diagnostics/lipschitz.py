"""Lipschitz constant of piecewise affine networks: by regions, and the bound by the product of the layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from phasewave.checks import fail
from phasewave.diagnostics.pieces import check_evaluation, layers_of
from phasewave.diagnostics.splines import AffineSpline


def region_norms(network: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    r"""Spectral norm :math:`\|A_Q\|_2` of the network on the region Q of each input.

    Their maximum over all regions is the Lipschitz constant; over given inputs, a lower bound of it.

    Parameters
    ----------
    network : torch.nn.Sequential
        As `AffineSpline` takes.
    x : torch.Tensor (n, ...)

    Returns
    -------
    torch.Tensor (n,)

    Raises
    ------
    TypeError, ValueError
        As `AffineSpline.templates`.

    Notes
    -----
    Cost: C backward passes and n singular value problems of C x p. Source: Balestriero and Baraniuk 2018.
    """
    return torch.linalg.matrix_norm(AffineSpline(network).templates(x).flatten(2), ord=2)


def lipschitz_bound(network: nn.Sequential, shape: Sequence[int]) -> float:
    r"""Upper bound :math:`\prod_l \|W_l\|_2` of the Lipschitz constant.

    Exact norms of Linear, batch normalisation, rectifiers and poolings of disjoint windows. A convolution on an
    image padded by zeros is a part of the circular convolution on the padded grid: its norm is at most
    :math:`\max_\omega \|\hat W(\omega)\|_2` there. Overlapping poolings by their row and column sums.

    Parameters
    ----------
    network : torch.nn.Sequential
        As `AffineSpline` takes; convolutions padded by zeros, poolings without dilation.
    shape : sequence of int
        Of one input.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If the network is not such a one, or in training mode.

    Notes
    -----
    Cost: a singular value problem a Linear layer; one a frequency for each convolution.

    References
    ----------
    Sedghi, Gupta, Long, "The singular values of convolutional layers", ICLR 2019.
    """
    layers = layers_of(network)
    check_evaluation(layers)
    like = next(iter(network.parameters()), torch.zeros(()))
    z = torch.zeros(1, *shape, dtype=like.dtype, device=like.device)
    bound = 1.0
    with torch.no_grad():
        for layer in layers:
            bound *= layer_norm(layer, z)
            z = layer(z.clone())
    return bound


def layer_norm(layer: nn.Module, z: torch.Tensor) -> float:
    """Norm of one layer on inputs of the shape of ``z``; for convolutions and overlapping poolings a bound of it.

    Raises
    ------
    ValueError
        If a convolution is not padded by zeros, or a pooling is dilated.

    Notes
    -----
    Cost: as `lipschitz_bound`, for one layer.
    """
    if isinstance(layer, nn.Linear):
        return float(torch.linalg.matrix_norm(layer.weight.detach().double(), ord=2))
    if isinstance(layer, nn.Conv2d):
        return _convolution_bound(layer, (z.shape[-2], z.shape[-1]))
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        variance = cast(torch.Tensor, layer.running_var).double()
        gain = torch.ones_like(variance) if layer.weight is None else layer.weight.detach().double().abs()
        return float((gain / (variance + layer.eps).sqrt()).max())
    if isinstance(layer, nn.LeakyReLU):
        return max(1.0, abs(layer.negative_slope))
    if isinstance(layer, nn.PReLU):
        return max(1.0, float(layer.weight.detach().abs().max()))
    if isinstance(layer, nn.AvgPool2d | nn.AdaptiveAvgPool2d):
        ones = torch.ones_like(z[:1, :1], dtype=torch.float64)
        # Non-negative matrix: norm^2 <= largest row sum x largest column sum.
        return float(layer(ones).max() * _column_sums(layer, ones).max()) ** 0.5
    if isinstance(layer, nn.MaxPool2d):
        if layer.dilation not in (1, (1, 1)):
            fail("network", "have poolings without dilation", layer.dilation)
        ones = torch.ones_like(z[:1, :1], dtype=torch.float64)
        windows = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode, divisor_override=1)
        # A change of one pixel moves at most as many outputs as there are windows around it.
        return float(_column_sums(windows, ones).max()) ** 0.5
    return 1.0


def _column_sums(pooling: nn.Module, ones: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        start = ones.clone().requires_grad_()
        return torch.autograd.grad(pooling(start).sum(), start)[0]


def _convolution_bound(layer: nn.Conv2d, size: tuple[int, int]) -> float:
    if layer.padding_mode != "zeros":
        fail("network", "have convolutions padded by zeros", layer.padding_mode)
    extents = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if layer.padding == "same":
        padding = [e - 1 for e in extents]
    elif layer.padding == "valid":
        padding = [0, 0]
    else:
        padding = [2 * int(p) for p in layer.padding]
    grid = [n + p for n, p in zip(size, padding, strict=True)]
    weight = layer.weight.detach().double()
    spread = weight.new_zeros(*weight.shape[:2], *extents)
    spread[..., :: layer.dilation[0], :: layer.dilation[1]] = weight
    spectra = torch.fft.rfft2(spread, s=grid)
    groups = spectra.unflatten(0, (layer.groups, -1))  # (g, out, in, ...)
    return float(torch.linalg.matrix_norm(groups.movedim((1, 2), (-2, -1)), ord=2).max())
