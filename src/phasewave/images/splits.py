"""Splits into training, validation and test images that do not depend on names or order of the files.

An image's place in a random order is the SHA-256 of a seed and of its own pixels. So the same picture has the
same place in whatever order or format it comes, copies of a picture stand together, and a library's random
numbers play no part. The first images of the order are for testing, the next for validation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from phasewave import checks

TEST_FRACTION = 0.1
VAL_FRACTION = 0.05
PARTS = ("train", "val", "test")


def content_keys(images: Tensor, *, seed: int = 0) -> list[bytes]:
    """Return the SHA-256 of each image's bytes, with the seed before them.

    Parameters
    ----------
    images : torch.Tensor
        uint8 (n, C, H, W).
    seed : int
        Which order, 0 .. 2**32 - 1.
    """
    checks.integer("seed", seed, minimum=0, maximum=2**32 - 1)
    start = hashlib.sha256(seed.to_bytes(4, "little"))
    keys = []
    for image in images.contiguous().numpy():
        one = start.copy()
        one.update(image.data)
        keys.append(one.digest())
    return keys


def make_splits(
    images: Tensor,
    own: Mapping[str, np.ndarray] | None = None,
    *,
    test_fraction: float | None = None,
    val_fraction: float | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Return training, validation and test images: those of the source, and drawn ones where it has none.

    Parameters
    ----------
    images : torch.Tensor
        uint8 (n, C, H, W).
    own : mapping of str to numpy.ndarray, optional
        The splits that the source has, int64 positions; what it leaves out is for training.
    test_fraction, val_fraction : float, optional
        Of all images, in (0, 1); by default 0.1 and 0.05 where the source has no such images of its own. At
        least one image each, if there are three.
    seed : int
        Which drawing.

    Returns
    -------
    dict of str to numpy.ndarray
        "train", "val", "test": int64, increasing; empty for fewer than three images.

    Raises
    ------
    ValueError
        If a fraction is out of range, is given for a split that the source has, or leaves no training image.
    """
    n, own = len(images), {} if own is None else dict(own)
    rest = np.ones(n, dtype=bool)
    for name in ("val", "test"):
        if len(own.get(name, ())):
            rest[own[name]] = False
        else:
            own.pop(name, None)
    fractions = {"test": test_fraction, "val": val_fraction}
    for name, fraction in fractions.items():
        if fraction is not None and not 0 < fraction < 1:
            raise ValueError(f"`{name}_fraction` must lie in (0, 1), got {fraction}")
        if fraction is not None and name in own:
            raise ValueError(
                f"`{name}_fraction` is for images without a {name} split of their own, and these have one of "
                f"{len(own[name])} images: leave it out"
            )
    if n < len(PARTS):
        return {}
    default = {"test": TEST_FRACTION, "val": VAL_FRACTION}
    counts = {
        name: max(1, round(n * (default[name] if fraction is None else fraction)))
        for name, fraction in fractions.items()
        if name not in own
    }
    left = int(rest.sum()) - sum(counts.values())
    if left < 1:
        raise ValueError(
            f"{sum(counts.values())} of {int(rest.sum())} images for {' and '.join(counts)} leave none to train "
            "on: ask for a smaller fraction, or give more images"
        )
    free = np.flatnonzero(rest)
    if counts:
        keys = content_keys(images[free] if len(free) < n else images, seed=seed)
        order = free[np.array(sorted(range(len(free)), key=lambda i: (keys[i], i)), dtype=np.int64)]
        start = 0
        for name, count in counts.items():
            own[name] = np.sort(order[start : start + count])
            rest[own[name]] = False
            start += count
    return {"train": np.flatnonzero(rest), "val": np.sort(own["val"]), "test": np.sort(own["test"])}
