"""Many molecules of any sizes in three packed tensors: the one input type of every feature module."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from phasewave import checks
from phasewave.molecules.structure_checks import atoms_problem, raise_first, structure_problems

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, eq=False, repr=False)
class Molecules:
    """Molecules in free space, one after the other: molecule ``i`` owns atoms ``offsets[i]:offsets[i + 1]``.

    Construction checks dtypes and shapes only and never waits for a GPU; `from_atoms`, `as_molecules` and
    the readers check the values too, see `check`.

    Parameters
    ----------
    numbers : torch.Tensor
        int64 (n_atoms,), atomic numbers 1..118.
    positions : torch.Tensor
        float32 or float64 (n_atoms, 3), Angstrom. It may carry a gradient; indexing keeps it.
    offsets : torch.Tensor
        int64 (n_molecules + 1,), from 0 to n_atoms, increasing.

    Raises
    ------
    TypeError
        If a field is no tensor, or of another dtype.
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> from ase.build import molecule
    >>> water_and_methane = Molecules.from_atoms([molecule("H2O"), molecule("CH4")])
    >>> len(water_and_methane), water_and_methane.sizes.tolist(), water_and_methane.elements
    (2, [3, 5], (1, 6, 8))
    >>> water_and_methane[1].numbers.tolist()
    [6, 1, 1, 1, 1]
    """

    numbers: Tensor
    positions: Tensor
    offsets: Tensor

    def __post_init__(self) -> None:
        for name in ("numbers", "offsets"):
            field = getattr(self, name)
            if not isinstance(field, Tensor) or field.dtype != torch.int64:
                kind = field.dtype if isinstance(field, Tensor) else type(field).__name__
                raise TypeError(f"`{name}` must be an int64 tensor, got {kind}")
            if field.ndim != 1:
                checks.fail(name, "have one axis", tuple(field.shape))
        checks.real_dtype("positions", checks.real_field("positions", self.positions).dtype)
        if self.positions.shape != (len(self.numbers), 3):
            checks.fail("positions", f"be of shape ({len(self.numbers)}, 3)", tuple(self.positions.shape))
        if len(self.offsets) == 0:
            checks.fail("offsets", "hold one number more than there are molecules", ())

    def __repr__(self) -> str:
        kind, device = self.positions.dtype, self.positions.device
        return f"Molecules({len(self)} molecules, {self.n_atoms} atoms, {kind}, {device})"

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray | Tensor) -> Molecules:
        """Return the chosen molecules, in the order of the index; an integer gives a batch of one.

        Raises
        ------
        IndexError
            If an index is out of range.
        """
        n = len(self)
        if isinstance(index, slice):
            start, stop, step = index.indices(n)
            if step == 1:
                return self._range(start, max(start, stop))
            return self._take(torch.arange(n)[torch.from_numpy(np.arange(n)[index].copy())])
        if isinstance(index, (Tensor, np.ndarray, list, tuple)) and not _is_scalar(index):
            chosen = torch.as_tensor(index)
            if chosen.dtype == torch.bool:
                if chosen.shape != (n,):
                    raise IndexError(f"a mask over molecules must be of shape ({n},), got {tuple(chosen.shape)}")
                chosen = chosen.nonzero()[:, 0]
            elif chosen.numel() == 0:
                chosen = chosen.to(torch.int64)
            if chosen.ndim != 1 or chosen.is_floating_point() or chosen.is_complex():
                raise IndexError(
                    f"molecules are chosen by integers on one axis, got {chosen.dtype} {chosen.ndim}-D"
                )
            chosen = chosen.to(torch.int64)
            if chosen.numel() and (int(chosen.min()) < -n or int(chosen.max()) >= n):
                raise IndexError(
                    f"molecule index out of range for {n} molecules: {int(chosen.min())}..{int(chosen.max())}"
                )
            return self._take(torch.where(chosen < 0, chosen + n, chosen))
        i = operator.index(index)  # type: ignore[arg-type]
        if not -n <= i < n:
            raise IndexError(f"molecule {i} of {n} molecules")
        return self._range(i % n, i % n + 1)

    def _range(self, start: int, stop: int) -> Molecules:
        offsets = self.offsets[start : stop + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        return Molecules(self.numbers[first:last], self.positions[first:last], offsets - first)

    def _take(self, chosen: Tensor) -> Molecules:
        chosen = chosen.to(self.offsets.device)
        sizes = self.sizes[chosen]
        offsets = torch.cat([self.offsets.new_zeros(1), sizes.cumsum(0)])
        n_atoms = int(offsets[-1])
        shift = torch.repeat_interleave(self.offsets[:-1][chosen] - offsets[:-1], sizes, output_size=n_atoms)
        atoms = shift + torch.arange(n_atoms, device=shift.device)
        return Molecules(self.numbers[atoms], self.positions[atoms], offsets)

    @property
    def n_atoms(self) -> int:
        """Number of atoms of all molecules together."""
        return len(self.numbers)

    @property
    def sizes(self) -> Tensor:
        """Number of atoms of each molecule, int64 (n_molecules,)."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def owner(self) -> Tensor:
        """Index of the molecule that owns each atom, int64 (n_atoms,)."""
        index = torch.arange(len(self), device=self.offsets.device)
        return torch.repeat_interleave(index, self.sizes, output_size=self.n_atoms)

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur, increasing."""
        return tuple(torch.unique(self.numbers).tolist())

    def counts(self, elements: Sequence[int]) -> Tensor:
        """Count the atoms of the given elements; atoms of other elements are not counted.

        Parameters
        ----------
        elements : sequence of int
            Atomic numbers, one a column.

        Returns
        -------
        torch.Tensor
            int64 (n_molecules, n_elements).
        """
        columns = torch.as_tensor(elements, dtype=torch.int64, device=self.numbers.device)
        hits = (self.numbers[:, None] == columns[None, :]).to(torch.int64)
        counted = torch.zeros(len(self), len(columns), dtype=torch.int64, device=self.numbers.device)
        return counted.index_add_(0, self.owner, hits)

    def to(self, device: torch.device | str | None = None, *, dtype: torch.dtype | None = None) -> Molecules:
        """Return the molecules on a device, with positions of a dtype; what is not given stays as it is."""
        numbers, offsets = self.numbers.to(device), self.offsets.to(device)
        return Molecules(numbers, self.positions.to(device=device, dtype=dtype), offsets)

    def with_positions(self, positions: Tensor) -> Molecules:
        """Return the same molecules with their atoms elsewhere: (n_atoms, 3), Angstrom, gradient kept."""
        return replace(self, positions=positions)

    def sha256(self) -> str:
        """Return a digest of numbers, positions (as little-endian float64) and offsets: it tells batches apart."""
        digest = hashlib.sha256()
        for field, kind in ((self.numbers, "<i8"), (self.positions, "<f8"), (self.offsets, "<i8")):
            digest.update(np.ascontiguousarray(field.detach().cpu().numpy(), dtype=kind).data)
        return digest.hexdigest()

    def check(self, name: str = "molecules") -> Molecules:
        """Return the molecules if their values are sound (this waits for a GPU).

        Parameters
        ----------
        name : str
            What the messages call them.

        Raises
        ------
        ValueError
            If a molecule has no atoms, an atomic number outside 1..118, a NaN or infinite position, or two
            atoms closer than 0.2 A, or the offsets do not cover the atoms; the message names the molecule.
        """
        found = structure_problems(self.numbers, self.positions, self.offsets)
        raise_first(name, found, len(self))
        return self

    @staticmethod
    def from_atoms(atoms: Atoms | Iterable[Atoms], *, name: str = "atoms") -> Molecules:
        """Pack ASE molecules; positions are float64.

        Parameters
        ----------
        atoms : ase.Atoms or iterable of ase.Atoms
            Isolated, neutral molecules.
        name : str
            What the messages call them.

        Raises
        ------
        TypeError
            If something else is given.
        ValueError
            If there is no molecule, one is periodic or charged, or `check` fails; the message says which.
        """
        from ase import Atoms

        items = [atoms] if isinstance(atoms, Atoms) else list(_iterable(atoms))
        if not items:
            raise ValueError("`atoms` must hold at least one molecule, got none")
        found = {}
        for i, item in enumerate(items):
            if not isinstance(item, Atoms):
                raise TypeError(
                    f"`atoms` must be ase.Atoms or a sequence of them, got {type(item).__name__} at {i}"
                )
            problem = atoms_problem(item)
            if problem is not None:
                found[i] = problem
        raise_first(name, found, len(items))
        sizes = np.array([len(item) for item in items], dtype=np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        numbers = np.concatenate([item.numbers for item in items]).astype(np.int64)
        positions = np.concatenate([item.positions for item in items]).astype(np.float64)
        packed = Molecules(torch.from_numpy(numbers), torch.from_numpy(positions), torch.from_numpy(offsets))
        return packed.check(name)

    @staticmethod
    def concatenate(parts: Sequence[Molecules]) -> Molecules:
        """Join batches, in order.

        Raises
        ------
        ValueError
            If there are none.
        """
        if not parts:
            raise ValueError("`parts` must hold at least one batch of molecules, got none")
        sizes = torch.cat([part.sizes for part in parts])
        return Molecules(
            torch.cat([part.numbers for part in parts]),
            torch.cat([part.positions for part in parts]),
            torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]),
        )

    def to_atoms(self) -> list[Atoms]:
        """Return one `ase.Atoms` a molecule, without cell."""
        from ase import Atoms

        offsets = self.offsets.cpu().numpy()
        numbers = self.numbers.cpu().numpy()
        positions = self.positions.detach().cpu().to(torch.float64).numpy()
        return [Atoms(numbers=numbers[a:b], positions=positions[a:b]) for a, b in pairwise(offsets)]


def as_molecules(X: Molecules | Atoms | Iterable[Atoms] | Iterable[Molecules]) -> Molecules:
    """Return what was given as `Molecules`, as a feature module's or a model's input.

    Parameters
    ----------
    X : Molecules, ase.Atoms, or an iterable of either
        Iterables of `Molecules` are joined (scikit-learn's splitters make lists of single ones). Molecules
        are passed on unchecked: they were checked when they were made.

    Raises
    ------
    TypeError, ValueError
        See `Molecules.from_atoms`.
    """
    if isinstance(X, Molecules):
        return X
    if hasattr(X, "get_atomic_numbers"):
        return Molecules.from_atoms(X)  # type: ignore[arg-type]
    items: list[Any] = list(_iterable(X))
    if items and all(isinstance(item, Molecules) for item in items):
        return Molecules.concatenate(items)
    return Molecules.from_atoms(items)


def _is_scalar(index: Any) -> bool:
    return not isinstance(index, (list, tuple)) and index.ndim == 0


def _iterable(atoms: Any) -> Iterable[Any]:
    if isinstance(atoms, (str, bytes)) or not isinstance(atoms, Iterable):
        raise TypeError(f"`atoms` must be ase.Atoms or a sequence of them, got {type(atoms).__name__}")
    return atoms
