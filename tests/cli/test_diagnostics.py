"""The commands on diagnostics: what they leave, say and refuse, and with which exit code."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from phasewave.cli.main import main
from phasewave.diagnostics.reference_networks import narrow_perceptron, small_cnn, train_classifier
from phasewave.diagnostics.scale_detection import ScaleDetection, averaging_accuracy
from phasewave.diagnostics.splines import AffineSpline
from phasewave.images.glyphs import glyph_images

FILES = {"figure.png", "metrics.json", "run.json"}
SMALL = ["--size", "16", "--device", "cpu"]


def run(capsys, *words):
    """Return exit code, standard output and standard error of a command."""
    capsys.readouterr()
    code = main(["diagnose", *(str(word) for word in words)])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def metrics_of(folder, command, seed=0):
    """Return the metrics of a run whose folder is complete."""
    assert {path.name for path in folder.iterdir()} == FILES
    with Image.open(folder / "figure.png") as picture:
        assert picture.width == 1950
        assert np.asarray(picture.convert("L")).std() > 5
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["seed"]) == ("done", seed)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert command == "scales" or metrics["source"].startswith("glyphs")
    return metrics


def test_the_group_has_its_commands(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name in ("deformation", "rotation", "scales", "collapse", "support", "splines", "filters"):
        assert f" {name} " in out


def test_deformation_compares_representations(capsys, here):
    words = ["--limit", 60, "--epochs", 1, "--images", 6, "--seed", 3, *SMALL]
    code, out, _ = run(capsys, "deformation", *words)
    assert code == 0
    metrics = metrics_of(here / "deformation", "deformation", seed=3)
    found = metrics["representations"]
    assert {"identity", "random CNN", "trained CNN", "scattering J = 3"} <= found.keys()
    assert all(name in out for name in found)
    assert metrics["displacements"] == pytest.approx([0.25, 0.5, 1, 2])
    for k in range(4):
        assert found["identity"][k]["relative"] == pytest.approx(1, abs=1e-5)  # an isometry
        by_octaves = [found[f"scattering J = {j}"][k]["deformation"] for j in (1, 2, 3)]
        assert by_octaves == sorted(by_octaves, reverse=True)


def test_deformation_needs_no_labels_but_squares(capsys, here):
    pixels = glyph_images(20, size=16).images.numpy()
    np.save("plain.npy", pixels)
    code, out, _ = run(capsys, "deformation", "plain.npy", "--images", 3, "--device", "cpu")
    assert (code, "trained CNN" in out) == (0, False)
    np.save("wide.npy", np.concatenate([pixels, pixels], 3))
    code, _, err = run(capsys, "deformation", "wide.npy", "--out", "wide")
    assert (code, "must be square, got 16x32" in err) == (2, True)
    code, _, err = run(capsys, "collapse", "plain.npy", "--out", "plain")
    assert (code, "have none" in err) == (2, True)


def test_rotation_compares_representations(capsys, here):
    words = ["--limit", 40, "--epochs", 1, "--images", 4, "--angle", 20, *SMALL]
    code, out, _ = run(capsys, "rotation", *words)
    assert code == 0
    metrics = metrics_of(here / "rotation", "rotation")
    assert all(name in out for name in metrics["plane"])
    assert {"trained CNN", "scattering J = 3", "invariant scattering"} <= metrics["plane"].keys()
    for plane, sphere, exact in zip(
        metrics["plane"]["identity"], metrics["sphere"]["identity"], metrics["isometry"], strict=True
    ):
        assert plane["gain"] == pytest.approx(1, abs=1e-5)
        assert sphere["relative"] == pytest.approx(exact, rel=1e-4)
    assert all(one["residual"] < 1e-4 for one in metrics["plane"]["average pooling 4 x 4"])
    assert run(capsys, "rotation", "--angle", 0)[0] == 2


def test_scales_are_told(capsys, here):
    words = ["--size", 16, "--scale", 7, "--samples", 60, "--epochs", 1, "--device", "cpu"]
    code, out, _ = run(capsys, "scales", *words)
    assert code == 0
    metrics = metrics_of(here / "scales", "scales")
    assert all(name in out for name in metrics["accuracy"])
    exact = [averaging_accuracy(ScaleDetection(16, 7.0, 2.0), depth) for depth in metrics["depths"]]
    assert metrics["accuracy_of_averaging_exact"] == exact
    assert metrics["pairs"]["all"] == 256 * 255 // 2
    code, _, err = run(capsys, "scales", "--gap", 60, "--out", "none")
    assert (code, "close and far pairs" in err) == (2, True)


def test_collapse_follows_a_training(capsys, here):
    code, out, _ = run(capsys, "collapse", "--limit", 120, "--epochs", 5, "--width", 4, "--device", "cpu")
    assert (code, "NC1" in out) == (0, True)
    epochs = metrics_of(here / "collapse", "collapse")["epochs"]
    assert [one["epoch"] for one in epochs] == [1, 2, 3, 4, 5]
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    for one in epochs:
        assert one["variability"] > 0
        assert 0 <= one["duality"] <= 4
        assert 0 <= one["disagreement"] <= 1


def test_support_by_depth(capsys, here):
    words = ["--limit", 150, "--scales", 2, "--angles", 4, *SMALL]
    code, out, _ = run(capsys, "support", *words)
    assert (code, "log of 0-2" in out) == (0, True)
    depths = metrics_of(here / "support", "support")["depths"]
    assert [one["n_features"] for one in depths.values()] == [256, 16, 144, 400, 400]
    for one in depths.values():
        sizes = one["support"]["sizes"]
        assert sizes[1::2] == sizes[2::2]  # |Gamma^2m| = |Gamma^2m+1|
    assert depths["orders 0-2"]["support"]["sizes"][0] < depths["order 0"]["support"]["sizes"][0]


def test_splines_of_two_networks(capsys, here):
    words = ["--limit", 80, "--epochs", 1, "--points", 40, *SMALL]
    code, out, _ = run(capsys, "splines", *words)
    assert (code, "Lipschitz" in out) == (0, True)
    metrics = metrics_of(here / "splines", "splines")
    assert metrics["replay_error"] < 1e-5
    assert metrics["regions_in_slice"] == sorted(metrics["regions_in_slice"])
    for one in metrics["lipschitz"].values():
        assert one["regions"] <= one["bound"] * (1 + 1e-5)


def test_filters_before_and_after(capsys, here):
    words = ["--limit", 60, "--epochs", 1, "--scales", 2, "--angles", 4, *SMALL]
    code, _, _ = run(capsys, "filters", *words)
    assert code == 0
    metrics = metrics_of(here / "filters", "filters")
    assert len(metrics["laplacian"]["trained"]) == 3
    for one in metrics["angular"].values():
        second = torch.tensor(one["second"])
        assert second.shape == (4, 4)
        torch.testing.assert_close(second[1, 3], second[3, 1])  # real weights: energy at a and -a


def test_what_is_refused(capsys, here):
    code, _, err = run(capsys, "support", "nowhere")
    assert (code, "there is no file or folder nowhere" in err) == (3, True)
    (here / "used").mkdir()
    (here / "used" / "mine.txt").write_text("mine")
    words = ["--limit", 20, "--out", "used", "--size", "16"]
    code, _, err = run(capsys, "collapse", *words)
    assert (code, "is not empty" in err) == (2, True)
    code, _, err = run(capsys, "collapse", *words[:2], "--device", "tpu")
    assert (code, "`device`" in err) == (2, True)
    assert run(capsys, "splines", "--limit", 5)[0] == 2
    assert [path.name for path in here.iterdir()] == ["used"]


def test_reference_networks_are_their_seed_and_leave_the_generator_alone(generator):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (small_cnn((1, 16, 16), 3, width=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one[0].weight, same[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)
    with pytest.raises(ValueError, match=r"`shape` must be of 4 pixels"):
        small_cnn((1, 3, 16), 3)
    x = torch.randn(30, 1, 4, 4, generator=generator)
    labels = (x.mean((1, 2, 3)) > 0).long()
    network = narrow_perceptron((1, 4, 4), 2, width=8, seed=0)
    losses = []

    def after(epoch, loss):
        losses.append((epoch, loss))

    train_classifier(network, x, labels, epochs=40, learning_rate=0.1, batch_size=10, after=after)
    assert [epoch for epoch, _ in losses] == list(range(1, 41))
    assert losses[-1][1] < 0.5 * losses[0][1]
    affine = AffineSpline(network).affine(x)
    torch.testing.assert_close(affine.apply(x), network(x), rtol=1e-5, atol=1e-5)
