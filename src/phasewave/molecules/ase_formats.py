"""Data sets of the user in any format that ASE reads: xyz, extended xyz, ASE databases and others."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.splits import make_splits
from phasewave.molecules.structures import Molecules

if TYPE_CHECKING:
    from ase import Atoms

_DATABASES = (".db", ".json")
_ENERGIES = ("energy", "free_energy")  # what ASE's calculators give in eV
_NO_PROPERTIES = ("charge", "total_charge", "spin")  # they describe the molecule; charged ones are refused


def read_with_ase(path: Path) -> Dataset:
    """Read molecules, and every number that the file gives for one of them.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    Dataset
        Properties: the real numbers among ASE's calculator results (``energy`` in eV), the ``info`` of extended
        xyz, and the key-value pairs and data of a database; NaN where a molecule lacks one. ``index`` counts
        from 0.

    Raises
    ------
    ValueError
        If the file is empty, not readable, or a molecule is unsound (see `Molecules.from_atoms`).
    """
    from ase.io.formats import UnknownFileTypeError

    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"{path} must hold molecules, got an empty file")
    if path.suffix.lower() == ".sdf" and path.read_text(encoding="utf-8", errors="replace").count("$$$$") > 1:
        raise ValueError(f"{path} holds several molecules, of which ASE reads only the first: convert it to xyz")
    atoms: list[Atoms] = []
    rows: list[dict[str, float]] = []
    try:
        for one, row in _molecules(path):
            atoms.append(one)
            rows.append(row)
    except UnknownFileTypeError as error:
        raise ValueError(
            f"{path} is in no format that is read: HDF5 of this package, QM7, xyz, or ASE's"
        ) from error
    except Exception as error:  # each of ASE's readers has its own errors for damaged files
        why = f"unknown element {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} cannot be read after {len(atoms)} molecules: {why}") from error
    if not atoms:
        raise ValueError(f"{path} must hold molecules, got none")
    names = list(dict.fromkeys(name for row in rows for name in row))
    index = np.arange(len(atoms), dtype=np.int64)
    return Dataset(
        Molecules.from_atoms(atoms, name=str(path)),
        {name: np.array([row.get(name, np.nan) for row in rows]) for name in names},
        {name: "eV" if name in _ENERGIES else "" for name in names},
        index,
        make_splits(index),
        source={"title": path.name, "form": path.suffix.lstrip("."), "path": str(path)},
    )


def _molecules(path: Path) -> Iterator[tuple[Atoms, dict[str, float]]]:
    if path.suffix.lower() in _DATABASES:
        from ase.db import connect

        with connect(path) as database:
            for row in database.select():
                one = row.toatoms()
                yield one, _real({**row.data, **row.key_value_pairs, **_results(one)})
        return
    from ase.io import iread

    for one in iread(path, index=":"):
        yield one, _real({**one.info, **_results(one)})


def _results(atoms: Atoms) -> dict[str, Any]:
    return {} if atoms.calc is None else dict(atoms.calc.results)


def _real(values: dict[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if (
            isinstance(value, numbers.Real)
            and not isinstance(value, bool | np.bool_)
            and name not in _NO_PROPERTIES
        ):
            found[name] = float(value)
    return found
