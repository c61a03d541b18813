"""Images from whatever they are in: folders, archives, arrays, the files of public sets, or the embedded set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from phasewave import checks
from phasewave.images import celeba_files
from phasewave.images.array_files import read_arrays, resized
from phasewave.images.cifar_files import is_cifar, read_cifar
from phasewave.images.dataset import ImageSet
from phasewave.images.dataset_file import is_image_file, read_image_file
from phasewave.images.glyphs import N_IMAGES, glyph_images
from phasewave.images.idx_files import find_idx, is_idx, read_idx
from phasewave.images.layout import Color, Crop, Layout
from phasewave.images.lmdb_files import FILE as LMDB_FILE
from phasewave.images.lmdb_files import open_lmdb
from phasewave.images.picture_files import Listed, is_picture, list_folder, open_zip, read_listed
from phasewave.images.splits import make_splits

_FORMATS = (
    "a folder or a zip of pictures (jpg, png ...), npz or npy, HDF5, idx files (.gz or not, or their folder), "
    "cifar-10-binary.tar.gz, or an LMDB folder with data.mdb"
)


def read_images(
    path: str | os.PathLike[str] | None = None,
    *,
    size: int | Sequence[int] | None = None,
    color: Color = "keep",
    crop: Crop | int = "center",
    skip_corrupt: bool = False,
    limit: int | None = None,
    attribute: str | None = None,
    test_fraction: float | None = None,
    val_fraction: float | None = None,
    seed: int = 0,
    at_least: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Read images as bytes of one size, with labels and with splits into "train", "val" and "test".

    Parameters
    ----------
    path : path-like, optional
        A folder of pictures, or a zip of one: sub-folders train, val and test are splits, other sub-folders are
        classes; list_eval_partition.txt beside it is CelebA's official split. An npz, npy or HDF5 file (see
        `phasewave.images.array_files`), such as `phasewave images prepare` makes. An idx file or a folder of them
        (MNIST, FashionMNIST). cifar-10-binary.tar.gz. A folder with data.mdb (LSUN). One picture, if ``at_least``
        is 1. By default the embedded images, see `phasewave.images.glyphs`.
    size : int or pair of int, optional
        Height and width, each >= 16, one integer for both; by default the images' own, which must be all the same
        (32 for the embedded images).
    color : {"keep", "grey", "rgb"}
        See `phasewave.images.layout.Layout`.
    crop : {"center", "stretch"} or int
        See `phasewave.images.layout.Layout`.
    skip_corrupt : bool
        Leave out pictures that cannot be decoded; `ImageSet.skipped` names them.
    limit : int, optional
        Read so many pictures only, drawn at random by a hash of their names and ``seed`` (of a folder, a zip or an
        LMDB; of arrays, they are drawn after reading; of the embedded images, so many are made).
    attribute : str, optional
        CelebA: which attribute of list_attr_celeba.txt, beside the pictures, are the labels (0: -1, 1: 1).
    test_fraction, val_fraction : float, optional
        Of all images, for sources without such a split; by default 0.1 and 0.05. Which images is decided by their
        content, see `phasewave.images.splits`.
    seed : int
        Of splits, ``limit`` and the embedded images.
    at_least : int
        How many images there must be; splits need three.
    progress : callable, optional
        Called with the number of images done and of all.

    Returns
    -------
    ImageSet
        Bytes, labels, splits and source.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    TypeError, ValueError
        If an argument is out of range; if there are too few images or none; if one is corrupt, of 16 bits,
        transparent or animated; if they differ in size or colour; if a file is damaged or of an unknown format.
        The message names the file and says what to do.

    Examples
    --------
    >>> read_images(size=16, limit=100)
    ImageSet(100 grey images of 16x16; train 80, val 5, test 15)
    """
    layout = Layout.of(size, color, crop)
    checks.integer("seed", seed, minimum=0, maximum=2**32 - 1)
    checks.integer("at_least", at_least, minimum=1)
    if limit is not None:
        checks.integer("limit", limit, minimum=at_least)
    if path is None:
        n_images = N_IMAGES if limit is None else max(20, limit)
        images = glyph_images(n_images, size=layout.size or (32, 32), seed=seed)
        if layout.color == "rgb":
            images = replace(images, images=images.images.repeat(1, 3, 1, 1))
        if test_fraction is not None or val_fraction is not None:
            images = replace(images, splits={})
    else:
        file = Path(path)
        if not file.exists():
            raise FileNotFoundError(f"there is no file or folder {file}: give {_FORMATS}")
        images = _read(file, layout, skip_corrupt, limit, seed, attribute, progress)
        if len(images) < at_least:
            number = "one image only" if len(images) == 1 else f"{len(images)} images"
            raise ValueError(f"{file} holds {number}, and at least {at_least} are needed: give a set with more")
    if limit is not None and limit < len(images):
        names = [f"{i}" for i in range(len(images))]
        images = images.take(_chosen(names, limit, seed))
    if path is None and images.splits and limit is None:
        return images
    drawn = make_splits(
        images.images, images.splits, test_fraction=test_fraction, val_fraction=val_fraction, seed=seed
    )
    return replace(images, splits=drawn)


def _read(
    path: Path,
    layout: Layout,
    skip_corrupt: bool,
    limit: int | None,
    seed: int,
    attribute: str | None,
    progress: Callable[[int, int], None] | None,
) -> ImageSet:
    opened = _pictures(path)
    if opened is None:
        if attribute is not None:
            raise ValueError(f"`attribute` is for the pictures of CelebA alone, got {attribute!r} for {path}")
        return _read_arrays(path, layout, progress)
    with opened as listed:
        if not listed:
            raise ValueError(f"{path} holds no images: {_inside(path)}give {_FORMATS}")
        if limit is not None and limit < len(listed):
            listed = [listed[i] for i in _chosen([one.name for one in listed], limit, seed)]
        partition = celeba_files.beside(path, celeba_files.PARTITION)
        if partition is not None and not any(one.split for one in listed):
            listed = celeba_files.with_partition(listed, partition)
        if attribute is not None:
            file = celeba_files.beside(path, celeba_files.ATTRIBUTES)
            if file is None:
                raise FileNotFoundError(
                    f"there is no {celeba_files.ATTRIBUTES} beside {path}: it comes with CelebA, put it there"
                )
            listed = celeba_files.with_attribute(listed, file, attribute)
        return read_listed(listed, layout, source=str(path), skip_corrupt=skip_corrupt, progress=progress)


def _pictures(path: Path) -> AbstractContextManager[list[Listed]] | None:
    """Return the pictures of a source that consists of picture files, or None if it is one of arrays."""
    if path.is_dir():
        if (path / LMDB_FILE).is_file():
            return open_lmdb(path)
        return None if is_cifar(path) or find_idx(path) else nullcontext(list_folder(path))
    if path.suffix.lower() == ".zip":
        return open_zip(path)
    if path.suffix.lower() == ".mdb":
        return open_lmdb(path)
    return nullcontext([Listed(path.name, path.read_bytes)]) if is_picture(path.name) else None


def _read_arrays(path: Path, layout: Layout, progress: Callable[[int, int], None] | None) -> ImageSet:
    suffix = path.suffix.lower()
    if path.is_dir() or is_cifar(path):
        if is_cifar(path):
            return read_cifar(path, layout, progress=progress)
        return read_idx(path, layout, progress=progress)
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is an empty file: get it again")
    if is_idx(path):
        return read_idx(path, layout, progress=progress)
    if suffix in (".h5", ".hdf5") and is_image_file(path):
        images = read_image_file(path)
        pixels = resized(images.images.numpy(), layout, str(path), progress)
        return replace(images, images=torch.from_numpy(pixels))
    if suffix in (".npz", ".npy", ".h5", ".hdf5"):
        return read_arrays(path, layout, progress=progress)
    raise ValueError(f"{path} is of no format that is read: give {_FORMATS}")


def _inside(path: Path) -> str:
    if not path.is_dir():
        return ""
    names = sorted(item.name for item in path.iterdir())
    if not names:
        return "it is empty; "
    return f"it holds {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}; "


def _chosen(names: Sequence[str], limit: int, seed: int) -> list[int]:
    keys = [hashlib.sha256(f"{seed} {name}".encode()).digest() for name in names]
    return sorted(sorted(range(len(names)), key=keys.__getitem__)[:limit])
