import math

import pytest
import torch

from phasewave.images.frechet import FrechetDistance, frechet_distance, gaussian_distance
from phasewave.images.judge_features import JudgeFeatures


def smooth(number, *, seed, size=16, channels=1):
    """Smooth random images."""
    noise = torch.randn(number, channels, size, size, generator=torch.Generator().manual_seed(seed))
    spectrum = torch.fft.rfft2(noise)
    rows, columns = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)
    images = torch.fft.irfft2(spectrum / (0.1 + (rows**2 + columns**2).sqrt()), s=(size, size))
    return (0.5 + 0.15 * images / images.std()).clamp(0, 1)


@pytest.fixture(scope="module")
def judge():
    return FrechetDistance(smooth(400, seed=0), n_components=16)


def test_commuting_gaussians():
    a, b = torch.tensor([1.0, 4.0, 0.0]), torch.tensor([9.0, 0.25, 2.0])
    mean = torch.tensor([1.0, -2.0, 0.5])
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).double())[0]
    expected = float(mean.square().sum() + (a.sqrt() - b.sqrt()).square().sum())
    found = gaussian_distance(
        mean.double(), turn @ a.double().diag() @ turn.T, torch.zeros(3), turn @ b.double().diag() @ turn.T
    )
    assert found == pytest.approx(expected, rel=1e-6)


def test_two_by_two_gaussians_that_do_not_commute():
    # tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)) of a 2 x 2 matrix
    a = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    b = torch.tensor([[4.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    product = a @ b
    root = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(product.det())))
    expected = float(a.trace() + b.trace()) - 2 * root
    zero = torch.zeros(2)
    assert gaussian_distance(zero, a, zero, b) == pytest.approx(expected, rel=1e-12)
    assert gaussian_distance(zero, b, zero, a) == pytest.approx(expected, rel=1e-12)


def test_a_shift_costs_its_square_and_a_scale_the_square_of_its_excess():
    rows = torch.randn(300, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shift = torch.tensor([3.0, 0.0, 0.0, 4.0, 0.0])
    assert frechet_distance(rows, rows + shift) == pytest.approx(25.0, rel=1e-9)
    centred = rows - rows.mean(0)
    spread = float(torch.cov(rows.T).trace())
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * spread, rel=1e-9)
    assert frechet_distance(rows, rows[torch.randperm(300)]) == pytest.approx(0, abs=1e-9)


def test_distance_of_one_feature_and_bad_features():
    rows = torch.tensor([[0.0], [2.0]])
    assert frechet_distance(rows, rows + 1) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"`features_b` must have 1 columns"):
        frechet_distance(rows, torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"`features_a` must have the shape \(n >= 2, d\)"):
        frechet_distance(rows[:1], rows)
    with pytest.raises(ValueError, match="`features_b` must be finite, got 1 NaN"):
        frechet_distance(rows, torch.tensor([[0.0], [torch.nan]]))


def test_features_are_centred_uncorrelated_and_of_unit_first_deviation():
    images = smooth(300, seed=3)
    rows = JudgeFeatures(images, n_components=8)(images)
    covariance = torch.cov(rows.T, correction=0)
    assert rows.dtype is torch.float64
    assert torch.allclose(rows.mean(0), torch.zeros(8, dtype=torch.float64), atol=1e-6)
    assert float(covariance[0, 0]) == pytest.approx(1.0, rel=1e-6)
    assert float((covariance - covariance.diag().diag()).abs().max()) < 1e-6
    assert torch.all(covariance.diag().diff() < 0)


def test_no_figure_depends_on_the_scale_of_all_images():
    train, a, b = smooth(300, seed=4), smooth(100, seed=5), smooth(100, seed=6) ** 2
    full = FrechetDistance(train, n_components=8)(a, b)
    dark = FrechetDistance(train / 4, n_components=8)(a / 4, b / 4)
    assert dark == pytest.approx(full, rel=1e-3)


def test_order_and_batches_do_not_matter_and_bytes_are_read(judge):
    images, other = smooth(300, seed=7), smooth(300, seed=8)
    distance = judge(images, other)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    assert judge(images[order], other) == pytest.approx(distance, rel=1e-6)
    assert torch.allclose(judge.features(images)[250:], judge.features(images[250:]), atol=1e-5)
    stored = (images * 255).round().to(torch.uint8)
    assert torch.allclose(judge.features(stored), judge.features(stored.double() / 255), atol=1e-5)


def test_the_floor_is_small_and_a_blur_or_noise_is_far(judge):
    train, test = smooth(400, seed=0), smooth(400, seed=9)
    floor = judge(test, train)
    blurred = torch.nn.functional.avg_pool2d(test, 3, stride=1, padding=1, count_include_pad=False)
    noisy = (test + 0.1 * torch.randn(test.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    assert judge(test, test) < 1e-9
    assert judge(blurred, train) > 5 * floor
    assert judge(noisy, train) > 5 * floor


def test_colour_and_sizes_that_are_no_power_of_two():
    images = smooth(80, seed=10, size=20, channels=3)
    judge = FrechetDistance(images, n_components=4)
    assert judge(images, images.flip(1)) >= 0
    assert judge.features(images[:0]).shape == (0, 4)


def test_bad_input(judge):
    images = smooth(40, seed=11)
    with pytest.raises(ValueError, match="`train_images` must hold at least 65 images, got 40"):
        FrechetDistance(images)
    with pytest.raises(ValueError, match="`train_images` must vary in 4 directions at least, got 0"):
        FrechetDistance(images[:1].expand(40, -1, -1, -1), n_components=4)
    with pytest.raises(ValueError, match="`fraction` must lie between 0 and 1, got 0"):
        FrechetDistance(images, n_components=4, fraction=0)
    with pytest.raises(ValueError, match=r"`images_b` must be images of shape \(1, 16, 16\)"):
        judge(images, smooth(40, seed=0, size=20))
    with pytest.raises(ValueError, match="`n_fit` must be an integer >= 5"):
        FrechetDistance(images, n_components=4, n_fit=4)
