"""Observed fields from files: with missing pixels, or with noise."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from phasewave.checks import fail
from phasewave.turbulence.conditional_gaussian import check_mask
from phasewave.turbulence.fields import EMBEDDED, Field, as_field, load_field
from phasewave.turbulence.formats import open_arrays, read_array


def read_observed(
    path: str | os.PathLike[str] | None,
    mask_path: str | os.PathLike[str] | None = None,
    *,
    dataset: str | None = None,
    index: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Field, Tensor]:
    """Read a field of which some pixels are missing: NaN in it, or False or 0 in a mask, or both.

    Parameters
    ----------
    path : path-like or None
        The field, in any format of `load_field`; None for the field of the package.
    mask_path : path-like, optional
        A file of one array of the field's shape: booleans, or numbers of which 0 means missing and one other
        value (1, or 255 in a picture) observed.
    dataset : str, optional
        Which array of the field's file, if it holds several.
    index : int, optional
        Which field of a stack (N, H, W), counted from 0.
    dtype : torch.dtype
        `torch.float32` or `torch.float64`.

    Returns
    -------
    field : Field
        Checked; missing pixels hold the mean of the observed ones.
    mask : Tensor (H, W), bool
        True at the observed pixels.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file cannot be read as what it should be, no pixel is missing, all are, or observed ones are infinite.
    """
    if path is None:
        values, label = load_field(dtype=torch.float64).numpy(), EMBEDDED
    else:
        values, label = _numbers(Path(path), dataset, index), os.fspath(path)
    if values.ndim != 2:
        raise ValueError(f"{label} must have the axes (H, W), or (N, H, W) with an index, got {values.shape}")
    seen = torch.from_numpy(~np.isnan(values))
    if mask_path is not None:
        seen = seen & read_mask(mask_path, tuple(values.shape))
    elif bool(seen.all()):
        raise ValueError(f"{label} has no missing pixels (NaN) to fill: give a mask with --mask FILE (mask=)")
    mask = check_mask(seen, values.shape)
    filled = np.where(mask.numpy(), values, values[mask.numpy()].mean())
    field = as_field(filled, dtype=dtype)
    return dataclasses.replace(field, source=dataclasses.replace(field.source, path=label, index=index)), mask


def read_mask(path: str | os.PathLike[str], shape: tuple[int, ...]) -> Tensor:
    """Return the mask in a file: (H, W), bool, True where a field was observed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no mask of this shape.
    """
    values = _numbers(Path(path), None, None)
    if tuple(values.shape) != tuple(shape):
        raise ValueError(f"the mask {path} must have the field's shape {tuple(shape)}, got {values.shape}")
    levels = np.unique(values)
    if len(levels) > 2 or (len(levels) == 2 and 0 not in levels) or not np.isfinite(levels).all():
        some = ", ".join(f"{level:g}" for level in levels[:4])
        raise ValueError(f"the mask {path} must hold 0 where pixels are missing and 1 elsewhere, got {some} ...")
    return torch.from_numpy(values != 0)


def read_noise(path: str | os.PathLike[str], shape: tuple[int, ...]) -> Tensor:
    """Return the maps of noise in a file: (H, W) or (n, H, W), float64.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no finite maps of this shape.
    """
    values = _numbers(Path(path), None, None)
    if values.ndim not in (2, 3) or tuple(values.shape[-2:]) != tuple(shape):
        raise ValueError(f"the noise {path} must have the shape {tuple(shape)} or (n, ...), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"the noise {path} must be finite, got {int((~np.isfinite(values)).sum())} that are not")
    return torch.from_numpy(values)


def _numbers(file: Path, dataset: str | None, index: int | None) -> np.ndarray:
    """Return the one array of numbers in a file, NaN allowed, as float64."""
    if not file.exists():
        raise FileNotFoundError(f"there is no file {file} (looked for in {Path.cwd()}); check the name")
    if file.is_dir():
        raise ValueError(f"{file} is a folder, not a file; name a file in it")
    with open_arrays(file) as arrays:
        names = [name for name in arrays if dataset is None or name == dataset.lstrip("/")]
        if len(names) != 1:
            listing = "; ".join(f"{name} {tuple(array.shape)} {array.dtype}" for name, array in arrays.items())
            wanted = "one array" if dataset is None else f"an array {dataset!r}"
            raise ValueError(f"{file} must hold {wanted}, got {listing or 'none'}; choose with --dataset NAME")
        array = arrays[names[0]]
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{file} must hold real numbers, got the dtype {array.dtype}")
        if index is not None and (array.ndim != 3 or not 0 <= index < array.shape[0]):
            fail("index", f"be that of a field in a stack, for {file} of shape {tuple(array.shape)}", index)
        values = read_array(file, array, index).astype(np.float64)
    return values[0] if values.ndim == 3 and len(values) == 1 else values
