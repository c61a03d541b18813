"""What cannot be read as a set of images: one clear message each, which names the file and says what to do."""

import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from phasewave.images.reading import read_images


def grey(size=(20, 20), value=90):
    return Image.new("L", size, value)


@pytest.fixture
def good(tmp_path):
    """A folder of three sound pictures."""
    for k in range(3):
        grey(value=40 * k).save(tmp_path / f"{k}.png")
    return tmp_path


def refused(path, *messages, error=ValueError, **options):
    with pytest.raises(error) as caught:
        read_images(path, **options)
    for message in messages:
        assert re.search(message, str(caught.value)), str(caught.value)


def test_sizes_that_differ(good):
    grey((24, 20)).save(good / "wide.png")
    refused(good, r"wide.png is 20x24 \(height x width\) and 0.png is 20x20", "--size")
    assert len(read_images(good, size=16)) == 4


def test_grey_among_colour(good):
    Image.new("RGB", (20, 20)).save(good / "red.png")
    refused(good, "red.png is in colour and 0.png is grey", "--color")
    assert read_images(good, color="grey").n_channels == 1


def test_a_corrupt_jpeg_is_named(good):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60), dtype=np.uint8)).save(buffer, "JPEG")
    (good / "bad.jpg").write_bytes(buffer.getvalue()[:-500])
    refused(good, r"bad.jpg is corrupt \(.*truncated", "--skip-corrupt", size=16)
    data = read_images(good, size=16, skip_corrupt=True)
    assert len(data) == 3
    assert len(data.skipped) == 1


def test_a_file_that_is_no_picture(good):
    (good / "notes.png").write_text("notes")
    refused(good, "notes.png is corrupt, or no picture at all", "--skip-corrupt")


def test_an_empty_picture(good):
    (good / "none.png").touch()
    refused(good, "none.png is an empty file", "--skip-corrupt")


def test_nothing_but_corrupt_pictures(tmp_path):
    for k in range(3):
        (tmp_path / f"{k}.png").touch()
    refused(tmp_path, "no readable picture: all 3 are corrupt", "0.png is an empty file", skip_corrupt=True)


def test_too_few_images(tmp_path):
    grey().save(tmp_path / "a.png")
    refused(tmp_path, "holds one image only, and at least 3 are needed")
    grey().save(tmp_path / "b.png")
    refused(tmp_path, "holds 2 images, and at least 3")
    refused(tmp_path / "a.png", "a.png holds one image only")
    assert len(read_images(tmp_path, at_least=2)) == 2


def test_no_images(tmp_path):
    refused(tmp_path, "holds no images: it is empty; give a folder or a zip")
    for name in "edcba":
        (tmp_path / f"{name}.csv").write_text("1,2")
    refused(tmp_path, "holds no images: it holds a.csv, b.csv, c.csv, d.csv and 1 more")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    refused(tmp_path / "set.zip", "set.zip holds no images")


def test_nothing_there(tmp_path):
    refused(tmp_path / "none", "there is no file or folder .*none: give a folder", error=FileNotFoundError)


def test_an_unknown_format(tmp_path):
    (tmp_path / "set.7z").write_bytes(b"7z")
    refused(tmp_path / "set.7z", "set.7z is of no format that is read: give a folder or a zip")


def test_transparent_pixels(good):
    Image.new("RGBA", (20, 20), (255, 0, 0, 128)).save(good / "clear.png")
    refused(good, r"clear.png has transparent pixels \(alpha channel\): flatten it")
    Image.new("RGBA", (20, 20), (255, 0, 0, 255)).save(good / "clear.png")
    assert read_images(good, color="rgb").images[-1, 0].eq(255).all()


@pytest.mark.parametrize("array", [np.full((20, 20), 40_000, np.uint16), np.zeros((20, 20, 3), np.uint16)])
def test_sixteen_bits(good, array):
    path = good / "deep.png"
    if array.ndim == 2:
        Image.fromarray(array).save(path)
    else:
        path.write_bytes(deep_colour_png())
    refused(good, "deep.png must hold 8-bit grey or colour, got 16 bits: convert it")


def deep_colour_png():
    """Return a PNG of 20 x 20 pixels in 16-bit colour, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(6 * 20)) * 20
    header = struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def test_floating_pixels(good):
    Image.fromarray(np.zeros((20, 20), np.float32)).save(good / "real.tif")
    refused(good, "real.tif must hold 8-bit grey or colour, got the mode F")


def test_moving_pictures(good):
    grey().save(good / "film.gif", save_all=True, append_images=[grey(value=3), grey(value=9)])
    refused(good, "film.gif is animated or has several pages, 3 of them")


def test_small_pictures(tmp_path):
    for k in range(3):
        grey((20, 12)).save(tmp_path / f"{k}.png")
    refused(tmp_path, "0.png: images must be 16 pixels or more a side, this one is 12x20")
    refused(tmp_path, "`crop` must fit into every picture, got 16 for one of 12x20", crop=16)


def test_pictures_beside_split_folders(good):
    for part in ("train", "test"):
        (good / part).mkdir()
        grey().save(good / part / "a.png")
    refused(good, "folders named as splits, and 0.png stands in none of train, val and test")


def test_damaged_zips(good, tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(4):
            buffer = io.BytesIO()
            Image.fromarray(random.integers(0, 255, (40, 40), dtype=np.uint8)).save(buffer, "PNG")
            archive.writestr(f"{k}.png", buffer.getvalue())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "set.zip is damaged or truncated, or no zip", "get it again")
    at = whole.index(b"3.png") + 200
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    refused(path, r"set.zip: 3.png is damaged \(Bad CRC-32", "--skip-corrupt")
    assert len(read_images(path, skip_corrupt=True)) == 3
    path.write_bytes(b"")
    refused(path, "set.zip is damaged or truncated, or no zip")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"a": np.zeros((3, 16, 16)), "b": np.zeros(3)},
            r"must hold one array, or .* got a \(3, 16, 16\), b \(3,\)",
        ),
        ({"images": np.zeros((3, 15, 16))}, r"`images` must have the shape .* got \(3, 1, 15, 16\)"),
        ({"images": np.zeros((3, 16, 16, 4))}, "four channels"),
        ({"images": np.zeros((3, 5))}, r"C = 1 or 3 .* got \(3, 5\)"),
        ({"images": np.full((3, 16, 16), np.nan)}, "must be finite, got 768 NaN or infinite values of 768"),
        (
            {"images": np.full((3, 16, 16), 200.0)},
            r"values in 0 .. 1 \(float64\), got 200.0 .. 200.0: divide by 255",
        ),
        ({"images": np.full((3, 16, 16), -0.5, np.float32)}, r"values in 0 .. 1 \(float32\), got -0.5 .. -0.5"),
        (
            {"images": np.full((3, 16, 16), 300)},
            r"values in 0 .. 255 \(int64\), got 300 .. 300: convert to 8 bits",
        ),
        ({"images": np.zeros((3, 16, 16), complex)}, "must hold numbers, got the dtype complex128"),
        ({"images": np.array([None, 3])}, "must hold arrays of numbers, got Python objects"),
        ({"images": np.zeros((3, 16, 16)), "labels": np.arange(4)}, "holds 4 labels and `images` holds 3 images"),
        (
            {"images": np.zeros((3, 16, 16)), "labels": np.zeros(3)},
            r"labels. must be integers \(n,\), got float64",
        ),
        (
            {"x_train": np.zeros((3, 16, 16)), "x_test": np.zeros((3, 17, 16))},
            r"x_test. holds images of shape \(1, 17, 16\) and the others are \(1, 16, 16\)",
        ),
    ],
)
def test_arrays_that_are_not_images(tmp_path, arrays, message):
    np.savez(tmp_path / "set.npz", **arrays)
    refused(tmp_path / "set.npz", message, "set.npz")


@pytest.mark.parametrize("suffix", ["npz", "npy", "h5"])
def test_damaged_arrays(tmp_path, suffix):
    path = tmp_path / f"set.{suffix}"
    path.touch()
    refused(path, f"set.{suffix} is an empty file: get it again")
    path.write_bytes(b"something else")
    refused(path, f"set.{suffix} is damaged or truncated, or of another format")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 8}, ValueError, "`size` must be 2 integers >= 16"),
        ({"size": (16, 16, 16)}, ValueError, "`size` must be 2 integers >= 16"),
        ({"color": "green"}, ValueError, "`color` must be one of 'keep', 'grey', 'rgb', got 'green'"),
        ({"crop": "left"}, ValueError, "`crop` must be one of 'center', 'stretch', got 'left'"),
        ({"crop": 3}, ValueError, "`crop` must be an integer >= 16, got 3"),
        ({"limit": 2}, ValueError, "`limit` must be an integer >= 3, got 2"),
        ({"seed": -1}, ValueError, "`seed` must be an integer between 0"),
        ({"test_fraction": 2.0}, ValueError, r"`test_fraction` must lie in \(0, 1\), got 2.0"),
        ({"attribute": "Smiling"}, FileNotFoundError, "there is no list_attr_celeba.txt beside"),
    ],
)
def test_bad_options(good, options, error, message):
    refused(good, message, error=error, **options)
