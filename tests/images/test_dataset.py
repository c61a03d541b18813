"""Sets of images: what fits together, splits by content, copies, and the file they are kept in."""

import h5py
import numpy as np
import pytest
import torch

from phasewave.images.dataset import ImageSet, to_bytes, to_float
from phasewave.images.dataset_file import read_image_file, write_images
from phasewave.images.duplicates import exact_duplicates, near_duplicates, perceptual_hash
from phasewave.images.splits import make_splits


def noise(n, channels=1, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, size, size), generator=generator, dtype=torch.uint8)


def natural(n, size=32, seed=0):
    """Return images with the spectrum 1 / frequency of natural ones."""
    generator = torch.Generator().manual_seed(seed)
    frequency = torch.fft.fftfreq(size)
    radius = (frequency[:, None] ** 2 + frequency**2).sqrt().clamp(min=1 / size)
    field = torch.fft.ifft2(torch.fft.fft2(torch.randn(n, 1, size, size, generator=generator)) / radius).real
    return to_bytes(0.5 + 0.15 * field / field.std())


def positions(*at):
    return np.array(at, dtype=np.int64)


def test_bytes_and_floats_are_inverse():
    every = torch.arange(256, dtype=torch.uint8)
    assert to_float(every)[255] == 1
    assert to_float(every).dtype == torch.float32
    assert torch.equal(to_bytes(to_float(every)), every)
    assert to_bytes(torch.tensor([-1.0, 2.0])).tolist() == [0, 255]
    with pytest.raises(TypeError, match=r"dtype torch.uint8, got torch.float32"):
        to_float(torch.zeros(1))
    with pytest.raises(TypeError, match=r"floating dtype, got torch.uint8"):
        to_bytes(every)


def test_a_set_gives_its_splits():
    images = noise(5, channels=3)
    labels = torch.tensor([0, 1, 0, 1, 1])
    data = ImageSet(images, labels, {"train": positions(0, 2, 3), "test": positions(4)}, "here", ("a", "b"))
    assert repr(data) == "ImageSet(5 colour images of 16x16; train 3, test 1)"
    assert (len(data), data.n_channels, data.size) == (5, 3, (16, 16))
    torch.testing.assert_close(data.float("train"), images[[0, 2, 3]].float() / 255)
    assert torch.equal(data.bytes(), images)
    assert data.labels_of("test").tolist() == [1]
    with pytest.raises(ValueError, match=r"one of those of the images \('train', 'test'\), got 'val'"):
        data.float("val")
    part = data.take([4, 2, 1])
    assert torch.equal(part.images, images[[1, 2, 4]])
    assert {name: at.tolist() for name, at in part.splits.items()} == {"train": [1], "test": [2]}
    assert part.labels.tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match=r"0 .. 4, got 0 .. 5"):
        data.take([0, 5])
    with pytest.raises(ValueError, match="these images have none: nowhere"):
        ImageSet(images, source="nowhere").labels_of()


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"images": torch.zeros(2, 1, 16, 16)}, TypeError, r"dtype torch.uint8, got torch.float32"),
        ({"images": noise(2, size=15)}, ValueError, r"H and W >= 16, got \(2, 1, 15, 15\)"),
        ({"images": noise(2, channels=4)}, ValueError, r"1 or 3, H, W"),
        (
            {"labels": torch.zeros(3, dtype=torch.int64)},
            ValueError,
            r"each of 2 images, got torch.int64 of shape \(3,\)",
        ),
        ({"labels": torch.tensor([0, 2]), "class_names": ("a", "b")}, ValueError, r"0 .. 1, .* got 0 .. 2"),
        ({"splits": {"train": positions(0, 1), "test": positions(1)}}, ValueError, "'test' holds some of another"),
        ({"splits": {"train": positions(1, 0)}}, ValueError, "increasing positions of 2 images"),
        ({"splits": {"train": positions(0, 2)}}, ValueError, "increasing positions of 2 images"),
        ({"splits": {"train": np.array([0], dtype=np.int32)}}, TypeError, "int64 positions, got int32"),
    ],
)
def test_what_does_not_fit_is_refused(changed, error, message):
    with pytest.raises(error, match=message):
        ImageSet(**{"images": noise(2), **changed})


def test_splits_follow_the_content_not_the_order():
    images = noise(200)
    splits = make_splits(images)
    assert {name: len(at) for name, at in splits.items()} == {"train": 170, "val": 10, "test": 20}
    assert np.array_equal(np.sort(np.concatenate(list(splits.values()))), np.arange(200))
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    moved = make_splits(images[order])
    for name, at in splits.items():
        assert set(order[torch.from_numpy(moved[name])].tolist()) == set(at.tolist())
    other = make_splits(images, seed=1)
    assert set(other["test"].tolist()) != set(splits["test"].tolist())


def test_the_sources_own_splits_stay():
    images = noise(40)
    own = {"train": np.arange(30, dtype=np.int64), "test": np.arange(30, 40, dtype=np.int64)}
    splits = make_splits(images, own)
    assert splits["test"].tolist() == list(range(30, 40))
    assert len(splits["val"]) == 2
    assert splits["val"].max() < 30
    with pytest.raises(ValueError, match="`test_fraction` is for images without a test split of their own"):
        make_splits(images, own, test_fraction=0.5)
    assert [len(at) for at in make_splits(images, test_fraction=0.5, val_fraction=0.25).values()] == [10, 10, 20]


def test_few_images():
    assert make_splits(noise(2)) == {}
    assert [len(at) for at in make_splits(noise(3)).values()] == [1, 1, 1]
    with pytest.raises(ValueError, match=r"`val_fraction` must lie in \(0, 1\), got 1.0"):
        make_splits(noise(3), val_fraction=1.0)
    with pytest.raises(ValueError, match="10 of 10 images for test and val leave none to train on"):
        make_splits(noise(10), test_fraction=0.9)


def test_exact_copies():
    images = noise(6)
    images[4] = images[1]
    images[5] = images[1]
    assert exact_duplicates(images, range(6)).tolist() == [4, 5]
    assert exact_duplicates(images, [5, 4, 3, 2, 1, 0]).tolist() == [1, 4]


def test_near_copies_are_found_whatever_light_size_and_noise():
    images = natural(40)
    brighter = to_bytes(to_float(images[:8]) * 0.8 + 0.1)
    small = torch.nn.functional.interpolate(images[8:16].float(), (20, 20), mode="bilinear", antialias=True)
    again = torch.nn.functional.interpolate(small, (32, 32), mode="bilinear").to(torch.uint8)
    rough = to_bytes(
        to_float(images[16:24]) + 0.01 * torch.randn(8, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    )
    every = torch.cat([images, brighter, again, rough])
    assert near_duplicates(every, range(len(every))).tolist() == list(range(40, 64))
    assert near_duplicates(images, range(40)).tolist() == []
    assert exact_duplicates(every, range(len(every))).tolist() == []
    hashes = perceptual_hash(images)
    assert hashes.shape == (40, 255)
    unrelated = (255 - hashes @ hashes.T) / 2 + 255 * torch.eye(40)
    assert unrelated.min() > 63
    with pytest.raises(ValueError, match="between 0 and 63, got 64"):
        near_duplicates(images, range(40), max_bits=64)


def test_near_copies_across_blocks(monkeypatch):
    images = natural(12)
    every = torch.cat([images, images.flip(0)])
    whole = near_duplicates(every, range(24))
    monkeypatch.setattr("phasewave.images.duplicates._BLOCK", 5)
    seen = []
    assert near_duplicates(every, range(24), progress=lambda done, total: seen.append((done, total))).tolist() == (
        list(range(12, 24))
    )
    assert whole.tolist() == list(range(12, 24))
    assert seen[-1] == (24, 24)


def test_the_file_gives_back_what_was_written(tmp_path):
    data = ImageSet(
        noise(30, channels=3),
        torch.arange(30) % 2,
        {"train": np.arange(20, dtype=np.int64), "val": positions(20), "test": positions(21, 25)},
        "a source",
        ("cat", "dog"),
        ("x.jpg is corrupt",),
        {"licence": "none"},
    )
    seen = []
    write_images(tmp_path / "a.h5", data, progress=lambda done, total: seen.append((done, total)))
    again = read_image_file(tmp_path / "a.h5")
    assert torch.equal(again.images, data.images)
    assert torch.equal(again.labels, data.labels)
    assert list(again.splits) == ["train", "val", "test"]
    assert all(np.array_equal(again.splits[name], at) for name, at in data.splits.items())
    assert (again.source, again.class_names, again.skipped, again.provenance) == (
        data.source,
        data.class_names,
        data.skipped,
        data.provenance,
    )
    assert seen == [(30, 30)]


def test_a_damaged_file_is_noticed(tmp_path):
    path = tmp_path / "a.h5"
    write_images(path, ImageSet(noise(30)))
    with h5py.File(path, "r+") as file:
        file["images"][3, 0, 0, 0] ^= 1
    with pytest.raises(ValueError, match=r"a.h5 is damaged: its images are not those that were written"):
        read_image_file(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"a.h5 is not a readable file of images, or is truncated"):
        read_image_file(path)


@pytest.mark.parametrize(
    ("source", "title"),
    [("/home/me/data/faces", "faces"), ("faces.zip", "faces.zip"), ("embedded glyphs", "embedded glyphs")],
)
def test_figures_name_the_source_without_its_folder(source, title):
    assert ImageSet(torch.zeros(1, 1, 16, 16, dtype=torch.uint8), source=source).title == title
