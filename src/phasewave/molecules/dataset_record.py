"""A data set of molecules with their properties, and energies relative to isolated atoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from phasewave.checks import integer
from phasewave.molecules.splits import Split, choose_split, hash_order, make_splits
from phasewave.molecules.structures import Molecules


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Molecules and what is known of each: read by `phasewave.molecules.datasets.read_dataset`.

    Parameters
    ----------
    molecules : Molecules
        n molecules, positions in float64.
    properties : dict of str to numpy.ndarray
        float64 (n,), in ``units``; NaN where a molecule has no value.
    units : dict of str to str
        Of the properties: "eV", "Debye", "A^3" ...; "" where the file does not say.
    index : numpy.ndarray
        int64 (n,): the molecules' numbers in the original data set.
    splits : dict of str to Split
        See `phasewave.molecules.splits`.
    atomic_references : dict
        Property -> {atomic number: energy of the isolated atom, eV}, for the energies that have them.
    source : dict of str to str
        Where the data come from.

    Raises
    ------
    ValueError
        If an array has not one value a molecule.
    """

    molecules: Molecules
    properties: dict[str, np.ndarray]
    units: dict[str, str]
    index: np.ndarray
    splits: dict[str, Split] = field(default_factory=dict)
    atomic_references: dict[str, dict[int, float]] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.molecules)
        for name, values in {"index": self.index, **self.properties}.items():
            if values.shape != (n,):
                raise ValueError(f"`{name}` must have one value for each of {n} molecules, got {values.shape}")
        if self.units.keys() != self.properties.keys():
            raise ValueError(f"`units` must name {sorted(self.properties)}, got {sorted(self.units)}")

    def __repr__(self) -> str:
        return f"Dataset({len(self)} molecules, properties {', '.join(self.properties) or 'none'})"

    def __len__(self) -> int:
        return len(self.molecules)

    def __getitem__(self, chosen: int | slice | Sequence[int] | np.ndarray | Tensor) -> Dataset:
        """Return a part of the data set, in the order of the index; a part has no splits of its own.

        Raises
        ------
        IndexError
            If an index is out of range.
        """
        at = np.atleast_1d(np.arange(len(self))[chosen if isinstance(chosen, slice) else np.asarray(chosen)])
        return Dataset(
            self.molecules[at],
            {name: values[at] for name, values in self.properties.items()},
            self.units,
            self.index[at],
            atomic_references=self.atomic_references,
            source=self.source,
        )

    def sample(self, n_molecules: int) -> Dataset:
        """Return a random part, the same on any machine, in the order of the data set, with splits of its own.

        Parts are nested, and a molecule is in the fold of the splits ``fold-0`` to ``fold-4`` in which the whole
        data set has it.

        Raises
        ------
        TypeError, ValueError
            If ``n_molecules`` is not between 1 and the number there are.
        """
        integer("n_molecules", n_molecules, minimum=1, maximum=len(self))
        part = self[np.sort(hash_order(self.index, seed=0)[:n_molecules])]
        source = {**self.source, "part": f"{n_molecules} of {len(self)} molecules, drawn at random"}
        return replace(part, splits=make_splits(part.index), source=source)

    def split(self, name: str) -> Split:
        """Return a named split.

        Raises
        ------
        ValueError
            If there is none of that name; the message lists them.
        """
        return choose_split(self.splits, name)

    def values(self, name: str) -> np.ndarray:
        """Return a property as it stands in the data set, float64 (n,), in ``units[name]``.

        Raises
        ------
        ValueError
            If there is no such property, or some molecules have no finite value of it.
        """
        if name not in self.properties:
            known = ", ".join(self.properties) or "none"
            raise ValueError(f"`property` must be one of those of the data set ({known}), got {name!r}")
        values = self.properties[name]
        missing = np.flatnonzero(~np.isfinite(values))
        if len(missing):
            raise ValueError(
                f"`property` {name!r} must be known for every molecule, got no finite value for {len(missing)} of "
                f"{len(values)}, the first is molecule {missing[0]} (counted from 0): leave them out"
            )
        return values

    def target(self, name: str) -> np.ndarray:
        r"""Return what a model is to learn: the energy relative to isolated atoms where they are known.

        .. math:: y_i = E_i - \sum_{a \in i} E_{atom}(z_a)

        for a property with ``atomic_references`` (QM9: U0, U, H, G), so bound molecules have negative values;
        any other property as it stands. Float64 (n,), in ``units[name]``.

        Raises
        ------
        ValueError
            See `values`; or if an element has no reference.
        """
        values = self.values(name)
        if name not in self.atomic_references:
            return values
        return values - self.reference_energies(name)

    def reference_energies(self, name: str) -> np.ndarray:
        """Return the energy of each molecule's isolated atoms, eV, float64 (n,).

        Raises
        ------
        ValueError
            If the property has no atomic references, or an element has none.
        """
        if name not in self.atomic_references:
            known = ", ".join(self.atomic_references) or "none"
            raise ValueError(f"`property` must be one with atomic references ({known}), got {name!r}")
        return reference_energies(self.molecules, self.atomic_references[name])


def reference_energies(molecules: Molecules, references: Mapping[int, float]) -> np.ndarray:
    """Sum the energies of isolated atoms over each molecule.

    Parameters
    ----------
    molecules : Molecules
        n molecules.
    references : mapping of int to float
        Atomic number -> energy.

    Returns
    -------
    numpy.ndarray
        float64 (n,).

    Raises
    ------
    ValueError
        If an element has no reference.
    """
    unknown = [z for z in molecules.elements if z not in references]
    if unknown:
        raise ValueError(f"`references` must hold every atomic number of the molecules, got none for {unknown}")
    elements = sorted(references)
    counts = molecules.counts(elements).cpu().numpy()
    return counts.astype(np.float64) @ np.array([references[z] for z in elements])
