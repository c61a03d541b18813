"""Space and frequency grids in any dimension."""

from __future__ import annotations

import math

import torch


def signed_frequencies(n: int) -> torch.Tensor:
    """Signed frequency indices in FFT order: 0, 1, ..., -2, -1.

    Parameters
    ----------
    n : int
        Grid size.

    Returns
    -------
    torch.Tensor
        Shape ``(n,)``, int64; ``k`` stands for the angular frequency ``2 pi k / n`` radians per pixel, and an
        even ``n`` counts its Nyquist index as ``-n/2``.
    """
    k = torch.arange(n)
    return torch.where(k < (n + 1) // 2, k, k - n)


def angular_frequencies(shape: tuple[int, ...], *, real: bool = False) -> tuple[torch.Tensor, ...]:
    """Angular frequencies of a grid, one broadcastable float64 tensor an axis.

    Parameters
    ----------
    shape : tuple of int
        Grid sizes, axis 0 first.
    real : bool
        Keep only the non-negative half of the last axis, the layout of ``rfftn``.

    Returns
    -------
    tuple of torch.Tensor
        ``omega_a`` in radians per pixel, of shape ``(1, ..., n_a, ..., 1)``.
    """
    axes = []
    for axis, n in enumerate(shape):
        if real and axis == len(shape) - 1:
            k = torch.arange(n // 2 + 1)
        else:
            k = signed_frequencies(n)
        view = [1] * len(shape)
        view[axis] = -1
        axes.append((2 * math.pi / n * k.to(torch.float64)).view(view))
    return tuple(axes)


def subsampled_size(n: int, resolution: int) -> int:
    """Number of samples of an axis of ``n`` pixels at resolution ``2^resolution``: ``ceil(n / 2^r)``.

    Where ``2^r`` does not divide ``n`` the samples lie ``n / ceil(n / 2^r)`` pixels apart, equally spaced on
    the periodic axis.
    """
    return -(-n // 2**resolution)


def smooth_size(minimum: int, *, multiple: int = 1) -> int:
    """Smallest size ``>= minimum`` that is ``multiple`` times a product of 2s, 3s and 5s: fast for any FFT."""
    size = max(1, -(-minimum // multiple))
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size * multiple
        size += 1
