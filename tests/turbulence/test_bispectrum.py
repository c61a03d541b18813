import math

import pytest
import torch

from phasewave.turbulence.bispectrum import (
    bispectrum,
    bispectrum_scatter,
    bispectrum_z,
    octave_shells,
    triangles,
)
from phasewave.turbulence.gaussian import GaussianModel, white_noise


def correlated(n=32, seed=0):
    x = white_noise(1, (n, n), seed=seed)[0]
    return x + x.roll(1, 0) + x.roll(1, 1)


def test_three_waves_that_close_a_triangle():
    n, phase = 64, 0.7
    rows = 2 * math.pi / n * torch.arange(n, dtype=torch.float64)[:, None]
    columns = 2 * math.pi / n * torch.arange(n, dtype=torch.float64)
    a, b = 3 * rows, 5 * columns + 2 * rows
    x = torch.cos(a) + 2 * torch.cos(b + 0.4) + 3 * torch.cos(a + b + 0.4 + phase)
    edges = 2 * math.pi / n * torch.tensor([2.0, 4.0, 6.0, 8.0], dtype=torch.float64)  # |a| 3, |b| 5.4, 7.07
    values = dict(zip(triangles(edges), bispectrum(x, edges).tolist(), strict=True))
    assert values.pop((0, 1, 2)) == pytest.approx(6 * math.cos(phase) / 4, abs=1e-12)
    assert max(map(abs, values.values())) < 1e-12


def test_scatter_is_that_of_gaussian_fields():
    x = correlated()
    edges = octave_shells((32, 32))
    n = 2000
    samples = GaussianModel(x).sample(n, seed=0)
    values = bispectrum(samples, edges)
    scatter = bispectrum_scatter(x, edges)
    means, variances = values.mean(0) / scatter, values.square().mean(0) / scatter.square()
    assert float(means.abs().max()) < 5 / math.sqrt(n)
    # cubes of Gaussians have heavy tails: the bound comes from the fourth moment seen
    spread = (values / scatter).pow(4).mean(0).sqrt() / math.sqrt(n)
    assert bool(((variances - 1).abs() < 5 * spread).all())
    assert float(spread.max()) < 0.12


def test_the_scatter_of_one_realisation_is_its_periodograms():
    x = correlated()
    edges = octave_shells((32, 32))
    shuffled = GaussianModel(x).colour(white_noise(1, (32, 32), seed=9)[0])
    phases = torch.fft.fft2(shuffled) / torch.fft.fft2(shuffled).abs().clamp(min=1e-30)
    randomised = torch.fft.ifft2(torch.fft.fft2(x).abs() * phases).real
    torch.testing.assert_close(bispectrum_scatter(randomised, edges), bispectrum_scatter(x, edges))


def test_bispectrum_is_odd_and_invariant_to_shifts():
    x = correlated().exp()
    edges = octave_shells((32, 32))
    values = bispectrum(x, edges)
    torch.testing.assert_close(bispectrum(-x, edges), -values)
    torch.testing.assert_close(bispectrum(x.roll((5, 11), (0, 1)), edges), values)
    torch.testing.assert_close(bispectrum(x.T.contiguous(), edges), values)


def test_z_of_gaussian_pairs_and_of_a_skewed_field():
    model = GaussianModel(correlated(64))
    fields = model.sample(60, seed=0)
    z = torch.stack([bispectrum_z(fields[i], fields[i + 1]) for i in range(0, 60, 2)])
    # z^2 scatters with both spectra, so the mean is near but not exactly 2 / sqrt(pi)
    assert abs(float(z.mean()) - 2 / math.sqrt(math.pi)) < 0.15
    x = fields[0]
    assert float(bispectrum_z(x, x)) == 0
    skewed = x + 0.5 * x.square()
    assert float(bispectrum_z(x, skewed)) > 3


def test_leading_axes_equal_a_loop():
    x = white_noise(4, (16, 24), seed=0).reshape(2, 2, 16, 24)
    together = bispectrum_z(x, x[0, 0])
    assert together.shape == (2, 2)
    torch.testing.assert_close(together[1, 0], bispectrum_z(x[1, 0], x[0, 0]))


def test_shells():
    edges = octave_shells((256, 300))
    torch.testing.assert_close(edges, math.pi / torch.tensor([64, 32, 16, 8, 4, 2]).double())
    assert octave_shells((16, 16)).numel() == 2
    assert triangles(torch.tensor([1.0, 2.0, 4.0])) == [(0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1)]
    assert (0, 0, 2) not in triangles(torch.tensor([1.0, 2.0, 4.0, 8.0]))


def test_bad_input():
    with pytest.raises(ValueError, match=r"`shape` must be 2 integers >= 16, got \(8, 32\)"):
        octave_shells((8, 32))
    with pytest.raises(TypeError, match="`x` must be of a real floating dtype"):
        bispectrum(torch.zeros(16, 16, dtype=torch.complex64), octave_shells((16, 16)))
