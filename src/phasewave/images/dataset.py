"""A set of images in memory: bytes, labels and named splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

MIN_SIZE = 16


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images and what is known of each: read by `phasewave.images.reading.read_images`.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (n, C, H, W) with C = 1 (grey) or 3 (red, green, blue), H and W >= 16.
    labels : torch.Tensor or None
        int64 (n,): the class of each image, or None if the source has none.
    splits : dict of str to numpy.ndarray
        int64 positions of the images of "train", "val" and "test", increasing; no image is in two of them.
    source : str
        Where the images come from, one line.
    class_names : tuple of str
        ``class_names[label]``; empty if the source does not name its classes.
    skipped : tuple of str
        The unreadable files that were left out on request, and why.
    provenance : dict of str to str
        More of where they come from, such as checksums and the settings of `prepare`.

    Raises
    ------
    TypeError, ValueError
        If shapes, dtypes or positions do not fit together.
    """

    images: Tensor
    labels: Tensor | None = None
    splits: dict[str, np.ndarray] = field(default_factory=dict)
    source: str = ""
    class_names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_images(self.images)
        n = len(self)
        if self.labels is not None:
            if self.labels.dtype != torch.int64 or self.labels.shape != (n,):
                raise ValueError(
                    f"`labels` must be one int64 for each of {n} images, got {self.labels.dtype} of shape "
                    f"{tuple(self.labels.shape)}"
                )
            if (
                n
                and self.class_names
                and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names)
            ):
                raise ValueError(
                    f"`labels` must be 0 .. {len(self.class_names) - 1}, one for each of `class_names`, got "
                    f"{int(self.labels.min())} .. {int(self.labels.max())}"
                )
        _check_splits(self.splits, n)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {len(at):,}" for name, at in self.splits.items())
        kind = "grey" if self.n_channels == 1 else "colour"
        return f"ImageSet({len(self):,} {kind} images of {self.size[0]}x{self.size[1]}; {parts or 'no splits'})"

    @property
    def title(self) -> str:
        """The source for a figure: of a path the last part alone."""
        return Path(self.source).name

    @property
    def n_channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.images.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    def positions(self, split: str) -> np.ndarray:
        """Return the positions of the images of a split, int64, increasing.

        Raises
        ------
        ValueError
            If there is no such split; the message lists them.
        """
        if split not in self.splits:
            known = ", ".join(map(repr, self.splits)) or "none: three images or more are needed for them"
            raise ValueError(f"`split` must be one of those of the images ({known}), got {split!r}")
        return self.splits[split]

    def bytes(self, split: str | None = None) -> Tensor:
        """Return the images of a split, or all, as uint8 (n, C, H, W).

        Raises
        ------
        ValueError
            If there is no such split.
        """
        return self.images if split is None else self.images[torch.from_numpy(self.positions(split))]

    def float(self, split: str | None = None) -> Tensor:
        """Return the images of a split, or all, as float32 (n, C, H, W) in [0, 1]: four times their bytes.

        Raises
        ------
        ValueError
            If there is no such split.
        """
        return to_float(self.bytes(split))

    def labels_of(self, split: str | None = None) -> Tensor:
        """Return the labels of a split, or all, int64 (n,).

        Raises
        ------
        ValueError
            If the images have no labels, or there is no such split.
        """
        if self.labels is None:
            raise ValueError(f"`labels` must be known, and these images have none: {self.source}")
        return self.labels if split is None else self.labels[torch.from_numpy(self.positions(split))]

    def take(self, positions: Sequence[int] | np.ndarray) -> ImageSet:
        """Return a part of the set, its images in increasing order; they stay in their splits.

        Raises
        ------
        ValueError
            If a position is out of range.
        """
        at = np.unique(np.asarray(positions, dtype=np.int64))
        if len(at) and not 0 <= at[0] <= at[-1] < len(self):
            raise ValueError(f"`positions` must lie in 0 .. {len(self) - 1}, got {at[0]} .. {at[-1]}")
        index = torch.from_numpy(at)
        return ImageSet(
            self.images[index],
            None if self.labels is None else self.labels[index],
            {name: np.flatnonzero(np.isin(at, old)) for name, old in self.splits.items()},
            self.source,
            self.class_names,
            self.skipped,
            dict(self.provenance),
        )


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1]: byte / 255.

    Raises
    ------
    TypeError
        If they are not uint8.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"`images` must be of dtype torch.uint8, got {images.dtype}")
    return images.to(torch.float32).div_(255)


def to_bytes(images: Tensor) -> Tensor:
    """Return floating images as uint8: 255 x rounded, values outside [0, 1] clipped.

    Raises
    ------
    TypeError
        If they are not of a floating dtype.
    """
    if not images.is_floating_point():
        raise TypeError(f"`images` must be of a floating dtype, got {images.dtype}")
    return images.detach().mul(255).round_().clamp_(0, 255).to(torch.uint8)


def _check_images(images: Tensor) -> None:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"`images` must be a tensor of dtype torch.uint8, got {kind}")
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[1] not in (1, 3) or min(shape[2:]) < MIN_SIZE:
        raise ValueError(f"`images` must have the shape (n, 1 or 3, H, W) with H and W >= {MIN_SIZE}, got {shape}")


def _check_splits(splits: Mapping[str, np.ndarray], n: int) -> None:
    seen = np.zeros(n, dtype=bool)
    for name, at in splits.items():
        if at.dtype != np.int64 or at.ndim != 1:
            raise TypeError(f"`splits` must hold int64 positions, got {at.dtype} of shape {at.shape} in {name!r}")
        if len(at) and not (0 <= at[0] and at[-1] < n and np.all(np.diff(at) > 0)):
            raise ValueError(f"`splits` must hold increasing positions of {n} images, got others in {name!r}")
        if seen[at].any():
            raise ValueError(f"`splits` must not share images, and {name!r} holds some of another split")
        seen[at] = True
