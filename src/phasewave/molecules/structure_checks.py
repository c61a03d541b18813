"""What makes a molecule unusable, found for many molecules at once and told by index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree
from torch import Tensor

if TYPE_CHECKING:
    from ase import Atoms

MIN_DISTANCE = 0.2  # Angstrom; the shortest bond, of H2, is 0.74
_NEUTRAL = 0.01  # elementary charges; partial charges are rounded, so their sum is not exactly zero
_MAX_PAIRS = 2**21  # distances looked at in one go
_MAX_DENSE = 1024  # atoms of a molecule from which on a tree finds the close pairs


def atoms_problem(atoms: Atoms) -> str | None:
    """Say why ``atoms`` is no isolated neutral molecule, None if it is one."""
    if np.any(atoms.pbc):
        pbc = np.asarray(atoms.pbc).tolist()
        return f"must not be periodic, got pbc = {pbc}: set atoms.pbc = False if it is a molecule in a box"
    for key in ("charge", "total_charge"):
        charge = atoms.info.get(key)
        if isinstance(charge, (int, float, np.number)) and not abs(charge) <= _NEUTRAL:
            return f"must be neutral, got atoms.info[{key!r}] = {charge}"
    if atoms.has("initial_charges"):
        charge = float(np.sum(atoms.get_initial_charges()))
        if not abs(charge) <= _NEUTRAL:
            return f"must be neutral, got initial charges that sum to {charge:.4g}"
    return None


def structure_problems(numbers: Tensor, positions: Tensor, offsets: Tensor) -> dict[int, str]:
    """Find the molecules whose values are unusable; cost O(n_atoms) for each molecule's atom, vectorised.

    Parameters
    ----------
    numbers, positions, offsets : torch.Tensor
        As in `phasewave.molecules.structures.Molecules`.

    Returns
    -------
    dict
        Molecule index -> what is wrong with it; the first fault found only.

    Raises
    ------
    ValueError
        If the offsets do not cover the atoms in order.
    """
    z = numbers.detach().cpu().numpy()
    r = positions.detach().cpu().double().numpy()
    bounds = offsets.detach().cpu().numpy()
    sizes = np.diff(bounds)
    if bounds[0] != 0 or bounds[-1] != len(z) or np.any(sizes < 0):
        raise ValueError(
            f"`offsets` must increase from 0 to the number of atoms {len(z)}, got {bounds[0]} .. {bounds[-1]}"
        )
    found = {int(i): "must have atoms, got none" for i in np.flatnonzero(sizes == 0)}
    owner = np.repeat(np.arange(len(sizes)), sizes)
    for atom in np.flatnonzero((z < 1) | (z > 118)):
        i = int(owner[atom])
        known = f"must have atomic numbers 1..118, got {z[atom]} at atom {atom - bounds[i]}"
        found.setdefault(i, known)
    for atom in np.flatnonzero(~np.isfinite(r).all(1)):
        i = int(owner[atom])
        found.setdefault(i, f"must have finite positions, got {r[atom].tolist()} at atom {atom - bounds[i]}")
    for i, (a, b, distance) in _close_pairs(r, bounds[:-1], sizes, set(found)).items():
        found[i] = (
            f"must have atoms at least {MIN_DISTANCE} A apart, got {distance:.3g} A between atoms {a} and {b}"
        )
    return dict(sorted(found.items()))


def raise_first(name: str, found: dict[int, str], n_molecules: int) -> None:
    """Raise for the first of the problems, if there are any.

    Raises
    ------
    ValueError
        "molecule 3 of `atoms` must ..., got ...", molecules counted from 0, and how many others are bad.
    """
    if found:
        i = min(found)
        others = [j for j in sorted(found) if j != i]
        rest = f"; {len(others)} more of {n_molecules} are bad, the next is molecule {others[0]}" if others else ""
        raise ValueError(f"molecule {i} of `{name}` (counted from 0) {found[i]}{rest}")


def _close_pairs(
    r: np.ndarray, starts: np.ndarray, sizes: np.ndarray, skip: set[int]
) -> dict[int, tuple[int, int, float]]:
    """Closest pair (atom, atom, distance) of every molecule that has one closer than `MIN_DISTANCE`."""
    found = {}
    for size in np.unique(sizes[sizes > 1]).tolist():
        members = np.flatnonzero(sizes == size)
        members = members[~np.isin(members, list(skip))]
        step = max(1, _MAX_PAIRS // size**2)
        for i in members.tolist() if size > _MAX_DENSE else ():
            pairs = cKDTree(r[starts[i] : starts[i] + size]).query_pairs(MIN_DISTANCE, output_type="ndarray")
            distances = np.linalg.norm(r[starts[i] + pairs[:, 0]] - r[starts[i] + pairs[:, 1]], axis=1)
            if len(pairs) and distances.min() < MIN_DISTANCE:
                a, b = pairs[distances.argmin()].tolist()
                found[i] = (a, b, float(distances.min()))
        for begin in range(0, len(members) if size <= _MAX_DENSE else 0, step):
            some = members[begin : begin + step]
            x = r[starts[some, None] + np.arange(size)]
            squares = np.zeros((len(some), size, size))
            for axis in range(3):
                squares += (x[:, :, None, axis] - x[:, None, :, axis]) ** 2
            squares[:, np.arange(size), np.arange(size)] = np.inf
            flat = squares.reshape(len(some), -1)
            closest = flat.argmin(1)
            least = flat[np.arange(len(some)), closest]
            for k in np.flatnonzero(least < MIN_DISTANCE**2):
                a, b = divmod(int(closest[k]), size)
                found[int(some[k])] = (a, b, float(np.sqrt(least[k])))
    return found
