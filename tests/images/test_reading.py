"""Reading folders, zips, arrays and pictures of every kind: layout, colour, splits, classes."""

import io
import zipfile

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from phasewave.images.dataset_file import write_images
from phasewave.images.layout import Layout
from phasewave.images.reading import read_images


def pixels(n, channels=1, height=20, width=20, seed=0):
    random = np.random.default_rng(seed)
    shape = (n, height, width) if channels == 1 else (n, height, width, channels)
    return random.integers(0, 256, shape, dtype=np.uint8)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def folder_of(path, names, **kinds):
    arrays = pixels(len(names), **kinds)
    for name, array in zip(names, arrays, strict=True):
        save(path / name, array)
    return arrays


def test_a_folder_of_pictures(tmp_path):
    arrays = folder_of(tmp_path / "set", [f"{k:02d}.png" for k in range(30)])
    (tmp_path / "set" / "readme.txt").write_text("not a picture")
    (tmp_path / "set" / ".hidden.png").write_text("not a picture")
    data = read_images(tmp_path / "set")
    assert np.array_equal(data.images[:, 0].numpy(), arrays)
    assert data.labels is None
    assert {name: len(at) for name, at in data.splits.items()} == {"train": 25, "val": 2, "test": 3}
    assert str(tmp_path / "set") == data.source


def test_folders_are_splits_and_classes(tmp_path):
    names = ["train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "Validation/dog/5.png", "test/dog/x/2.png"]
    arrays = folder_of(tmp_path / "set" / "inner", names, channels=3)
    data = read_images(tmp_path / "set")
    order = sorted(range(5), key=lambda i: f"inner/{names[i]}")
    assert np.array_equal(data.images.permute(0, 2, 3, 1).numpy(), arrays[order])
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [data.class_names.index(names[i].split("/")[1]) for i in order]
    place = {name: [names[order[k]].split("/")[0] for k in at] for name, at in data.splits.items()}
    assert place == {"train": ["train"] * 3, "val": ["Validation"], "test": ["test"]}


def test_classes_without_splits(tmp_path):
    folder_of(tmp_path, ["a/1.png", "a/2.png", "b/1.png", "b/2.png"])
    data = read_images(tmp_path)
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert sum(len(at) for at in data.splits.values()) == 4
    folder_of(tmp_path, ["loose.png"])
    assert read_images(tmp_path).labels is None


def test_a_zip_reads_as_its_folder(tmp_path):
    names = ["top/train/1.png", "top/train/2.png", "top/test/1.png", "top/test/3.png"]
    folder_of(tmp_path / "set", names)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in reversed(names):
            archive.write(tmp_path / "set" / name, name)
        archive.writestr("__MACOSX/top/train/1.png", b"not a picture")
    one, other = read_images(tmp_path / "set"), read_images(tmp_path / "set.zip")
    assert torch.equal(one.images, other.images)
    assert all(np.array_equal(one.splits[name], other.splits[name]) for name in one.splits)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_kind_of_picture_becomes_grey_or_colour(tmp_path, mode):
    suffix = {"CMYK": "tif", "YCbCr": "jpg"}.get(mode, "png")
    for k in range(3):
        Image.fromarray(pixels(1, 3, seed=k)[0]).convert(mode).save(tmp_path / f"{k}.{suffix}")
    data = read_images(tmp_path)
    assert data.n_channels == (1 if mode in ("1", "L", "LA") else 3)
    assert read_images(tmp_path, color="grey").n_channels == 1
    assert read_images(tmp_path, color="rgb").n_channels == 3


def test_grey_is_the_weighted_sum_of_601(tmp_path):
    arrays = folder_of(tmp_path, ["1.png", "2.png", "3.png"], channels=3)
    grey = read_images(tmp_path, color="grey").images[:, 0].numpy()
    np.testing.assert_allclose(grey, arrays @ [0.299, 0.587, 0.114], atol=0.51)


def test_a_turned_photograph_stands_upright(tmp_path):
    array = pixels(1, height=20, width=30)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    for k in range(3):
        Image.fromarray(array).save(tmp_path / f"{k}.png", exif=exif)
    assert np.array_equal(read_images(tmp_path).images[0, 0].numpy(), np.rot90(array, -1))


@pytest.mark.parametrize(("crop", "box"), [("center", (6, 0, 54, 48)), (40, (10, 4, 50, 44))])
def test_the_crop_is_in_the_middle(crop, box):
    picture = Image.fromarray(pixels(1, height=48, width=60)[0])
    found = Layout.of(24, "keep", crop).fit(picture, "it")
    wanted = picture.crop(box).resize((24, 24), Image.Resampling.LANCZOS)
    assert np.abs(found[0].astype(int) - np.asarray(wanted).astype(int))[4:-4, 4:-4].max() <= 1


def test_stretch_keeps_the_whole_picture():
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 32, 0)
    wide = Layout.of(32, "keep", "stretch").fit(Image.fromarray(ramp), "it")
    middle = Layout.of(32, "keep", "center").fit(Image.fromarray(ramp), "it")
    assert np.ptp(wide) > 245
    assert 110 < np.ptp(middle) < 140
    assert Layout.of((16, 48), "rgb", "center").fit(Image.fromarray(ramp), "it").shape == (3, 16, 48)


def test_resizing_does_not_alias():
    """Stripes finer than the new pixels become their mean, not wider stripes."""
    stripes = np.where(np.arange(128) % 2, 255, 0).astype(np.uint8)
    small = Layout.of(32, "keep", "center").fit(Image.fromarray(np.tile(stripes, (128, 1))), "it")
    assert np.abs(small.astype(int) - 127)[:, 2:-2, 2:-2].max() <= 3


@pytest.mark.parametrize(
    ("arrays", "channels", "splits"),
    [
        ({"images": pixels(9), "labels": np.arange(9), "other": np.zeros(3)}, 1, None),
        ({"anything": pixels(9, 3)}, 3, None),
        ({"x": pixels(9, 3).transpose(0, 3, 1, 2), "y": np.arange(9)[:, None]}, 3, None),
        ({"images": (pixels(9) / 255).astype(np.float32)}, 1, None),
        ({"images": pixels(9).astype(np.int64)[..., None]}, 1, None),
        (
            {"x_train": pixels(6), "y_train": np.arange(6), "x_test": pixels(3), "y_test": np.arange(3)},
            1,
            {"train": 5, "val": 1, "test": 3},
        ),
        (
            {f"{part}_{what}": pixels(n) if what == "images" else np.arange(n)
             for part, n in (("train", 5), ("val", 2), ("test", 3)) for what in ("images", "labels")},
            1,
            {"train": 5, "val": 2, "test": 3},
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_arrays(tmp_path, arrays, channels, splits, suffix):
    path = tmp_path / f"set.{suffix}"
    if suffix == "npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    data = read_images(path)
    first = pixels(9, channels) if splits is None else pixels(len(next(iter(arrays.values()))))
    assert np.array_equal(
        data.images[: len(first)].permute(0, 2, 3, 1).numpy(), first.reshape(*first.shape[:3], -1)
    )
    has_labels = any(name.startswith(("y", "labels")) or name.endswith("labels") for name in arrays)
    assert (data.labels is not None) == has_labels
    if splits is not None:
        assert {name: len(at) for name, at in data.splits.items()} == splits
    assert read_images(path, size=16, color="rgb").images.shape[1:] == (3, 16, 16)


def test_an_npy_file(tmp_path):
    np.save(tmp_path / "set.npy", pixels(4) > 127)
    data = read_images(tmp_path / "set.npy")
    assert set(data.images.unique().tolist()) == {0, 255}


def test_the_packages_own_file_keeps_labels_and_splits(tmp_path):
    folder_of(
        tmp_path / "set",
        [f"{part}/{label}/{k}.png" for part in ("train", "test") for label in "ab" for k in range(3)],
    )
    data = read_images(tmp_path / "set")
    write_images(tmp_path / "set.h5", data)
    again = read_images(tmp_path / "set.h5")
    assert torch.equal(again.images, data.images)
    assert torch.equal(again.labels, data.labels)
    assert all(np.array_equal(again.splits[name], at) for name, at in data.splits.items())
    assert read_images(tmp_path / "set.h5", size=32, color="rgb").images.shape == (12, 3, 32, 32)
    with pytest.raises(ValueError, match="`test_fraction` is for images without a test split"):
        read_images(tmp_path / "set.h5", test_fraction=0.2)


def test_a_limit_draws_the_same_pictures_each_time(tmp_path):
    folder_of(tmp_path, [f"{k:03d}.png" for k in range(50)])
    some = read_images(tmp_path, limit=10)
    assert len(some) == 10
    assert torch.equal(some.images, read_images(tmp_path, limit=10).images)
    assert not torch.equal(some.images, read_images(tmp_path, limit=10, seed=1).images)
    assert len(read_images(tmp_path, limit=80)) == 50
    np.savez(tmp_path / "set.npz", images=pixels(50), labels=np.arange(50))
    part = read_images(tmp_path / "set.npz", limit=20)
    assert np.array_equal(part.images[:, 0].numpy(), pixels(50)[part.labels.numpy()])


def test_one_picture_for_those_who_ask(tmp_path):
    array = pixels(1, 3)[0]
    data = read_images(save(tmp_path / "me.png", array), at_least=1)
    assert np.array_equal(data.images[0].permute(1, 2, 0).numpy(), array)
    assert data.splits == {}


def test_the_embedded_images():
    data = read_images(size=16, color="rgb", limit=40, seed=2)
    assert data.images.shape == (40, 3, 16, 16)
    assert torch.equal(data.images[:, 0], data.images[:, 2])
    assert [len(at) > 0 for at in data.splits.values()] == [True] * 3


def test_progress_is_told(tmp_path):
    folder_of(tmp_path, ["1.png", "2.png", "3.png"])
    seen = []
    read_images(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_skipping_what_is_corrupt(tmp_path):
    arrays = folder_of(tmp_path, [f"{k}.png" for k in range(6)])
    buffer = io.BytesIO()
    Image.fromarray(pixels(1, 3, 64, 64)[0]).save(buffer, "JPEG")
    (tmp_path / "2.png").unlink()
    (tmp_path / "2.jpg").write_bytes(buffer.getvalue()[:-300])
    (tmp_path / "4.png").write_bytes(b"")
    (tmp_path / "5.png").write_bytes(b"no picture")
    data = read_images(tmp_path, skip_corrupt=True)
    assert np.array_equal(data.images[:, 0].numpy(), arrays[[0, 1, 3]])
    assert [text.split(" is ")[0].rpartition(" ")[2] for text in data.skipped] == ["2.jpg", "4.png", "5.png"]
    assert "truncated" in data.skipped[0]
