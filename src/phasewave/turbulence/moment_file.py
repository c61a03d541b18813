"""Moments of fields in HDF5: their values, and a table that says what each one is."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import torch

from phasewave.checks import fail
from phasewave.runs.atomic import replacing
from phasewave.runs.record import jsonable, versions


def write_moments(
    path: str | os.PathLike[str],
    table: Sequence[Any],
    values: Mapping[str, torch.Tensor],
    *,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write moments to an HDF5 file, atomically.

    The datasets ``kind`` and ``description`` (text, one entry a moment) say what each moment is; those of
    ``values`` hold the numbers, with the moments along the last axis.

    Parameters
    ----------
    path : path-like
        The file, made or replaced.
    table : sequence of records
        One a moment, each with a text ``kind``, as the ``table`` of every set of moments.
    values : Mapping of str to torch.Tensor
        Real or complex, shape ``(..., n_moments)``; such as ``target`` and ``samples``.
    attributes : Mapping, optional
        Where the values come from and how they were computed (JSON-able), stored as JSON text beside the
        versions.

    Raises
    ------
    TypeError
        If an attribute has no JSON form.
    ValueError
        If the values have not as many moments as the table, or a name is taken.
    OSError
        If the file cannot be written; no half file is left.
    """
    for name, tensor in values.items():
        if name in ("kind", "description"):
            fail("values", "not use the names 'kind' and 'description'", name)
        if tensor.ndim < 1 or tensor.shape[-1] != len(table):
            fail(f"values[{name!r}]", f"have {len(table)} moments along its last axis", tuple(tensor.shape))
    with replacing(path) as stream, h5py.File(stream, "w") as file:
        text = h5py.string_dtype()
        file.create_dataset("kind", data=[row.kind for row in table], dtype=text)
        file.create_dataset("description", data=[describe(row) for row in table], dtype=text)
        for name, tensor in values.items():
            file.create_dataset(name, data=tensor.detach().cpu().resolve_conj().numpy())
        for name, value in {"versions": versions(), **(attributes or {})}.items():
            file.attrs[name] = json.dumps(jsonable(value, name), allow_nan=False)


def describe(row: Any) -> str:
    """Return the fields of a row of a table as text, records inside it in parentheses, its kind left out.

    Examples
    --------
    >>> from phasewave.turbulence.fields import FieldSource
    >>> describe(FieldSource("a.npy", None, 3, (16, 16), "float32", "0f"))
    'path=a.npy index=3 shape=(16, 16) stored_dtype=float32 sha256=0f'
    """
    return _fields(row, without=("kind",))


def _fields(row: Any, *, without: tuple[str, ...] = ()) -> str:
    pairs = ((field.name, getattr(row, field.name)) for field in dataclasses.fields(row))
    return " ".join(f"{name}={_text(value)}" for name, value in pairs if name not in without and value is not None)


def _text(value: object) -> str:
    nested = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return f"({_fields(value)})" if nested else str(value)
