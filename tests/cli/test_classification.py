"""`phasewave classify fit | evaluate | predict`: files, figures, exit codes and messages."""

import contextlib
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from phasewave.classify.model_file import load_classifier
from phasewave.cli import classification
from phasewave.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set of waves of three kinds, with labels, and a model of it."""
    root = tmp_path_factory.mktemp("classify")
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 3
    wave = np.cos(2 * np.pi * np.arange(16) / 4)
    shapes = np.stack([np.tile(wave, (16, 1)), np.tile(wave, (16, 1)).T, np.zeros((16, 16))])
    images = 128 + 60 * shapes[labels] + 20 * generator.standard_normal((120, 16, 16))
    images = images.clip(0, 255).astype(np.uint8)
    np.savez(root / "waves.npz", images=images, labels=labels)
    np.savez(root / "plain.npz", images=images)
    np.savez(root / "one.npz", images=images, labels=0 * labels)
    np.savez(root / "more.npz", images=images, labels=labels + 1)
    np.savez(root / "wide.npz", images=np.tile(images, (1, 1, 2)), labels=labels)
    np.savez(root / "nan.npz", images=np.where(images == images.max(), np.nan, images / 255), labels=labels)
    assert run("fit", root / "waves.npz", "--out", root / "linear", "--angles", "2") == 0
    (root / "halved").mkdir()
    content = (root / "linear" / "model.h5").read_bytes()
    (root / "halved" / "model.h5").write_bytes(content[: len(content) // 2])
    (root / "unfinished").mkdir()
    return root


def run(*words):
    return main(["classify", *map(str, words)])


def test_a_fit_leaves_model_figures_and_measures(folder):
    names = {file.name for file in (folder / "linear").iterdir()}
    assert names == {"model.h5", "metrics.json", "run.json", "figure.png"}
    metrics = json.loads((folder / "linear" / "metrics.json").read_text())
    assert metrics["accuracy"] == 1.0
    assert sum(map(sum, metrics["confusion"])) == metrics["n"]
    assert json.loads((folder / "linear" / "run.json").read_text())["status"] == "done"
    assert run("fit", folder / "waves.npz", "--out", folder / "linear") == 2


def test_a_model_is_measured_again_and_predicts(folder, tmp_path):
    assert run("evaluate", folder / "linear", folder / "waves.npz", "--out", tmp_path / "e", "--split", "all") == 0
    assert json.loads((tmp_path / "e" / "metrics.json").read_text())["n"] == 120
    assert run("predict", folder / "linear", folder / "plain.npz", "--out", tmp_path / "p.csv") == 0
    rows = (tmp_path / "p.csv").read_text().splitlines()
    assert rows[0] == "image,class,score,second,second_score"
    assert [row.split(",")[1] for row in rows[1:7]] == ["0", "1", "2", "0", "1", "2"]
    assert run("predict", folder / "linear", folder / "plain.npz", "--out", tmp_path / "p.csv") == 2
    assert run("predict", folder / "linear", folder / "wide.npz", "--fit", "--out", tmp_path / "w.csv") == 0


def test_a_network_is_fitted_to_few_labels(folder, tmp_path):
    words = ("--model", "istc", "--n-train", 30, "--epochs", 2, "--width", 4, "--angles", 2, "--order", 1)
    assert run("fit", folder / "waves.npz", "--out", tmp_path / "n", *words) == 0
    metrics = json.loads((tmp_path / "n" / "metrics.json").read_text())
    assert metrics["training"]["n"] == 30
    assert metrics["sparsity"]["n_active"] > 0
    assert not (tmp_path / "n" / "checkpoint.h5").exists()


NETWORK = ("--model", "hybrid", "--epochs", 2, "--width", 2, "--angles", 2, "--order", 1)


def test_a_power_of_the_scattering_is_asked_for_and_kept_in_the_model(folder, tmp_path):
    words = ("--nonlinearity", "power", "--exponent", 0.25, "--angles", 2, "--order", 1)
    assert run("fit", folder / "waves.npz", "--out", tmp_path / "p", *words) == 0
    model = load_classifier(tmp_path / "p" / "model.h5").model
    assert (model.nonlinearity, model.exponent) == ("power", 0.25)
    settings = json.loads((tmp_path / "p" / "run.json").read_text())["settings"]
    assert (settings["nonlinearity"], settings["exponent"]) == ("power", 0.25)
    assert run("predict", tmp_path / "p", folder / "plain.npz", "--out", tmp_path / "p.csv") == 0


def test_a_logistic_regression_is_fitted_with_the_penalty_asked_for(folder, tmp_path):
    words = ("--model", "logistic", "--penalty", 0.1, "--angles", 2, "--order", 1)
    assert run("fit", folder / "waves.npz", "--out", tmp_path / "l", *words) == 0
    metrics = json.loads((tmp_path / "l" / "metrics.json").read_text())
    assert (metrics["model"], metrics["accuracy"]) == ("logistic", 1.0)
    assert load_classifier(tmp_path / "l" / "model.h5").model.penalty == 0.1
    assert run("predict", tmp_path / "l", folder / "plain.npz", "--out", tmp_path / "p.csv") == 0


def test_an_interrupted_training_is_told_refused_or_resumed(folder, tmp_path, capsys, monkeypatch):
    words = ("fit", folder / "waves.npz", *NETWORK, "--max-shift", 1, "--out", tmp_path / "n")
    count = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(classification, "stop_on_signal", lambda: contextlib.nullcontext(lambda: next(count) >= 6))
        assert run(*words) == 4
    said = capsys.readouterr()
    assert "--resume" in said.out + said.err
    assert json.loads((tmp_path / "n" / "run.json").read_text())["status"] == "interrupted"
    assert run("predict", tmp_path / "n", folder / "waves.npz", "--out", tmp_path / "p.csv") == 3
    assert "the fit there is not finished" in capsys.readouterr().err
    assert run(*words) == 2
    assert "--resume" in capsys.readouterr().err
    assert run(*words, "--resume", "--nonlinearity", "power") == 2
    assert "classifier.nonlinearity was 'log', now 'power'" in capsys.readouterr().err
    content = (tmp_path / "n" / "checkpoint.h5").read_bytes()
    (tmp_path / "n" / "checkpoint.h5").write_bytes(content[: len(content) // 2])
    assert run(*words, "--resume") == 2
    assert "cannot be used (its checksum is wrong)" in capsys.readouterr().err
    (tmp_path / "n" / "checkpoint.h5").write_bytes(content)
    assert run(*words, "--resume") == 0
    assert run(*words[:-1], tmp_path / "whole") == 0
    resumed, whole = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("n", "whole"))
    assert resumed == whole


def test_two_processes_train_as_one(folder, tmp_path):
    words = [*map(str, ("classify", "fit", folder / "waves.npz", *NETWORK, "--max-shift", 2, "--mirror"))]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    done = subprocess.run(
        [*launch, "phasewave", *words, "--threads", "1", "--out", str(tmp_path / "two")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("accuracy") == 1
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    curves = [np.array(found["training"]["history"]) for found in (one, two)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)
    states = [load_classifier(tmp_path / name / "model.h5").model.network_.state_dict() for name in ("one", "two")]
    for name, value in states[0].items():
        np.testing.assert_allclose(states[1][name], value, rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("fit", "plain.npz"), 2, "must have labels"),
        (("fit", "one.npz"), 2, "two classes"),
        (("fit", "none.npz"), 3, "there is no file"),
        (("fit", "waves.npz", "--n-train", "500"), 2, "`n_train` must be at most"),
        (("fit", "nan.npz"), 2, "finite"),
        (("fit", "waves.npz", "--exponent", "1.5"), 2, "`exponent` must lie in (0, 1], got 1.5"),
        (("fit", "waves.npz", "--floor", "0"), 2, "`floor` must be a number > 0"),
        (("fit", "waves.npz", "--mirror"), 2, "are for networks, not for `--model linear`"),
        (("fit", "waves.npz", "--model", "cnn", "--max-shift", "9"), 2, "at most 8, half of the smaller side"),
        (("fit", "waves.npz", "--penalty", "1"), 2, "is for logistic and svm, not for `--model linear`"),
        (("fit", "waves.npz", "--model", "logistic", "--penalty", "0"), 2, "`penalty` must be a number > 0"),
        (("fit", "waves.npz", "--resume"), 2, "`resume` is for networks"),
        (("fit", "waves.npz", "--model", "cnn", "--resume"), 3, "no run to resume"),
        (("evaluate", "linear", "plain.npz"), 2, "must have labels"),
        (("evaluate", "linear", "more.npz"), 2, "classes that the model knows"),
        (("evaluate", "linear", "wide.npz"), 2, "--fit brings the images to that"),
        (("evaluate", "linear", "nan.npz"), 2, "finite"),
        (("evaluate", "linear", "none.npz"), 3, "there is no file"),
        (("predict", "linear", "wide.npz"), 2, "--fit brings the images to that"),
        (("predict", "linear", "nan.npz"), 2, "finite"),
        (("predict", "halved", "waves.npz"), 2, "cannot be used (its checksum is wrong)"),
        (("predict", "unfinished", "waves.npz"), 3, "the fit there is not finished"),
        (("predict", "waves.npz", "waves.npz"), 2, "cannot be used"),
        (("predict", "linear"), 2, "DATA must be given"),
        (("predict", "none", "waves.npz"), 3, "there is no model"),
    ],
)
def test_mistakes_are_told(folder, tmp_path, capsys, words, code, message):
    command, first, *rest = words
    rest = [folder / word if word.endswith(".npz") else word for word in rest]
    assert run(command, folder / first, *rest, "--out", tmp_path / "out") == code
    assert message in capsys.readouterr().err
