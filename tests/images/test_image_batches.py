import pytest
import torch

from phasewave.images.image_batches import as_float, check_images, draw, float_batches


def test_batches_are_the_images_in_order_as_floats():
    images = torch.arange(600, dtype=torch.int64).remainder(256).to(torch.uint8)[:, None, None, None]
    batches = list(float_batches(images))
    assert [len(part) for part in batches] == [250, 250, 100]
    assert torch.equal((torch.cat(batches) * 255).round().to(torch.uint8), images)
    assert as_float(batches[0]) is batches[0]


def test_draw_repeats_nothing_and_depends_on_the_seed_alone():
    images = torch.arange(100).to(torch.uint8)[:, None, None, None]
    drawn = draw(images, 30, seed=1)
    assert torch.equal(drawn, draw(images, 30, seed=1))
    assert not torch.equal(drawn, draw(images, 30, seed=2))
    assert len(drawn.unique()) == 30
    assert torch.equal(draw(images, 100, seed=1), images)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ([[1.0]], TypeError, "must be a torch.Tensor, got list"),
        (torch.zeros(2, 1, 16, 16, dtype=torch.int64), TypeError, "uint8, float32 or float64"),
        (torch.zeros(2, 16, 16), ValueError, r"shape \(n, C, H, W\)"),
        (torch.zeros(2, 2, 16, 16), ValueError, "C = 1 or 3"),
        (torch.zeros(0, 1, 16, 16), ValueError, "at least 1 images"),
        (torch.full((2, 1, 16, 16), 255.0), ValueError, r"values in \[0, 1\]"),
        (torch.full((2, 1, 16, 16), torch.nan), ValueError, "finite"),
        (torch.zeros(2, 3, 16, 16), ValueError, r"shape \(1, 16, 16\) as the others"),
    ],
)
def test_bad_images(images, error, message):
    with pytest.raises(error, match=message):
        check_images("images", images, like=torch.zeros(1, 1, 16, 16))
