"""The commands on images: what they leave, say and refuse, and with which exit code."""

import contextlib
import io
import json
import os
import shutil
import signal

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from phasewave.cli import image_evaluation
from phasewave.cli.main import main
from phasewave.cli.training_progress import TrainingDisplay
from phasewave.images.generator_file import load_generator
from phasewave.images.glyphs import glyph_images

SMALL = [
    "--size",
    "16",
    "--code-dim",
    "16",
    "--atoms",
    "4",
    "--epochs",
    "2",
    "--prior-epochs",
    "1",
    "--prior-width",
    "16",
    "--device",
    "cpu",
]
EMBEDDED = ["--limit", "110", *SMALL]
COMPARED = ["--baselines", "--epochs", "2", "--device", "cpu"]
PICTURES = {"figure.png", "reconstructions.png", "generated.png", "interpolation.png", "dictionary.png"}
PICTURES |= {"codes.png", "training.png", "progress.png"}


def run(capsys, *words):
    """Return exit code, standard output and standard error of a command."""
    capsys.readouterr()
    code = main(["images", *(str(word) for word in words)])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a training on few embedded glyphs."""
    folder = tmp_path_factory.mktemp("images") / "run"
    assert main(["images", "train", "--out", str(folder), *EMBEDDED]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of a few pictures of the user."""
    folder = tmp_path_factory.mktemp("user")
    for number, image in enumerate(glyph_images(20, size=16, seed=5).images):
        Image.fromarray(image[0].numpy()).save(folder / f"{number:02d}.png")
    return folder


def test_the_group_has_its_commands(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name in ("prepare", "train", "reconstruct", "generate", "interpolate", "evaluate"):
        assert f" {name} " in out


def test_a_training_leaves_model_report_and_pictures(trained):
    files = {path.name for path in trained.iterdir()}
    assert files == PICTURES | {
        "model.h5",
        "metrics.json",
        "run.json",
        "history.json",
        "samples.h5",
        "interpolation.gif",
    }
    for name in PICTURES:
        with Image.open(trained / name) as picture:
            assert min(picture.size) > 100
    record = json.loads((trained / "run.json").read_text())
    assert record["status"] == "done"
    assert record["settings"]["code_dim"] == 16
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["n"] == 16
    assert {"psnr", "psnr_train", "psnr_linear", "active", "round_trip", "codes", "ssim"} <= metrics[
        "model"
    ].keys()
    assert set(metrics["generated"]) == {"fitted", "white", "test codes"}
    assert [(one["stage"], one["epoch"]) for one in metrics["training"]["epochs"]] == [
        ("decoder", 1),
        ("decoder", 2),
        ("prior", 1),
    ]
    assert metrics["training"]["epochs"][1]["psnr"] > 5
    with h5py.File(trained / "samples.h5") as file:
        assert file["generated"].shape == (48, 1, 16, 16)
        assert json.loads(file.attrs["settings"])["n_atoms"] == 4
    model = load_generator(trained / "model.h5")
    assert model.training_["data"]["embedded"] == {"seed": 0, "limit": 110}


def test_a_folder_in_use_is_refused(capsys, trained, here):
    code, _, err = run(capsys, "train", "--out", trained, *EMBEDDED)
    assert (code, "is not empty" in err) == (2, True)
    code, _, err = run(capsys, "train", "--out", trained, *EMBEDDED, "--resume")
    assert (code, "there is no run to resume" in err) == (3, True)
    code, _, err = run(capsys, "train", "--out", "new", *EMBEDDED, "--resume")
    assert (code, "there is no run to resume" in err) == (3, True)


def test_ctrl_c_leaves_a_run_that_ends_the_same(capsys, here, trained, monkeypatch):
    update = TrainingDisplay.update

    def press(self, now):
        update(self, now)
        if now.state.stage == "decoder" and now.state.training is not None and now.state.training.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    words = ["train", "--out", "run", *EMBEDDED]
    with monkeypatch.context() as patch:
        patch.setattr(TrainingDisplay, "update", press)
        patch.setattr("sys.argv", ["phasewave", "images", *words])
        code, out, _ = run(capsys, *words)
    assert code == 4
    assert "all that was reached is saved" in out
    assert out.rstrip().endswith("--device cpu --resume")
    assert json.loads((here / "run" / "run.json").read_text())["status"] == "interrupted"
    code, _, err = run(capsys, "generate", "run")
    assert (code, "the training there is not finished" in err) == (3, True)
    shutil.copytree("run", "copy")
    code, _, err = run(capsys, "train", "--out", "copy", *EMBEDDED, "--sparsity", "0.2", "--resume")
    assert (code, "was made with other settings: decoder.sparsity was 0.05, now 0.2" in err) == (2, True)
    monkeypatch.setattr("phasewave.images.training._write_pictures", lambda *_: None)
    code, out, _ = run(capsys, *words, "--resume")
    assert code == 0
    assert not list((here / "run").glob("checkpoint*"))
    one, other = (load_generator(folder / "model.h5") for folder in (here / "run", trained))
    assert torch.equal(one.generate(4, seed=1), other.generate(4, seed=1))
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (here / "run", trained))
    assert first["generated"] == second["generated"]
    assert first["training"]["epochs"] == second["training"]["epochs"]


def test_a_full_disk_leaves_a_run_to_resume(capsys, here, small_disk):
    words = ["train", "--out", "run", *EMBEDDED]
    with small_disk():
        code, _, err = run(capsys, *words)
    assert code == 4
    assert "no space left to write" in err
    assert (here / "run" / "checkpoint.h5").is_file()
    assert json.loads((here / "run" / "run.json").read_text())["status"] == "failed"


def test_images_that_cannot_be_learnt_from(capsys, here, pictures):
    code, _, err = run(capsys, "train", pictures, *SMALL, "--code-dim", "17")
    assert (code, "more than `code_dim` = 17 training images" in err) == (2, True)
    assert not (here / "run").exists()
    (here / "one").mkdir()
    shutil.copy(pictures / "00.png", here / "one")
    code, _, err = run(capsys, "train", "one", *SMALL)
    assert (code, "one image only" in err) == (2, True)
    Image.new("L", (20, 24)).save(here / "one" / "other.png")
    shutil.copy(pictures / "01.png", here / "one")
    code, _, err = run(capsys, "train", "one", *SMALL[2:])
    assert (code, "size" in err) == (2, True)
    code, _, err = run(capsys, "train", "nowhere", *SMALL)
    assert (code, "there is no file or folder nowhere" in err) == (3, True)


def test_images_are_reconstructed(capsys, here, trained, pictures):
    code, out, _ = run(capsys, "reconstruct", trained, pictures, "--out", "a")
    assert code == 0
    assert out.startswith("20 images: PSNR ")
    with h5py.File("a/samples.h5") as file:
        assert file["codes"].shape == (20, 18)
        error = np.square(file["originals"][()] - file["reconstructions"][()]).mean((1, 2, 3))
    metrics = json.loads((here / "a" / "metrics.json").read_text())
    np.testing.assert_allclose(metrics["psnr_of_each"], -10 * np.log10(error), rtol=1e-5)
    code, out, _ = run(capsys, "reconstruct", trained / "model.h5", pictures / "00.png", "--out", "b")
    assert (code, out.startswith("1 images: PSNR")) == (0, True)
    code, out, _ = run(capsys, "reconstruct", trained, "--out", "c")
    assert (code, out.startswith("16 images: PSNR")) == (0, True)
    code, _, err = run(capsys, "reconstruct", trained, pictures, "--out", "a")
    assert (code, "is not empty" in err) == (2, True)


def test_images_of_another_kind_are_refused_or_fitted(capsys, here, trained):
    Image.new("RGB", (24, 20), (200, 90, 10)).save("colour.png")
    code, _, err = run(capsys, "reconstruct", trained, "colour.png", "--out", "a")
    assert code == 2
    assert "holds colour images of 20 x 24, and the model knows grey images of 16 x 16: --fit" in err
    assert not (here / "a").exists()
    assert run(capsys, "reconstruct", trained, "colour.png", "--out", "a", "--fit")[0] == 0


def test_new_images_are_made(capsys, here, trained):
    code, out, _ = run(capsys, "generate", trained, "--samples", "5", "--out", "a", "--seed", "3")
    assert (code, out.startswith("5 new images")) == (0, True)
    with h5py.File("a/samples.h5") as file:
        made, nearest = torch.from_numpy(file["samples"][()]), file["nearest_training_index"][()]
    assert torch.equal(made, load_generator(trained / "model.h5").generate(5, seed=3))
    assert nearest.max() < 88
    assert run(capsys, "generate", trained, "--samples", "5", "--out", "b", "--prior", "white")[0] == 0
    assert json.loads((here / "b" / "metrics.json").read_text())["prior"] == "white"
    code, _, err = run(capsys, "generate", "nowhere")
    assert (code, "there is no model nowhere" in err) == (3, True)


def test_ways_between_images_are_made(capsys, here, trained, pictures):
    words = ["interpolate", trained, pictures, "--out", "a", "--pairs", "2", "--steps", "4", "--animation", "webp"]
    assert run(capsys, *words)[0] == 0
    with h5py.File("a/samples.h5") as file:
        assert file["interpolations"].shape == (2, 4, 1, 16, 16)
        first = file["first"][()]
    with Image.open("a/animation.webp") as animation:
        assert animation.n_frames == 46
        assert animation.size == (2 * 128 + 2, 128)
    users = glyph_images(20, size=16, seed=5).float().numpy()
    assert all(any(np.array_equal(one, user) for user in users) for one in first)


def test_corrupt_and_single_pictures_of_the_user(capsys, here, trained, pictures):
    shutil.copytree(pictures, "mixed")
    content = (pictures / "00.png").read_bytes()
    (here / "mixed" / "bad.png").write_bytes(content[: len(content) // 2])
    code, _, err = run(capsys, "reconstruct", trained, "mixed", "--out", "a")
    assert (code, "bad.png is corrupt" in err, "--skip-corrupt" in err) == (2, True, True)
    assert not (here / "a").exists()
    code, out, _ = run(capsys, "reconstruct", trained, "mixed", "--out", "a", "--skip-corrupt")
    assert code == 0
    assert out.startswith("skipped ")
    assert "bad.png" in out.splitlines()[0]
    assert "20 images: PSNR" in out
    code, _, err = run(capsys, "interpolate", trained, pictures / "00.png", "--out", "b")
    assert (code, "holds one image only, and at least 2 are needed" in err) == (2, True)
    code, _, err = run(capsys, "evaluate", trained, pictures, "--out", "b")
    assert (code, "hold at least 65 training and 10 test images" in err) == (2, True)
    assert not (here / "b").exists()


def test_a_full_disk_leaves_no_half_file(capsys, here, trained, small_disk):
    with small_disk():
        code, _, err = run(capsys, "interpolate", trained, "--out", "a")
    assert code == 4
    assert "no space left to write a/" in err
    files = {path.name for path in (here / "a").iterdir()}
    assert not any(name.endswith(".part") for name in files)
    assert json.loads((here / "a" / "run.json").read_text())["status"] == "failed"
    assert run(capsys, "interpolate", trained, "--out", "a", "--overwrite", "--steps", "2", "--pairs", "1")[0] == 0
    assert {"animation.gif", "figure.png", "run.json", "samples.h5"} == {p.name for p in (here / "a").iterdir()}


@pytest.fixture(scope="module")
def judged(trained, tmp_path_factory):
    """What an evaluation beside baselines prints, and its folder."""
    folder = tmp_path_factory.mktemp("judged") / "a"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["images", "evaluate", str(trained), *COMPARED, "--out", str(folder)]) == 0
    return out.getvalue(), folder


def test_a_model_is_measured_beside_baselines(judged):
    out, folder = judged
    for name in ("sparse dictionary", "ridge from w", "pixel Gaussian", "CNN decoder", "VAE", "real images"):
        assert name in out
    metrics = json.loads((folder / "metrics.json").read_text())
    sizes = {name: found["numbers"] for name, found in metrics["models"].items()}
    assert sizes["CNN decoder"] == pytest.approx(sizes["sparse dictionary"], rel=0.3)
    assert metrics["models"]["VAE"]["training"]["epochs"] == 2
    assert metrics["models"]["sparse dictionary"]["reconstructed"]["psnr"] == pytest.approx(
        metrics["model"]["psnr"]
    )
    assert metrics["classes"]["n_classes"] > 2  # glyphs have labels
    assert metrics["generated"]["fitted"]["frechet_classes"] > metrics["floor"]["frechet_classes"] > 0
    assert "classifier" in out
    assert not list(folder.glob("checkpoint*"))


def test_baselines_stopped_by_ctrl_c_end_the_same(capsys, here, trained, judged, monkeypatch):
    told = []
    update = image_evaluation._Lines.update

    def press(self, name, state, max_epochs):
        update(self, name, state, max_epochs)
        told.append((name, state.epoch))
        if told.count((name, state.epoch)) == 1 and state.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)

    words = ["evaluate", trained, *COMPARED, "--out", "run"]
    monkeypatch.setattr("sys.argv", ["phasewave", "images", *map(str, words)])
    with monkeypatch.context() as patch:
        patch.setattr(image_evaluation._Lines, "update", press)
        code, out, _ = run(capsys, *words)
        assert (code, out.rstrip().endswith("--resume")) == (4, True)
        assert json.loads((here / "run" / "run.json").read_text())["status"] == "interrupted"
        code, _, err = run(capsys, *words, "--seed", "1", "--resume")
        assert (code, "was made with other settings: seed was 0, now 1" in err) == (2, True)
        code, _, err = run(capsys, *words)
        assert (code, "--resume" in err) == (2, True)
        assert run(capsys, *words, "--resume")[0] == 4
    assert told == [("CNN decoder", 1), ("CNN decoder", 2), ("VAE", 1)]
    assert run(capsys, *words, "--resume")[0] == 0
    assert not list((here / "run").glob("checkpoint*"))
    one, other = (json.loads((folder / "metrics.json").read_text()) for folder in (here / "run", judged[1]))
    assert one == other
