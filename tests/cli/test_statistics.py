"""The commands gaussian, compare and moments: what they leave, and what they refuse."""

import json
import os

import h5py
import numpy as np
import pytest
import torch
import typer

from phasewave.cli import statistics
from phasewave.cli.errors import ErrorGroup
from phasewave.cli.statistics import compare_command, gaussian_command, moments_command
from phasewave.runs.hdf5 import read_samples, write_samples
from phasewave.turbulence import report
from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.judge import Judge
from phasewave.turbulence.stacks import read_stack

APP = typer.Typer(cls=ErrorGroup, pretty_exceptions_enable=False)
APP.command("gaussian")(gaussian_command)
APP.command("compare")(compare_command)
APP.command("moments")(moments_command)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder with a small field, a stack, and samples in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    fields = white_noise(4, (32, 40), seed=0).float()
    fields = fields + fields.roll(1, -1)
    np.save("field.npy", fields[0].numpy())
    np.save("stack.npy", fields[:3].numpy())
    write_samples(
        "samples.h5",
        fields[2:],
        source={},
        settings={"moments": "pywph"},
        seed=0,
        extra={"target": fields[0], "gaussian": fields[1:]},
    )
    return tmp_path


GIVEN = {"field.npy", "stack.npy", "samples.h5"}


def run(capsys, *words):
    """Return exit code, standard output and standard error of a command."""
    try:
        APP([str(word) for word in words], prog_name="phasewave turbulence")
        code = 0
    except SystemExit as stop:
        code = stop.code
    output = capsys.readouterr()
    return code, output.out, output.err


def test_gaussian_leaves_its_files_and_draws_from_the_model(capsys, here):
    code, out, err = run(capsys, "gaussian", "field.npy", "--samples", "2", "--seed", "3", "--size", "48", "32")
    assert (code, err) == (0, "")
    assert "spectrum error *" in out
    assert set(os.listdir(here / "gaussian")) == {"samples.h5", "metrics.json", "run.json", "figure.png"}
    stored = read_samples(here / "gaussian" / "samples.h5")
    model = GaussianModel(torch.from_numpy(np.load("field.npy")))
    assert torch.equal(stored.samples, model.sample(2, seed=3, shape=(48, 32)))
    assert (stored.seed, stored.source["path"]) == (3, "field.npy")
    record = json.loads((here / "gaussian" / "run.json").read_text())
    assert (record["status"], record["settings"]["model"]) == ("done", "gaussian")


def test_gaussian_of_an_ensemble_has_the_mean_spectrum(capsys, here):
    code, _, err = run(capsys, "gaussian", "stack.npy", "--ensemble", "--samples", "1", "--out", "g")
    assert (code, err) == (0, "")
    model = GaussianModel(torch.from_numpy(np.load("stack.npy")))
    assert torch.equal(read_samples(here / "g" / "samples.h5").samples, model.sample(1, seed=0))
    metrics = json.loads((here / "g" / "metrics.json").read_text())
    assert metrics["fields"]["reference"] == [2, 32, 40]


def test_compare_prints_and_writes_nothing_unless_asked(capsys, here):
    code, out, err = run(capsys, "compare", "field.npy", "samples.h5")
    assert (code, err) == (0, "")
    for word in ("statistic", "target", "samples", "gaussian", "wasserstein", "kurtosis *", "* fixed by"):
        assert word in out
    assert set(os.listdir(here)) == GIVEN


def test_compare_writes_report_and_picture(capsys, here):
    words = ["compare", "stack.npy", "samples.h5", "--reference", "field.npy", "--out", "report"]
    code, out, err = run(capsys, *words, "--figure", "picture.svg")
    assert (code, err) == (0, "")
    assert "reference" in out
    assert "figure: picture.svg" in out
    assert set(os.listdir(here / "report")) == {"metrics.json", "run.json", "figure.png"}
    metrics = json.loads((here / "report" / "metrics.json").read_text())
    assert metrics["fields"]["samples"] == [2, 32, 40]
    assert metrics["fields"]["reference"] == [3, 32, 40]
    assert metrics["samples"]["cross_correlation"]["values"][0] < 0.9
    assert metrics["reference"]["cross_correlation"]["values"][2] == pytest.approx(1)  # field.npy is the target
    assert not metrics["definitions"]["wasserstein"]["in_loss"]
    assert metrics["definitions"]["kurtosis"]["in_loss"]
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "the folder report is not empty" in err
    assert "--resume" not in err
    assert run(capsys, *words, "--overwrite")[0] == 0


def test_compare_with_a_judge(capsys, here, monkeypatch):
    fields = white_noise(3, (112, 32), seed=1).float().numpy()
    np.save("real.npy", fields[:2])
    np.save("samples.npy", fields[2])
    asked = {}

    def told(real, synthetic, *, judge, seed):
        asked[tuple(synthetic.shape)] = (tuple(real.shape), judge, seed)
        return original(real, synthetic, judge=small, seed=seed)

    original, small = report.two_sample_test, Judge(patch_size=20, n_steps=1, batch_size=2)
    monkeypatch.setattr(report, "two_sample_test", told)
    code, out, err = run(capsys, "compare", "real.npy", "samples.npy", "--two-sample", "weak", "--seed", "4")
    assert (code, err) == (0, "")
    assert "two-sample test 32 x 32" in out
    assert asked == {(1, 112, 32): ((1, 112, 32), "weak", 4)}


def test_moments_are_those_of_the_standardised_set(capsys, here):
    code, out, err = run(capsys, "moments", "field.npy", "--moments", "pywph", "--scales", "2", "--angles", "2")
    assert (code, err) == (0, "")
    assert "S11" in out
    with h5py.File("moments.h5") as file:
        kinds = file["kind"].asstr()[()]
        values = file["target"][()]
        settings = json.loads(file.attrs["settings"])
    assert f"{len(kinds)} moments in moments.h5" in out
    assert values.shape == kinds.shape
    assert np.isfinite(values).all()
    assert (settings["moments"], settings["n_scales"]) == ("pywph", 2)
    code, _, err = run(capsys, "moments", "field.npy")
    assert code == 2
    assert "the file moments.h5 is there already: choose another name, or --overwrite" in err
    words = ["moments", "stack.npy", "--ensemble", "--scales", "2", "--angles", "2", "--overwrite"]
    assert run(capsys, *words)[0] == 0
    with h5py.File("moments.h5") as file:
        assert file["target"].shape == (3, len(file["kind"]))
        assert {"circular", "quantiles", "band_powers"} <= set(file["kind"].asstr()[()])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["gaussian", "none.npy"], 3, "there is no file none.npy"),
        (["gaussian", "stack.npy"], 2, "choose one with --index"),
        (["gaussian", "field.npy", "--size", "8", "32"], 2, "`size` must be 2 integers >= 16, got (8, 32)"),
        (["gaussian", "field.npy", "--seed", "-1"], 2, "Invalid value for '--seed'"),
        (["gaussian", "field.npy", "--samples", "0"], 2, "Invalid value for '--samples'"),
        (["gaussian", "--ensemble"], 2, "`--ensemble` must be given with FIELD"),
        (["gaussian", "stack.npy", "--ensemble", "--index", "1"], 2, "`--ensemble` must be given with no --index"),
        (["gaussian", "field.npy", "--out", "field.npy"], 2, "field.npy is a file; choose another name"),
        (["compare", "field.npy"], 2, "Missing argument 'B'"),
        (["compare", "field.npy", "none.h5"], 3, "there is no file none.h5"),
        (["compare", "field.npy", "samples.h5", "--two-sample", "wise"], 2, "'wise' is not one of"),
        (
            ["compare", "field.npy", "samples.h5", "--two-sample", "weak", "--out", "r"],
            2,
            "`A` must hold a training",
        ),
        (["compare", "field.npy", "samples.h5", "--samples-dataset", "x"], 2, "holds no array 'x'; it holds"),
        (["compare", "field.npy", "samples.h5", "--reference", "none.npy"], 3, "there is no file none.npy"),
        (
            ["compare", "field.npy", "samples.h5", "--figure", "field.npy"],
            2,
            "the file field.npy is there already",
        ),
        (["compare", "field.npy", "samples.h5", "--figure", "no/a.png"], 3, "there is no folder no"),
        (["moments", "field.npy", "--scales", "9"], 2, "`n_scales` must"),
        (["moments", "field.npy", "--moments", "all"], 2, "'all' is not one of"),
        (["moments", "field.npy", "--out", "."], 2, "is a folder; name a file"),
    ],
)
def test_what_is_refused_leaves_nothing(capsys, here, words, code, message):
    found, _, err = run(capsys, *words)
    assert found == code
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert set(os.listdir(here)) == GIVEN


def test_real_fields_of_two_shapes_are_refused(capsys, here):
    np.save("other.npy", np.random.default_rng(0).normal(size=(40, 40)))
    code, _, err = run(capsys, "compare", "stack.npy", "samples.h5", "--reference", "other.npy")
    assert code == 2
    assert "real fields must be of one shape, got [(32, 40), (40, 40)]" in err


@pytest.mark.parametrize(
    "words", [["compare", "field.npy", "samples.h5", "--out", "r"], ["gaussian", "--out", "r"]]
)
def test_ctrl_c_is_code_4_and_on_record(capsys, here, monkeypatch, words):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(statistics, "compare", stopped)
    code, _, err = run(capsys, *words)
    assert code == 4
    assert "interrupted before the end" in err
    assert json.loads((here / "r" / "run.json").read_text())["status"] == "interrupted"


def test_stacks(here):
    assert [field.source.index for field in read_stack("stack.npy")] == [0, 1, 2]
    assert [field.source.dataset for field in read_stack("samples.h5")] == ["samples", "samples"]
    assert len(read_stack("samples.h5", dataset="gaussian")) == 3
    assert torch.equal(read_stack("field.npy")[0].values, read_stack("samples.h5", dataset="target")[0].values)
    np.save("empty.npy", np.zeros((0, 32, 32)))
    with pytest.raises(ValueError, match=r"must hold at least one field, got the shape \(0, 32, 32\)"):
        read_stack("empty.npy")
