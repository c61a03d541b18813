"""Packing, indexing, gradients and the checks of molecules."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from sklearn.model_selection import train_test_split

from phasewave.molecules.structure_checks import structure_problems
from phasewave.molecules.structures import Molecules, as_molecules

NAMES = ("H2O", "CH4", "C6H6", "HCN", "H2")


def batch():
    return Molecules.from_atoms([molecule(name) for name in NAMES])


def same(a, b):
    return (
        torch.equal(a.numbers, b.numbers)
        and torch.equal(a.positions, b.positions)
        and torch.equal(a.offsets, b.offsets)
    )


def test_packing_keeps_every_atom():
    atoms = [molecule(name) for name in NAMES]
    packed = Molecules.from_atoms(atoms)
    assert len(packed) == 5
    assert packed.positions.dtype == torch.float64
    assert packed.sizes.tolist() == [3, 5, 12, 3, 2]
    assert packed.n_atoms == 25
    for before, after in zip(atoms, packed.to_atoms(), strict=True):
        np.testing.assert_array_equal(before.numbers, after.numbers)
        np.testing.assert_array_equal(before.positions, after.positions)
        assert not after.pbc.any()


def test_owner_elements_and_counts():
    packed = batch()
    owner = packed.owner.tolist()
    assert owner == [0] * 3 + [1] * 5 + [2] * 12 + [3] * 3 + [4] * 2
    assert packed.elements == (1, 6, 7, 8)
    expected = [[sum(z == e for z in atoms.numbers) for e in (8, 1, 9)] for atoms in packed.to_atoms()]
    assert packed.counts((8, 1, 9)).tolist() == expected


@pytest.mark.parametrize(
    ("index", "chosen"),
    [
        (0, [0]),
        (-1, [4]),
        (np.int64(2), [2]),
        (torch.tensor(3), [3]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -2), [4, 2, 0]),
        (slice(3, 1), []),
        ([2, 0, 2, -1], [2, 0, 2, 4]),
        (np.array([4, 1]), [4, 1]),
        (torch.tensor([3]), [3]),
        (np.array([True, False, False, True, False]), [0, 3]),
        ([], []),
    ],
)
def test_indexing(index, chosen):
    packed = batch()
    part = packed[index]
    atoms = [molecule(NAMES[i]) for i in chosen]
    assert part.sizes.tolist() == [len(one) for one in atoms]
    assert part.offsets[0] == 0
    if chosen:
        assert same(part, Molecules.from_atoms(atoms))


@pytest.mark.parametrize("index", [5, -6, [0, 5], [-6], np.ones(4, bool), [0.5], [[1]]])
def test_indices_out_of_range(index):
    with pytest.raises(IndexError):
        batch()[index]


def test_iteration_stops_and_joins_again():
    packed = batch()
    parts = list(packed)
    assert [len(part) for part in parts] == [1] * 5
    assert same(Molecules.concatenate(parts), packed)
    assert same(as_molecules(parts), packed)


def test_what_as_molecules_takes():
    packed = batch()
    assert as_molecules(packed) is packed
    assert len(as_molecules(molecule("CH4"))) == 1
    assert same(as_molecules(iter([molecule(name) for name in NAMES])), packed)


def test_the_splitters_of_scikit_learn_split_molecules():
    packed = batch()
    train, test = train_test_split(packed, test_size=2, random_state=0)
    sizes = as_molecules(train).sizes.tolist() + as_molecules(test).sizes.tolist()
    assert sorted(sizes) == sorted(packed.sizes.tolist())


def test_gradients_reach_the_chosen_atoms_only():
    packed = batch()
    positions = packed.positions.clone().requires_grad_()
    part = packed.with_positions(positions)[[3, 1]]
    (part.positions**2).sum().backward()
    chosen = (packed.owner == 1) | (packed.owner == 3)
    expected = torch.where(chosen[:, None], 2 * packed.positions, torch.zeros(()))
    torch.testing.assert_close(positions.grad, expected, rtol=0, atol=0)


def test_dtype_and_digest():
    packed = batch()
    single = packed.to(dtype=torch.float32)
    assert single.positions.dtype == torch.float32
    assert single.numbers.dtype == torch.int64
    assert packed.to("cpu").positions.dtype == torch.float64
    assert packed.sha256() == batch().sha256()
    moved = packed.positions.clone()
    moved[3, 1] += 1e-12
    assert packed.with_positions(moved).sha256() != packed.sha256()
    regrouped = Molecules(packed.numbers, packed.positions, torch.tensor([0, 25]))
    assert regrouped.sha256() != packed.sha256()


# ---------------------------------------------------------------- bad input


def moved(name, atom, position):
    atoms = molecule(name)
    atoms.positions[atom] = position
    return atoms


def boxed():
    atoms = molecule("H2O")
    atoms.center(5.0)
    atoms.pbc = (True, False, True)
    return atoms


def charged(**info):
    atoms = molecule("H2O")
    atoms.info.update(info)
    return atoms


def ion():
    atoms = molecule("H2O")
    atoms.set_initial_charges([-1.0, 0.0, 0.0])
    return atoms


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (boxed(), r"must not be periodic, got pbc = \[True, False, True\]: set atoms.pbc = False"),
        (charged(charge=1), r"must be neutral, got atoms.info\['charge'\] = 1"),
        (charged(total_charge=-2.0), r"must be neutral, got atoms.info\['total_charge'\] = -2.0"),
        (charged(charge=float("nan")), "must be neutral"),
        (ion(), "must be neutral, got initial charges that sum to -1"),
        (moved("CH4", 2, [0.0, np.nan, 0.0]), r"must have finite positions, got \[0.0, nan, 0.0\] at atom 2"),
        (moved("CH4", 0, [np.inf, 0.0, 0.0]), "must have finite positions"),
        (moved("CH4", 3, molecule("CH4").positions[1]), "must have atoms at least 0.2 A apart, got 0 A between"),
        (Atoms("X", [[0, 0, 0]]), r"must have atomic numbers 1..118, got 0 at atom 0"),
        (Atoms(), "must have atoms, got none"),
    ],
)
def test_unusable_molecules_are_named(bad, message):
    good = molecule("CH4")
    with pytest.raises(ValueError, match=r"molecule 1 of `atoms` \(counted from 0\) " + message):
        Molecules.from_atoms([good, bad, good])
    with pytest.raises(ValueError, match="1 more of 3 are bad, the next is molecule 2"):
        Molecules.from_atoms([good, bad, bad])


def test_rounded_partial_charges_are_neutral():
    atoms = molecule("CH4")
    atoms.set_initial_charges([-0.535689, 0.133921, 0.133922, 0.133923, 0.133924])
    atoms.info["charge"] = 0
    assert len(Molecules.from_atoms(atoms)) == 1


@pytest.mark.parametrize(("given", "kind"), [("H2O", "str"), (3, "int"), ([molecule("H2O"), 3], "int at 1")])
def test_not_atoms(given, kind):
    with pytest.raises(TypeError, match=rf"`atoms` must be ase.Atoms or a sequence of them, got {kind}"):
        as_molecules(given)


def test_no_molecule():
    with pytest.raises(ValueError, match="must hold at least one molecule"):
        as_molecules([])
    with pytest.raises(ValueError, match="must hold at least one batch"):
        Molecules.concatenate([])


def test_single_atoms_are_fine():
    assert Molecules.from_atoms([Atoms("H"), Atoms("Og")]).elements == (1, 118)


@pytest.mark.parametrize("n", [40, 1100])  # 1100 atoms are searched with a tree
def test_the_closest_pair_is_found(n, generator):
    side = round(n ** (1 / 3)) + 2
    lattice = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * 3)
    chosen = torch.randperm(len(lattice), generator=generator)[:n]
    positions = lattice[chosen]
    offsets = torch.tensor([0, n])
    assert structure_problems(torch.ones(n, dtype=torch.int64), positions, offsets) == {}
    positions[n // 2] = positions[3] + torch.tensor([0.0, 0.1, 0.0])
    positions[n - 1] = positions[5] + torch.tensor([0.05, 0.0, 0.0])
    found = structure_problems(torch.ones(n, dtype=torch.int64), positions, offsets)
    assert found == {0: f"must have atoms at least 0.2 A apart, got 0.05 A between atoms 5 and {n - 1}"}


def test_neighbours_in_other_molecules_do_not_count():
    twice = Molecules.from_atoms([molecule("H2O")] * 2)  # on top of each other
    assert twice.check() is twice


def test_constructor_checks():
    z, r, o = torch.ones(2, dtype=torch.int64), torch.zeros(2, 3), torch.tensor([0, 2])
    with pytest.raises(TypeError, match=r"`numbers` must be an int64 tensor, got torch.int32"):
        Molecules(z.int(), r, o)
    with pytest.raises(TypeError, match="`offsets` must be an int64 tensor, got list"):
        Molecules(z, r, [0, 2])
    with pytest.raises(TypeError, match=r"`positions` must be of a real floating dtype, got torch.int64"):
        Molecules(z, r.long(), o)
    with pytest.raises(TypeError, match=r"`positions` must be torch.float32 or torch.float64"):
        Molecules(z, r.half(), o)
    with pytest.raises(ValueError, match=r"`positions` must be of shape \(2, 3\), got \(2, 2\)"):
        Molecules(z, r[:, :2], o)
    with pytest.raises(ValueError, match="`offsets` must hold one number more"):
        Molecules(z, r, o[:0])
    with pytest.raises(ValueError, match="`numbers` must have one axis"):
        Molecules(z[None], r, o)
    with pytest.raises(ValueError, match=r"`offsets` must increase from 0 to the number of atoms 2, got 0 .. 1"):
        Molecules(z, r, torch.tensor([0, 1])).check()
