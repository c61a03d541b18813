"""Pooling matrices against the low-pass in Fourier, read at the output points."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phasewave.core.bank import filter_bank
from phasewave.core.morlet import Morlet
from phasewave.core.pool import pooling_matrix


def profile(n: int, n_scales: int = 2) -> torch.Tensor:
    return filter_bank((n, n), Morlet(1), n_scales=n_scales, tolerance=1e-16).low_pass[0]


def low_passed(u: torch.Tensor, gains: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """The trigonometric interpolant of ``u * phi`` at ``points``, in samples of ``u``; one frequency at a time."""
    m, n = u.shape[0], gains.shape[0]
    spectrum = torch.fft.fft(u)
    total = torch.zeros(points.shape, dtype=torch.float64)
    for k in range(-(m // 2), (m + 1) // 2):
        wave = torch.exp(2j * math.pi * k / m * points)
        total += (gains[k % n] * spectrum[k % m] * wave).real / m
    return total


@settings(max_examples=50, deadline=None, derandomize=True)
@given(n_in=st.integers(2, 40), more=st.integers(0, 25), n_out=st.integers(1, 40))
def test_any_sizes(n_in, more, n_out):
    """Finest grid n >= n_in >= or <= n_out; ratios integer or not; odd and even."""
    gains = profile(max(16, n_in + more))
    u = torch.randn(n_in, dtype=torch.float64, generator=torch.Generator().manual_seed(n_in))
    points = torch.arange(n_out, dtype=torch.float64) * n_in / n_out
    expected = low_passed(u, gains, points)
    torch.testing.assert_close(pooling_matrix(gains, n_in, n_out) @ u, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("n", "step"), [(32, 4), (32, 1), (45, 3), (36, 2)])
def test_integer_ratio_is_convolution_and_subsampling(n, step):
    gains = profile(n)
    u = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    smooth = torch.fft.ifft(torch.fft.fft(u) * gains).real
    result = pooling_matrix(gains, n, n // step) @ u
    torch.testing.assert_close(result, smooth[::step], rtol=0, atol=1e-14)


def test_two_matrices_are_the_separable_low_pass_of_the_plane():
    bank = filter_bank((32, 40), Morlet(1), n_scales=3, tolerance=1e-16)
    u = torch.randn(32, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows, columns = (pooling_matrix(p, n, n // 8) for p, n in zip(bank.low_pass, (32, 40), strict=True))
    smooth = torch.fft.ifft2(torch.fft.fft2(u) * torch.outer(*bank.low_pass)).real
    torch.testing.assert_close(rows @ u @ columns.t(), smooth[::8, ::8], rtol=0, atol=1e-14)


@pytest.mark.parametrize("n_in", [9, 16, 32])
def test_rows_sum_to_the_gain_of_the_mean(n_in):
    gains = profile(32)
    sums = pooling_matrix(gains, n_in, 5).sum(dim=1)
    torch.testing.assert_close(sums, gains[0].expand(5), rtol=1e-14, atol=0)
