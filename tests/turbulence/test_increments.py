import math

import pytest
import torch

from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.increments import (
    dyadic_separations,
    flatness,
    flatness_error,
    gradient_kurtosis,
    laplacian_kurtosis,
    structure_functions,
)


def waves(n=32, k=3):
    """cos along the rows plus cos along the columns: each increment is one sinusoid."""
    line = torch.cos(2 * math.pi * k / n * torch.arange(n, dtype=torch.float64))
    return line[:, None] + line


def test_structure_functions_of_waves():
    n, k = 32, 3
    separations = (1, 2, 5)
    second = structure_functions(waves(n, k), separations)
    fourth = structure_functions(waves(n, k), separations, order=4)
    half = torch.sin(math.pi * k / n * torch.tensor(separations, dtype=torch.float64))
    torch.testing.assert_close(second, 2 * half.square())  # amplitude 2 sin(k r / 2), mean square 1/2
    torch.testing.assert_close(fourth, 6 * half.pow(4))  # mean fourth power 3/8


def test_flatness_of_waves_is_three_halves():
    torch.testing.assert_close(flatness(waves(), (1, 3, 4)), torch.full((3,), 1.5, dtype=torch.float64))


def test_flatness_of_a_gaussian_field_is_three():
    x = white_noise(1, (128, 128), seed=0)[0]
    smooth = GaussianModel(x + x.roll(1, 0) + x.roll(1, 1)).sample(4, seed=0)
    values = flatness(smooth, (1, 2, 4)).mean(0)
    # of n values the kurtosis deviates by sqrt(24 / n); neighbours share values: a quarter are independent
    assert float((values - 3).abs().max()) < 5 * math.sqrt(24 / (128 * 128))


def test_flatness_of_rare_spikes():
    x = torch.zeros(20, 30, dtype=torch.float64)
    x[4, 7] = 2.0
    # increments are +2 and -2 at one pixel each: E d^4 / (E d^2)^2 = N / 2
    torch.testing.assert_close(flatness(x, (1, 6)), torch.full((2,), 300.0, dtype=torch.float64))


def test_error_is_zero_for_shifts_and_affine_maps_and_known_otherwise():
    x = white_noise(1, (32, 32), seed=0)[0].exp()
    assert float(flatness_error(-2 * x.roll((3, 4), (0, 1)) + 1, x)) < 1e-12
    spike = torch.zeros(2, 32, 32, dtype=torch.float64)
    spike[0, 4, 4] = 1.0
    spike[1, 4, 4] = spike[1, 10, 13] = 1.0
    # two spikes have half the flatness of one, as no separation joins them
    torch.testing.assert_close(float(flatness_error(spike[1], spike[0])), 0.5)


def test_kurtosis_of_derivatives_in_closed_form():
    spike = torch.zeros(3, 16, 20, dtype=torch.float64)
    spike[:, 5, 5] = 1.0
    pixels = 16 * 20
    for axis in (-2, -1):
        torch.testing.assert_close(
            gradient_kurtosis(spike, axis=axis), torch.full((3,), pixels / 2, dtype=torch.float64)
        )
    # the Laplacian is -4 once and 1 four times
    wanted = pixels * (4**4 + 4) / (4**2 + 4) ** 2
    torch.testing.assert_close(laplacian_kurtosis(spike), torch.full((3,), wanted, dtype=torch.float64))


def test_the_gradient_is_along_the_axis_asked():
    n = 24
    steps = torch.zeros(n, n, dtype=torch.float64)
    steps[: n // 2] = 1.0
    steps = steps + torch.cos(2 * math.pi / n * torch.arange(n, dtype=torch.float64))
    # rows: +1 once and -1 once in n; columns: a cosine
    torch.testing.assert_close(float(gradient_kurtosis(steps, axis=-2)), n / 2)
    torch.testing.assert_close(float(gradient_kurtosis(steps, axis=-1)), 1.5)


def test_separations():
    assert dyadic_separations((256, 300)) == (1, 2, 4, 8, 16, 32, 64)
    assert dyadic_separations((255, 255)) == (1, 2, 4, 8, 16, 32)
    assert dyadic_separations((16, 40)) == (1, 2, 4)


def test_bad_input():
    with pytest.raises(ValueError, match=r"`separations` must be an integer >= 1, got 0"):
        flatness(torch.zeros(8, 8), (0,))
    with pytest.raises(ValueError, match=r"`order` must be > 0, got 0"):
        structure_functions(torch.zeros(8, 8), (1,), order=0)
    with pytest.raises(ValueError, match=r"`axis` must be -2 or -1, got 0"):
        gradient_kurtosis(torch.zeros(8, 8), axis=0)
