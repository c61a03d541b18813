import math

import pytest
import torch

from phasewave.turbulence.gaussian import white_noise
from phasewave.turbulence.spectra import band_spectrum, log_bands, radial_frequency, spectrum_error


def wave(shape, frequency, amplitude=1.0, phase=0.3):
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in shape)
    a, b = (2 * math.pi * k / n for k, n in zip(frequency, shape, strict=True))
    return amplitude * torch.cos(a * rows[:, None] + b * columns + phase)


def brute_force(x, edges):
    """The same means over the whole spectrum, mode by mode."""
    height, width = x.shape
    power = torch.fft.fft2(x).abs().square() / (height * width)
    rows = 2 * math.pi * torch.fft.fftfreq(height, dtype=torch.float64)
    columns = 2 * math.pi * torch.fft.fftfreq(width, dtype=torch.float64)
    frequency = torch.hypot(rows[:, None], columns)
    means = []
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        inside = (frequency >= low - 1e-9) & (frequency < high - 1e-9) & (frequency > 0)
        if high == edges[-1]:
            inside |= (frequency >= low) & (frequency > high - 1e-9)
        means.append(power[inside].mean() if inside.any() else torch.tensor(math.nan))
    return torch.stack(means).double()


@pytest.mark.parametrize("shape", [(32, 32), (33, 20), (20, 33), (17, 64)])
@pytest.mark.parametrize("n_bands", [1, 6, 30])
def test_bands_are_means_over_the_whole_spectrum(shape, n_bands):
    x = white_noise(1, shape, seed=0)[0] + 2
    edges = log_bands(shape, n_bands=n_bands)
    torch.testing.assert_close(band_spectrum(x, edges), brute_force(x, edges), equal_nan=True)


def test_a_wave_is_in_the_band_of_its_frequency_with_its_power():
    shape, amplitude = (32, 32), 1.7
    edges = 2 * math.pi / 32 * torch.tensor([2.5, 4.5, 5.5, 8.5], dtype=torch.float64)
    values = band_spectrum(wave(shape, (3, -4), amplitude), edges)
    rows = torch.fft.fftfreq(32, dtype=torch.float64) * 32
    radius = torch.hypot(rows[:, None], rows)
    modes = int(((radius >= 4.5) & (radius < 5.5)).sum())
    wanted = torch.tensor([0.0, amplitude**2 * 32 * 32 / 2 / modes, 0.0], dtype=torch.float64)
    torch.testing.assert_close(values, wanted, rtol=1e-12, atol=1e-20)


def test_spectrum_does_not_depend_on_the_size_of_the_grid():
    small, large = white_noise(1, (64, 64), seed=0)[0], white_noise(1, (192, 128), seed=1)[0]
    edges = log_bands((64, 64), n_bands=4)
    for x in (small, large):
        # at least 20 independent modes a band: 5 sigma is 1.2 for the first, .05 for the last
        torch.testing.assert_close(band_spectrum(x, edges)[-1].item(), 1.0, rtol=0.1, atol=0)
    assert float(spectrum_error(large, small)) < 0.3


def test_error_is_zero_for_shifts_and_known_for_a_scaled_field():
    x = white_noise(1, (24, 40), seed=2)[0]
    assert float(spectrum_error(x.roll((5, -9), (0, 1)), x)) < 1e-12
    assert float(spectrum_error(-x + 7, x)) < 1e-12
    torch.testing.assert_close(float(spectrum_error(1.5 * x, x)), 1.25, rtol=1e-12, atol=0)


def test_leading_axes_equal_a_loop():
    x = white_noise(6, (16, 18), seed=0).reshape(2, 3, 16, 18)
    edges = log_bands((16, 18))
    together = band_spectrum(x, edges)
    assert together.shape == (2, 3, 12)
    torch.testing.assert_close(together[1, 2], band_spectrum(x[1, 2], edges), equal_nan=True)
    torch.testing.assert_close(spectrum_error(x, x[0, 0])[1, 0], spectrum_error(x[1, 0], x[0, 0]))


def test_single_precision_is_computed_in_double():
    x = white_noise(1, (32, 32), seed=0)[0].float()
    edges = log_bands((32, 32))
    result = band_spectrum(x, edges)
    assert result.dtype == torch.float64
    torch.testing.assert_close(result, band_spectrum(x.double(), edges), equal_nan=True)


def test_band_edges_and_frequencies():
    edges = log_bands((64, 32), n_bands=5)
    torch.testing.assert_close(edges[[0, -1]], torch.tensor([math.pi / 16, math.sqrt(2) * math.pi]).double())
    torch.testing.assert_close(edges[1:] / edges[:-1], (edges[1] / edges[0]).expand(5))
    frequency = radial_frequency((6, 5))
    assert frequency.shape == (6, 3)
    torch.testing.assert_close(float(frequency[3, 2]), math.hypot(math.pi, 0.8 * math.pi))


def test_bad_input():
    with pytest.raises(ValueError, match=r"`n_bands` must be an integer >= 1, got 0"):
        log_bands((32, 32), n_bands=0)
    with pytest.raises(TypeError, match=r"`x` must be of a real floating dtype, got torch.int64"):
        band_spectrum(torch.zeros(4, 4, dtype=torch.int64), log_bands((4, 4)))


def test_bands_that_hold_only_rounding_are_left_out_of_the_error():
    generator = torch.Generator().manual_seed(3)
    spectrum = torch.fft.fft2(torch.randn(64, 64, dtype=torch.float64, generator=generator))
    smooth = torch.fft.ifft2(torch.where(radial(64) < 1.0, spectrum, 0)).real
    noise = torch.randn(64, 64, dtype=torch.float64, generator=generator)
    target, sample = smooth + 1e-9 * noise, smooth + 1e-5 * noise
    assert float(spectrum_error(sample, target)) < 1e-3
    # Where the target has power, a missing band counts whole.
    assert float(spectrum_error(torch.fft.ifft2(torch.where(radial(64) < 0.5, spectrum, 0)).real, target)) > 0.1


def radial(n):
    axis = 2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64)
    return torch.hypot(axis[:, None], axis)
