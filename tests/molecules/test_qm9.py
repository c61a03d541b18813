"""The readers of QM9's public forms, on a handful of molecules written in each."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.units import Bohr, Hartree, kcal, mol

from phasewave.molecules.qm9 import ATOMIC_REFERENCES, REPORT_UNITS, UNITS, read_qm9
from phasewave.molecules.qm9_formats import kind_of, parse_xyz
from phasewave.molecules.qm9_records import COLUMNS, read_excluded


def load(path):
    """Import a file of the tests by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


files = load(Path(__file__).with_name("qm9_files.py"))
FORMS = ("wheel", "folder", "xyz", "sdf")
ROWS = files.samples()
KEPT = [index for index in ROWS if index != files.UNCHARACTERIZED]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return files.write_all(tmp_path_factory.mktemp("qm9"))


@pytest.mark.parametrize("form", FORMS)
def test_the_same_content_from_each_form(paths, form):
    data, skipped = read_qm9(paths[form])
    assert skipped == []
    assert data.index.tolist() == KEPT
    symbols = [one.get_chemical_symbols() for one in data.molecules.to_atoms()]
    assert symbols == [ROWS[index][0] for index in KEPT]
    positions = np.concatenate([ROWS[index][1] for index in KEPT])
    np.testing.assert_array_equal(data.molecules.positions.numpy(), positions)
    for column, name in enumerate(files.NAMES):
        values = np.array([ROWS[index][2][column] for index in KEPT])
        np.testing.assert_allclose(data.values(name), values * UNITS[name][0], rtol=1e-14)
    assert "fold-0" in data.splits


def test_units():
    factors = {name: factor for name, (factor, _) in UNITS.items()}
    assert list(factors) != []
    assert factors["U0"] == Hartree
    assert factors["alpha"] == pytest.approx(0.529177**3, rel=1e-5)
    assert factors["r2"] == pytest.approx(0.529177**2, rel=1e-5)
    assert factors["mu"] == factors["Cv"] == factors["A"] == 1
    assert UNITS.keys() == REPORT_UNITS.keys() == {name for name, *_ in COLUMNS}
    for name, field in (("U0", 627.5094740631), ("alpha", 1.0), ("r2", 1.0), ("gap", 27211.386), ("Cv", 1.0)):
        assert UNITS[name][0] * REPORT_UNITS[name][0] == pytest.approx(field, rel=1e-7)


def test_energies_of_methane(paths):
    data, _ = read_qm9(paths["wheel"])
    assert data.values("U0")[0] == pytest.approx(-40.47893 * Hartree)
    assert data.target("U0")[0] * mol / kcal == pytest.approx(-395.99990, abs=1e-4)
    assert set(data.atomic_references) == {"U0", "U", "H", "G"}
    hydrogen = ATOMIC_REFERENCES["U0"][1]
    assert hydrogen == pytest.approx(-13.605, abs=0.01)  # exactly -1/2 Hartree for the exact method
    # at 298 K a free atom has 3/2 kT more energy, and kT more again in its enthalpy (Hartree)
    for z in (1, 6, 7, 8, 9):
        thermal = [(ATOMIC_REFERENCES[name][z] - ATOMIC_REFERENCES["U0"][z]) / Hartree for name in ("U", "H")]
        assert thermal == pytest.approx([1.5 * 0.000944, 2.5 * 0.000944], abs=2e-6)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_other_compressions(tmp_path, suffix):
    files.write_excluded(tmp_path / "uncharacterized.txt", [files.UNCHARACTERIZED])
    path = files.write_archive(tmp_path / f"part{suffix}", {i: files.xyz_text(i, ROWS) for i in ROWS})
    assert read_qm9(path)[0].index.tolist() == KEPT


def test_a_folder_of_xyz_files(tmp_path):
    for index in ROWS:
        (tmp_path / f"dsgdb9nsd_{index:06d}.xyz").write_text(files.xyz_text(index, ROWS))
    listed = files.write_excluded(tmp_path / "list.txt", [1, 3])
    data, _ = read_qm9(tmp_path, uncharacterized=listed)
    assert data.index.tolist() == [2, 5, 7, 21, 40]


def test_exponents_of_mathematica():
    text = files.xyz_text(3, ROWS).replace("gdb 3\t", "gdb 3\t").replace("0.133921", "-1.25*^-7", 1)
    text = text.replace(files.mathematica(ROWS[3][1][0][0]), "-4.0313*^-6", 1)
    record = parse_xyz(text)
    assert record.coordinates[0] == -4.0313e-6
    assert "*^" in files.xyz_text(3, {3: (["O"], np.array([[0.0001, 0, 0]]), ROWS[3][2])})


def test_the_wheel_has_no_list(tmp_path):
    rows = {index: ROWS[index] for index in KEPT}
    path = files.write_wheel(tmp_path / "qm9pack-1.0.3-py3-none-any.whl", files.table_texts(rows))
    listed = files.write_excluded(tmp_path / "list.txt", [40])
    assert read_qm9(path, uncharacterized=listed)[0].index.tolist() == KEPT[:-1]


def test_the_list_is_asked_for(tmp_path):
    path = files.write_sdf(tmp_path / "gdb9.sdf", ROWS)
    with pytest.raises(FileNotFoundError, match=r"uncharacterized.txt: .*figshare.com/files/3195404"):
        read_qm9(path)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*other.txt"):
        read_qm9(path, uncharacterized=tmp_path / "other.txt")


def test_the_list_is_counted(tmp_path):
    path = files.write_excluded(tmp_path / "list.txt", [4, 8, 15])
    assert read_excluded(path) == {4, 8, 15}
    path.write_text(path.read_text().replace("3 compounds", "4 compounds"))
    with pytest.raises(ValueError, match="must list molecules, 4 of them, got 3"):
        read_excluded(path)
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match="must list molecules, some of them, got 0"):
        read_excluded(path)


def test_progress_ends_at_the_number_of_records(paths):
    seen = []
    read_qm9(paths["xyz"], progress=seen.append)
    assert seen == [7]


# ---------------------------------------------------------------- corrupt records


def value(name, change):
    """Return the samples with a property of molecule 5 changed."""
    rows = dict(ROWS)
    symbols, positions, values = rows[5]
    values = list(values)
    column = files.NAMES.index(name)
    values[column] = change(values[column])
    rows[5] = (symbols, positions, values)
    return rows


def geometry(atom, position):
    rows = dict(ROWS)
    symbols, positions, values = rows[5]
    positions = positions.copy()
    positions[atom] = position
    rows[5] = (symbols, positions, values)
    return rows


def element(symbol):
    rows = dict(ROWS)
    rows[5] = ([symbol, *rows[5][0][1:]], *rows[5][1:])
    return rows


CORRUPT = {
    "energy": (value("H", lambda h: h + 0.01), "H - U must be RT = 0.000944 Hartree, got 0.010944"),
    "gap": (value("gap", lambda g: 10 * g), "the gap must be lumo - homo"),
    "order": (value("G", lambda g: g + 5), "its energies must obey U0 <= U and G < H"),
    "nan": (value("mu", lambda _: float("nan")), "its values must be finite"),
    "close": (geometry(1, ROWS[5][1][0]), "atoms at least 0.2 A apart, got 0 A"),
    "place": (geometry(1, [np.nan, 0, 0]), "must have finite positions"),
    "element": (element("Si"), "its elements must be H, C, N, O or F, got 'Si'"),
}


@pytest.mark.parametrize("case", CORRUPT)
@pytest.mark.parametrize("form", FORMS)
def test_corrupt_records_are_named_and_skipped_when_asked(tmp_path, form, case):
    rows, message = CORRUPT[case]
    path = files.write_all(tmp_path, rows)[form]
    with pytest.raises(ValueError, match=r"must hold sound records, got 1 corrupt of \d: index 5 ") as error:
        read_qm9(path)
    assert message in str(error.value)
    data, skipped = read_qm9(path, skip_corrupt=True)
    assert data.index.tolist() == [index for index in KEPT if index != 5]
    assert len(skipped) == 1
    assert skipped[0].startswith("index 5 (")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text[: text.index("gdb") + 40], "3 atoms need 8 lines, got 2"),
        (lambda text: "", "0 atoms need 5 lines"),
        (lambda text: "x" + text, "invalid literal for int"),
        (lambda text: text.replace("gdb", "gbd"), "line 2 must be 'gdb', an index and 15 values"),
        (lambda text: text.replace("\t6.4690000000", ""), "line 2 must be 'gdb'"),
        (lambda text: text.replace("0.133921", "", 1), "3 atoms must have 5 columns each, got 14 words"),
        (lambda text: text.replace("35.36", "35,36"), "could not convert string to float"),
    ],
)
def test_corrupt_xyz(tmp_path, edit, message):
    files.write_excluded(tmp_path / "uncharacterized.txt", [21])
    texts = {index: files.xyz_text(index, ROWS) for index in ROWS}
    texts[3] = edit(texts[3])
    path = files.write_archive(tmp_path / "some.tar", texts)
    with pytest.raises(ValueError, match=r"1 corrupt of 7: index 3 \(dsgdb9nsd_000003.xyz\): .*" + message):
        read_qm9(path)
    assert 3 not in read_qm9(path, skip_corrupt=True)[0].index


def test_a_corrupt_record_of_the_excluded_is_no_matter(tmp_path):
    files.write_excluded(tmp_path / "uncharacterized.txt", [21])
    texts = {index: files.xyz_text(index, ROWS) for index in ROWS}
    texts[21] = "nonsense"
    assert read_qm9(files.write_archive(tmp_path / "some.tar", texts))[0].index.tolist() == KEPT


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("gdb_3", "gdb_999"), r"index 999 .* gdb9.sdf.csv must have a row gdb_999"),
        (lambda text: text.replace("gdb_3", "water"), r"index unknown \(molecule 3 .*must be gdb_ and a number"),
        (lambda text: text[:-60], r"index 40 .* must end with 'M  END'"),
        (lambda text: text.replace("V2000", "V3000", 1), "index 1 .* a V2000 molecule"),
    ],
)
def test_corrupt_sdf(tmp_path, edit, message):
    files.write_excluded(tmp_path / "uncharacterized.txt", [21])
    path = files.write_sdf(tmp_path / "gdb9.sdf", ROWS)
    path.write_text(edit(path.read_text()))
    with pytest.raises(ValueError, match=message):
        read_qm9(path)
    assert len(read_qm9(path, skip_corrupt=True)[0]) == 5


def test_corrupt_rows_of_the_tables(tmp_path):
    texts = files.table_texts({index: ROWS[index] for index in KEPT})
    lines = texts["qm9_part1.csv"].splitlines()
    texts["qm9_part1.csv"] = "\n".join([lines[0], lines[1][: len(lines[1]) // 2], lines[2]])
    path = files.write_wheel(tmp_path / "qm9pack.whl", texts)
    with pytest.raises(ValueError, match=r"row 2 of qm9_part1.csv"):
        read_qm9(path)
    assert read_qm9(path, skip_corrupt=True)[0].index.tolist() == KEPT[1:]

    table = files.write_all(tmp_path)["sdf"].with_name("gdb9.sdf.csv")
    table.write_text(table.read_text().replace("157.7", "much", 1))
    with pytest.raises(
        ValueError, match=r"index 1 .*its row of properties: could not convert string to float: 'much'"
    ):
        read_qm9(table.with_name("gdb9.sdf"))


def test_all_corrupt(tmp_path):
    path = files.write_archive(tmp_path / "some.tar", {1: "nonsense"})
    listed = files.write_excluded(tmp_path / "list.txt", [21])
    with pytest.raises(ValueError, match="must hold molecules, got none that can be read"):
        read_qm9(path, uncharacterized=listed, skip_corrupt=True)


# ---------------------------------------------------------------- damaged files


def test_a_molecule_twice(tmp_path):
    texts = files.table_texts({index: ROWS[index] for index in KEPT})
    texts["qm9_part3.csv"] = texts["qm9_part1.csv"]
    with pytest.raises(ValueError, match="must hold each molecule once, got index 1 twice"):
        read_qm9(files.write_wheel(tmp_path / "qm9pack.whl", texts))


def test_a_column_is_missing(tmp_path):
    texts = files.table_texts({index: ROWS[index] for index in KEPT})
    texts["qm9_part2.csv"] = texts["qm9_part2.csv"].replace("RotB_GHz", "RotB")
    with pytest.raises(
        ValueError, match=r"qm9_part2.csv must have the columns .* got none of the name 'RotB_GHz'"
    ):
        read_qm9(files.write_wheel(tmp_path / "qm9pack.whl", texts))
    path = files.write_all(tmp_path)["sdf"]
    table = path.with_name("gdb9.sdf.csv")
    table.write_text(table.read_text().replace("u298", "u300"))
    with pytest.raises(ValueError, match=r"must have the columns .* got none of the name 'u298'"):
        read_qm9(path)


@pytest.mark.parametrize("form", ["wheel", "xyz"])
@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_truncated_archives(tmp_path, form, part):
    path = files.write_all(tmp_path)[form]
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"is damaged or truncated: .*; get it again"):
        read_qm9(path, skip_corrupt=True)


def test_a_part_of_the_wheel_is_missing(tmp_path):
    texts = files.table_texts({index: ROWS[index] for index in KEPT})
    del texts["qm9_part2.csv"]
    with pytest.raises(ValueError, match=r"must hold qm9pack/data/qm9_part2.csv"):
        read_qm9(files.write_wheel(tmp_path / "qm9pack.whl", texts))
    with pytest.raises(FileNotFoundError, match=r"qm9_part2.csv"):
        read_qm9(files.write_unpacked(tmp_path / "unpacked", texts))


def test_forms_that_are_not_read(tmp_path):
    (tmp_path / "qm9.zip").write_bytes(b"PK")
    for path in (tmp_path / "qm9.zip", tmp_path):
        with pytest.raises(ValueError, match="is not QM9 in a form that is read"):
            kind_of(path)
    with pytest.raises(FileNotFoundError, match="there is no file or folder"):
        read_qm9(tmp_path / "nothing.whl")


def test_positions_are_double_precision(paths):
    assert read_qm9(paths["xyz"])[0].molecules.positions.dtype == torch.float64


def test_lengths_in_angstrom(paths):
    data, _ = read_qm9(paths["wheel"])
    methane = data.molecules[0].positions
    assert torch.linalg.vector_norm(methane[1] - methane[0]).item() == pytest.approx(1.09, abs=0.01)
    assert data.values("r2")[0] / 35.36 == pytest.approx(Bohr**2)
