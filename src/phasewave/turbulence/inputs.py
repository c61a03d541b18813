"""What a synthesis is made from: one file or several, one field, an ensemble, or fields of one sky."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasewave.checks import fail
from phasewave.turbulence.fields import Field, count_fields, existing_file, read_field, select_array
from phasewave.turbulence.formats import open_arrays, read_array
from phasewave.turbulence.masks import observed_mask


@dataclass(frozen=True, eq=False)
class SynthesisInput:
    """Checked fields, and how they belong together.

    Parameters
    ----------
    fields : tuple of Field
        All of one shape and dtype: one field, the realisations of an ensemble, or fields of one sky.
    channels : bool
        Whether they are fields of one sky.
    mask : torch.Tensor or None
        Boolean, (H, W), True where they are observed.
    periodic : bool
        Whether opposite sides belong together.

    Raises
    ------
    ValueError
        If there are no fields, or they differ in shape.
    """

    fields: tuple[Field, ...]
    channels: bool = False
    mask: torch.Tensor | None = None
    periodic: bool = True

    def __post_init__(self) -> None:
        shapes = [field.source.shape for field in self.fields]
        if not shapes:
            fail("fields", "be one or more", shapes)
        if len(set(shapes)) > 1:
            fail("fields", "have the same shape", shapes)
        if self.mask is not None:
            observed_mask(self.mask, shapes[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the fields."""
        height, width = self.fields[0].source.shape
        return height, width

    @property
    def n_channels(self) -> int:
        """How many fields a sample is made of."""
        return len(self.fields) if self.channels else 1

    @property
    def values(self) -> torch.Tensor:
        """The fields as the sampler takes them: (H, W), or (n, H, W) of an ensemble or of several channels."""
        stack = torch.stack([field.values for field in self.fields])
        return stack if len(self.fields) > 1 or self.channels else stack[0]

    def identity(self) -> dict[str, Any]:
        """Return what tells this input apart from another, JSON-able."""
        whole = hashlib.sha256("".join(field.source.sha256 for field in self.fields).encode()).hexdigest()
        mask = None if self.mask is None else hashlib.sha256(self.mask.cpu().numpy().tobytes()).hexdigest()
        one = len(self.fields) == 1
        return {
            "sha256": self.fields[0].source.sha256 if one else whole,
            "shape": list(self.shape),
            **({} if one else {"n_fields": len(self.fields), "channels": self.channels}),
            **({} if mask is None else {"mask": mask}),
            **({} if self.periodic else {"periodic": False}),
        }

    def source(self) -> dict[str, Any]:
        """Return where the fields come from, for the record: that of the first, and the others beside it."""
        first, *others = (asdict(field.source) for field in self.fields)
        return first | ({"others": others} if others else {}) | {"periodic": self.periodic}


def read_input(
    path: str | os.PathLike[str] | None = None,
    *,
    dataset: str | None = None,
    index: int | None = None,
    dtype: torch.dtype = torch.float32,
    ensemble: bool = False,
    channels: Sequence[str | os.PathLike[str]] = (),
    mask: str | os.PathLike[str] | None = None,
    periodic: bool = True,
) -> SynthesisInput:
    """Read and check the fields of a synthesis.

    Parameters
    ----------
    path, dataset, index, dtype
        See `phasewave.turbulence.fields.load_field`.
    ensemble : bool
        Take every field of the file's stack (N, H, W) as a realisation of one process.
    channels : sequence of path-like
        Further fields of the same sky, one a file.
    mask : path-like, optional
        File of a mask, not zero where the fields are observed (`read_mask`).
    periodic : bool
        Whether opposite sides belong together.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        As `phasewave.turbulence.fields.read_field`, for each file; also if ``ensemble`` is given with an index,
        with channels or without a file, or shapes differ.
    """
    if ensemble and (index is not None or channels or path is None):
        other = "a file" if path is None else ("no `index`" if index is not None else "no `channels`")
        fail("ensemble", f"be given with {other}", ensemble)
    observed = None if mask is None else read_mask(mask)
    if ensemble and path is not None:
        numbers: list[int | None] = list(range(count_fields(path, dataset=dataset)))
        fields = [read_field(path, dataset=dataset, index=i, dtype=dtype, mask=observed) for i in numbers]
    else:
        fields = [read_field(path, dataset=dataset, index=index, dtype=dtype, mask=observed)]
        fields += [read_field(other, dtype=dtype, mask=observed) for other in channels]
    return SynthesisInput(tuple(fields), channels=bool(channels), mask=observed, periodic=periodic)


def read_mask(
    path: str | os.PathLike[str], *, dataset: str | None = None, index: int | None = None
) -> torch.Tensor:
    """Read a mask: True where the file's array is not zero.

    Parameters
    ----------
    path : path-like
        A file of any format of `phasewave.turbulence.fields.load_field`; an array of truth values, or of numbers
        with two values, zero and another (1 in an array, 255 in an image).
    dataset, index
        Which array, and which of a stack.

    Returns
    -------
    torch.Tensor
        Boolean, (H, W).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read, is no plane, has other values, or is zero everywhere.
    """
    file = existing_file(Path(path))
    with open_arrays(file) as arrays:
        array = arrays[select_array(arrays, file, dataset)]
        values = np.asarray(read_array(file, array, 0 if index is None and array.ndim == 3 else index))
        if values.ndim != 2 or (array.ndim == 3 and index is None and array.shape[0] != 1):
            raise ValueError(f"{file} must hold a mask with axes (H, W), got the shape {tuple(array.shape)}")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{file} must hold a mask of truth values or numbers, got the dtype {values.dtype}")
    levels = np.unique(values)
    if (
        len(levels) > 2
        or not np.isfinite(levels.astype(np.float64)).all()
        or (len(levels) == 2 and levels[0] != 0)
    ):
        raise ValueError(
            f"{file} must hold a mask with two values, zero where nothing is observed, got {len(levels)} values "
            f"from {levels[0]} to {levels[-1]}"
        )
    observed = torch.from_numpy(values != 0)
    if not bool(observed.any()):
        raise ValueError(f"{file} must hold a mask that is not zero where the field is observed, got zeros alone")
    return observed


def observed_rectangle(mask: torch.Tensor) -> tuple[slice, slice]:
    """Return the largest rectangle of a mask (H, W) in which all is True.

    Notes
    -----
    One sweep over the rows with the heights of the columns of True that end there; O(H W).
    """
    heights = np.zeros(mask.shape[1] + 1, dtype=np.int64)  # the last one, always 0, closes every rectangle
    best, found = 0, (slice(0, 0), slice(0, 0))
    for row, observed in enumerate(mask.cpu().numpy()):
        heights[:-1] = np.where(observed, heights[:-1] + 1, 0)
        open_at: list[tuple[int, int]] = []  # (first column, height), heights rising
        for column, height in enumerate(heights.tolist()):
            first = column
            while open_at and open_at[-1][1] >= height:
                first, tall = open_at.pop()
                if tall * (column - first) > best:
                    best = tall * (column - first)
                    found = (slice(row + 1 - tall, row + 1), slice(first, column))
            open_at.append((first, height))
    return found
