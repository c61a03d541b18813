"""Errors against the number of training molecules that are known from elsewhere: other runs, published tables."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ase.units import kcal, mol

from phasewave.molecules.recording import METRICS, RECORD

_UNITS = {"eV": 1.0, "meV": 1e-3, "kcal/mol": kcal / mol}
_COLUMNS = ("label", "n_train", "mae", "unit")


@dataclass(frozen=True)
class OtherCurve:
    """Mean absolute errors by number of training molecules.

    Parameters
    ----------
    label : str
        What the model is called.
    sizes : tuple of int
        Numbers of training molecules, ascending.
    errors : tuple of float
        Mean absolute errors, in ``unit``.
    unit : str
    """

    label: str
    sizes: tuple[int, ...]
    errors: tuple[float, ...]
    unit: str


def read_curves(path: str | os.PathLike[str]) -> list[OtherCurve]:
    """Read the learning curve of another run, or a table of published errors.

    Parameters
    ----------
    path : path-like
        The folder of another ``learning-curve``; or a CSV with the columns ``label``, ``n_train``, ``mae`` and
        ``unit`` (eV, meV or kcal/mol become eV; others are taken as they are), and any others, such as ``source``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    ValueError
        If it is neither, or a row of the table is wrong; the message names it.
    """
    where = Path(path)
    if where.is_dir():
        return [_of_a_run(where)]
    if not where.is_file():
        raise FileNotFoundError(f"there is no folder or file {where}")
    return _of_a_table(where)


def curve_label(settings: Mapping[str, Any]) -> str:
    """Return what a learning curve with these settings is called: its model, and where its features are read."""
    at_atoms = (settings.get("features") or {}).get("at_atoms")
    label: str = settings["model"]
    return label if at_atoms is None else f"{label}, moduli at the atoms"


def _of_a_run(folder: Path) -> OtherCurve:
    try:
        metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        label = curve_label(json.loads((folder / RECORD).read_text(encoding="utf-8"))["settings"])
        points = metrics["mean"]
        sizes, errors = (tuple(point[key] for point in points) for key in ("n_train", "mae"))
        return OtherCurve(label, sizes, errors, metrics["unit"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} must be the folder of a finished learning curve, got {error!r}") from error


def _of_a_table(file: Path) -> list[OtherCurve]:
    found: dict[tuple[str, str], dict[int, float]] = {}
    with open(file, newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(f"{file} must have the columns {', '.join(_COLUMNS)}, got none named {missing[0]!r}")
        for row in rows:
            try:
                size, error = int(row["n_train"]), float(row["mae"]) * _UNITS.get(row["unit"], 1.0)
            except ValueError as problem:
                raise ValueError(f"line {rows.line_num} of {file} must have numbers, got {problem}") from problem
            if size < 1 or not (isfinite(error) and error > 0):
                raise ValueError(f"line {rows.line_num} of {file} must have positive numbers, got {size}, {error}")
            unit = "eV" if row["unit"] in _UNITS else row["unit"]
            found.setdefault((row["label"], unit), {})[size] = error
    if not found:
        raise ValueError(f"{file} must have a row at least, got none")
    return [
        OtherCurve(label, tuple(sorted(errors)), tuple(errors[size] for size in sorted(errors)), unit)
        for (label, unit), errors in found.items()
    ]
