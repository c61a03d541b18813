"""The embedded images: the same for a seed, varied, smooth, in balance."""

import numpy as np
import pytest
import torch

from phasewave.images.glyphs import GLYPHS, glyph_images


@pytest.fixture(scope="module")
def glyphs():
    return glyph_images(400, seed=3)


def test_the_same_seed_gives_the_same_images(glyphs):
    again, other = glyph_images(400, seed=3), glyph_images(400, seed=4)
    assert torch.equal(again.images, glyphs.images)
    assert torch.equal(again.labels, glyphs.labels)
    assert not torch.equal(other.images, glyphs.images)


def test_classes_and_splits(glyphs):
    assert {name: len(at) for name, at in glyphs.splits.items()} == {"train": 320, "val": 20, "test": 60}
    assert glyphs.class_names == tuple(GLYPHS)
    assert len(set(GLYPHS)) == 10
    assert glyphs.labels.bincount(minlength=10).min() > 20


def test_images_use_the_range_and_differ(glyphs):
    pixels = glyphs.float()
    assert pixels.amin((1, 2, 3)).median() < 0.1
    assert pixels.amax((1, 2, 3)).median() > 0.8
    assert len({image.numpy().tobytes() for image in glyphs.images}) == 400
    flat = pixels.flatten(1)
    distance = torch.cdist(flat, flat) + 1e3 * torch.eye(400)
    assert distance.min() > 1.0  # of 32 x 32 pixels in [0, 1]


def test_images_are_smooth(glyphs):
    power = torch.fft.fft2(glyphs.float() - glyphs.float().mean((2, 3), keepdim=True)).abs().square().mean((0, 1))
    frequency = torch.fft.fftfreq(32)
    high = (frequency[:, None] ** 2 + frequency**2) > 0.35**2
    assert power[high].sum() / power.sum() < 0.01


def test_a_class_looks_like_itself(glyphs):
    """The nearest class mean of the training images is right far more often than one in ten."""
    train, test = glyphs.float("train").flatten(1), glyphs.float("test").flatten(1)
    labels = glyphs.labels_of("train")
    means = torch.stack([train[labels == k].mean(0) for k in range(10)])
    right = (torch.cdist(test, means).argmin(1) == glyphs.labels_of("test")).float().mean()
    assert right > 0.35


@pytest.mark.parametrize("size", [16, 28, (24, 40)])
def test_other_sizes(size):
    images = glyph_images(20, size=size)
    assert images.size == ((size, size) if isinstance(size, int) else size)
    assert np.ptp(images.images.numpy()) > 150


def test_bad_arguments():
    with pytest.raises(ValueError, match="`n_images` must be an integer >= 20, got 19"):
        glyph_images(19)
    with pytest.raises(ValueError, match="`size` must be 2 integers >= 16"):
        glyph_images(20, size=8)
