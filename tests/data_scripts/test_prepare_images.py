"""The command that makes an HDF5 of images: options, provenance, exit codes, nothing half written."""

import json
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from phasewave.images import prepare
from phasewave.images.reading import read_images

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Ended:
    exit_code: int
    output: str


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the script as `python data_scripts/prepare_images.py` does."""
    script = ROOT / "data_scripts" / "prepare_images.py"

    def invoke(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(script), run_name="__main__")
        return Ended(stop.value.code, "".join(capsys.readouterr()))

    return invoke


@pytest.fixture
def folder(tmp_path):
    """Twenty noisy pictures of two classes, two of them alike, one the other's copy in other light."""
    random = np.random.default_rng(0)
    for k in range(20):
        path = tmp_path / "photos" / "ab"[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 200, (40, 48, 3), dtype=np.uint8)).save(path)
    photos = tmp_path / "photos"
    (photos / "b" / "copy.png").write_bytes((photos / "a" / "02.png").read_bytes())
    Image.fromarray(np.asarray(Image.open(photos / "a" / "04.png")) + np.uint8(40)).save(
        photos / "a" / "bright.png"
    )
    return photos


def test_one_file_of_a_folder(run, folder, tmp_path):
    out = tmp_path / "new" / "images.h5"
    result = run(folder, "--out", out, "--size", "32", "--color", "grey", "--test-fraction", 0.25, "--seed", 5)
    assert result.exit_code == 0, result.output
    assert f"{out}: 22 grey images of 32x32" in result.output
    assert "splits: train 15, val 1, test 6" in result.output
    assert "2 classes of 11 to 11 images" in result.output
    data, wanted = read_images(out), read_images(folder, size=32, color="grey", test_fraction=0.25, seed=5)
    assert np.array_equal(data.images, wanted.images)
    assert data.labels.tolist() == [0] * 11 + [1] * 11
    assert all(np.array_equal(data.splits[name], at) for name, at in wanted.splits.items())
    settings = json.loads(data.provenance["settings"])
    assert settings["size"] == [32, 32]
    assert (settings["color"], settings["crop"], settings["test_fraction"], settings["seed"]) == (
        "grey",
        "center",
        0.25,
        5,
    )
    assert "phasewave" in json.loads(data.provenance["versions"])
    with h5py.File(out, "r") as file:
        assert file.attrs["sha256"] == data.provenance["images_sha256"]
        assert file["images"].dtype == np.uint8


@pytest.mark.parametrize(("how", "left"), [("none", 22), ("exact", 21), ("near", 20)])
def test_copies_are_left_out(run, folder, tmp_path, how, left):
    result = run(folder, "--out", tmp_path / "images.h5", "--dedupe", how)
    assert result.exit_code == 0, result.output
    assert f"{left} colour images of 40x48" in result.output
    assert (f"{22 - left} copies left out" in result.output) == (left < 22)
    assert read_images(tmp_path / "images.h5").provenance["duplicates_left_out"] == str(22 - left)


def test_of_copies_that_of_the_test_images_stays(run, folder, tmp_path):
    for part, label in (("train", "a"), ("test", "b")):
        (folder / part).mkdir()
        (folder / label).rename(folder / part / label)
    assert run(folder, "--out", tmp_path / "images.h5", "--dedupe", "exact").exit_code == 0
    data = read_images(tmp_path / "images.h5")
    assert len(data.splits["test"]) == 11
    assert len(data.splits["train"]) + len(data.splits["val"]) == 10


def test_corrupt_pictures(run, folder, tmp_path):
    path = folder / "a" / "06.png"
    path.write_bytes(path.read_bytes()[:1000])
    result = run(folder, "--out", tmp_path / "images.h5")
    assert result.exit_code == 2
    assert "a/06.png is corrupt" in result.output
    assert "--skip-corrupt" in result.output
    assert not (tmp_path / "images.h5").exists()
    result = run(folder, "--out", tmp_path / "images.h5", "--skip-corrupt")
    assert result.exit_code == 0
    assert "skipped" in result.output
    assert "a/06.png is corrupt" in result.output
    assert "1 corrupt pictures left out" in result.output
    assert len(read_images(tmp_path / "images.h5").skipped) == 1


def test_the_embedded_images_and_their_file_again(run, tmp_path):
    result = run("--out", tmp_path / "a.h5", "--size", "16", "--limit", "60")
    assert result.exit_code == 0, result.output
    assert "a.h5: 60 grey images of 16x16" in result.output
    again = run(tmp_path / "a.h5", "--out", tmp_path / "b.h5", "--size", "24x20", "--crop", "stretch")
    assert again.exit_code == 0, again.output
    one, other = read_images(tmp_path / "a.h5"), read_images(tmp_path / "b.h5")
    assert other.size == (24, 20)
    assert all(np.array_equal(other.splits[name], at) for name, at in one.splits.items())
    assert len(other.provenance["source_sha256"]) == 64


def test_an_existing_file_is_kept(run, folder, tmp_path):
    out = tmp_path / "images.h5"
    out.write_text("mine")
    result = run(folder, "--out", out)
    assert result.exit_code == 2
    assert "exists" in result.output
    assert out.read_text() == "mine"
    assert run(folder, "--out", out, "--overwrite").exit_code == 0
    assert len(read_images(out)) == 22
    result = run(folder, "--out", tmp_path, "--overwrite")
    assert result.exit_code == 2
    assert "is a folder: name a file" in result.output


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--size", "big"], 2, "`--size` must be a number as 32, or height x width as 48x64, got 'big'"),
        (["--size", "8"], 2, "`size` must be 2 integers >= 16, got (8, 8)"),
        (["--crop", "left"], 2, "`--crop` must be center, stretch or a number of pixels, got 'left'"),
        (["--crop", "41"], 2, "`crop` must fit into every picture, got 41 for one of 40x48"),
        (["--test-fraction", "0.99"], 2, "leave none to train on"),
        (["--expect", "fashion-mnist"], 3, "there is no train-images-idx3-ubyte in"),
        (["--attribute", "Smiling"], 3, "there is no list_attr_celeba.txt beside"),
    ],
)
def test_bad_options(run, folder, tmp_path, options, code, message):
    result = run(folder, "--out", tmp_path / "images.h5", *options)
    assert result.exit_code == code
    assert message in result.output
    assert not (tmp_path / "images.h5").exists()


def test_missing_files(run, tmp_path):
    result = run(tmp_path / "nothing", "--out", tmp_path / "images.h5")
    assert result.exit_code == 3
    assert "there is no file or folder" in result.output


def test_nothing_but_copies(run, tmp_path):
    for k in range(5):
        Image.new("L", (20, 20)).save(tmp_path / f"{k}.png")
    result = run(tmp_path, "--out", tmp_path / "images.h5", "--dedupe", "exact")
    assert result.exit_code == 2
    assert "holds 1 different images of 5, and at least 3 are needed" in result.output


@pytest.mark.parametrize("name", ["read_images", "write_images"])
def test_an_interrupt_leaves_nothing(run, folder, tmp_path, monkeypatch, name):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, name, stop)
    result = run(folder, "--out", tmp_path / "new" / "images.h5")
    assert result.exit_code == 4
    assert "interrupted: nothing was written" in result.output
    assert not list(tmp_path.glob("new/*"))


def test_an_interrupt_in_the_middle_of_writing_leaves_nothing(folder, tmp_path):
    def progress(step, done, total):
        if step == "write":
            raise KeyboardInterrupt

    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "images.h5").write_text("mine")
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare_images(folder, tmp_path / "new" / "images.h5", overwrite=True, progress=progress)
    assert [path.read_text() for path in (tmp_path / "new").iterdir()] == ["mine"]


def test_a_full_disk_leaves_nothing(run, folder, tmp_path, small_disk):
    with small_disk():
        result = run(folder, "--out", tmp_path / "new" / "images.h5")
    assert result.exit_code == 4
    assert "no space left" in result.output
    assert list((tmp_path / "new").iterdir()) == []
