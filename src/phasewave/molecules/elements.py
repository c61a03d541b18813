"""Whether a model knows the elements of the molecules it is given."""

from __future__ import annotations

from collections.abc import Collection

import torch
from ase.data import chemical_symbols
from torch import Tensor

from phasewave.molecules.structures import Molecules


def with_unknown_elements(molecules: Molecules, known: Collection[int]) -> Tensor:
    """Return which molecules (n,), bool, hold an atom of another element than the known atomic numbers."""
    unknown = sorted(set(molecules.elements) - set(known))
    return molecules.counts(unknown).sum(1) > 0


def check_elements(molecules: Molecules, known: Collection[int], *, which: str = "seen in the fit") -> None:
    """Do nothing if all atoms are of known elements.

    Parameters
    ----------
    molecules : Molecules
    known : collection of int
        Atomic numbers.
    which : str
        What sets them apart, for the message.

    Raises
    ------
    ValueError
        If an atom is of another element; the message names it, the first molecule with it, and the known ones.
    """
    unknown = sorted(set(molecules.elements) - set(known))
    if unknown:
        here = torch.isin(molecules.numbers, torch.tensor(unknown, device=molecules.numbers.device))
        first = int(here.nonzero()[0, 0])
        names = ", ".join(chemical_symbols[z] for z in sorted(known))
        raise ValueError(
            f"`molecules` must hold only elements {which} ({names}), got "
            f"{chemical_symbols[int(molecules.numbers[first])]} in molecule {int(molecules.owner[first])}"
        )
