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
from phasewave.turbulence.fields import EMBEDDED, Field, as_field, existing_file, load_field, select_array
from phasewave.turbulence.formats import open_arrays, read_array
from phasewave.turbulence.inputs import read_mask
from phasewave.turbulence.masks import observed_mask


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
        seen = seen & observed_mask(read_mask(mask_path), values.shape)
    elif bool(seen.all()):
        raise ValueError(f"{label} has no missing pixels (NaN) to fill: give a mask with --mask FILE (mask=)")
    mask = check_mask(seen, values.shape)
    filled = np.where(mask.numpy(), values, values[mask.numpy()].mean())
    field = as_field(filled, dtype=dtype)
    return dataclasses.replace(field, source=dataclasses.replace(field.source, path=label, index=index)), mask


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
    """Return an array of numbers in a file, NaN allowed, as float64."""
    with open_arrays(existing_file(file)) as arrays:
        array = arrays[select_array(arrays, file, dataset)]
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{file} must hold real numbers, got the dtype {array.dtype}")
        if index is not None and (array.ndim != 3 or not 0 <= index < array.shape[0]):
            fail("index", f"be that of a field in a stack, for {file} of shape {tuple(array.shape)}", index)
        values = read_array(file, array, index).astype(np.float64)
    return values[0] if values.ndim == 3 and len(values) == 1 else values
