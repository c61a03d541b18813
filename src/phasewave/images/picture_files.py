"""Folders and zip archives of pictures: their splits, their classes, and all pictures as one array of bytes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from phasewave.images.dataset import ImageSet
from phasewave.images.layout import Layout
from phasewave.images.pictures import SUFFIXES, CorruptPicture, decode

SPLIT_NAMES = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Listed:
    """A picture that is to be read.

    Parameters
    ----------
    name : str
        Its path inside the source, with "/".
    read : callable
        Returns the file's bytes.
    split, label : str or None
        The split and the class that the source gives it.
    """

    name: str
    read: Callable[[], bytes]
    split: str | None = None
    label: str | None = None


def is_picture(name: str) -> bool:
    """Say by its name whether a file is a picture, and not hidden or a helper of some system."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def list_folder(folder: Path) -> list[Listed]:
    """List the pictures of a folder and all below it, in the order of their names.

    Raises
    ------
    ValueError
        If some stand in split folders and some do not.
    """
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    found = sorted(name for name in names if is_picture(name))
    return _placed(found, [(folder / name).read_bytes for name in found], str(folder))


@contextmanager
def open_zip(path: Path) -> Iterator[list[Listed]]:
    """List the pictures of a zip archive, which stays open in the block.

    Raises
    ------
    ValueError
        If the archive is damaged, truncated or encrypted.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (*_BROKEN, ValueError) as error:
        raise ValueError(f"{path} is damaged or truncated, or no zip: {error}; get it again") from error
    with archive:
        members = sorted((m for m in archive.infolist() if is_picture(m.filename)), key=lambda m: m.filename)

        def reader(member: zipfile.ZipInfo) -> Callable[[], bytes]:
            def read() -> bytes:
                if member.flag_bits & 1:
                    raise ValueError(f"{path} is encrypted: unpack it with its password and give the folder")
                try:
                    return archive.read(member)
                except _BROKEN as error:
                    raise CorruptPicture(f"{path}: {member.filename} is damaged ({error})") from error

            return read

        yield _placed([member.filename for member in members], [reader(member) for member in members], str(path))


def read_listed(
    listed: Sequence[Listed],
    layout: Layout,
    *,
    source: str,
    skip_corrupt: bool = False,
    progress: Progress | None = None,
) -> ImageSet:
    """Read pictures into one array.

    Parameters
    ----------
    listed : sequence of Listed
        At least one.
    layout : Layout
        Their size and colour.
    source : str
        How messages name where they are.
    skip_corrupt : bool
        Leave out what cannot be decoded, instead of failing.
    progress : callable, optional
        Called with the number read and the number of all, after each picture.

    Raises
    ------
    ValueError
        If a picture is corrupt or of another kind, or differs from the first in size or colour; the message names
        it and says what to do.
    """
    pixels: np.ndarray | None = None
    kept: list[int] = []
    skipped: list[str] = []
    for i, one in enumerate(listed):
        name = f"{source}: {one.name}"
        try:
            image = layout.fit(decode(one.read(), name), name)
        except CorruptPicture as error:
            if not skip_corrupt:
                raise
            skipped.append(error.what)
            image = None
        if image is not None:
            if pixels is None:
                pixels = np.empty((len(listed), *image.shape), dtype=np.uint8)
            elif image.shape != pixels.shape[1:]:
                _different(image.shape, pixels.shape[1:], name, listed[kept[0]].name)
            pixels[len(kept)] = image
            kept.append(i)
        if progress is not None:
            progress(i + 1, len(listed))
    if pixels is None:
        raise ValueError(
            f"{source} has no readable picture: all {len(listed)} are corrupt, the first: {skipped[0]}"
        )
    names = sorted({one.label for one in listed if one.label is not None})
    labels = [names.index(label) for i in kept if (label := listed[i].label) is not None]
    splits = {
        part: np.array([k for k, i in enumerate(kept) if listed[i].split == part], dtype=np.int64)
        for part in dict.fromkeys(SPLIT_NAMES.values())
    }
    labelled = len(labels) == len(kept)
    return ImageSet(
        torch.from_numpy(pixels[: len(kept)]),
        torch.tensor(labels, dtype=torch.int64) if labelled else None,
        {part: at for part, at in splits.items() if len(at)},
        source,
        tuple(names) if labelled else (),
        tuple(skipped),
    )


def _different(got: tuple[int, ...], first: tuple[int, ...], name: str, first_name: str) -> None:
    if got[0] != first[0]:
        kinds = {1: "grey", 3: "in colour"}
        raise ValueError(
            f"{name} is {kinds[got[0]]} and {first_name} is {kinds[first[0]]}: ask for `color` 'grey' or 'rgb' "
            "(--color) to make all alike"
        )
    raise ValueError(
        f"{name} is {got[1]}x{got[2]} (height x width) and {first_name} is {first[1]}x{first[2]}: ask for a "
        "`size` (--size) to make all alike"
    )


def _placed(names: Sequence[str], readers: Sequence[Callable[[], bytes]], source: str) -> list[Listed]:
    """Give each picture the split and the class that its folders name, below those that all share."""
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    shared = 0
    while folders and all(len(parts) > shared and parts[shared] == folders[0][shared] for parts in folders):
        shared += 1
    folders = [parts[shared:] for parts in folders]
    splits = [SPLIT_NAMES.get(parts[0].lower()) if parts else None for parts in folders]
    if any(splits) and not all(splits):
        stray = names[splits.index(None)]
        raise ValueError(
            f"{source} has folders named as splits, and {stray} stands in none of train, val and test: move it "
            "into one, or rename those folders"
        )
    classes = [parts[1:] if split else parts for parts, split in zip(folders, splits, strict=True)]
    labelled = all(classes)
    return [
        Listed(name, read, split, parts[0] if labelled else None)
        for name, read, split, parts in zip(names, readers, splits, classes, strict=True)
    ]
