"""Arrays of images in npz, npy and HDF5 files: which array is which, and its values as bytes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image

from phasewave.images.dataset import MIN_SIZE, ImageSet
from phasewave.images.layout import Layout

# Names of arrays, by who uses them: this package, Keras, MedMNIST.
_WHOLE = (("images", "labels"), ("x", "y"), ("X", "y"))
_BY_SPLIT = (
    {part: (f"{part}_images", f"{part}_labels") for part in ("train", "val", "test")},
    {part: (f"x_{part}", f"y_{part}") for part in ("train", "val", "test")},
)


def read_arrays(path: Path, layout: Layout, *, progress: Callable[[int, int], None] | None = None) -> ImageSet:
    """Read the images of an npz, npy or HDF5 file that another program wrote.

    Parameters
    ----------
    path : Path
        The file. Its arrays: one alone; or ``images`` and ``labels``; or ``x`` (``X``) and ``y``; or
        ``train_images``, ``train_labels``, ``val_images`` ... (MedMNIST); or ``x_train``, ``y_train``, ``x_test``
        ... (Keras). Images are (n, H, W), (n, H, W, 1 or 3) or (n, 1 or 3, H, W), bytes 0 .. 255 or floating in
        [0, 1]; labels are integers (n,) or (n, 1).
    layout : Layout
        Their size and colour.
    progress : callable, optional
        Called with the number of images done and of all.

    Raises
    ------
    ValueError
        If the file is damaged, its arrays are ambiguous, or values, shapes or lengths are wrong.
    """
    try:
        arrays = _load(path)
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):
            raise ValueError(
                f"{path} must hold arrays of numbers, got Python objects: save plain arrays"
            ) from error
        raise ValueError(f"{path} is damaged or truncated, or of another format: {error}; get it again") from error
    return _combine(arrays, path, layout, progress)


def as_pixels(array: np.ndarray, name: str) -> np.ndarray:
    """Return an array of images as uint8 (n, C, H, W).

    Parameters
    ----------
    array : numpy.ndarray
        (n, H, W), (n, H, W, C) or (n, C, H, W), C = 1 or 3; bytes, integers in 0 .. 255, bool, or floating in
        [0, 1].
    name : str
        How messages name it.

    Raises
    ------
    ValueError
        If its shape or its values are others.
    """
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = np.moveaxis(array, 3, 1)
    if array.ndim == 4 and 4 in (array.shape[1], array.shape[3]) and array.shape[1] not in (1, 3):
        raise ValueError(f"{name} has four channels (alpha?), shape {array.shape}: flatten it to three first")
    if array.ndim != 4 or array.shape[1] not in (1, 3) or min(array.shape[2:]) < MIN_SIZE:
        raise ValueError(
            f"{name} must have the shape (n, H, W), (n, H, W, C) or (n, C, H, W) with C = 1 or 3 and H, W >= "
            f"{MIN_SIZE}, got {array.shape}"
        )
    return _as_bytes(array, name)


def resized(
    pixels: np.ndarray, layout: Layout, name: str, progress: Callable[[int, int], None] | None
) -> np.ndarray:
    """Return uint8 images (n, C, H, W) in the layout; one that has it already is not copied.

    Raises
    ------
    ValueError
        See `Layout.fit`.
    """
    n, channels, height, width = pixels.shape
    same_color = layout.color == "keep" or (layout.color == "rgb") == (channels == 3)
    if same_color and layout.size in (None, (height, width)) and not isinstance(layout.crop, int):
        return pixels
    done: np.ndarray | None = None
    for i, image in enumerate(pixels):
        picture = Image.fromarray(image[0] if channels == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
        one = layout.fit(picture, f"{name}, image {i}")
        done = np.empty((n, *one.shape), dtype=np.uint8) if done is None else done
        done[i] = one
        if progress is not None:
            progress(i + 1, n)
    return pixels if done is None else done


def as_labels(array: np.ndarray, n: int, name: str, images: str) -> np.ndarray:
    """Return labels as int64 (n,).

    Raises
    ------
    ValueError
        If they are not integers, or not one for each of n images.
    """
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if flat.ndim != 1 or flat.dtype.kind not in "iub":
        raise ValueError(f"{name} must be integers (n,), got {array.dtype} of shape {array.shape}")
    if len(flat) != n:
        raise ValueError(
            f"{name} holds {len(flat)} labels and {images} holds {n} images: they do not belong together, or one "
            "is truncated"
        )
    return flat.astype(np.int64)


def _load(path: Path) -> dict[str, np.ndarray]:
    if path.suffix.lower() in (".h5", ".hdf5"):
        with h5py.File(path, "r") as file:
            return {name: item[()] for name, item in file.items() if isinstance(item, h5py.Dataset)}
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"images": loaded}
    with loaded:
        return {name: loaded[name] for name in loaded.files}


def _combine(
    arrays: Mapping[str, np.ndarray], path: Path, layout: Layout, progress: Callable[[int, int], None] | None
) -> ImageSet:
    for by_split in _BY_SPLIT:
        if by_split["train"][0] in arrays:
            named = {part: names for part, names in by_split.items() if names[0] in arrays}
            break
    else:
        named = {"": _whole(arrays, path)}
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    splits: dict[str, np.ndarray] = {}
    start = 0
    for part, (image_name, label_name) in named.items():
        where = f"{path}: `{image_name}`"
        pixels = resized(as_pixels(arrays[image_name], where), layout, where, progress)
        if label_name in arrays:
            labels.append(as_labels(arrays[label_name], len(pixels), f"{path}: `{label_name}`", f"`{image_name}`"))
        if images and pixels.shape[1:] != images[0].shape[1:]:
            raise ValueError(
                f"{where} holds images of shape {pixels.shape[1:]} and the others are {images[0].shape[1:]}: ask "
                "for a `size` (--size) and a `color` (--color) to make all alike"
            )
        images.append(pixels)
        if part:
            splits[part] = np.arange(start, start + len(pixels), dtype=np.int64)
        start += len(pixels)
    whole = len(labels) == len(images)
    return ImageSet(
        torch.from_numpy(np.ascontiguousarray(images[0] if len(images) == 1 else np.concatenate(images))),
        torch.from_numpy(np.concatenate(labels)) if whole else None,
        splits,
        str(path),
    )


def _whole(arrays: Mapping[str, np.ndarray], path: Path) -> tuple[str, str]:
    for names in _WHOLE:
        if names[0] in arrays:
            return names
    if len(arrays) == 1:
        return next(iter(arrays)), ""
    listed = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none"
    raise ValueError(
        f"{path} must hold one array, or arrays named `images` and `labels` (or x_train, y_train, x_test ...), "
        f"got {listed}: save it with those names"
    )


def _as_bytes(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.size == 0:
        return array.astype(np.uint8)
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold numbers, got the dtype {array.dtype}")
    if array.dtype.kind == "f":
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            raise ValueError(f"{name} must be finite, got {bad} NaN or infinite values of {array.size}")
    low, high = array.min(), array.max()
    limit = 1 if array.dtype.kind == "f" else 255
    if low < 0 or high > limit:
        hint = "divide by 255 if these are bytes, or bring them to [0, 1]" if limit == 1 else "convert to 8 bits"
        raise ValueError(f"{name} must hold values in 0 .. {limit} ({array.dtype}), got {low} .. {high}: {hint}")
    if limit == 255:
        return array.astype(np.uint8)
    pixels = np.empty(array.shape, dtype=np.uint8)
    for image, out in zip(array, pixels, strict=True):  # one by one: no second array of floating values
        out[...] = np.rint(image.astype(np.float64) * 255)
    return pixels
