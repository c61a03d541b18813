"""QM9: 133,885 small organic molecules with B3LYP/6-31G(2df,p) geometries, energies and properties.

Ramakrishnan, Dral, Rupp, von Lilienfeld, Scientific Data 1, 140022 (2014), doi 10.1038/sdata.2014.22, CC0.
The 3,054 molecules whose geometry failed the authors' consistency check are left out: 130,831 stay.

Stored units: eV (homo, lumo, gap, zpve, U0, U, H, G), Debye (mu), A^3 (alpha), A^2 (r2), GHz (A, B, C),
cal/(mol K) (Cv). `REPORT_UNITS` are those in which the field compares models.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from ase.units import Bohr, Hartree, kcal, mol

from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.qm9_formats import kind_of, read_records
from phasewave.molecules.qm9_records import COLUMNS, Fault, Record, read_excluded
from phasewave.molecules.splits import make_splits
from phasewave.molecules.structure_checks import structure_problems
from phasewave.molecules.structures import Molecules

N_MOLECULES = 130_831
HEAVY_ATOM_COUNTS = (3, 5, 9, 31, 127, 608, 3138, 17879, 109031)  # of molecules with 1, 2 ... 9 heavy atoms

# What multiplies the files' values, and the unit that this gives.
UNITS: dict[str, tuple[float, str]] = {
    **dict.fromkeys(("A", "B", "C"), (1.0, "GHz")),
    "mu": (1.0, "Debye"),
    "alpha": (Bohr**3, "A^3"),
    "r2": (Bohr**2, "A^2"),
    **dict.fromkeys(("homo", "lumo", "gap", "zpve", "U0", "U", "H", "G"), (Hartree, "eV")),
    "Cv": (1.0, "cal/(mol K)"),
}

# What multiplies the stored values for a report, and the unit that this gives.
REPORT_UNITS: dict[str, tuple[float, str]] = {
    **dict.fromkeys(("A", "B", "C"), (1.0, "GHz")),
    "mu": (1.0, "Debye"),
    "alpha": (Bohr**-3, "Bohr^3"),
    "r2": (Bohr**-2, "Bohr^2"),
    **dict.fromkeys(("homo", "lumo", "gap", "zpve"), (1000.0, "meV")),
    **dict.fromkeys(("U0", "U", "H", "G"), (mol / kcal, "kcal/mol")),
    "Cv": (1.0, "cal/(mol K)"),
}

# Energies of isolated atoms in Hartree, from the data set's atomref.txt.
_ATOMS_HARTREE = {
    "U0": {1: -0.500273, 6: -37.846772, 7: -54.583861, 8: -75.064579, 9: -99.718730},
    "U": {1: -0.498857, 6: -37.845355, 7: -54.582445, 8: -75.063163, 9: -99.717314},
    "H": {1: -0.497912, 6: -37.844411, 7: -54.581501, 8: -75.062219, 9: -99.716370},
    "G": {1: -0.510927, 6: -37.861317, 7: -54.598897, 8: -75.079532, 9: -99.733544},
}
ATOMIC_REFERENCES = {
    name: {z: energy * Hartree for z, energy in atoms.items()} for name, atoms in _ATOMS_HARTREE.items()
}
_MAX_TOLD = 10
_RT = 0.000944  # Hartree at 298.15 K: H - U of an ideal gas


def read_qm9(
    path: str | os.PathLike[str],
    *,
    uncharacterized: str | os.PathLike[str] | None = None,
    skip_corrupt: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[Dataset, list[str]]:
    """Read QM9 from any of its public forms; sorted by original index, in the package's units.

    Parameters
    ----------
    path : path-like
        See `phasewave.molecules.qm9_formats.read_records`.
    uncharacterized : path-like, optional
        The data set's list uncharacterized.txt of molecules to leave out. Without it the file of that name
        beside ``path`` is used. The wheel has them left out already and needs none.
    skip_corrupt : bool
        Leave out records that cannot be read or are unsound, instead of failing.
    progress : callable, optional
        Called with the number of records read so far, every 1,000 records and at the end.

    Returns
    -------
    dataset : Dataset
        With the named splits, which depend on the molecules' original indices.
    skipped : list of str
        What was left out as corrupt, and why.

    Raises
    ------
    FileNotFoundError
        If a file is missing; also the list of uncharacterised molecules.
    ValueError
        If the source is damaged or holds no molecule, or without ``skip_corrupt`` a record is corrupt; the
        message names the records.
    """
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"there is no file or folder {source}")
    kind = kind_of(source)
    given = list_beside(source) if uncharacterized is None else Path(uncharacterized)
    excluded = set() if given is None else read_excluded(given)
    records: list[Record] = []
    faults: list[Fault] = []
    n = 0
    for n, item in enumerate(read_records(source), start=1):
        if isinstance(item, Fault):
            faults += [] if item.index in excluded else [item]
        elif item.index not in excluded:
            fault = _value_fault(item)
            if fault is None:
                records.append(item)
            else:
                faults.append(fault)
        if progress is not None and n % 1000 == 0:
            progress(n)
    if progress is not None:
        progress(n)
    records.sort(key=lambda record: record.index)
    for before, after in pairwise(records):
        if before.index == after.index:
            raise ValueError(f"{source} must hold each molecule once, got index {before.index} twice")
    records, unsound = _sound(records)
    skipped = [
        f"index {'unknown' if fault.index is None else fault.index} ({fault.where}): {fault.why}"
        for fault in [*faults, *unsound]
    ]
    if skipped and not skip_corrupt:
        told = "; ".join(skipped[:_MAX_TOLD])
        more = f"; and {len(skipped) - _MAX_TOLD} more" if len(skipped) > _MAX_TOLD else ""
        raise ValueError(
            f"{source} must hold sound records, got {len(skipped)} corrupt of {n}: {told}{more}. "
            "Get the file again, or ask to skip corrupt records"
        )
    if not records:
        raise ValueError(f"{source} must hold molecules, got none that can be read")
    return _dataset(records, {"title": "QM9", "form": kind, "path": str(source)}), skipped


def list_beside(source: Path) -> Path | None:
    """Return the list uncharacterized.txt that belongs beside a source, None for the wheel, which needs none.

    Raises
    ------
    FileNotFoundError
        If it is not there; the message says where to get it.
    ValueError
        If the source is in no known form.
    """
    if kind_of(source) == "wheel":
        return None
    beside = (source if source.is_dir() else source.parent) / "uncharacterized.txt"
    if not beside.is_file():
        raise FileNotFoundError(
            f"there is no {beside}: QM9's list of uncharacterised molecules is needed to leave them out; "
            "get it from https://ndownloader.figshare.com/files/3195404"
        )
    return beside


def _value_fault(record: Record) -> Fault | None:
    """Check what holds for every molecule, up to the files' rounding: H - U = RT, gap = lumo - homo, order."""
    value = dict(zip((name for name, *_ in COLUMNS), record.values, strict=True))
    why = None
    if not np.isfinite(record.values).all():
        why = "its values must be finite, got " + ", ".join(map(str, record.values))
    elif abs(value["H"] - value["U"] - _RT) > 3e-6:
        why = f"H - U must be RT = {_RT} Hartree, got {value['H'] - value['U']:.6f}"
    elif abs(value["lumo"] - value["homo"] - value["gap"]) > 2e-4:
        why = f"the gap must be lumo - homo = {value['lumo'] - value['homo']:.4f} Hartree, got {value['gap']}"
    elif not (value["U0"] <= value["U"] and value["G"] < value["H"]):
        why = f"its energies must obey U0 <= U and G < H, got {[value[k] for k in ('U0', 'U', 'H', 'G')]}"
    return None if why is None else Fault(record.index, "its properties", why)


def _sound(records: list[Record]) -> tuple[list[Record], list[Fault]]:
    if not records:
        return [], []
    molecules = _pack(records)
    found = structure_problems(molecules.numbers, molecules.positions, molecules.offsets)
    faults = [Fault(records[i].index, "its geometry", why) for i, why in found.items()]
    return [record for i, record in enumerate(records) if i not in found], faults


def _pack(records: list[Record]) -> Molecules:
    sizes = np.array([len(record.numbers) for record in records], dtype=np.int64)
    numbers = np.fromiter((z for record in records for z in record.numbers), np.int64, int(sizes.sum()))
    flat = np.fromiter((x for record in records for x in record.coordinates), np.float64, 3 * int(sizes.sum()))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return Molecules(torch.from_numpy(numbers), torch.from_numpy(flat.reshape(-1, 3)), torch.from_numpy(offsets))


def _dataset(records: list[Record], source: dict[str, str]) -> Dataset:
    index = np.array([record.index for record in records], dtype=np.int64)
    values = np.array([record.values for record in records], dtype=np.float64)
    names = [name for name, *_ in COLUMNS]
    return Dataset(
        _pack(records),
        {name: values[:, column] * UNITS[name][0] for column, name in enumerate(names)},
        {name: UNITS[name][1] for name in names},
        index,
        make_splits(index),
        ATOMIC_REFERENCES,
        source,
    )
