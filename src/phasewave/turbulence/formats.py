"""The arrays in a file, whatever its format: .npy, .npz, HDF5, MATLAB, PNG, TIFF, JPEG."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image, ImageSequence
from scipy.io import loadmat

# Anything with `shape`, `dtype` and indexing; an HDF5 dataset stays on disk until it is indexed.
Arrays = Mapping[str, Any]

# Rec. 709 luma: how much red, green and blue count in the grey value.
LUMA = (0.2126, 0.7152, 0.0722)


@contextmanager
def open_arrays(path: Path) -> Iterator[Arrays]:
    """Open a file and give its arrays by name; a file of one nameless array calls it ``array``.

    Parameters
    ----------
    path : Path
        An existing file; its suffix says the format.

    Yields
    ------
    Mapping of str to array
        NumPy arrays or HDF5 datasets, valid within the block. Images are (H, W), or (N, H, W) if they have
        several pages, in the units of the file (0 to 255 for 8 bits); colours become the luma
        ``.2126 R + .7152 G + .0722 B``, transparency is ignored. MATLAB arrays have MATLAB's axis order.

    Raises
    ------
    ValueError
        If the suffix is unknown, or the file is not what its suffix says, or is damaged.
    PermissionError
        If it may not be read.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(_READERS)
        kind = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise ValueError(f"{path} has {kind}; a field is read from {known}")
    with ExitStack() as stack:
        try:
            arrays = reader(path, stack)
        except PermissionError:
            raise
        except Exception as error:  # each library has its own errors for damaged files
            raise _unreadable(path, error) from error
        yield arrays


def read_array(path: Path, array: Any, index: int | None) -> np.ndarray:
    """Return an array of `open_arrays`, or its entry ``index``, in memory.

    Raises
    ------
    ValueError
        If the file is damaged there.
    """
    try:
        return np.asarray(array[()] if index is None else array[index])
    except Exception as error:  # a truncated or corrupt chunk shows only now
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = str(error) or type(error).__name__
    if "Python objects" in reason:
        reason = "it holds Python objects, which are never loaded; save a plain array of numbers"
    return ValueError(f"{path} cannot be read as {path.suffix.lower()}: {reason}")


def _npy(path: Path, stack: ExitStack) -> Arrays:
    return {"array": np.lib.format.open_memmap(path, mode="r")}


def _npz(path: Path, stack: ExitStack) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no zip archive")
    arrays = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            try:
                arrays[name] = file[name]
            except ValueError as error:
                if "Object arrays" not in str(error):
                    raise
                arrays[name] = np.empty((), dtype=object)  # stands for it: refused only if it is chosen
    return arrays


def _hdf5(path: Path, stack: ExitStack) -> Arrays:
    file = stack.enter_context(h5py.File(path, "r"))
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            found[name] = item

    file.visititems(visit)
    return found


def _mat(path: Path, stack: ExitStack) -> Arrays:
    if h5py.is_hdf5(path):  # version 7.3: HDF5 with the axes reversed and types as attributes
        numbers = {
            name: dataset
            for name, dataset in _hdf5(path, stack).items()
            if not name.startswith("#") and dataset.attrs.get("MATLAB_class") not in (b"char", b"cell")
        }
        return {name: _matlab_complex(dataset[()].T) for name, dataset in numbers.items()}
    return {
        name: value
        for name, value in loadmat(path).items()
        if isinstance(value, np.ndarray) and not name.startswith("__")
    }


def _matlab_complex(array: np.ndarray) -> np.ndarray:
    if array.dtype.names == ("real", "imag"):
        return array["real"] + 1j * array["imag"]
    return array


def _image(path: Path, stack: ExitStack) -> Arrays:
    image = stack.enter_context(Image.open(path))
    pages = [_grey(page) for page in ImageSequence.Iterator(image)]
    return {"image": pages[0] if len(pages) == 1 else np.stack(pages)}


def _grey(page: Any) -> np.ndarray:
    if page.mode in ("1", "L", "F") or page.mode.startswith("I"):
        return np.array(page)
    if page.mode in ("LA", "La"):
        return np.array(page.getchannel("L"))
    return np.array(page.convert("RGB")).astype(np.float64) @ np.array(LUMA)


_READERS: dict[str, Callable[[Path, ExitStack], Arrays]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".mat": _mat,
    ".png": _image,
    ".tif": _image,
    ".tiff": _image,
    ".jpg": _image,
    ".jpeg": _image,
}
