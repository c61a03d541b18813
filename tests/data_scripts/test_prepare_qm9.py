"""The command that makes an HDF5 of QM9: same result from each form, exit codes, nothing half written."""

import hashlib
import importlib.util
import json
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from phasewave.molecules import prepare
from phasewave.molecules.datasets import read_dataset

ROOT = Path(__file__).resolve().parents[2]


def load(path):
    """Import a file by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


files = load(ROOT / "tests" / "molecules" / "qm9_files.py")


@dataclass
class Ended:
    exit_code: int
    output: str


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the script as `python data_scripts/prepare_qm9.py` does."""
    script = ROOT / "data_scripts" / "prepare_qm9.py"

    def invoke(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(script), run_name="__main__")
        return Ended(stop.value.code, "".join(capsys.readouterr()))

    return invoke


@pytest.fixture
def paths(tmp_path):
    folder = tmp_path / "download"
    folder.mkdir()
    return files.write_all(folder)


def test_each_form_gives_the_same_file(run, paths, tmp_path):
    sets = {}
    for form, path in paths.items():
        result = run(path, "--out", tmp_path / "new" / f"{form}.h5", "--partial")
        assert result.exit_code == 0, result.output
        assert "6 molecules of 3 to 9 atoms" in result.output
        sets[form] = read_dataset(tmp_path / "new" / f"{form}.h5")
    one = sets["wheel"]
    for form, other in sets.items():
        assert other.molecules.sha256() == one.molecules.sha256() == other.source["molecules_sha256"]
        for name in one.properties:
            np.testing.assert_allclose(other.values(name), one.values(name), rtol=1e-14)
        assert other.source["form"] == ("wheel" if form == "folder" else form)
        assert other.source["whole"] == "false"
        for name, split in one.splits.items():
            np.testing.assert_array_equal(split.train, other.splits[name].train)
    assert one.target("U0")[0] == pytest.approx(-395.9999 * 0.0433641, rel=1e-5)
    assert "phasewave" in json.loads(one.source["versions"])
    digest = hashlib.sha256(paths["xyz"].read_bytes()).hexdigest()
    assert sets["xyz"].source["sha256"] == digest
    assert len(sets["xyz"].source["uncharacterized_sha256"]) == 64
    assert one.source["doi"] == "10.1038/sdata.2014.22"


@pytest.mark.parametrize("form", ["wheel", "xyz"])
def test_checksums(run, paths, tmp_path, form):
    result = run(paths[form], "--out", tmp_path / "qm9.h5")
    assert result.exit_code == 2
    assert f"must have the SHA-256 {prepare.CHECKSUMS[paths[form].name]}" in result.output
    assert not (tmp_path / "qm9.h5").exists()


def test_a_part_is_not_taken_for_the_whole(run, paths, tmp_path):
    result = run(paths["folder"], "--out", tmp_path / "qm9.h5")
    assert result.exit_code == 2
    assert "the number of molecules of QM9 must be 130831, got 6: is this the whole data set?" in result.output
    assert not (tmp_path / "qm9.h5").exists()


def test_an_existing_file_is_kept(run, paths, tmp_path):
    out = tmp_path / "qm9.h5"
    out.write_text("mine")
    result = run(paths["sdf"], "--out", out, "--partial")
    assert result.exit_code == 2
    assert "exists" in result.output
    assert out.read_text() == "mine"
    assert run(paths["sdf"], "--out", out, "--partial", "--overwrite").exit_code == 0
    assert len(read_dataset(out)) == 6


def test_missing_files(run, paths, tmp_path):
    result = run(tmp_path / "nothing.whl", "--out", tmp_path / "qm9.h5")
    assert result.exit_code == 3
    assert "pip download --no-deps qm9pack==1.0.3" in result.output
    (paths["sdf"].parent / "uncharacterized.txt").unlink()
    result = run(paths["sdf"], "--out", tmp_path / "qm9.h5", "--partial")
    assert result.exit_code == 3
    assert "https://ndownloader.figshare.com/files/3195404" in result.output


def corrupted(tmp_path):
    rows = files.samples()
    texts = {index: files.xyz_text(index, rows) for index in rows}
    texts[7] = texts[7].replace("gdb 7", "gdb seven")
    files.write_excluded(tmp_path / "uncharacterized.txt", [files.UNCHARACTERIZED])
    return files.write_archive(tmp_path / "some.tar.gz", texts)


def test_corrupt_records(run, tmp_path):
    out = tmp_path / "qm9.h5"
    path = corrupted(tmp_path)
    result = run(path, "--out", out, "--partial")
    assert result.exit_code == 2
    assert "index 7 (dsgdb9nsd_000007.xyz)" in result.output
    assert not out.exists()
    result = run(path, "--out", out, "--partial", "--skip-corrupt")
    assert result.exit_code == 0
    assert "skipped index 7 (dsgdb9nsd_000007.xyz)" in result.output
    data = read_dataset(out)
    assert data.index.tolist() == [1, 2, 3, 5, 40]
    assert len(json.loads(data.source["skipped"])) == 1


def test_an_interrupt_leaves_nothing(run, paths, tmp_path, monkeypatch):
    def stop(path, dataset):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "write_dataset", stop)
    result = run(paths["sdf"], "--out", tmp_path / "qm9.h5", "--partial")
    assert result.exit_code == 4
    assert "interrupted: give the command again" in result.output
    assert not (tmp_path / "qm9.h5").exists()


def test_a_full_disk_leaves_nothing(run, paths, tmp_path, small_disk):
    whole = files.samples()
    rows = {}
    for k in range(400):
        symbols, positions, values = whole[7]
        rows[1000 + k] = (symbols, positions + 0.001 * k, values)
    path = files.write_unpacked(tmp_path / "many", files.table_texts(rows))
    with small_disk():
        result = run(path, "--out", tmp_path / "new" / "qm9.h5", "--partial")
    assert result.exit_code == 4
    assert "no space left" in result.output
    assert list((tmp_path / "new").iterdir()) == []


def test_wrong_energies_are_found(run, paths, tmp_path):
    rows = files.samples()
    symbols, positions, values = rows[1]
    rows[1] = (symbols, positions, [v - 0.001 if 10 <= i <= 13 else v for i, v in enumerate(values)])
    folder = tmp_path / "other"
    folder.mkdir()
    result = run(files.write_all(folder, rows)["sdf"], "--out", tmp_path / "qm9.h5", "--partial")
    assert result.exit_code == 2
    assert "the U0 of CH4 in eV must be -1101.48" in result.output
    assert not (tmp_path / "qm9.h5").exists()


def test_an_energy_above_the_atoms_is_found(run, tmp_path):
    rows = files.samples()
    symbols, positions, values = rows[3]
    rows[3] = (symbols, positions, [v + 1 if 10 <= i <= 13 else v for i, v in enumerate(values)])
    result = run(files.write_all(tmp_path, rows)["sdf"], "--out", tmp_path / "qm9.h5", "--partial")
    assert result.exit_code == 2
    assert "U0 must lie below the separate atoms" in result.output
    assert "at index 3" in result.output
