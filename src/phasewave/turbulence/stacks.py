"""All fields of a file, one or a stack: real fields, or the samples of a run."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from phasewave.turbulence.fields import Field, existing_file, read_field, select_array
from phasewave.turbulence.formats import open_arrays

_SAMPLES = "samples"


def read_stack(
    path: str | os.PathLike[str], *, dataset: str | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Field, ...]:
    """Read every field of a file: one (H, W), or a stack (N, H, W).

    Parameters
    ----------
    path : path-like
        A file of any format of `phasewave.turbulence.fields.load_field`.
    dataset : str, optional
        Which array of a file that holds several; without it that named ``samples``, if there is one, as in the
        samples.h5 of a run.
    dtype : torch.dtype
        `torch.float32` or `torch.float64`.

    Returns
    -------
    tuple of Field
        One or more, all of one shape.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As `phasewave.turbulence.fields.read_field`, for each field; also if the stack is empty.
    """
    file = existing_file(Path(path))
    with open_arrays(file) as arrays:
        chosen = _SAMPLES if dataset is None and _SAMPLES in arrays and len(arrays) > 1 else dataset
        shape = tuple(arrays[select_array(arrays, file, chosen)].shape)
    if len(shape) != 3:
        return (read_field(path, dataset=chosen, dtype=dtype),)
    if shape[0] == 0:
        raise ValueError(f"{file} must hold at least one field, got the shape {shape}")
    return tuple(read_field(path, dataset=chosen, index=i, dtype=dtype) for i in range(shape[0]))
