"""Morlet wavelets against wavelets sampled and periodised in space."""

from __future__ import annotations

import math

import numpy as np
import pytest

from phasewave.core.bank import filter_bank
from phasewave.core.morlet import Morlet


def spatial(shape, sigma, xi, slant, angle) -> np.ndarray:
    """FFT of the sampled wavelet, summed over all of its periodic copies that are not negligible."""
    copies = [math.ceil(9 * sigma / min(slant, 1) / n) for n in shape]
    axes = [np.arange(-c * n, (c + 1) * n, dtype=np.float64) for c, n in zip(copies, shape, strict=True)]
    u0, u1 = np.meshgrid(*axes, indexing="ij")
    along, across = (
        math.cos(angle) * u0 + math.sin(angle) * u1,
        -math.sin(angle) * u0 + math.cos(angle) * u1,
    )
    envelope = np.exp(-(along**2 + slant**2 * across**2) / (2 * sigma**2))
    envelope *= slant / (2 * math.pi * sigma**2)
    wave = envelope * np.exp(1j * xi * along)
    wavelet = wave - wave.sum() / envelope.sum() * envelope
    folded = wavelet.reshape(2 * copies[0] + 1, shape[0], 2 * copies[1] + 1, shape[1]).sum(axis=(0, 2))
    return np.fft.fft2(folded)


CASES = {
    "default": (Morlet(8), (32, 32), 3),
    "rectangle_of_odd_sizes": (Morlet(8), (35, 48), 3),
    "six_angles": (Morlet(6), (33, 32), 3),
    "one_angle": (Morlet(1), (24, 32), 2),
    "round_and_wide": (Morlet(4, sigma=1.3, xi=2.0, slant=1.0), (40, 30), 2),
    "long": (Morlet(4, sigma=6.0, xi=2.0, slant=0.9), (64, 48), 1),
    "across": (Morlet(3, slant=1.5), (32, 40), 2),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_the_spatial_wavelet(case):
    family, shape, n_scales = CASES[case]
    slant = 4 / family.n_angles if family.slant is None else family.slant
    for scale in range(n_scales):
        filters = family.wavelets(shape, scale, tolerance=1e-16)
        assert len(filters) == family.n_angles
        for angle, support in zip(family.angles, filters, strict=True):
            expected = spatial(shape, family.sigma * 2**scale, family.xi / 2**scale, slant, angle)
            assert np.abs(expected.imag).max() <= 1e-12
            assert np.abs(support.on_grid(shape).numpy() - expected.real).max() <= 1e-12


@pytest.mark.parametrize("n_scales", [1, 2, 4])
@pytest.mark.parametrize("shape", [(32, 40), (33, 27)])
def test_low_pass_equals_the_spatial_gaussian(shape, n_scales):
    bank = filter_bank(shape, Morlet(2), n_scales=n_scales, tolerance=1e-16)
    sigma = 0.8 * 2 ** (n_scales - 1)
    for n, profile in zip(shape, bank.low_pass, strict=True):
        u = np.arange(-8 * n, 9 * n)
        gaussian = np.exp(-(u**2) / (2 * sigma**2)) / math.sqrt(2 * math.pi * sigma**2)
        expected = np.fft.fft(gaussian.reshape(17, n).sum(axis=0)).real
        assert np.abs(profile.numpy() - expected).max() <= 1e-12


@pytest.mark.parametrize("scale", [0, 1, 3])
@pytest.mark.parametrize("shape", [(32, 48), (33, 47)])
def test_zero_mean(shape, scale):
    for support in Morlet(8).wavelets(shape, scale, tolerance=1e-16):
        assert abs(float(support.on_grid(shape)[0, 0])) <= 1e-15


@pytest.mark.parametrize("tolerance", [1e-3, 4e-6, 1e-12])
@pytest.mark.parametrize("scale", [0, 2])
def test_what_the_box_leaves_out_is_under_the_tolerance(scale, tolerance):
    family, shape = Morlet(8), (64, 48)
    whole = family.wavelets(shape, scale, tolerance=1e-18)
    for box, exact in zip(family.wavelets(shape, scale, tolerance=tolerance), whole, strict=True):
        assert box.values.numel() < exact.values.numel()
        difference = box.on_grid((512, 512)) - exact.on_grid((512, 512))
        assert float(difference.abs().max()) <= 2 * tolerance


def test_precision_of_the_boxes_of_a_large_grid():
    """The product form of the filters loses nothing: against the Gaussians themselves."""
    family, shape = Morlet(8), (512, 384)
    for scale in (0, 5):
        support = family.wavelets(shape, scale, tolerance=1e-16)[2]
        sigma, xi, angle = 0.8 * 2**scale, family.xi / 2**scale, family.angles[2]
        w0, w1 = (
            2 * math.pi / n * np.arange(start, start + extent, dtype=np.float64)
            for n, start, extent in zip(shape, support.start, support.extent, strict=True)
        )
        w0, w1 = w0[:, None] - xi * math.cos(angle), w1[None, :] - xi * math.sin(angle)
        along = math.cos(angle) * w0 + math.sin(angle) * w1
        across = -math.sin(angle) * w0 + math.cos(angle) * w1
        gabor = np.exp(-0.5 * sigma**2 * (along**2 + 4 * across**2))
        mean = np.exp(-0.5 * sigma**2 * ((along + xi) ** 2 + 4 * across**2))
        difference = gabor - support.values.numpy()
        correction = (difference * mean).sum() / (mean * mean).sum()
        assert np.abs(difference - correction * mean).max() <= 1e-13


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_angles": 0}, "`n_angles` must be an integer >= 1, got 0"),
        ({"sigma": 0.0}, "`sigma` must be positive, got 0.0"),
        ({"xi": -1.0}, "`xi` must be positive, got -1.0"),
        ({"slant": 0.0}, "`slant` must be positive, got 0.0"),
        ({"sigma": float("nan")}, "`sigma` must be positive, got nan"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(ValueError, match=message):
        Morlet(**arguments)


def test_bad_type_of_angles():
    with pytest.raises(TypeError, match=r"`n_angles` must be an integer, got 8\.0"):
        Morlet(8.0)
