import math

import numpy as np
import pytest
import torch
from scipy import stats

from phasewave.turbulence.gaussian import white_noise
from phasewave.turbulence.onepoint import density, kurtosis, skewness, wasserstein


def skewed(shape=(20, 17), seed=0):
    return white_noise(1, shape, seed=seed)[0].exp()


def test_moments_equal_scipy():
    x = skewed()
    values = x.flatten().numpy()
    torch.testing.assert_close(float(skewness(x)), float(stats.skew(values)))
    torch.testing.assert_close(float(kurtosis(x)), float(stats.kurtosis(values, fisher=False)))


def test_moments_of_known_laws():
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert float(kurtosis(signs)) == 1.0
    assert float(skewness(signs)) == 0.0
    spike = torch.zeros(10, 10)
    spike[3, 4] = 5.0
    p = 0.01  # a Bernoulli variable
    torch.testing.assert_close(float(skewness(spike)), (1 - 2 * p) / math.sqrt(p * (1 - p)))
    torch.testing.assert_close(float(kurtosis(spike)), (1 - 3 * p * (1 - p)) / (p * (1 - p)))


def test_wasserstein_of_a_shift_and_of_a_scale():
    x = skewed()
    sigma = float(x.std(correction=0))
    torch.testing.assert_close(float(wasserstein(x + 0.3, x)), 0.3 / sigma)
    torch.testing.assert_close(float(wasserstein(x.roll((3, 5), (0, 1)), x)), 0.0)
    torch.testing.assert_close(float(wasserstein(3 * x, x)), 2 * float(x.abs().mean()) / sigma)


@pytest.mark.parametrize("shape", [(20, 17), (13, 11), (40, 34)])
def test_wasserstein_equals_scipy_for_any_size(shape):
    x, target = skewed(shape, seed=1), skewed()
    wanted = stats.wasserstein_distance(x.flatten().numpy(), target.flatten().numpy())
    batch = torch.stack([x, x + 1, -x]).reshape(3, 1, *shape)
    result = wasserstein(batch, target)
    assert result.shape == (3, 1)
    torch.testing.assert_close(float(result[0, 0]), wanted / float(target.std(correction=0)))
    torch.testing.assert_close(result[2, 0], wasserstein(-x, target))


def test_wasserstein_between_a_field_and_its_repetition_is_zero():
    x = skewed()
    torch.testing.assert_close(float(wasserstein(x.repeat(2, 3), x)), 0.0, atol=1e-12, rtol=0)


def test_density_is_the_histogram():
    x = torch.stack([skewed(), skewed(seed=1)])
    edges = torch.linspace(0.1, 4, 14, dtype=torch.float64)
    wanted, _ = np.histogram(x[1].numpy(), bins=edges.numpy())
    result = density(x, edges)
    torch.testing.assert_close(result[1] * edges.diff() * x[1].numel(), torch.from_numpy(wanted).double())
    wide = torch.linspace(-1, 1e4, 5, dtype=torch.float64)
    torch.testing.assert_close((density(x, wide) * wide.diff()).sum(-1), torch.ones(2).double())


def test_bad_input():
    with pytest.raises(ValueError, match=r"`target` must vary over space, got 'a constant field'"):
        wasserstein(skewed(), torch.ones(4, 4))
    with pytest.raises(TypeError, match=r"`x` must be a torch.Tensor, got ndarray"):
        skewness(np.zeros((4, 4)))
