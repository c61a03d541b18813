r"""Copies of images in a set: equal bytes, or nearly the same to the eye.

The perceptual hash of an image x, resized to 32x32 grey, is the signs of the 16x16 lowest coefficients of its
discrete cosine transform about their median, without the constant: 255 bits. Two images are near duplicates if at
most ``max_bits`` of the bits differ,

.. math:: \#\{k : b_k(x) \ne b_k(y)\} \le m,

which does not change with brightness and contrast, and little with compression, size or noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.fft import dctn
from torch import Tensor
from torch.nn import functional

from phasewave import checks
from phasewave.images.splits import content_keys

N_BITS = 255
MAX_BITS = 40  # real faces: copies differ in up to about 48, the nearest others in 56 or more
_SIDE, _LOW = 32, 16
_BLOCK = 2_048


def exact_duplicates(images: Tensor, first: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the positions of images whose bytes are those of another that comes earlier in the order ``first``.

    Parameters
    ----------
    images : torch.Tensor
        uint8 (n, C, H, W).
    first : sequence of int
        All positions; of equal images the first in this order is none of the duplicates.

    Returns
    -------
    numpy.ndarray
        int64, increasing.
    """
    keys = content_keys(images)
    seen: set[bytes] = set()
    copies = []
    for i in first:
        if keys[i] in seen:
            copies.append(i)
        seen.add(keys[i])
    return np.sort(np.array(copies, dtype=np.int64))


def perceptual_hash(images: Tensor) -> Tensor:
    """Return the perceptual hash of images as signs, float32 (n, 255) of -1 and 1; see the module's text.

    Parameters
    ----------
    images : torch.Tensor
        uint8 (n, C, H, W).
    """
    hashes = []
    for block in images.split(_BLOCK):
        grey = block.to(torch.float32).mean(1, keepdim=True)
        small = functional.interpolate(grey, (_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False)
        waves = dctn(small[:, 0].numpy(), axes=(1, 2), norm="ortho")[:, :_LOW, :_LOW].reshape(len(block), -1)[
            :, 1:
        ]
        hashes.append(np.where(waves > np.median(waves, axis=1, keepdims=True), 1, -1).astype(np.float32))
    return torch.from_numpy(np.concatenate(hashes))


def near_duplicates(
    images: Tensor,
    first: Sequence[int] | np.ndarray,
    *,
    max_bits: int = MAX_BITS,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Return the positions of images nearly the same as one that is kept and comes earlier in the order ``first``.

    Parameters
    ----------
    images : torch.Tensor
        uint8 (n, C, H, W).
    first : sequence of int
        All positions.
    max_bits : int
        How many of the 255 bits of two near duplicates may differ; unrelated images differ in about half of them.
    progress : callable, optional
        Called with the number of images compared and of all.

    Returns
    -------
    numpy.ndarray
        int64, increasing. Cost: n^2 / 2 products of 255 numbers, about 1 s for 10,000 images.

    Raises
    ------
    ValueError
        If ``max_bits`` is out of range.
    """
    checks.integer("max_bits", max_bits, minimum=0, maximum=N_BITS // 4)
    order = np.asarray(first, dtype=np.int64)
    signs = perceptual_hash(images)[torch.from_numpy(order)]
    least = N_BITS - 2 * max_bits - 0.5  # of the product of two such hashes
    is_copy = np.zeros(len(order), dtype=bool)
    for start in range(0, len(order), _BLOCK):
        rows = signs[start : start + _BLOCK]
        for other in range(0, start + 1, _BLOCK):
            pairs = torch.nonzero(rows @ signs[other : other + _BLOCK].T > least).numpy()
            for row, column in pairs:  # rows increase, so that what is kept of earlier ones is settled
                i, j = start + int(row), other + int(column)
                if j < i and not is_copy[j]:
                    is_copy[i] = True
        if progress is not None:
            progress(min(len(order), start + _BLOCK), len(order))
    return np.sort(order[is_copy])
