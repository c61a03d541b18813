"""Make one HDF5 of QM9 from what a user downloaded: checksums, known values, provenance.

Where the forms of QM9 are to be had, all with the same data (CC0):

- the wheel: ``pip download --no-deps qm9pack==1.0.3`` (104 MB);
- the original archive: https://ndownloader.figshare.com/files/3195389 (dsgdb9nsd.xyz.tar.bz2, 86 MB) with
  https://ndownloader.figshare.com/files/3195404 (uncharacterized.txt) beside it; collection
  doi 10.6084/m9.figshare.c.978904;
- gdb9.sdf and gdb9.sdf.csv: https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/molnet_publish/qm9.zip,
  unpacked, with uncharacterized.txt beside them. Its positions have 4 decimals only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase.units import Hartree, kcal, mol

from phasewave.molecules.dataset_file import write_dataset
from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.qm9 import HEAVY_ATOM_COUNTS, N_MOLECULES, list_beside, read_qm9
from phasewave.runs.record import versions

# SHA-256 of the published files, by name.
CHECKSUMS = {
    "qm9pack-1.0.3-py3-none-any.whl": "1d88c2988007c6778e717ee3224cf511bd60e10732ebe3b7ed500ea5af05c9f0",
    "dsgdb9nsd.xyz.tar.bz2": "3a63848ac80691bdb8d41834b575afad345b9300d7a2db0c38adb7f6eaa8360c",
    "uncharacterized.txt": "3aa5115d540b356de94791d4a74c3bf1ed91c469ecf52a4f5d7cc0506fe02e24",
}
PROVENANCE = {
    "citation": "Ramakrishnan, Dral, Rupp, von Lilienfeld, Scientific Data 1, 140022 (2014)",
    "doi": "10.1038/sdata.2014.22",
    "license": "CC0",
    "method": "B3LYP/6-31G(2df,p) geometries and properties",
    "atomic_references": "the data set's atomref.txt (figshare file 3195395)",
    "constants": "CODATA 2014, as in ase.units",
}
_KCAL = kcal / mol
_METHANE_U0 = -40.47893 * Hartree
_METHANE_ATOMIZATION = -395.9999  # kcal/mol
_MEAN, _STD = -1755.28, 238.07  # kcal/mol, of the energies U0 relative to atoms


def prepare_qm9(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    uncharacterized: str | os.PathLike[str] | None = None,
    partial: bool = False,
    skip_corrupt: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[Dataset, list[str]]:
    """Read QM9 from a download, check it, and write one HDF5 (all or nothing).

    Parameters
    ----------
    source : path-like
        The wheel, archive, sdf or folder; see `phasewave.molecules.qm9_formats.read_records`.
    out : path-like
        The HDF5 file to make; see `phasewave.molecules.dataset_file`.
    uncharacterized : path-like, optional
        The list of molecules to leave out; by default uncharacterized.txt beside the source, and none for the
        wheel, which has them left out.
    partial : bool
        The source is a part of QM9 or altered: checksums and the figures of the whole are not asked for.
    skip_corrupt : bool
        Leave corrupt records out instead of failing.
    overwrite : bool
        Replace an existing ``out``.
    progress : callable, optional
        Called with the number of records read so far.

    Returns
    -------
    dataset : Dataset
        What was written.
    skipped : list of str
        The corrupt records left out, and why.

    Raises
    ------
    FileNotFoundError
        If a file is missing; the message says where it is to be had.
    FileExistsError
        If ``out`` exists and ``overwrite`` is false.
    ValueError
        If a checksum, a known figure or a record is wrong.
    OSError
        If ``out`` cannot be written.
    """
    path, target = Path(source), Path(out)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists: choose another file, or ask to overwrite it")
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file or folder {path}: `pip download --no-deps qm9pack==1.0.3` gets QM9"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    excluded = Path(uncharacterized) if uncharacterized is not None else list_beside(path)
    digests = {}
    for name, file in (("sha256", path), ("uncharacterized_sha256", excluded)):
        if file is not None and file.is_file():
            digests[name] = _checked_sha256(file, partial=partial)
    dataset, skipped = read_qm9(path, uncharacterized=excluded, skip_corrupt=skip_corrupt, progress=progress)
    check_qm9(dataset, partial=partial, n_skipped=len(skipped))
    record = {
        **dataset.source,
        **PROVENANCE,
        **digests,
        "molecules_sha256": dataset.molecules.sha256(),
        "whole": json.dumps(not partial and not skipped),
        "skipped": json.dumps(skipped),
        "versions": json.dumps(versions()),
    }
    dataset = replace(dataset, source=record)
    write_dataset(target, dataset)
    return dataset, skipped


def check_qm9(dataset: Dataset, *, partial: bool = False, n_skipped: int = 0) -> None:
    """Compare a data set with what is known of QM9: methane, counts by heavy atoms, mean and spread.

    Parameters
    ----------
    dataset : Dataset
        As `phasewave.molecules.qm9.read_qm9` gives it.
    partial : bool
        Check only methane, if it is there, and that no energy is above that of the separate atoms.
    n_skipped : int
        How many corrupt records were left out; with some, the counts by heavy atoms are not checked.

    Raises
    ------
    ValueError
        If a figure differs; the message says which.
    """
    relative = dataset.target("U0") / _KCAL
    if not np.all(relative < 0):
        at = int(np.flatnonzero(relative >= 0)[0])
        raise ValueError(
            f"U0 must lie below the separate atoms, got {relative[at]} kcal/mol at index {dataset.index[at]}"
        )
    methane = np.flatnonzero(dataset.index == 1)
    if len(methane):
        one = dataset[methane]
        _expect("elements of molecule 1", sorted(one.molecules.numbers.tolist()), [1, 1, 1, 1, 6])
        _expect_close("U0 of CH4 in eV", float(one.values("U0")[0]), _METHANE_U0, 1e-6)
        _expect_close(
            "atomisation energy of CH4 in kcal/mol", float(one.target("U0")[0]) / _KCAL, _METHANE_ATOMIZATION, 1e-4
        )
    if partial:
        return
    _expect("number of molecules", len(dataset) + n_skipped, N_MOLECULES)
    _expect("elements", dataset.molecules.elements, (1, 6, 7, 8, 9))
    _expect("largest number of atoms", int(dataset.molecules.sizes.max()), 29)
    if n_skipped == 0:
        heavy = dataset.molecules.counts((6, 7, 8, 9)).sum(1).numpy()
        _expect("molecules with 1, 2 ... 9 heavy atoms", tuple(np.bincount(heavy)[1:].tolist()), HEAVY_ATOM_COUNTS)
    _expect_close("mean atomisation energy in kcal/mol", float(relative.mean()), _MEAN, 0.01 + 0.01 * n_skipped)
    _expect_close("its standard deviation", float(relative.std()), _STD, 0.01 + 0.01 * n_skipped)


def _checked_sha256(file: Path, *, partial: bool) -> str:
    with open(file, "rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(2**20):
            digest.update(block)
    found, known = digest.hexdigest(), CHECKSUMS.get(file.name)
    if known is not None and found != known and not partial:
        raise ValueError(
            f"{file} must have the SHA-256 {known}, got {found}: it is damaged or altered, get it again "
            "(or say that it is partial)"
        )
    return found


def _expect(what: str, got: object, known: object) -> None:
    if got != known:
        raise ValueError(f"the {what} of QM9 must be {known}, got {got}: is this the whole data set?")


def _expect_close(what: str, got: float, known: float, tolerance: float) -> None:
    if not abs(got - known) <= tolerance:
        raise ValueError(f"the {what} must be {known:.8g} within {tolerance:.2g}, got {got:.8g}")
