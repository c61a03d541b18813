import math

import pytest
import torch

from phasewave.images.gaussianity import gaussianity


def white(number, d, *, seed):
    return torch.randn(number, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_white_noise_is_at_every_floor():
    found = gaussianity(white(4000, 32, seed=1))
    assert found.kurtosis == pytest.approx(3, abs=0.05)
    assert found.norm_spread == pytest.approx(math.sqrt(2 / 32), rel=0.05)
    assert found.norm_spread_gaussian == math.sqrt(2 / 32)
    assert found.sliced_distance == pytest.approx(found.sliced_distance_floor, rel=0.3)


def test_one_radius_for_all_coordinates_shows_in_the_norms():
    # w = r g with r^2 two-valued: E w^4 = 3 E r^4; |w|^2 / d spreads like r^2
    noise = white(8000, 64, seed=2)
    square = torch.where(torch.arange(8000) % 2 == 0, 0.5, 1.5)[:, None]
    found = gaussianity(noise * square.sqrt())
    assert found.kurtosis == pytest.approx(3 * 1.25, rel=0.02)
    assert found.norm_spread == pytest.approx(math.sqrt(0.25 + 1.25 * 2 / 64), rel=0.03)
    assert found.sliced_distance > 3 * found.sliced_distance_floor


def test_uniform_codes():
    codes = math.sqrt(12) * (torch.rand(8000, 4, generator=torch.Generator().manual_seed(3)) - 0.5)
    assert gaussianity(codes).kurtosis == pytest.approx(1.8, abs=0.02)


def test_sliced_distance_of_a_shift_and_a_scale():
    # projections of the shift: mean square |m|^2 / d; of w = s g: (s - 1)^2
    noise = white(4000, 8, seed=4)
    shift = torch.tensor([2.0, *[0.0] * 7])
    assert gaussianity(noise + shift, n_directions=1000).sliced_distance == pytest.approx(
        2 / math.sqrt(8), rel=0.05
    )
    assert gaussianity(1.5 * noise).sliced_distance == pytest.approx(0.5, rel=0.03)


def test_order_does_not_matter_and_the_seed_does():
    codes = white(500, 8, seed=5)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    first, again = gaussianity(codes), gaussianity(codes[order])
    assert again.sliced_distance == pytest.approx(first.sliced_distance, rel=1e-12)
    assert again.kurtosis == pytest.approx(first.kurtosis, rel=1e-12)
    assert gaussianity(codes, seed=1).sliced_distance != first.sliced_distance


def test_bad_input():
    with pytest.raises(TypeError, match="real floating tensor"):
        gaussianity(torch.zeros(4, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="shape"):
        gaussianity(torch.zeros(4))
    with pytest.raises(ValueError, match="1 constant coordinates"):
        gaussianity(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    with pytest.raises(ValueError, match="1 NaN"):
        gaussianity(torch.tensor([[0.0, 1.0], [torch.nan, 2.0]]))
