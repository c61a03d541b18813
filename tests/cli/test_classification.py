"""`phasewave classify fit | evaluate | predict`: files, figures, exit codes and messages."""

import json

import numpy as np
import pytest

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
    assert run("fit", root / "waves.npz", "--out", root / "linear", "--angles", "2") == 0
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


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("fit", "plain.npz"), 2, "must have labels"),
        (("fit", "one.npz"), 2, "two classes"),
        (("fit", "none.npz"), 3, "there is no file"),
        (("fit", "waves.npz", "--n-train", "500"), 2, "`n_train` must be at most"),
        (("fit", "waves.npz", "--resume"), 2, "`resume` is for networks"),
        (("fit", "waves.npz", "--model", "cnn", "--resume"), 3, "no run to resume"),
        (("evaluate", "linear", "plain.npz"), 2, "must have labels"),
        (("evaluate", "linear", "more.npz"), 2, "classes that the model knows"),
        (("evaluate", "linear", "wide.npz"), 2, "--fit brings the images to that"),
        (("predict", "linear"), 2, "DATA must be given"),
        (("predict", "none", "waves.npz"), 3, "there is no model"),
    ],
)
def test_mistakes_are_told(folder, tmp_path, capsys, words, code, message):
    command, first, *rest = words
    rest = [folder / word if word.endswith(".npz") else word for word in rest]
    assert run(command, folder / first, *rest, "--out", tmp_path / "out") == code
    assert message in capsys.readouterr().err
