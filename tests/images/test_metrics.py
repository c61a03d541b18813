import math

import numpy as np
import pytest
import torch

from phasewave.images.metrics import psnr, ssim


def pair(seed=0, channels=1, size=(16, 20)):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(4, channels, *size, generator=generator)
    return x, (x + 0.1 * torch.randn(x.shape, generator=generator)).clamp(0, 1)


def direct_ssim(x, y):
    """SSIM of two planes (H, W), window by window, by weighted means in NumPy."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            found.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    return np.mean(found)


def test_psnr_is_of_each_image():
    x = torch.zeros(3, 1, 8, 8)
    y = torch.stack([x[0] + 0.1, x[0] + 0.01, x[0]])
    assert psnr(y, x)[:2].tolist() == pytest.approx([20, 40], abs=1e-5)
    assert math.isinf(psnr(y, x)[2])


def test_psnr_of_bytes():
    x = torch.full((1, 3, 16, 16), 100, dtype=torch.uint8)
    assert float(psnr(x + 1, x)) == pytest.approx(20 * math.log10(255), rel=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_against_the_formula(channels):
    x, y = pair(channels=channels)
    planes = [
        [direct_ssim(p.numpy(), q.numpy()) for p, q in zip(a, b, strict=True)]
        for a, b in zip(x.double(), y.double(), strict=True)
    ]
    assert ssim(x, y).tolist() == pytest.approx(np.mean(planes, axis=1).tolist(), rel=1e-12)


def test_ssim_properties():
    x, y = pair()
    assert torch.allclose(ssim(x, x), torch.ones(4, dtype=torch.float64))
    assert torch.allclose(ssim(x, y), ssim(y, x))
    assert torch.all(ssim(x, y) < 1)
    assert torch.allclose(ssim(x.flip(-1), y.flip(-1)), ssim(x, y))


def test_ssim_of_constants_is_the_light_term():
    x, y = torch.full((1, 1, 12, 12), 0.25), torch.full((1, 1, 12, 12), 0.75)
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert float(ssim(x, y)) == pytest.approx(expected, rel=1e-9)


def test_bad_input():
    x, _ = pair()
    with pytest.raises(ValueError, match="`references` must be 4 images"):
        psnr(x, x[:3])
    with pytest.raises(ValueError, match="`references` must be images of shape"):
        ssim(x, x[..., :16])
    with pytest.raises(ValueError, match="sides >= 11"):
        ssim(x[..., :10], x[..., :10])


def test_images_go_by_in_batches():
    x, y = pair(size=(11, 12))
    many = [part.repeat(70, 1, 1, 1) for part in (x, y)]
    assert torch.equal(ssim(*many), ssim(x, y).repeat(70))
    assert torch.equal(psnr(*many), psnr(x, y).repeat(70))
