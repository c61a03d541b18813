"""A field from a file, an array or the package, checked once, with a record of where it comes from."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasewave.turbulence.field_checks import check_axes, check_finite, check_kind, filled
from phasewave.turbulence.formats import Arrays, open_arrays, read_array

MIN_SIZE = 16
EMBEDDED = "embedded vorticity_256.h5"

# A field must vary by at least this many units of rounding of its largest value.
_LEVELS = 1000


@dataclass(frozen=True)
class FieldSource:
    """Where a field comes from.

    Parameters
    ----------
    path : str
        The file as given, or what stands for it (the embedded default, an array in memory).
    dataset : str or None
        The array's name in a file of several.
    index : int or None
        Which field of a stack.
    shape : tuple of int
        (H, W).
    stored_dtype : str
        The dtype before conversion.
    sha256 : str
        Of the values as little-endian float64 in C order: it tells fields apart, whatever file they are in.
    """

    path: str
    dataset: str | None
    index: int | None
    shape: tuple[int, ...]
    stored_dtype: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Field:
    """A checked field: real, finite, not constant, at least 16 x 16.

    Parameters
    ----------
    values : torch.Tensor
        (H, W), float32 or float64, on the CPU.
    source : FieldSource
        Where it comes from.
    """

    values: torch.Tensor
    source: FieldSource


def load_field(
    path: str | os.PathLike[str] | None = None,
    *,
    dataset: str | None = None,
    index: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Read a field from a file: `read_field` without the record of its source.

    Parameters
    ----------
    path : path-like, optional
        A .npy, .npz, .h5, .hdf5, .mat, .png, .tif, .tiff, .jpg or .jpeg file; by default the 256 x 256
        vorticity field that comes with the package.
    dataset : str, optional
        Which array, if the file holds several.
    index : int, optional
        Which field of a stack (N, H, W), counted from 0.
    dtype : torch.dtype
        `torch.float32` or `torch.float64`.

    Returns
    -------
    torch.Tensor
        (H, W), in the units of the file.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        See `read_field`.

    Examples
    --------
    >>> load_field().shape
    torch.Size([256, 256])
    """
    return read_field(path, dataset=dataset, index=index, dtype=dtype).values


def read_field(
    path: str | os.PathLike[str] | None = None,
    *,
    dataset: str | None = None,
    index: int | None = None,
    dtype: torch.dtype = torch.float32,
    mask: torch.Tensor | None = None,
) -> Field:
    """Read and check a field; the parameters are those of `load_field`.

    Colour images become grey by the luma .2126 R + .7152 G + .0722 B; values keep the units of the file.

    Parameters
    ----------
    path, dataset, index, dtype
        See `load_field`.
    mask : torch.Tensor, optional
        Boolean, (H, W), True where the field is observed. Elsewhere it may hold anything, NaN included, and
        gets the mean of what is observed.

    Returns
    -------
    Field
        The values and their source.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the format is unknown, the file damaged, the choice of array ambiguous, or the array no field:
        complex or not numeric, NaN or infinite, constant, not two-dimensional, smaller than 16 x 16.
    TypeError
        If ``dtype`` is not float32 or float64, or ``index`` no integer.
    """
    _check_dtype(dtype)
    if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
        raise TypeError(f"`index` must be an integer, got {index!r}")
    if path is None:
        embedded = resources.files("phasewave") / "data" / "vorticity_256.h5"
        with resources.as_file(embedded) as file:
            return _read(file, EMBEDDED, dataset, index, dtype, mask)
    return _read(Path(path), os.fspath(path), dataset, index, dtype, mask)


def count_fields(path: str | os.PathLike[str], *, dataset: str | None = None) -> int:
    """Return how many fields a file's stack (N, H, W) holds.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_field`; also if the array is no stack.
    """
    file = existing_file(Path(path))
    with open_arrays(file) as arrays:
        shape = tuple(arrays[select_array(arrays, file, dataset)].shape)
    if len(shape) != 3 or shape[0] == 0:
        raise ValueError(f"{file} must hold a stack of fields with axes (N, H, W), got the shape {shape}")
    return shape[0]


def as_field(values: torch.Tensor | np.ndarray | Field, *, dtype: torch.dtype = torch.float32) -> Field:
    """Return an array or tensor in memory as a checked field (a `Field` is converted to ``dtype``).

    Raises
    ------
    TypeError
        If ``values`` is none of these, or ``dtype`` is not float32 or float64.
    ValueError
        If the array is no field (see `read_field`).
    """
    _check_dtype(dtype)
    if isinstance(values, Field):
        return Field(values.values.to(dtype), values.source)
    if isinstance(values, torch.Tensor):
        plain = values.detach().cpu()
        array = (plain.float() if plain.dtype is torch.bfloat16 else plain).numpy()
    elif isinstance(values, np.ndarray):
        array = values
    else:
        raise TypeError(f"`field` must be a tensor, an array or a Field, got {type(values).__name__}")
    return _checked(array, "`field`", "array in memory", None, None, dtype)


def existing_file(file: Path) -> Path:
    """Return the path of a file that is there.

    Raises
    ------
    FileNotFoundError
        If it is not.
    ValueError
        If it is a folder.
    """
    if not file.exists():
        raise FileNotFoundError(f"there is no file {file} (looked for in {Path.cwd()}); check the name")
    if file.is_dir():
        raise ValueError(f"{file} is a folder, not a file; name a file in it")
    return file


def _read(
    file: Path,
    label: str,
    dataset: str | None,
    index: int | None,
    dtype: torch.dtype,
    mask: torch.Tensor | None,
) -> Field:
    with open_arrays(existing_file(file)) as arrays:
        name = select_array(arrays, file, dataset)
        array = arrays[name]
        check_kind(array.dtype, str(file))
        check_axes(array.shape, str(file), index)
        number = 0 if index is None and array.ndim == 3 else index
        values = read_array(file, array, number)
    if mask is not None:
        values = filled(values, mask, str(file))
    return _checked(values, str(file), label, name if dataset or len(arrays) > 1 else None, number, dtype)


def select_array(arrays: Arrays, file: Path, dataset: str | None) -> str:
    """Return the name of the array asked for, or of the only one that may be a field.

    Raises
    ------
    ValueError
        If there is none, or the choice is ambiguous; the message lists the arrays.
    """
    listing = "; ".join(f"{name} {tuple(array.shape)} {array.dtype}" for name, array in arrays.items())
    if dataset is not None:
        if dataset.lstrip("/") in arrays:
            return dataset.lstrip("/")
        raise ValueError(f"{file} holds no array {dataset!r}; it holds {listing or 'none'}")
    if len(arrays) == 1:
        return next(iter(arrays))
    fields = [name for name, array in arrays.items() if _may_be_field(array)]
    if len(fields) == 1:
        return fields[0]
    if not arrays:
        raise ValueError(f"{file} holds no array")
    raise ValueError(f"{file} holds several arrays: {listing}; choose one with --dataset NAME (dataset='NAME')")


def _may_be_field(array: Any) -> bool:
    numeric = array.dtype.kind in "biufc"
    return bool(numeric and array.ndim in (2, 3) and min(array.shape[-2:]) >= MIN_SIZE)


def _checked(
    array: np.ndarray, label: str, path: str, dataset: str | None, index: int | None, dtype: torch.dtype
) -> Field:
    """Return the values as a `Field` after all checks that look at them."""
    check_kind(array.dtype, label)
    if array.ndim != 2:
        raise ValueError(f"{label} must have the axes (H, W), got the shape {array.shape}")
    if min(array.shape) < MIN_SIZE:
        raise ValueError(f"{label} must be at least {MIN_SIZE} x {MIN_SIZE} pixels, got the shape {array.shape}")
    exact = np.ascontiguousarray(array, dtype="<f8")
    check_finite(exact, label)
    values = torch.from_numpy(exact.copy()).to(dtype)
    name = str(dtype).removeprefix("torch.")
    largest = float(np.abs(exact).max())
    if not bool(torch.isfinite(values).all()):
        raise ValueError(f"{label} must fit {name}, got values up to {largest:.3g}: rescale it, or use float64")
    spread = float(exact.max() - exact.min())
    if spread == 0:
        raise ValueError(f"{label} must vary, got the constant {exact[0, 0]:g}")
    if spread < _LEVELS * torch.finfo(dtype).eps * largest:
        raise ValueError(
            f"{label} must vary more than {name} rounds, got a spread of {spread:.3g} about {exact.mean():.6g}"
            ": subtract the mean first" + (", or use float64" if dtype is torch.float32 else "")
        )
    digest = hashlib.sha256(exact.tobytes()).hexdigest()
    source = FieldSource(path, dataset, index, tuple(array.shape), str(array.dtype), digest)
    return Field(values, source)


def _check_dtype(dtype: torch.dtype) -> None:
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"`dtype` must be torch.float32 or torch.float64, got {dtype}")
