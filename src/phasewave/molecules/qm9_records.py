"""One molecule of QM9 as its files give it, in their units, and the list of those to leave out."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Properties in the order of the second line of the original files: name, column of the wheel, column of the csv.
COLUMNS = (
    ("A", "RotA_GHz", "A"),
    ("B", "RotB_GHz", "B"),
    ("C", "RotC_GHz", "C"),
    ("mu", "Dipole_debye", "mu"),
    ("alpha", "Polarizability_bohr3", "alpha"),
    ("homo", "HOMO_au", "homo"),
    ("lumo", "LUMO_au", "lumo"),
    ("gap", "HOMO_LUMO_gap_au", "gap"),
    ("r2", "R2_bohr2", "r2"),
    ("zpve", "ZPVE_au", "zpve"),
    ("U0", "InternalEnergy_0K_au", "u0"),
    ("U", "InternalEnergy_298K_au", "u298"),
    ("H", "Enthalphy_298K_au", "h298"),
    ("G", "GibbsFreeEnergy_298K_au", "g298"),
    ("Cv", "Heatcapacity_Cv_cal_mol_K", "cv"),
)
ELEMENTS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}


@dataclass(frozen=True, slots=True)
class Record:
    """One molecule: original index, atomic numbers, 3 n coordinates in Angstrom, values in order of `COLUMNS`."""

    index: int
    numbers: list[int]
    coordinates: array[float]
    values: list[float]


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that cannot be read: its original index if known, where it stands, and why."""

    index: int | None
    where: str
    why: str


def atomic_numbers(symbols: Iterable[str]) -> list[int]:
    """Return the atomic numbers of element symbols.

    Raises
    ------
    ValueError
        If one is not H, C, N, O or F.
    """
    try:
        return [ELEMENTS[symbol] for symbol in symbols]
    except KeyError as error:
        raise ValueError(f"its elements must be H, C, N, O or F, got {error.args[0]!r}") from None


def read_excluded(path: Path) -> set[int]:
    """Read the indices in uncharacterized.txt: lines of an index and SMILES, the last line says how many.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there are no indices, or another number of them than the last line says.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    found: set[int] = set()
    announced = None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].isdigit():
            if words[1] == "compounds":
                announced = int(words[0])
            else:
                found.add(int(words[0]))
    if not found or announced not in (None, len(found)):
        raise ValueError(
            f"{path} must list molecules, {announced or 'some'} of them, got {len(found)}: get it again"
        )
    return found
