"""The package's file of images: one HDF5 with bytes, labels, splits, provenance and a checksum.

=================  ================================================================================
``images``         uint8 (n, C, H, W), compressed
``labels``         int64 (n,), if known
``splits/NAME``    int64 positions
attributes         ``format`` "phasewave images 1", ``sha256`` of images and labels, ``source`` (text),
                   ``class_names``, ``skipped`` and ``provenance`` (JSON)
=================  ================================================================================
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch

from phasewave.images.dataset import ImageSet
from phasewave.runs.hdf5_writing import writing_hdf5

FORMAT = "phasewave images 1"
_CHUNK_BYTES = 1 << 19
_BLOCK = 64  # chunks written at once: between two blocks Ctrl-C is heard


def image_checksum(images: ImageSet) -> str:
    """Return the SHA-256 of the bytes of images and labels."""
    digest = hashlib.sha256(images.images.contiguous().numpy().data)
    if images.labels is not None:
        digest.update(images.labels.contiguous().numpy().data)
    return digest.hexdigest()


def write_images(
    path: str | os.PathLike[str], images: ImageSet, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write a set to an HDF5 file, atomically; an existing file is replaced.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    images : ImageSet
        What to write.
    progress : callable, optional
        Called with the number of images written and of all.

    Raises
    ------
    OSError
        If the file cannot be written; no half file is left.
    """
    n, pixels = len(images), images.images.contiguous().numpy()
    chunk = max(1, min(n, _CHUNK_BYTES // max(1, pixels[:1].nbytes)))
    with writing_hdf5(path) as file:
        file.attrs["format"] = FORMAT
        file.attrs["sha256"] = image_checksum(images)
        file.attrs["source"] = images.source
        for name in ("class_names", "skipped", "provenance"):
            file.attrs[name] = json.dumps(getattr(images, name))
        stored = file.create_dataset(
            "images",
            shape=pixels.shape,
            dtype=np.uint8,
            chunks=(chunk, *pixels.shape[1:]) if n else None,
            compression="gzip" if n else None,
            compression_opts=1 if n else None,
        )
        for start in range(0, n, chunk * _BLOCK):
            stop = min(n, start + chunk * _BLOCK)
            stored[start:stop] = pixels[start:stop]
            if progress is not None:
                progress(stop, n)
        if images.labels is not None:
            file["labels"] = images.labels.numpy()
        for name, at in images.splits.items():
            file[f"splits/{name}"] = at


def is_image_file(path: Path) -> bool:
    """Say whether an HDF5 file is of this format; one that cannot be opened is not."""
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False


def read_image_file(path: Path) -> ImageSet:
    """Read what `write_images` wrote, and check it against its checksum.

    Raises
    ------
    ValueError
        If the file is truncated, damaged, or not one of images.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError(f"its attribute `format` is {file.attrs.get('format')!r}, not {FORMAT!r}")
            checksum = str(file.attrs["sha256"])
            images = _read(file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} is not a readable file of images, or is truncated: {error}; make it again"
        ) from error
    if image_checksum(images) != checksum:
        raise ValueError(f"{path} is damaged: its images are not those that were written; make it again")
    return images


def _read(file: h5py.File) -> ImageSet:
    splits = file.get("splits", {})
    return ImageSet(
        torch.from_numpy(np.asarray(file["images"][()], dtype=np.uint8)),
        torch.from_numpy(file["labels"][()].astype(np.int64)) if "labels" in file else None,
        {name: splits[name][()].astype(np.int64) for name in ("train", "val", "test") if name in splits},
        str(file.attrs["source"]),
        tuple(json.loads(file.attrs["class_names"])),
        tuple(json.loads(file.attrs["skipped"])),
        dict(json.loads(file.attrs["provenance"])),
    )
