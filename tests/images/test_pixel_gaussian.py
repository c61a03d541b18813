import pytest
import torch

from phasewave.images.metrics import psnr
from phasewave.images.pixel_gaussian import PixelGaussian


def planes(number, *, seed, rank=5, channels=1):
    """Images of a few directions about grey, well within [0, 1]."""
    directions = torch.randn(rank, channels, 16, 16, generator=torch.Generator().manual_seed(99))
    amounts = torch.randn(number, rank, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.02 * torch.einsum("nr,rchw->nchw", amounts, directions)).clamp(0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_few_directions_come_back(channels):
    model = PixelGaussian(planes(300, seed=0, channels=channels), code_dim=5)
    images = planes(20, seed=1, channels=channels)
    assert float(psnr(model.reconstruct(images), images).min()) > 60


def test_codes_of_the_training_images_are_white():
    images = torch.rand(400, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    codes = PixelGaussian(images, code_dim=8).encode(images).double()
    assert torch.allclose(codes.mean(0), torch.zeros(8, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(torch.cov(codes.T, correction=0), torch.eye(8, dtype=torch.float64), atol=1e-4)


def test_the_best_linear_code():
    images = torch.rand(300, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    rows = images.flatten(1).double()
    left = torch.linalg.svdvals(rows - rows.mean(0))[30:].square().sum() / rows.numel()
    found = PixelGaussian(images, code_dim=30).reconstruct(images)
    assert float((found - images).double().square().mean()) <= float(left) * (1 + 1e-5)


def test_generated_images_have_the_law_of_the_images():
    images = planes(2000, seed=2)
    made = PixelGaussian(images, code_dim=5).generate(2000, seed=3)
    covariance, found = (torch.cov(part.flatten(1).double().T) for part in (images, made))
    assert made.shape == images.shape
    assert made.dtype is torch.float32
    assert torch.allclose(made.mean(0), images.mean(0), atol=0.01)
    assert float((found - covariance).norm() / covariance.norm()) < 0.15


def test_the_seed_decides_and_bytes_are_read():
    images = planes(300, seed=4)
    model = PixelGaussian((images * 255).round().to(torch.uint8), code_dim=5)
    assert torch.equal(model.generate(3, seed=1), model.generate(3, seed=1))
    assert not torch.equal(model.generate(3, seed=1), model.generate(3, seed=2))
    assert float(psnr(model.reconstruct(images), images).min()) > 45


def test_bad_input():
    images = planes(30, seed=5)
    with pytest.raises(ValueError, match="`train_images` must hold at least 31 images, got 30"):
        PixelGaussian(images, code_dim=30)
    with pytest.raises(ValueError, match="vary in `code_dim` = 20 directions, got 1"):
        PixelGaussian(images[:1] * torch.linspace(0, 1, 30)[:, None, None, None], code_dim=20)
    model = PixelGaussian(images, code_dim=3)
    with pytest.raises(ValueError, match=r"`codes` must have the shape \(n, 3\)"):
        model.decode(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"`images` must be images of shape \(1, 16, 16\)"):
        model.encode(torch.zeros(2, 1, 20, 20))
