"""QM7: 7,165 molecules of up to 23 atoms (H, C, N, O, S) with PBE0 atomisation energies.

Blum and Reymond, J. Am. Chem. Soc. 131, 8732 (2009); Rupp, Tkatchenko, Mueller, von Lilienfeld, Phys. Rev. Lett.
108, 058301 (2012); http://quantum-machine.org/datasets/ (qm7.mat). The file's arrays: ``Z`` (n, 23) atomic
numbers, 0 = no atom; ``R`` (n, 23, 3) positions in Bohr; ``T`` (n,) energies relative to isolated atoms in
kcal/mol, negative; ``P`` (5, n / 5) positions of the molecules of each cross-validation fold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.splits import folds_to_splits, hash_order, make_splits
from phasewave.molecules.structures import Molecules


def read_qm7(path: Path) -> Dataset:
    """Read QM7 from qm7.mat, or from an .npz of the same arrays.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    Dataset
        Property ``atomization_energy`` in eV, negative; positions in Angstrom; the published folds as splits
        ``official-0`` to ``official-4`` if the file has them; ``index`` counts from 0, as the folds do.

    Raises
    ------
    ValueError
        If the file is damaged, or its arrays are not those of QM7.
    """
    from ase.units import Bohr, kcal, mol

    arrays = _arrays(path)
    for name in ("Z", "R", "T"):
        if name not in arrays:
            raise ValueError(
                f"{path} must hold the arrays Z, R and T of QM7, got {', '.join(sorted(arrays)) or 'none'}"
            )
    z, r = np.asarray(arrays["Z"]), np.asarray(arrays["R"])
    energies = np.asarray(arrays["T"], dtype=np.float64).ravel()
    n = len(energies)
    if z.ndim != 2 or len(z) != n or r.shape != (*z.shape, 3):
        raise ValueError(
            f"{path} must have Z (n, atoms), R (n, atoms, 3), T (n,), got {z.shape}, {r.shape}, ({n},)"
        )
    if not np.all(z == np.rint(z)):
        raise ValueError(f"{path} must have whole numbers in Z, got others")
    there = z != 0
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(there.sum(1))])
    molecules = Molecules(
        torch.from_numpy(z[there].astype(np.int64)),
        torch.from_numpy(r[there].astype(np.float64) * Bohr),
        torch.from_numpy(offsets),
    ).check(str(path))
    index = np.arange(n, dtype=np.int64)
    splits = make_splits(index)
    if "P" in arrays:
        folds = list(np.asarray(arrays["P"]).astype(np.int64))
        if not np.array_equal(np.sort(np.concatenate(folds)), index):
            raise ValueError(f"{path} must have each of its {n} molecules in one fold of P, got something else")
        splits |= folds_to_splits(folds, hash_order(index, seed=0), prefix="official")
    return Dataset(
        molecules,
        {"atomization_energy": energies * (kcal / mol)},
        {"atomization_energy": "eV"},
        index,
        splits,
        source={"title": "QM7", "form": path.suffix.lstrip("."), "path": str(path)},
    )


def _arrays(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        with open(path, "rb") as stream:
            if path.suffix.lower() == ".mat":
                return {name: array for name, array in loadmat(stream).items() if not name.startswith("__")}
            with np.load(stream) as file:
                return {name: file[name] for name in file.files}
    except Exception as error:  # each library has its own errors for damaged files
        raise ValueError(f"{path} is damaged, or not what its suffix says: {error}") from error
