"""Layers of piecewise affine networks: which there are, the piece a unit is on, a layer held on its pieces."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from phasewave.checks import fail

AFFINE = (
    nn.Linear,
    nn.Conv2d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
    nn.Unflatten,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
)
PIECEWISE = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Hardtanh, nn.MaxPool2d)


def layers_of(network: nn.Sequential) -> list[nn.Module]:
    """Layers of a sequence, those of nested sequences in their place.

    Raises
    ------
    TypeError
        If it is not a sequence, or holds a layer that is not of ``AFFINE`` or ``PIECEWISE``.
    """
    if not isinstance(network, nn.Sequential):
        raise TypeError(f"`network` must be a torch.nn.Sequential, got {type(network).__name__}")
    layers = list(_flattened(network))
    for layer in layers:
        if not isinstance(layer, AFFINE + PIECEWISE):
            known = ", ".join(kind.__name__ for kind in AFFINE + PIECEWISE)
            raise TypeError(f"`network` must be of {known}, got {type(layer).__name__}")
    return layers


def check_evaluation(layers: list[nn.Module]) -> None:
    """Refuse layers that depend on the batch or on chance.

    Raises
    ------
    ValueError
        If a batch normalisation or a dropout is in training mode, or has no running statistics.
    """
    for layer in layers:
        moving = isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and (
            layer.training or layer.running_mean is None
        )
        if moving or (isinstance(layer, nn.Dropout | nn.Dropout2d) and layer.training and layer.p > 0):
            fail("network", "be in evaluation mode, with running statistics", f"{layer} in training mode")


def piece(layer: nn.Module, z: torch.Tensor) -> torch.Tensor:
    """Which affine piece each unit of a layer is on, at an input ``z``.

    Rectifiers: 1 where z > 0, else 0. Hardtanh (ReLU6): 0 below, 1 between, 2 above. Maximum pooling: the flat
    position of the maximum in its plane.

    Parameters
    ----------
    layer : one of PIECEWISE
    z : torch.Tensor (n, ...)

    Returns
    -------
    torch.Tensor (n, ...)
        int64, of the shape of the layer's output.

    Notes
    -----
    Cost: one run of the layer. Raises nothing of its own: `layers_of` has checked the layers.
    """
    if isinstance(layer, nn.MaxPool2d):
        return nn.functional.max_pool2d(
            z, layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode, return_indices=True
        )[1]
    if isinstance(layer, nn.Hardtanh):
        # At the ends torch's derivative is 0: they belong to the outer pieces.
        return (z > layer.min_val).long() + (z >= layer.max_val).long()
    return (z > 0).long()


def on_piece(layer: nn.Module, z: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
    """Output of a layer of which every unit is held on the piece ``code``, affine in ``z``.

    Parameters
    ----------
    layer : one of PIECEWISE
    z : torch.Tensor (n, ...)
    code : torch.Tensor (n, ...)
        By `piece`.

    Returns
    -------
    torch.Tensor, of the shape of ``code``

    Notes
    -----
    Cost: one look at each unit. Raises nothing of its own.
    """
    if isinstance(layer, nn.MaxPool2d):
        return z.flatten(-2).gather(-1, code.flatten(-2)).view_as(code)
    if isinstance(layer, nn.Hardtanh):
        low, high = z.new_tensor(layer.min_val), z.new_tensor(layer.max_val)
        return torch.where(code == 1, z, torch.where(code == 0, low, high))
    if isinstance(layer, nn.LeakyReLU):
        return torch.where(code == 1, z, layer.negative_slope * z)
    if isinstance(layer, nn.PReLU):
        slope = layer.weight.view(-1, *[1] * (z.ndim - 2)) if z.ndim > 1 else layer.weight
        return torch.where(code == 1, z, slope * z)
    return torch.where(code == 1, z, torch.zeros_like(z))


def _flattened(network: nn.Sequential) -> Iterator[nn.Module]:
    for layer in network:
        if isinstance(layer, nn.Sequential):
            yield from _flattened(layer)
        else:
            yield layer
