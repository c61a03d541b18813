"""Files of the idx format, as MNIST and FashionMNIST are distributed, plain or gzipped.

A file is: two zero bytes, a type (8: unsigned bytes), the number of axes, each axis' length as a big-endian 32-bit
integer, and the values. Images have three axes (magic number 0x00000803), labels one (0x00000801).
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from phasewave.images.array_files import as_labels, as_pixels, resized
from phasewave.images.dataset import ImageSet
from phasewave.images.layout import Layout

_SPLITS = {"train": "train", "val": "val", "t10k": "test", "test": "test"}
_IMAGES, _LABELS = 3, 1  # axes


def is_idx(path: Path) -> bool:
    """Say by its name whether a file is of the idx format."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(("-ubyte", ".idx")) and ("idx" in name)


def read_idx_file(path: Path) -> np.ndarray:
    """Return the values of an idx file, uint8, in its own shape.

    Raises
    ------
    ValueError
        If the magic number is not that of unsigned bytes, or the length is wrong; the message says which.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is damaged or truncated: {error}; get it again") from error
    if len(content) < 4:
        raise ValueError(f"{path} is empty or truncated, {len(content)} bytes: get it again")
    n_axes = content[3]
    if content[:3] != b"\x00\x00\x08" or n_axes not in (_IMAGES, _LABELS):
        raise ValueError(
            f"{path} must begin with the magic number 0x00000803 (images) or 0x00000801 (labels) of an idx file "
            f"of bytes, got 0x{content[:4].hex()}"
        )
    start = 4 + 4 * n_axes
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], dtype=">u4")) if len(content) >= start else ()
    if len(shape) != n_axes or len(content) != start + math.prod(shape):
        raise ValueError(
            f"{path} must hold {start + math.prod(shape)} bytes for the shape {shape}, got {len(content)}: get it "
            "again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def find_idx(path: Path) -> list[Path]:
    """Return the idx files of images in a folder, or the file itself; those of labels stand beside them."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and is_idx(file) and "images" in file.name)
    packed = {file.name for file in files}
    return [file for file in files if not (file.suffix == ".gz" and file.name.removesuffix(".gz") in packed)]


def read_idx(path: Path, layout: Layout, *, progress: Callable[[int, int], None] | None = None) -> ImageSet:
    """Read images of idx files, with their labels and splits.

    Parameters
    ----------
    path : Path
        A file of images, or a folder of them: names that begin with train are for training, with t10k or test for
        testing. The labels are in the file of the same name with "labels" for "images" and "idx1" for "idx3",
        plain or gzipped; without one for every file of images, there are none.
    layout : Layout
        Their size and colour.
    progress : callable, optional
        Called with the number of images done and of all.

    Raises
    ------
    ValueError
        If a file is damaged or of another kind, or labels and images differ in number.
    """
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    splits: dict[str, list[np.ndarray]] = {}
    start = 0
    files = find_idx(path)
    for file in files:
        array = read_idx_file(file)
        if array.ndim != _IMAGES:
            raise ValueError(f"{file} holds labels, not images: name the file of images, or the folder of both")
        pixels = resized(as_pixels(array, str(file)), layout, str(file), progress)
        beside = _labels_of(file)
        if beside is not None:
            labels.append(as_labels(read_idx_file(beside), len(pixels), str(beside), str(file)))
        if images and pixels.shape[1:] != images[0].shape[1:]:
            raise ValueError(
                f"{file} holds images of {pixels.shape[2:]} and {files[0].name} of {images[0].shape[2:]}: ask for "
                "a `size` (--size) to make all alike"
            )
        images.append(pixels)
        split = next((part for word, part in _SPLITS.items() if file.name.startswith(word)), None)
        if split is not None and path.is_dir():
            splits.setdefault(split, []).append(np.arange(start, start + len(pixels), dtype=np.int64))
        start += len(pixels)
    return ImageSet(
        torch.from_numpy(np.concatenate(images)),
        torch.from_numpy(np.concatenate(labels)) if len(labels) == len(files) else None,
        {part: np.concatenate(at) for part, at in splits.items()},
        str(path),
    )


def _labels_of(file: Path) -> Path | None:
    name = file.name.replace("images", "labels").replace("idx3", "idx1")
    for other in (name, f"{name}.gz", name.removesuffix(".gz")):
        beside = file.with_name(other)
        if other != file.name and beside.is_file():
            return beside
    return None
