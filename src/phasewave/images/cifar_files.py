"""CIFAR-10 in its binary version: no pickle, records of one label and 32x32x3 bytes."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from phasewave.images.array_files import resized
from phasewave.images.dataset import ImageSet
from phasewave.images.layout import Layout

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_RECORD = 1 + 3 * 32 * 32
_FILES = {**{f"data_batch_{i}.bin": "train" for i in range(1, 6)}, "test_batch.bin": "test"}


def is_cifar(path: Path) -> bool:
    """Say whether a folder holds such files, or a file is the archive of them by its name."""
    if path.is_dir():
        return any((path / name).is_file() for name in _FILES)
    return path.name in _FILES or (path.name.startswith("cifar-10") and path.suffix in (".gz", ".tar", ".tgz"))


def read_cifar(path: Path, layout: Layout, *, progress: Callable[[int, int], None] | None = None) -> ImageSet:
    """Read CIFAR-10: training and test images in colour, ten classes.

    Parameters
    ----------
    path : Path
        cifar-10-binary.tar.gz, the folder cifar-10-batches-bin of it, or one of its files.
    layout : Layout
        Their size and colour.
    progress : callable, optional
        Called with the number of images done and of all.

    Raises
    ------
    ValueError
        If the archive or a file is damaged, or is the version for Python, which is pickled.
    """
    parts = _contents(path)
    if not parts:
        raise ValueError(
            f"{path} must hold {next(iter(_FILES))} and so on, the binary version of CIFAR-10 "
            "(cifar-10-binary.tar.gz); the version for Python is pickled, which may run any code, and is not read"
        )
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    splits: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    start = 0
    for name, content in parts.items():
        if not content or len(content) % _RECORD:
            raise ValueError(
                f"{path}: {name} must hold records of {_RECORD} bytes, got {len(content)} bytes: get it again"
            )
        records = np.frombuffer(content, dtype=np.uint8).reshape(-1, _RECORD)
        if records[:, 0].max() >= len(CLASSES):
            raise ValueError(f"{path}: {name} must hold labels 0 .. 9, got {records[:, 0].max()}")
        labels.append(records[:, 0].astype(np.int64))
        images.append(records[:, 1:].reshape(-1, 3, 32, 32))
        splits[_FILES[name]].append(np.arange(start, start + len(records), dtype=np.int64))
        start += len(records)
    whole = splits if len(parts) > 1 else {}
    return ImageSet(
        torch.from_numpy(resized(np.concatenate(images), layout, str(path), progress)),
        torch.from_numpy(np.concatenate(labels)),
        {part: np.concatenate(at) for part, at in whole.items() if at},
        str(path),
        CLASSES,
    )


def _contents(path: Path) -> dict[str, bytes]:
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in _FILES if (path / name).is_file()}
    if path.name in _FILES:
        return {path.name: path.read_bytes()}
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                content = archive.extractfile(member) if member.isfile() and name in _FILES else None
                if content is not None:
                    found[name] = content.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ValueError(f"{path} is damaged or truncated: {error}; get it again") from error
    return {name: found[name] for name in _FILES if name in found}
