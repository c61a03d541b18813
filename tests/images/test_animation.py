"""Animations: every frame is there, every pixel a square of its own value, to and fro for ever."""

import numpy as np
import pytest
import torch
from PIL import Image

from phasewave.images.figures import write_animation

GAP = 2


def frames(path):
    """Return the frames as they are shown, RGB, and their milliseconds."""
    shown, times = [], []
    with Image.open(path) as found:
        for number in range(found.n_frames):
            found.seek(number)
            found.load()
            shown.append(np.asarray(found.convert("RGB")))
            times.append(found.info["duration"])
        assert found.info["loop"] == 0  # for ever
    return shown, times


def strips(n, steps, channels, height, width, *, seed=0):
    """Return ways and their bytes."""
    size = (n, steps, channels, height, width)
    pixels = torch.randint(0, 256, size, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return pixels.float() / 255, pixels.numpy()


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_it_goes_to_and_fro(tmp_path, suffix):
    levels = torch.linspace(0, 1, 4)
    ways = levels.view(1, 4, 1, 1, 1).expand(2, 4, 1, 16, 16)
    write_animation(tmp_path / f"a.{suffix}", ways)
    shown, times = frames(tmp_path / f"a.{suffix}")
    assert [int(frame[5, 5, 0]) for frame in shown] == [0, 85, 170, 255, 170, 85]
    assert times == [560, 70, 70, 560, 70, 70]
    with pytest.raises(ValueError, match=r"must be named \.gif or \.webp"):
        write_animation(tmp_path / "a.png", ways)


@pytest.mark.parametrize(("channels", "suffix"), [(1, "gif"), (1, "webp"), (3, "webp")])
def test_every_pixel_is_a_square_of_its_value(tmp_path, channels, suffix):
    ways, pixels = strips(2, 3, channels, 16, 20)
    write_animation(tmp_path / f"a.{suffix}", ways)
    shown, _ = frames(tmp_path / f"a.{suffix}")
    scale = 6  # 128 pixels, about, along the longer side
    for frame, k in zip(shown, (0, 1, 2, 1), strict=True):
        assert frame.shape == (16 * scale, 2 * 20 * scale + GAP, 3)
        assert (frame[:, 20 * scale : 20 * scale + GAP] == 255).all()
        for j, left in enumerate((0, 20 * scale + GAP)):
            part = frame[:, left : left + 20 * scale]
            wanted = pixels[j, k].transpose(1, 2, 0).repeat(scale, 0).repeat(scale, 1)
            assert (part == wanted).all()


@pytest.mark.parametrize(("side", "drawn"), [(16, 128), (28, 140), (32, 128), (64, 128), (128, 128), (200, 200)])
def test_small_images_are_enlarged(tmp_path, side, drawn):
    write_animation(tmp_path / "a.gif", strips(1, 2, 1, side, side)[0])
    shown, _ = frames(tmp_path / "a.gif")
    assert shown[0].shape == (drawn, drawn, 3)


def test_colours_of_a_gif_are_near_those_meant(tmp_path):
    at = torch.linspace(0, 1, 24)
    ramp = torch.stack([at.expand(24, 24), at[:, None].expand(24, 24), torch.full((24, 24), 0.3)])
    turned = torch.stack([ramp, ramp.flip(-1), ramp.flip(0)])
    write_animation(tmp_path / "a.gif", turned[None])
    shown, _ = frames(tmp_path / "a.gif")
    for frame, wanted in zip(shown[:3], turned, strict=True):
        error = frame[::5, ::5].astype(float) - 255 * wanted.permute(1, 2, 0).numpy()
        assert np.sqrt(np.square(error).mean()) < 10  # 576 colours by 256
