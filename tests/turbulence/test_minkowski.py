import math

import pytest
import torch
from scipy.stats import multivariate_normal

from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.minkowski import gaussian_minkowski, minkowski_error, minkowski_functionals

HALF = torch.tensor([0.5])


def counts(mask):
    """Area, boundary and Euler characteristic of a set of pixels, as whole-torus counts."""
    return (minkowski_functionals(mask.double(), HALF)[:, 0] * mask.numel()).tolist()


def blank(height=20, width=24):
    return torch.zeros(height, width)


def disk(radius, size=64):
    line = torch.arange(size) - size // 2
    return (line[:, None].square() + line.square() <= radius**2).float()


def smooth_field(n=128, width=3.0, seed=0):
    frequency = 2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64)
    window = torch.exp(-(frequency[:, None].square() + frequency.square()) * width**2 / 2)
    return torch.fft.ifft2(torch.fft.fft2(white_noise(1, (n, n), seed=seed)[0]) * window).real


def test_rectangle_and_its_hole():
    mask = blank()
    mask[3:8, 5:14] = 1
    assert counts(mask) == pytest.approx([45, 28, 1])
    mask[4:6, 7:10] = 0
    assert counts(mask) == pytest.approx([39, 38, 0])
    mask[15, 2] = 1
    assert counts(mask) == pytest.approx([40, 42, 1])


def test_sets_that_wind_around_the_torus():
    band = blank()
    band[4:9] = 1
    assert counts(band) == pytest.approx([5 * 24, 48, 0])
    cross = band.clone()
    cross[:, 3:6] = 1
    assert counts(cross)[2] == pytest.approx(-1)  # the complement is one rectangle
    assert counts(torch.ones(20, 24)) == pytest.approx([480, 0, 0])
    assert counts(blank()) == pytest.approx([0, 0, 0])


def test_a_set_across_the_border_is_whole():
    mask = blank()
    mask[3:8, 5:14] = 1
    assert counts(mask.roll((-5, 14), (0, 1))) == pytest.approx([45, 28, 1])


@pytest.mark.parametrize("radius", [3, 7, 20])
def test_disk(radius):
    area, boundary, euler = counts(disk(radius))
    assert area == pytest.approx(math.pi * radius**2, abs=4 * radius)
    assert boundary == pytest.approx(4 * (2 * radius + 1))  # the pixel sides of a convex set: its box
    assert euler == pytest.approx(1)


def test_checkerboard_is_its_own_complement():
    rows, columns = torch.arange(8)[:, None], torch.arange(10)
    board = ((rows + columns) % 2).float()
    assert counts(board) == pytest.approx([40, 160, 0])


def test_two_pixels_at_a_corner_are_half_joined():
    mask = blank()
    mask[4, 4] = mask[5, 5] = 1
    assert counts(mask) == pytest.approx([2, 8, 1.5])  # two components by sides, one by corners


def test_complement_and_symmetries():
    x = white_noise(1, (32, 40), seed=3)[0]
    levels = torch.linspace(-2, 2, 9)
    area, boundary, euler = minkowski_functionals(x, levels)
    negative = minkowski_functionals(-x, -levels)
    torch.testing.assert_close(negative[0], 1 - area)
    torch.testing.assert_close(negative[1], boundary)
    torch.testing.assert_close(negative[2], -euler)
    for moved in (x.roll((7, 9), (0, 1)), x.flip(0), x.T.contiguous()):
        torch.testing.assert_close(minkowski_functionals(moved, levels), torch.stack([area, boundary, euler]))
    scaled = minkowski_functionals(3 * x + 2, levels, mean=2.0, scale=3.0)
    torch.testing.assert_close(scaled[0], area)


def test_smooth_gaussian_field_has_the_gaussian_formulae():
    model = GaussianModel(smooth_field())
    n = 24
    fields = model.sample(n, seed=0)
    levels = torch.linspace(-2, 2, 5, dtype=torch.float64)
    values = minkowski_functionals(fields, levels, scale=model.variance() ** 0.5, mean=float(model.mean))
    gradient = torch.stack([fields.roll(-1, axis) - fields for axis in (-2, -1)]).square().mean()
    slope = float((gradient / fields.var()).sqrt())
    wanted = gaussian_minkowski(levels, slope)
    error = values.std(0) / math.sqrt(n)
    # 4 standard errors, and 2 % of each functional's size for the pixels and the anisotropy of the sample
    allowed = 4 * error + 0.02 * wanted.abs().amax(1, keepdim=True)
    assert bool(((values.mean(0) - wanted).abs() < allowed).all())
    assert float((error.amax(1) / wanted.abs().amax(1)).max()) < 0.03


def test_boundary_of_a_gaussian_field_is_exact_on_pixels():
    model = GaussianModel(white_noise(1, (24, 24), seed=0)[0] + 0)
    fields = model.sample(400, seed=1)
    deviation = model.variance() ** 0.5
    covariance = torch.fft.ifft2(model.spectrum).real / model.variance()
    for level in (0.0, 1.0):
        wanted = 0.0
        for rho in (float(covariance[1, 0]), float(covariance[0, 1])):
            both = multivariate_normal.cdf([-level, -level], cov=[[1, rho], [rho, 1]])
            one = multivariate_normal.cdf(-level)
            wanted += 2 * (one - both)
        values = minkowski_functionals(fields, torch.tensor([level]), mean=float(model.mean), scale=deviation)[
            :, 1, 0
        ]
        assert abs(float(values.mean()) - wanted) < 5 * float(values.std()) / 20


def test_error_is_zero_for_shifts_and_sees_shape_at_equal_values():
    x = smooth_field(64)
    assert float(minkowski_error(x.roll((9, 4), (0, 1)), x)) < 1e-12
    shuffled = x.flatten()[torch.randperm(64 * 64, generator=torch.Generator().manual_seed(0))].reshape(64, 64)
    assert float(minkowski_error(shuffled, x)) > 1
    batch = torch.stack([x, shuffled, 1.1 * x])
    torch.testing.assert_close(minkowski_error(batch, x)[1], minkowski_error(shuffled, x))
    assert float(minkowski_error(1.3 * x, x)) > 0.02


def test_error_in_closed_form():
    """Two-level fields: levels within one deviation see the same sets."""
    target, other = blank().double(), blank().double()
    target[:, :12] = 1
    other[:10] = 1
    # areas equal, boundaries 48 against 40, Euler characteristics zero: 0 / 0 is no error
    assert float(minkowski_error(other, target)) == pytest.approx((48 / 40 - 1) / 3)


def test_bad_input():
    with pytest.raises(ValueError, match="`step` must be positive and at most `reach`, got 2"):
        minkowski_error(blank(), blank(), step=2)
    with pytest.raises(TypeError, match=r"`x` must be a torch.Tensor, got list"):
        minkowski_functionals([[1.0]], HALF)
