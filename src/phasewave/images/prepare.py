"""Make one HDF5 of images from what a user has: one size and colour, no copies, splits, checksums, provenance."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from phasewave import checks
from phasewave.images.dataset import ImageSet
from phasewave.images.dataset_file import image_checksum, write_images
from phasewave.images.duplicates import MAX_BITS, exact_duplicates, near_duplicates
from phasewave.images.layout import Color, Crop
from phasewave.images.public_sets import CITATIONS, PublicSet, check_public
from phasewave.images.reading import read_images
from phasewave.images.splits import make_splits
from phasewave.runs.record import versions

Dedupe = Literal["none", "exact", "near"]


def prepare_images(
    source: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    *,
    size: int | Sequence[int] | None = None,
    color: Color = "keep",
    crop: Crop | int = "center",
    dedupe: Dedupe = "none",
    max_bits: int = MAX_BITS,
    skip_corrupt: bool = False,
    limit: int | None = None,
    attribute: str | None = None,
    test_fraction: float | None = None,
    val_fraction: float | None = None,
    expect: PublicSet | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> ImageSet:
    """Read images, make them alike, leave out copies, split them, and write one HDF5 (all or nothing).

    Parameters
    ----------
    source : path-like or None
        See `phasewave.images.reading.read_images`, as for ``size``, ``color``, ``crop``, ``skip_corrupt``,
        ``limit``, ``attribute``, ``test_fraction``, ``val_fraction`` and ``seed``.
    out : path-like
        The HDF5 file to make; see `phasewave.images.dataset_file`.
    dedupe : {"none", "exact", "near"}
        Which copies to leave out: none, those of the same bytes in the end, or also those that look nearly the
        same (see `phasewave.images.duplicates`). Of copies in several splits that of the test images stays, then
        that of the validation images, so that no test image is trained on.
    max_bits : int
        Of "near": how many of 255 bits may differ.
    expect : str, optional
        Which public set this is: its files must have the known checksums.
    overwrite : bool
        Replace an existing ``out``.
    progress : callable, optional
        Called with "read", "compare" or "write", the number done and the number of all.

    Returns
    -------
    ImageSet
        What was written; ``provenance`` has source, settings, checksums, versions and how many copies went.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    FileExistsError
        If ``out`` exists and ``overwrite`` is false.
    TypeError, ValueError
        If an argument is out of range, a checksum differs, or an image is unsound; the message names it.
    OSError
        If ``out`` cannot be written; no half file is left.
    """
    checks.choice("dedupe", dedupe, get_args(Dedupe))
    target = Path(out)
    if target.is_dir():
        raise FileExistsError(f"{target} is a folder: name a file")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists: choose another file, or ask to overwrite it (--overwrite)")
    record: dict[str, str] = {}
    if expect is not None:
        checks.choice("expect", expect, get_args(PublicSet))
        if source is None:
            raise ValueError(f"`expect` is for files, got {expect!r} for the embedded images")
        found = check_public(Path(source), expect)
        record |= {"public_set": expect, "citation": CITATIONS[expect], "md5": json.dumps(found)}

    def tell(step: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(step, done, total)

    images = read_images(
        source,
        size=size,
        color=color,
        crop=crop,
        skip_corrupt=skip_corrupt,
        limit=limit,
        attribute=attribute,
        test_fraction=test_fraction,
        val_fraction=val_fraction,
        seed=seed,
        progress=tell("read"),
    )
    copies = _copies(images, dedupe, max_bits, tell("compare"))
    n_read = len(images)
    images = images.take(np.setdiff1d(np.arange(n_read), copies))
    if len(images) < 3:
        raise ValueError(
            f"{source} holds {len(images)} different images of {n_read}, and at least 3 are needed: give a set "
            "with more"
        )
    if not all(len(at) for at in images.splits.values()):
        own = {name: at for name, at in images.splits.items() if name != "train"}
        images = replace(images, splits=make_splits(images.images, own, seed=seed))
    settings = {
        "size": list(images.size),
        "color": color,
        "crop": crop,
        "dedupe": dedupe,
        **({"max_bits": max_bits} if dedupe == "near" else {}),
        "limit": limit,
        "attribute": attribute,
        "test_fraction": test_fraction,
        "val_fraction": val_fraction,
        "seed": seed,
    }
    record |= {
        "settings": json.dumps(settings),
        "duplicates_left_out": str(len(copies)),
        "corrupt_left_out": str(len(images.skipped)),
        "images_sha256": image_checksum(images),
        "versions": json.dumps(versions()),
    }
    if source is not None and Path(source).is_file():
        record |= {"source_sha256": _sha256(Path(source))}
    images = replace(images, provenance={**images.provenance, **record})
    target.parent.mkdir(parents=True, exist_ok=True)
    write_images(target, images, progress=tell("write"))
    return images


def _copies(
    images: ImageSet, dedupe: Dedupe, max_bits: int, progress: Callable[[int, int], None] | None
) -> np.ndarray:
    if dedupe == "none":
        return np.zeros(0, dtype=np.int64)
    order = np.concatenate([images.splits[name] for name in ("test", "val", "train")])
    if dedupe == "exact":
        return exact_duplicates(images.images, order)
    return near_duplicates(images.images, order, max_bits=max_bits, progress=progress)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
