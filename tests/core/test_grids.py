"""Grids against NumPy and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phasewave.core.grids import angular_frequencies, signed_frequencies, smooth_size, subsampled_size


@pytest.mark.parametrize("n", range(1, 20))
def test_signed_frequencies_are_those_of_the_fft(n):
    assert signed_frequencies(n).tolist() == np.rint(np.fft.fftfreq(n) * n).astype(int).tolist()


@pytest.mark.parametrize("shape", [(5,), (6, 7), (4, 5, 6), (4, 6, 9)])
@pytest.mark.parametrize("real", [False, True])
def test_angular_frequencies(shape, real):
    axes = angular_frequencies(shape, real=real)
    assert all(axis.dtype == torch.float64 for axis in axes)
    last = np.fft.rfftfreq if real else np.fft.fftfreq
    functions = [np.fft.fftfreq] * (len(shape) - 1) + [last]
    for a, (axis, n, function) in enumerate(zip(axes, shape, functions, strict=True)):
        expected = 2 * math.pi * np.abs(function(n)) * np.sign(np.fft.fftfreq(n))[: len(function(n))]
        expected = 2 * math.pi * function(n)
        assert axis.shape == tuple(len(expected) if b == a else 1 for b in range(len(shape)))
        np.testing.assert_allclose(axis.flatten().numpy(), expected, rtol=1e-15, atol=0)
    wave = torch.fft.rfftn if real else torch.fft.fftn
    assert torch.broadcast_shapes(*(axis.shape for axis in axes)) == wave(torch.zeros(shape)).shape


def test_angular_frequency_differentiates_a_wave():
    n = 24
    u = torch.arange(n, dtype=torch.float64)
    (omega,) = angular_frequencies((n,))
    x = torch.sin(2 * math.pi * 3 / n * u)
    derivative = torch.fft.ifft(1j * omega * torch.fft.fft(x)).real
    torch.testing.assert_close(derivative, 2 * math.pi * 3 / n * torch.cos(2 * math.pi * 3 / n * u))


@given(n=st.integers(1, 5000), resolution=st.integers(0, 9))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_subsampled_size_is_the_ceiling(n, resolution):
    m = subsampled_size(n, resolution)
    assert (m - 1) * 2**resolution < n <= m * 2**resolution


def test_smooth_size_is_the_smallest():
    smooth = {2**a * 3**b * 5**c for a in range(10) for b in range(7) for c in range(5)}
    for multiple in (1, 2, 4, 7):
        candidates = sorted(multiple * s for s in smooth)
        for minimum in range(1, 400):
            expected = next(c for c in candidates if c >= minimum)
            assert smooth_size(minimum, multiple=multiple) == expected
