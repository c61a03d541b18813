"""Data sets: HDF5 there and back, QM7, what ASE reads, and files that cannot be read."""

import ase.db
import ase.io
import h5py
import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, kcal, mol
from scipy.io import savemat

from phasewave.molecules.datasets import Dataset, read_dataset, reference_energies, write_dataset
from phasewave.molecules.g2 import g2
from phasewave.molecules.splits import make_splits
from phasewave.molecules.structures import Molecules

NAMES = ("H2O", "CH4", "C6H6", "HCN", "H2", "CO")


def small(n=6):
    molecules = Molecules.from_atoms([molecule(NAMES[i % 6]) for i in range(n)])
    index = np.arange(n) * 3 + 1
    properties = {"U0": -10.0 * np.arange(1, n + 1), "mu": np.linspace(0, 1, n)}
    references = {"U0": {1: -13.5, 6: -1029.0, 7: -1485.0, 8: -2042.0}}
    source = {"title": "six molecules"}
    return Dataset(
        molecules, properties, {"U0": "eV", "mu": "Debye"}, index, make_splits(index), references, source
    )


# ---------------------------------------------------------------- the record


def test_energies_relative_to_atoms():
    data = small()
    atoms = {"H": -13.5, "C": -1029.0, "N": -1485.0, "O": -2042.0}
    expected = [
        -10.0 * (i + 1) - sum(atoms[s] for s in molecule(name).get_chemical_symbols())
        for i, name in enumerate(NAMES)
    ]
    np.testing.assert_allclose(data.target("U0"), expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(data.target("mu"), data.properties["mu"])
    np.testing.assert_allclose(data.values("U0") - data.target("U0"), data.reference_energies("U0"))


def test_a_part():
    data = small()
    for chosen in ([4, 1], np.array([False, True, False, False, True, False]), slice(1, 5, 3), [2]):
        part = data[chosen]
        at = np.arange(6)[chosen]
        np.testing.assert_array_equal(part.index, data.index[at])
        np.testing.assert_array_equal(part.target("U0"), data.target("U0")[at])
        assert part.molecules.sizes.tolist() == [len(molecule(NAMES[i])) for i in at]
    assert data[3].index.tolist() == data.index[3:4].tolist()
    with pytest.raises(IndexError):
        data[6]
    with pytest.raises(ValueError, match="a part of another"):
        part.split("fold-0")


def test_a_random_part_is_nested_and_keeps_the_folds(tmp_path):
    data = small(40)
    part, smaller = data.sample(25), data.sample(12)
    assert list(part.index) == sorted(part.index)
    assert set(smaller.index) < set(part.index) < set(data.index)
    for k in range(5):
        whole = data.index[data.split(f"fold-{k}").test]
        own = part.index[part.split(f"fold-{k}").test]
        assert set(own) == set(whole) & set(part.index)
        assert len(own) == 5
    write_dataset(tmp_path / "part.h5", part)
    assert read_dataset(tmp_path / "part.h5").source["part"] == "25 of 40 molecules, drawn at random"
    with pytest.raises(ValueError, match="`n_molecules` must be an integer between 1 and 40, got 41"):
        data.sample(41)


def test_unknown_names():
    data = small()
    with pytest.raises(ValueError, match=r"`property` must be one of those of the data set \(U0, mu\), got 'gap'"):
        data.target("gap")
    with pytest.raises(ValueError, match=r"`property` must be one with atomic references \(U0\), got 'mu'"):
        data.reference_energies("mu")
    with pytest.raises(ValueError, match=r"got 'test'"):
        data.split("test")
    with pytest.raises(ValueError, match=r"got none for \[8\]"):
        reference_energies(data.molecules, {1: 0.0, 6: 0.0, 7: 0.0})


def test_missing_values_are_told():
    data = small()
    data.properties["mu"][[2, 5]] = np.nan
    with pytest.raises(
        ValueError, match=r"no finite value for 2 of 6, the first is molecule 2 \(counted from 0\)"
    ):
        data.values("mu")
    assert np.isfinite(data[[0, 1]].values("mu")).all()


def test_lengths_must_fit():
    data = small()
    with pytest.raises(ValueError, match=r"`mu` must have one value for each of 6 molecules, got \(5,\)"):
        Dataset(data.molecules, {"mu": np.zeros(5)}, {"mu": ""}, data.index)
    with pytest.raises(ValueError, match=r"`units` must name \['mu'\], got \[\]"):
        Dataset(data.molecules, {"mu": np.zeros(6)}, {}, data.index)


# ---------------------------------------------------------------- HDF5


def assert_same(a, b):
    assert a.molecules.sha256() == b.molecules.sha256()
    np.testing.assert_array_equal(a.index, b.index)
    assert a.properties.keys() == b.properties.keys()
    for name, values in a.properties.items():
        np.testing.assert_array_equal(values, b.properties[name])
    assert (a.units, a.atomic_references, a.source) == (b.units, b.atomic_references, b.source)
    assert a.splits.keys() == b.splits.keys()
    for name, split in a.splits.items():
        for part in ("train", "test", "validation"):
            np.testing.assert_array_equal(getattr(split, part), getattr(b.splits[name], part))


@pytest.mark.parametrize("data", [small(), g2()], ids=["small", "g2"])
def test_hdf5_there_and_back(tmp_path, data):
    path = tmp_path / "data.h5"
    write_dataset(path, data)
    assert_same(read_dataset(path), data)


def test_missing_values_survive(tmp_path):
    data = small()
    data.properties["mu"][1] = np.nan
    write_dataset(tmp_path / "data.h5", data)
    assert np.isnan(read_dataset(tmp_path / "data.h5").properties["mu"][1])


@pytest.mark.parametrize("part", [0, 100, 0.3, 0.7, 0.99])
def test_truncated_hdf5(tmp_path, part):
    path = tmp_path / "data.h5"
    write_dataset(path, small())
    content = path.read_bytes()
    path.write_bytes(content[: int(part if part > 1 else part * len(content))])
    with pytest.raises(ValueError, match=r"data.h5 is not a readable data set of molecules, or is truncated"):
        read_dataset(path)


def damage(name, change):
    def edit(path):
        with h5py.File(path, "a") as file:
            values = file[name][()]
            del file[name]
            file[name] = change(values)

    return edit


def changed(values, at, value):
    values = values.copy()
    values[at] = value
    return values


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (damage("positions", lambda r: changed(r, 4, np.nan)), "molecule 1 of .* must have finite positions"),
        (damage("positions", lambda r: changed(r, 4, r[5])), "molecule 1 of .* at least 0.2 A apart"),
        (damage("numbers", lambda z: changed(z, 0, 0)), r"molecule 0 of .* atomic numbers 1..118, got 0"),
        (damage("numbers", lambda z: z[:-1]), "not a readable data set"),
        (damage("offsets", lambda o: changed(o, 2, 0)), "`offsets` must increase"),
        (damage("splits/fold-1/test", lambda t: t + 6), "a split names molecules"),
        (damage("index", lambda i: i[1:]), "`index` must have one value for each of 6 molecules"),
    ],
)
def test_damaged_hdf5(tmp_path, edit, message):
    path = tmp_path / "data.h5"
    write_dataset(path, small())
    edit(path)
    with pytest.raises(ValueError, match=message):
        read_dataset(path)


def test_another_hdf5(tmp_path):
    with h5py.File(tmp_path / "fields.h5", "w") as file:
        file["fields"] = np.zeros(3)
    with pytest.raises(ValueError, match="its attribute `format` is None"):
        read_dataset(tmp_path / "fields.h5")


def test_a_full_disk_leaves_the_old_file(tmp_path, small_disk):
    path = tmp_path / "data.h5"
    write_dataset(path, small())
    before = path.read_bytes()
    with small_disk(), pytest.raises(OSError, match="no space left"):
        write_dataset(path, small(3000))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- QM7


def qm7_arrays():
    n, size = 10, 6
    atoms = [molecule(("H2O", "CH4", "SH2", "HCN", "CO")[i % 5]) for i in range(n)]
    z, r = np.zeros((n, size), np.float32), np.zeros((n, size, 3), np.float32)
    for i, one in enumerate(atoms):
        z[i, : len(one)] = one.numbers
        r[i, : len(one)] = one.positions / Bohr
    folds = np.arange(n, dtype=np.int64).reshape(2, 5).T[:, ::-1]
    return atoms, {"Z": z, "R": r, "T": -np.arange(100.0, 110.0, dtype=np.float32)[None], "P": folds}


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_qm7(tmp_path, suffix):
    atoms, arrays = qm7_arrays()
    path = tmp_path / f"qm7{suffix}"
    (savemat if suffix == ".mat" else lambda p, a: np.savez(p, **a))(path, arrays)
    data = read_dataset(path)
    assert data.units == {"atomization_energy": "eV"}
    np.testing.assert_allclose(data.target("atomization_energy"), -np.arange(100.0, 110.0) * kcal / mol)
    assert data.molecules.sizes.tolist() == [len(one) for one in atoms]
    together = np.concatenate([one.positions for one in atoms])
    np.testing.assert_allclose(data.molecules.positions, together, rtol=0, atol=1e-6)
    for k in range(5):
        split = data.split(f"official-{k}")
        assert split.test.tolist() == [k, k + 5]
        assert sorted(split.train.tolist()) == [i for i in range(10) if i % 5 != k]
    assert "fold-0" in data.splits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"T": None}, "must hold the arrays Z, R and T of QM7, got P, R, Z"),
        ({"R": np.zeros((10, 6, 2))}, r"must have Z \(n, atoms\), R \(n, atoms, 3\), T \(n,\)"),
        ({"Z": np.full((10, 6), 0.5)}, "whole numbers in Z"),
        ({"R": np.zeros((10, 6, 3))}, "molecule 0 of .* at least 0.2 A apart"),
        ({"P": np.zeros((5, 2))}, "each of its 10 molecules in one fold"),
    ],
)
def test_other_arrays_than_qm7(tmp_path, change, message):
    arrays = qm7_arrays()[1] | change
    np.savez(tmp_path / "q.npz", **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=message):
        read_dataset(tmp_path / "q.npz")


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_damaged_qm7(tmp_path, suffix):
    path = tmp_path / f"qm7{suffix}"
    (savemat if suffix == ".mat" else lambda p, a: np.savez(p, **a))(path, qm7_arrays()[1])
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="is damaged, or not what its suffix says"):
        read_dataset(path)


# ---------------------------------------------------------------- what ASE reads


def labelled():
    atoms = [molecule(name) for name in NAMES]
    for i, one in enumerate(atoms):
        one.calc = SinglePointCalculator(one, energy=-5.0 * i, forces=np.zeros((len(one), 3)))
        one.info.update(gap=0.5 * i, name=f"m{i}", converged=True)
    del atoms[3].info["gap"]
    return atoms


def test_extended_xyz(tmp_path):
    atoms = labelled()
    ase.io.write(tmp_path / "data.extxyz", atoms)
    data = read_dataset(tmp_path / "data.extxyz")
    assert set(data.properties) == {"energy", "gap"}
    assert data.units == {"energy": "eV", "gap": ""}
    np.testing.assert_array_equal(data.target("energy"), -5.0 * np.arange(6))
    np.testing.assert_array_equal(data.properties["gap"], [0, 0.5, 1, np.nan, 2, 2.5])
    with pytest.raises(ValueError, match=r"no finite value for 1 of 6, the first is molecule 3"):
        data.values("gap")
    torch.testing.assert_close(data.molecules.positions, Molecules.from_atoms(atoms).positions, rtol=0, atol=1e-7)
    assert "fold-0" in data.splits


def test_plain_xyz(tmp_path):
    ase.io.write(tmp_path / "data.xyz", labelled()[:2], format="xyz", comment="made by hand")
    data = read_dataset(tmp_path / "data.xyz")
    assert data.molecules.sizes.tolist() == [3, 5]
    assert data.properties == {}


def test_a_database(tmp_path):
    with ase.db.connect(tmp_path / "data.db") as database:
        for i, one in enumerate(labelled()):
            database.write(
                one, {"gap": 0.25 * i, "group": "a"}, data={"mu": np.array([1.5 * i]), "many": np.ones(3)}
            )
    data = read_dataset(tmp_path / "data.db")
    assert set(data.properties) == {"energy", "gap", "mu"}
    np.testing.assert_array_equal(data.values("gap"), 0.25 * np.arange(6))
    np.testing.assert_array_equal(data.values("mu"), 1.5 * np.arange(6))
    np.testing.assert_array_equal(data.values("energy"), -5.0 * np.arange(6))


def test_any_other_format(tmp_path):
    ase.io.write(tmp_path / "one.sdf", molecule("CH4"))
    assert read_dataset(tmp_path / "one.sdf").molecules.elements == (1, 6)


GOOD = "2\n\nH 0 0 0\nH 0 0 0.74\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xyz", "", "a.xyz must hold molecules, got an empty file"),
        ("a.xyz", GOOD + "1\n\nQq 0 0 0\n", "a.xyz cannot be read after 1 molecules: unknown element 'Qq'"),
        ("a.xyz", GOOD + "2\n\nH 0 0 0\n", "a.xyz cannot be read after"),
        ("a.xyz", GOOD + "2\n\nH 0 0 nan\nH 0 0 1\n", r"molecule 1 of `.*a.xyz` .* must have finite positions"),
        ("a.xyz", GOOD + "2\n\nH 0 0 1\nH 0 0 1\n", r"molecule 1 of `.*a.xyz` .* at least 0.2 A apart"),
        ("a.xyz", GOOD + '1\nLattice="5 0 0 0 5 0 0 0 5"\nH 0 0 1\n', "molecule 1 of .* must not be periodic"),
        ("a.xyz", GOOD + "1\ncharge=-1\nH 0 0 1\n", "molecule 1 of .* must be neutral"),
        ("a.nonsense", GOOD, "a.nonsense is in no format that is read"),
        ("a.db", "not a database", "a.db cannot be read after 0 molecules"),
        ("a.sdf", "x\n$$$$\ny\n$$$$\n", "holds several molecules, of which ASE reads only the first"),
        ("dsgdb9nsd.xyz.tar.bz2", "x", "make an HDF5 of it with `phasewave molecules prepare`"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_dataset(tmp_path / name)


def test_a_file_made_here_may_be_named_after_the_download(tmp_path):
    write_dataset(tmp_path / "qm9pack.h5", read_dataset()[:3])
    assert len(read_dataset(tmp_path / "qm9pack.h5")) == 3


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*missing.db"):
        read_dataset(tmp_path / "missing.db")
    assert not (tmp_path / "missing.db").exists()
    with pytest.raises(ValueError, match="must be a file, got a folder"):
        read_dataset(tmp_path)
