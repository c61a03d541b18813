import math

import pytest
import torch

from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.similarity import max_cross_correlation, pair_cross_correlations, pixel_spread


def correlated(shape=(32, 40), seed=0):
    x = white_noise(1, shape, seed=seed)[0]
    return x + x.roll(1, 0) + x.roll(2, 1) + 3


def test_a_shifted_copy_has_correlation_one():
    x = correlated()
    for copy in (x, x.roll((7, -12), (0, 1)), 2 * x.roll(3, 0) + 5, -x.roll(4, 1)):
        assert float(max_cross_correlation(copy, x)) == pytest.approx(1, abs=1e-12)


def test_it_is_the_largest_over_all_shifts():
    x, target = correlated((9, 8)), correlated((9, 8), seed=1)
    a, b = x - x.mean(), target - target.mean()
    wanted = max(
        abs(float((a.roll((i, j), (0, 1)) * b).mean())) / math.sqrt(float(a.square().mean() * b.square().mean()))
        for i in range(9)
        for j in range(8)
    )
    assert float(max_cross_correlation(x, target)) == pytest.approx(wanted, abs=1e-12)


def test_half_a_copy():
    x = white_noise(2, (64, 64), seed=0)
    mixed = (x[0] + x[1]) / math.sqrt(2)
    # 1 / sqrt 2, to the accidental correlation 1 / 64 of the two
    assert float(max_cross_correlation(mixed, x[0])) == pytest.approx(1 / math.sqrt(2), abs=5 / 64)


def test_independent_white_noise_is_at_the_extreme_value_of_normals():
    x = white_noise(2, (64, 64), seed=1)
    pixels = 64 * 64
    assert float(max_cross_correlation(x[0], x[1])) == pytest.approx(
        math.sqrt(2 * math.log(pixels) / pixels), rel=0.3
    )


@pytest.mark.parametrize("shape", [(50, 60), (50, 40), (20, 30), (50, 30)])
def test_a_copied_piece_is_found_in_a_field_of_another_size(shape):
    target = correlated()
    x = correlated(shape, seed=5)
    height, width = min(32, shape[0]), min(40, shape[1])
    at = (shape[0] - height) // 2, (shape[1] - width) // 3
    unrelated = float(max_cross_correlation(x, target))
    x[at[0] : at[0] + height, at[1] : at[1] + width] = target[:height, :width]
    found = max_cross_correlation(torch.stack([x, x.roll((3, 9), (0, 1))]), target)
    torch.testing.assert_close(found, torch.ones(2, dtype=torch.float64))
    assert unrelated < 0.5


def test_a_constant_field_correlates_with_nothing():
    assert float(max_cross_correlation(torch.full((32, 40), 2.0), correlated())) == pytest.approx(0, abs=1e-6)


def test_pairs_are_in_the_order_of_combinations():
    x = white_noise(4, (16, 16), seed=0)
    x[3] = x[1].roll(5, 0)
    values = pair_cross_correlations(x)
    assert values.shape == (6,)
    assert float(values[4]) == pytest.approx(1)  # (0,1) (0,2) (0,3) (1,2) (1,3) (2,3)
    assert float(values[[0, 1, 2, 3, 5]].max()) < 0.5
    assert pair_cross_correlations(x[:1]).shape == (0,)


def test_spread():
    model = GaussianModel(correlated())
    assert float(pixel_spread(model.sample(40, seed=0))) == pytest.approx(1, abs=0.1)
    x = correlated()
    assert float(pixel_spread(torch.stack([x, x, x]))) == pytest.approx(0, abs=1e-12)
    assert math.isnan(float(pixel_spread(x[None])))
    opposite = torch.stack([x - x.mean(), x.mean() - x])
    assert float(pixel_spread(opposite)) == pytest.approx(2)


def test_bad_input():
    with pytest.raises(ValueError, match=r"`samples` must have axes \(n, H, W\), got \(8, 8\)"):
        pixel_spread(torch.zeros(8, 8))
    with pytest.raises(ValueError, match=r"`samples` must have axes \(n, H, W\), got \(8, 8\)"):
        pair_cross_correlations(torch.zeros(8, 8))
    with pytest.raises(TypeError, match="`target` must be of a real floating dtype"):
        max_cross_correlation(torch.zeros(8, 8), torch.zeros(8, 8, dtype=torch.int32))
