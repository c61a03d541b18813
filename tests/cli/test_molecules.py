"""The commands on molecules: what they leave, say and refuse, and with which exit code."""

import json
import os
import signal

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from phasewave.cli import counting, energies
from phasewave.cli.counting import CountProgress
from phasewave.cli.main import main
from phasewave.molecules.datasets import read_dataset
from phasewave.molecules.g2 import g2
from phasewave.molecules.ridge import LeaveOneOutRidge

CHEAP = ["--channels", "all,valence", "--scales", "1", "--max-degree", "1", "--order", "1", "--step", "1"]
WATER = "3\n\nO 0 0 0.119\nH 0 0.763 -0.477\nH 0 -0.763 -0.477\n"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with molecules of the user, their data set, features, and two fitted models."""
    folder = tmp_path_factory.mktemp("molecules")
    data, frames = g2(), []
    for one, energy in zip(data.molecules.to_atoms(), data.values("atomization_energy"), strict=True):
        if set(one.numbers) <= {1, 6, 7, 8} and len(frames) < 46:
            one.calc = SinglePointCalculator(one, energy=energy)
            frames.append(one)
    write(folder / "user.extxyz", frames)
    write(folder / "two.xyz", [molecule("H2O"), molecule("CH3OH")])
    user, fit = str(folder / "user.extxyz"), ["molecules", "fit"]
    assert main(["molecules", "prepare", user, "--out", str(folder / "user.h5")]) == 0
    given = [str(folder / "user.h5"), "--device", "cpu"]
    assert main(["molecules", "featurize", *given, "--out", str(folder / "f.h5"), *CHEAP]) == 0
    ridge = ["--model", "ridge", "--features", str(folder / "f.h5"), "--ensemble", "0"]
    assert main([*fit, *given, "--out", str(folder / "ridge"), *ridge]) == 0
    assert main([*fit, *given, "--out", str(folder / "kernel"), "--references", "40", "--ensemble", "2"]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(capsys, *words):
    """Return exit code, standard output and standard error of a command."""
    capsys.readouterr()
    code = main(["molecules", *(str(word) for word in words)])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_the_group_has_its_commands(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name in ("prepare", "featurize", "fit", "evaluate", "predict", "relax", "learning-curve"):
        assert f" {name} " in out


def test_prepare_makes_a_data_set(capsys, here, work):
    code, out, _ = run(capsys, "prepare", work / "user.extxyz", "--out", "new/user.h5")
    assert code == 0
    n = len(read_dataset(work / "user.extxyz"))
    assert f"wrote new/user.h5: {n} molecules of 2 to 14 atoms\nproperties: energy\nsplits: fold-0" in out
    assert read_dataset("new/user.h5").molecules.sha256() == read_dataset(work / "user.extxyz").molecules.sha256()
    code, _, err = run(capsys, "prepare", work / "user.extxyz", "--out", "new/user.h5")
    assert (code, "new/user.h5 is there already" in err) == (2, True)
    code, _, err = run(capsys, "prepare", work / "user.extxyz", "--out", "a.h5", "--skip-corrupt")
    assert (code, "are for QM9 as published alone" in err) == (2, True)
    code, out, _ = run(capsys, "prepare", work / "user.extxyz", "--n-molecules", "5", "--out", "part.h5")
    assert (code, "wrote part.h5: 5 molecules" in out) == (0, True)
    code, _, err = run(capsys, "prepare", "qm9pack-1.0.3-py3-none-any.whl", "--n-molecules", "5", "--out", "a.h5")
    assert (code, "make that of the whole first" in err) == (2, True)
    code, _, err = run(capsys, "prepare", "qm9pack-1.0.3-py3-none-any.whl", "--out", "a.h5")
    assert (code, "pip download --no-deps qm9pack" in err) == (3, True)


def test_features_are_written_as_asked(work):
    with h5py.File(work / "f.h5") as file:
        settings = json.loads(file.attrs["identity"])["settings"]
        assert len(file["features"]) == len(read_dataset(work / "user.h5"))
    assert (settings["channels"], settings["n_scales"], settings["max_order"]) == (["all", "valence"], 1, 1)
    assert (settings["max_degree"], settings["step"], settings["dtype"]) == (1, 1.0, "float32")


def test_elements_are_one_channel_each(capsys, here):
    (here / "w.xyz").write_text(WATER)
    code, out, _ = run(capsys, "featurize", "w.xyz", "--channels", "all,elements,not H", *CHEAP[2:])
    assert code == 0
    with h5py.File("features.h5") as file:
        assert json.loads(file.attrs["identity"])["settings"]["channels"] == ["all", "H", "O", "not H"]
    assert "features 1 x " in out


def test_columns_read_at_atoms_go_through_every_command(capsys, here, work):
    given, at_atoms = [work / "user.h5", "--device", "cpu"], ["--order", "0", "--at-atoms"]
    assert run(capsys, "featurize", *given, *at_atoms, "--out", "f.h5")[0] == 0
    with h5py.File("f.h5") as file:
        names = [column["name"] for column in json.loads(file["columns"][()])]
        assert file["features"].shape[1] == len(names) == 12 + 4 * 4 * 6 * 6 * 4  # elements, channels, scales, ...
    assert {name for name in names if name.startswith("core_at_") and name.endswith("_j1.5_l2_q0.5")} == {
        f"core_at_{symbol}_j1.5_l2_q0.5" for symbol in "HCNO"
    }
    ridge = ["fit", *given, "--model", "ridge", "--ensemble", "0"]
    assert run(capsys, *ridge, "--features", "f.h5", *at_atoms, "--out", "read")[0] == 0
    assert run(capsys, *ridge, *at_atoms, "--out", "computed")[0] == 0
    metrics = [json.loads((here / name / "metrics.json").read_text()) for name in ("read", "computed")]
    assert metrics[0] == metrics[1]
    assert run(capsys, "predict", "read", work / "two.xyz", "--device", "cpu")[0] == 0
    assert run(capsys, "evaluate", "read", *given, "--features", "f.h5")[0] == 0
    code, _, err = run(capsys, *ridge, "--features", work / "f.h5", "--at-atoms", "--out", "other")
    assert code == 2
    assert "holds features of other settings than asked for: at_atoms" in err


def test_an_interrupted_run_says_how_to_go_on(capsys, here, work, monkeypatch):
    update = CountProgress.update

    def press(self, done, total):
        update(self, done, total)
        if done >= 32:
            os.kill(os.getpid(), signal.SIGINT)

    words = ["featurize", work / "user.h5", "--out", "f.h5", *CHEAP]
    with monkeypatch.context() as patch:
        patch.setattr(CountProgress, "update", press)
        patch.setattr("sys.argv", ["phasewave", "molecules", *map(str, words)])
        code, out, _ = run(capsys, *words)
    assert code == 4
    assert "Interrupted with 32 of " in out
    assert "molecules featurize" in out
    assert out.rstrip().endswith("--step 1 --resume")
    assert [path.name for path in here.iterdir()] == ["f.h5.part-0000"]
    code, _, err = run(capsys, "fit", work / "user.h5", "--model", "ridge", "--features", "f.h5")
    assert (code, "is not finished" in err) == (3, True)
    assert run(capsys, *words, "--resume")[0] == 0
    with h5py.File("f.h5") as one, h5py.File(work / "f.h5") as other:
        np.testing.assert_array_equal(one["features"][()], other["features"][()])


def test_a_fit_shows_its_errors(capsys, here):
    code, out, _ = run(capsys, "fit", "--model", "ridge", *CHEAP, "--ensemble", "2", "--n-train", "40")
    assert code == 0
    assert "G2/97: atomization_energy, split random-0, 40 training and " in out
    assert "molecules left out, with elements that no training molecule has: index " in out
    assert "MAE [kcal/mol]" in out
    assert "of errors within one predicted deviation (a normal law: 68%)" in out
    assert "files in run: figure.png, metrics.json, model.h5, predictions.h5, run.json" in out
    assert json.loads((here / "run" / "run.json").read_text())["status"] == "done"
    code, _, err = run(capsys, "fit")
    assert (code, "the folder run is not empty" in err) == (2, True)


def test_ctrl_c_in_a_fit_leaves_a_record_and_no_half_file(capsys, here, work, monkeypatch):
    def press(self, rows, target):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        try:
            signal.raise_signal(signal.SIGINT)  # handled before the next line, in this thread
        finally:
            signal.signal(signal.SIGINT, before)
        raise AssertionError("not interrupted")

    words = ["fit", work / "user.h5", "--model", "ridge", "--features", work / "f.h5", "--ensemble", "0"]
    with monkeypatch.context() as patch:
        patch.setattr(LeaveOneOutRidge, "fit", press)
        code, _, err = run(capsys, *words)
    assert (code, err) == (4, "interrupted: give the command again, with --overwrite if it left files\n")
    assert [path.name for path in (here / "run").iterdir()] == ["run.json"]
    assert json.loads((here / "run" / "run.json").read_text())["status"] == "interrupted"
    assert run(capsys, *words, "--overwrite")[0] == 0


def test_a_full_disk_is_named_and_leaves_no_half_model(capsys, here, work, small_disk):
    words = ["fit", work / "user.h5", "--references", "60", "--ensemble", "0"]
    with small_disk():
        code, _, err = run(capsys, *words)
    assert code == 4
    assert "error: no space left to write run/model.h5: nothing was changed there" in err
    assert [path.name for path in (here / "run").iterdir()] == ["run.json"]
    assert json.loads((here / "run" / "run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize("from_the_start", [True, False])
def test_a_reader_that_left_is_no_matter_for_a_message(capsys, here, work, monkeypatch, from_the_start):
    reader, writer = os.pipe()
    with open(writer, "w") as stream:
        if from_the_start:
            os.close(reader)
        else:  # it leaves when the fit is done
            monkeypatch.setattr(energies, "show_report", lambda *_: os.close(reader))
        monkeypatch.setattr("sys.stdout", stream)
        words = ["fit", work / "user.h5", "--model", "ridge", "--features", work / "f.h5", "--ensemble", "0"]
        assert main(["molecules", *map(str, words)]) == 1
    assert capsys.readouterr().err == ""
    made = {path.name for path in here.glob("run/*")}
    whole = {"figure.png", "metrics.json", "model.h5", "predictions.h5", "run.json"}
    assert made == (set() if from_the_start else whole)


def test_evaluate_repeats_what_the_fit_found(capsys, here, work):
    words = [work / "ridge", work / "user.h5", "--features", work / "f.h5"]
    code, out, _ = run(capsys, "evaluate", *words, "--split", "random-0", "--out", "e")
    assert code == 0
    assert "note:" not in out
    now, then = (json.loads((path / "metrics.json").read_text()) for path in (here / "e", work / "ridge"))
    assert now["model"] == then["model"]
    code, out, _ = run(capsys, "evaluate", *words)
    assert "trained on molecules of this data set (split random-0)" in out


def test_predictions_have_uncertainties_and_forces(capsys, here, work):
    words = ["predict", work / "kernel", work / "two.xyz", "--out", "p.extxyz", "--forces"]
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "± [kcal/mol]" in out
    assert "largest force [eV/Å]" in out
    frames = read("p.extxyz", ":")
    for frame, line in zip(
        frames, [line for line in out.splitlines() if "H2O" in line or "CH4O" in line], strict=True
    ):
        cells = [cell.strip() for cell in line.split("│")]
        assert float(cells[4]) == pytest.approx(frame.get_potential_energy(), abs=1e-4)
        assert float(cells[5]) == pytest.approx(frame.info["energy_std"], abs=1e-4)
        assert float(cells[7]) == pytest.approx(np.linalg.norm(frame.get_forces(), axis=1).max(), abs=1e-3)
    code, _, err = run(capsys, *words)
    assert (code, "p.extxyz is there already" in err) == (2, True)


def test_one_model_has_no_uncertainty(capsys, here, work):
    code, out, _ = run(capsys, "predict", work / "ridge" / "model.h5", work / "two.xyz")
    assert code == 0
    assert "no uncertainty: the model is one fit" in out


def test_relax_moves_atoms_to_a_minimum(capsys, here, work):
    code, out, _ = run(capsys, "relax", work / "kernel", work / "two.xyz", "--fmax", "0.05")
    assert code == 0
    assert out.count(" converged") == 2
    assert np.linalg.norm(read("relaxed.extxyz", 0).get_forces(), axis=1).max() <= 0.05
    words = ["relax", work / "kernel", work / "two.xyz", "--fmax", "1e-9", "--steps", "1", "--overwrite"]
    code, out, _ = run(capsys, *words)
    assert (code, out.count("not converged")) == (4, 2)


def test_a_learning_curve(capsys, here, work):
    words = ["learning-curve", work / "user.h5", "--model", "ridge", "--features", work / "f.h5", "--draws", "2"]
    code, out, _ = run(capsys, *words, "--sizes", "18,36")
    assert code == 0
    assert {path.name for path in (here / "curve").iterdir()} == {
        "figure.png", "metrics.json", "points.h5", "run.json"
    }  # fmt: skip
    mean = json.loads((here / "curve" / "metrics.json").read_text())["mean"]
    assert [point["n_train"] for point in mean] == [18, 36]
    assert f"{mean[1]['mae'] / 0.0433641:.4g}" in out
    (here / "known.csv").write_text("label,n_train,mae,unit\nelsewhere,30,1.0,kcal/mol\n")
    more = ("--sizes", "18,36", "--draws", "2,1", "--resume", "--beside", "known.csv")
    code, _, _ = run(capsys, *words[:-2], *more)
    assert code == 0
    assert len(json.loads((here / "curve" / "metrics.json").read_text())["points"]) == 3
    code, _, err = run(capsys, *words, "--sizes", "20,many")
    assert (code, "`sizes` must be integers with commas" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["featurize", "none.xyz"], 3, "there is no file none.xyz"),
        (["featurize", "{user}", "--channels", "all,Xx"], 2, "`channels` must be of"),
        (["featurize", "{user}", "--powers", "1,a"], 2, "`powers` must be numbers with commas"),
        (["featurize", "{user}", "--scales", "0"], 2, "`n_scales` must be an integer between 1 and 10"),
        (["featurize", "{user}", "--step", "2"], 2, "`step` must be in (0, 1], got 2.0"),
        (["featurize", "{user}", "--max-points", "9"], 2, "`max_points` must be at least"),
        (["featurize", "{user}", "--device", "tpu"], 2, "`device` must be auto, cpu, cuda"),
        (["featurize", "{user}", "--resume"], 3, "nothing to resume of features.h5"),
        (["featurize", "{user}", "--out", "no/f.h5"], 3, "there is no folder no"),
        (["fit", "none.h5"], 3, "there is no file none.h5"),
        (["fit", "{user}", "--property", "U0"], 2, "`property` must be one of those of the data set (energy)"),
        (["fit", "{user}", "--split", "half"], 2, "`split` must be one of those of the data set"),
        (["fit", "{user}", "--n-train", "900"], 2, "`n_train` must be at most the"),
        (["fit", "{user}", "--ensemble", "1"], 2, "`ensemble` must be an integer >= 2"),
        (["fit", "{user}", "--model", "forest"], 2, "Invalid value for '--model'"),
        (["fit", "{user}", "--features", "{features}"], 2, "the model kernel has features of its own"),
        (["fit", "{user}", "--scales", "2"], 2, "`n_scales`: the model kernel has features of its own"),
        (
            ["fit", "--model", "ridge", "--features", "{features}"],
            2,
            "must hold the features of these 148 molecules",
        ),
        (["fit", "{user}", "--model", "ridge", "--features", "{user}"], 2, "is no file of features"),
        (["fit", "{user}", "--model", "ridge", "--features", "no.h5"], 3, "there is no file no.h5"),
        (
            ["fit", "{user}", "--model", "ridge", "--features", "{features}", "--scales", "2"],
            2,
            "features of other settings than asked for: n_scales was 1, now 2",
        ),
        (["evaluate", "none", "{user}"], 3, "there is no model none"),
        (["evaluate", "{user}", "{user}"], 2, "cannot be read as a model"),
        (["evaluate", "{kernel}", "{user}", "--features", "{features}"], 2, "this one has others"),
        (["evaluate", "{kernel}", "{user}", "--property", "mu"], 2, "`property` must be one of"),
        (["predict", "{kernel}", "none.xyz"], 3, "there is no file none.xyz"),
        (["predict", "none", "{two}"], 3, "there is no model none"),
        (["relax", "{kernel}", "{two}", "--fmax", "0"], 2, "`fmax` must be a positive force"),
    ],
)
def test_what_cannot_be_is_refused(capsys, here, work, words, code, message):
    places = {"user": "user.h5", "features": "f.h5", "kernel": "kernel", "two": "two.xyz"}
    given = [word.format(**{name: work / file for name, file in places.items()}) for word in words]
    found, _, err = run(capsys, *given)
    assert found == code
    assert message in " ".join(err.replace("│", " ").split())
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty file"),
        (WATER.replace("0.763", "nan", 1), "molecule 0 of `bad.xyz` (counted from 0) must have finite positions"),
        (WATER.replace("O 0", "Xq 0"), "unknown element"),
        (WATER + WATER.replace("-0.763", "0.763"), "1"),
        (WATER.replace("O ", "Fe "), "must hold only elements seen in the fit (H, C, N, O), got Fe in molecule 0"),
        (WATER.replace("3\n\n", '3\nLattice="9 0 0 0 9 0 0 0 9" pbc="T T T"\n'), "periodic"),
        (WATER.replace("3\n\n", "3\ncharge=1 Properties=species:S:1:pos:R:3\n"), "charge"),
        (WATER[:-12], "cannot be read"),
    ],
)
def test_molecules_that_cannot_be_are_named(capsys, here, work, text, message):
    (here / "bad.xyz").write_text(text)
    for command in ("predict", "relax"):
        code, _, err = run(capsys, command, work / "kernel", "bad.xyz", "--out", "out.extxyz")
        assert code == 2
        assert message in err
    assert [path.name for path in here.iterdir()] == ["bad.xyz"]


def test_damaged_files_are_detected(capsys, here, work):
    for name, words in (
        ("user.h5", ["featurize", "cut.h5", "--out", "o.h5"]),
        ("f.h5", ["fit", work / "user.h5", "--model", "ridge", "--features", "cut.h5"]),
        ("kernel/model.h5", ["predict", "cut.h5", work / "two.xyz", "--out", "o.extxyz"]),
    ):
        whole = (work / name).read_bytes()
        (here / "cut.h5").write_bytes(whole[: len(whole) - 200])
        code, _, err = run(capsys, *words)
        assert code == 2, name
        assert "cut.h5" in err
        assert [path.name for path in here.iterdir()] == ["cut.h5"]


def test_a_molecule_of_one_atom_is_no_problem(capsys, here, work):
    write("one.xyz", [Atoms("H"), Atoms("O")])
    assert run(capsys, "predict", work / "kernel", "one.xyz", "--forces")[0] == 0
    assert run(capsys, "predict", work / "ridge", "one.xyz")[0] == 0


def test_progress_tells_rate_and_time_left(capsys, monkeypatch):
    from rich.console import Console

    now = [0.0]
    monkeypatch.setattr(counting.time, "monotonic", lambda: now[0])
    live = CountProgress(Console(width=200), "molecules", times=2)
    with live:
        for seconds, done in ((0.0, 100), (5.0, 150), (20.0, 300)):
            now[0] = seconds
            live.update(done, 1100)
    assert capsys.readouterr().out == "molecules: about 600 of 2,200, 20/s, about 1 min 20 s left\n"
