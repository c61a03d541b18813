"""Data sets of molecules from files: this package's HDF5, QM7, and whatever ASE reads."""

from __future__ import annotations

import os
from pathlib import Path

from phasewave.molecules.ase_formats import read_with_ase
from phasewave.molecules.dataset_file import read_dataset_file, write_dataset
from phasewave.molecules.dataset_record import Dataset, reference_energies
from phasewave.molecules.g2 import g2
from phasewave.molecules.qm7 import read_qm7
from phasewave.molecules.qm9_formats import is_published
from phasewave.molecules.splits import Split

__all__ = ["Dataset", "Split", "read_dataset", "reference_energies", "write_dataset"]


def read_dataset(path: str | os.PathLike[str] | None = None) -> Dataset:
    """Read molecules and their properties, in eV and Angstrom, and check them.

    Parameters
    ----------
    path : path-like, optional
        ``.h5`` or ``.hdf5``: a file of `write_dataset`, such as `phasewave molecules prepare` makes. ``.mat`` or
        ``.npz``: QM7 (see `phasewave.molecules.qm7`). Any other: what ASE reads, such as xyz, extended xyz and
        databases (see `phasewave.molecules.ase_formats`). By default the embedded molecules, see
        `phasewave.molecules.g2`.

    Returns
    -------
    Dataset
        Molecules, properties, units, splits and source.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, damaged or of an unknown format, or a molecule is unsound: unknown element, NaN
        position, two atoms on one point, periodic or charged; the message names it.

    Examples
    --------
    >>> read_dataset()
    Dataset(148 molecules, properties atomization_energy, formation_enthalpy, zero_point_energy)
    """
    if path is None:
        return g2()
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"there is no file {file}")
    if is_published(file):
        raise ValueError(
            f"{file} is QM9 as published: make an HDF5 of it with `phasewave molecules prepare` first"
        )
    if file.is_dir():
        raise ValueError(f"{file} must be a file, got a folder")
    suffix = file.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        return read_dataset_file(file)
    if suffix in (".mat", ".npz"):
        return read_qm7(file)
    return read_with_ase(file)
