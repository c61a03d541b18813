import math

import pytest
import torch
from scipy import stats

from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.spectra import band_spectrum, log_bands


def field(shape, seed=0, dtype=torch.float64):
    """A correlated, skewed, anisotropic field with a mean."""
    noise = white_noise(1, shape, seed=seed)[0]
    smooth = noise + noise.roll(1, 0) + 0.5 * noise.roll(2, 1)
    return (smooth.exp() + 2).to(dtype)


@pytest.mark.parametrize("shape", [(5, 4), (6, 5), (4, 4), (3, 7)])
def test_covariance_is_the_circulant_matrix_of_the_autocovariance(shape):
    x = field(shape)
    model = GaussianModel(x)
    pixels = shape[0] * shape[1]
    units = torch.eye(pixels, dtype=torch.float64).reshape(pixels, *shape)
    linear = (model.colour(units) - model.mean).reshape(pixels, pixels)
    covariance = linear.T @ linear
    centred = x - x.mean()
    dense = torch.stack(
        [
            torch.stack(
                [(centred * centred.roll((i, j), (0, 1))).mean() for i in range(shape[0]) for j in range(shape[1])]
            )
            .reshape(shape)
            .roll((a, b), (0, 1))
            .flatten()
            for a in range(shape[0])
            for b in range(shape[1])
        ]
    )
    torch.testing.assert_close(covariance, dense, rtol=0, atol=1e-13 * float(dense.abs().max()))


@pytest.mark.parametrize("shape", [(8, 8), (7, 10)])
def test_power_of_samples_is_the_target_periodogram(shape):
    x = field(shape)
    n = 4000
    samples = GaussianModel(x).sample(n, seed=3)
    power = torch.fft.fft2(samples - x.mean()).abs().square().mean(0)
    wanted = torch.fft.fft2(x - x.mean()).abs().square()
    # |Y|^2 is chi-squared: its relative deviation is at most sqrt 2 for one sample; 5 sigma over all modes
    assert float((power / wanted.clamp(min=1e-9) - 1).abs().flatten()[1:].max()) < 5 * math.sqrt(2 / n)
    assert float(power[0, 0]) < 1e-20 * float(wanted.max())


def test_pixels_are_gaussian_with_the_mean_and_variance_of_the_field():
    x = field((8, 8))
    pixels = GaussianModel(x).sample(3000, seed=1)[:, 2, 5]
    standard = (pixels - x.mean()) / x.std(correction=0)
    assert stats.kstest(standard.numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(((x - x.mean()) / x.std()).flatten().numpy(), "norm").pvalue < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [None, (16, 16), (64, 21), (33, 32)])
def test_samples_keep_the_mean_and_the_dtype(shape, dtype):
    x = field((32, 33), dtype=dtype)
    samples = GaussianModel(x).sample(3, seed=0, shape=shape)
    assert samples.shape == (3, *(shape or x.shape))
    assert samples.dtype == dtype
    means = samples.double().mean((-2, -1))
    torch.testing.assert_close(means, x.double().mean().expand(3), rtol=1e-6, atol=0)


def test_a_sample_depends_on_seed_and_index_alone():
    model = GaussianModel(field((16, 18)))
    five = model.sample(5, seed=7)
    assert torch.equal(model.sample(2, seed=7), five[:2])
    assert torch.equal(model.sample(5, seed=7), five)
    assert not torch.equal(model.sample(1, seed=8)[0], five[0])
    assert not torch.equal(five[0], five[1])
    assert model.sample(0, seed=7).shape == (0, 16, 18)


def test_a_generator_gives_the_seed_and_moves_on():
    model = GaussianModel(field((16, 16)))
    generator = torch.Generator().manual_seed(5)
    first, second = model.sample(2, seed=generator), model.sample(2, seed=generator)
    again = model.sample(2, seed=torch.Generator().manual_seed(5))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    GaussianModel(field((16, 16))).sample(2, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_density_on_a_larger_grid_interpolates_and_keeps_the_variance():
    model = GaussianModel(field((16, 20)))
    double = model.spectral_density((32, 40))
    shared = double[::2, ::2] / model.spectrum
    assert float(double[0, 0]) == 0
    ratios = shared.flatten()[1:]
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios))
    between = (double[2, 2:-2:2] + double[4, 2:-2:2]) / 2
    torch.testing.assert_close(double[3, 2:-2:2], between)
    for shape in [(32, 40), (7, 9), (64, 11), (17, 20)]:
        density = model.spectral_density(shape)
        torch.testing.assert_close(float(density.mean()), model.variance(), rtol=1e-12, atol=0)
        torch.testing.assert_close(density, density.flip((0, 1)).roll((1, 1), (0, 1)))
        assert float(density.min()) >= 0


def test_density_on_a_smaller_grid_averages():
    """A flat spectrum but for one mode: halving the grid spreads it with weights 1/2, 1, 1/2."""
    model = GaussianModel(field((16, 16)))
    model.spectrum = torch.ones(16, 16, dtype=torch.float64)
    model.spectrum[4, 6] += 4
    model.spectrum[-4, -6] += 4
    model.spectrum[0, 0] = 0
    half = model.spectral_density((8, 8))
    torch.testing.assert_close(float(half[2, 3] / half[1, 1]), 2.0)


def test_realisations_are_averaged():
    fields = torch.stack([field((12, 12), seed) for seed in range(3)])
    model = GaussianModel(fields)
    power = torch.fft.fft2(fields - fields.mean()).abs().square().mean(0) / 144
    power[0, 0] = 0
    torch.testing.assert_close(model.spectrum, power)
    torch.testing.assert_close(model.mean, fields.mean())


def test_constant_field_gives_constant_samples():
    samples = GaussianModel(torch.full((16, 16), 3.0)).sample(2, seed=0, shape=(20, 18))
    torch.testing.assert_close(samples, torch.full((2, 20, 18), 3.0))


def test_repr_tells_the_moments():
    assert repr(GaussianModel(torch.full((4, 4), 2.0))) == "GaussianModel(shape=(4, 4), mean=2, variance=0)"


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1.0]], TypeError, r"`field` must be a torch.Tensor, got list"),
        (torch.zeros(4, 4, dtype=torch.complex64), TypeError, r"real floating dtype, got torch.complex64"),
        (torch.zeros(4), ValueError, r"`field` must have axes \(\.\.\., H, W\), got \(4,\)"),
        (torch.zeros(1, 4), ValueError, r"`field.shape` must be 2 integers >= 2, got \(1, 4\)"),
        (torch.tensor([[1.0, math.nan], [0.0, 1.0]]), ValueError, r"finite, got 1 NaN or infinite values of 4"),
        (torch.zeros(0, 4, 4), ValueError, r"hold at least one realisation"),
    ],
)
def test_bad_fields(x, error, message):
    with pytest.raises(error, match=message):
        GaussianModel(x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_samples": -1, "seed": 0}, ValueError, r"`n_samples` must be an integer >= 0, got -1"),
        ({"n_samples": 1, "seed": -1}, ValueError, r"`seed` must be an integer >= 0, got -1"),
        ({"n_samples": 1, "seed": 0.5}, TypeError, r"`seed` must be an integer, got 0.5"),
        ({"n_samples": 1, "seed": 0, "shape": (8,)}, ValueError, r"`shape` must be 2 integers >= 2, got \(8,\)"),
    ],
)
def test_bad_requests(arguments, error, message):
    with pytest.raises(error, match=message):
        GaussianModel(torch.eye(4)).sample(**arguments)


def test_smoothing_averages_the_spectrum_over_neighbouring_frequencies():
    field = torch.randn(32, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 2.0
    model = GaussianModel(field)
    smooth = model.smoothed(width=3.0)
    assert smooth.mean == model.mean
    assert smooth.variance() == pytest.approx(model.variance(), rel=1e-12)
    # By hand at one frequency: a periodic Gaussian kernel, normalised; S(0) is emptied before and after.
    rows = torch.arange(32, dtype=torch.float64)[:, None] - 5
    columns = torch.arange(48, dtype=torch.float64) - 7
    kernel = sum(
        torch.exp(-((rows + 32 * a) ** 2 + (columns + 48 * b) ** 2) / (2 * 3.0**2))
        for a in (-1, 0, 1)
        for b in (-1, 0, 1)
    )
    expected = float((model.spectrum * kernel).sum() / kernel.sum())
    whole = float(smooth.spectrum.sum() / (smooth.spectrum[5, 7] / expected))
    removed = float((model.spectrum * kernel.roll((-5, -7), (0, 1))).sum() / kernel.sum())
    assert whole == pytest.approx(float(model.spectrum.sum()) - removed, rel=1e-9)
    with pytest.raises(ValueError, match="width"):
        model.smoothed(width=0.0)


def steep(n, seed=0):
    """A Gaussian field with a spectrum that falls as |omega|^-5 from its fourth frequency."""
    frequency = 2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64)
    omega = torch.hypot(frequency[:, None], frequency)
    amplitude = (omega**2 + (4 * frequency[1]) ** 2) ** -1.25
    amplitude[0, 0] = 0
    return torch.fft.ifft2(torch.fft.fft2(white_noise(1, (n, n), seed=seed)[0]) * amplitude).real + 3.0


def band_ratio(model, field):
    """Power of a model over that of a field, in log bands."""
    edges = log_bands(field.shape, n_bands=8)
    power = band_spectrum(torch.fft.ifft2(model.spectrum.sqrt() * field.numel() ** 0.5).real, edges)
    return power / band_spectrum(field, edges)


@pytest.mark.parametrize(("kind", "few", "many"), [("hole", 0.35, 0.15), ("scattered", 0.02, 0.05)])
def test_the_spectrum_under_a_mask_does_not_leak(kind, few, many):
    """Bands of few modes miss those that the hole hides."""
    x, mask = steep(64), torch.ones(64, 64, dtype=torch.bool)
    if kind == "hole":
        mask[10:26, 30:46] = False
    else:
        mask = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) > 0.25
    model = GaussianModel(torch.where(mask, x, torch.nan), mask=mask)
    error = band_ratio(model, x) - 1
    assert float(error[:2].abs().max()) < few
    assert float(error[2:].abs().max()) < many
    naive = band_ratio(GaussianModel(torch.where(mask, x, x[mask].mean())), x) - 1
    assert float(naive.abs().max()) > (0.2 if kind == "hole" else 40)
    torch.testing.assert_close(model.mean, x[mask].mean())
    assert torch.equal(GaussianModel(x, mask=mask).spectrum, model.spectrum)


def test_a_mask_without_gaps_changes_nothing():
    x = field((16, 18))
    masked = GaussianModel(x, mask=torch.ones(16, 18, dtype=torch.bool))
    torch.testing.assert_close(masked.spectrum, GaussianModel(x).spectrum)


def test_borders_that_do_not_fit_do_not_leak():
    large = steep(128)
    x = large[:64, :64]
    wanted = GaussianModel(large).spectral_density((64, 64))
    edges = slice(20, 44)
    model = GaussianModel(x, periodic=False)
    assert model.spectrum.shape == (64, 64)
    assert 0.5 < float(model.spectrum[edges, edges].mean() / wanted[edges, edges].mean()) < 2
    assert float(GaussianModel(x).spectrum[edges, 0].mean() / wanted[edges, 0].mean()) > 5
    assert 0.3 < float(model.spectrum[edges, 0].mean() / wanted[edges, 0].mean()) < 3


def test_a_wrong_mask_is_named():
    x = field((16, 16))
    with pytest.raises(TypeError, match="boolean"):
        GaussianModel(x, mask=torch.ones(16, 16))
    with pytest.raises(ValueError, match="False everywhere"):
        GaussianModel(x, mask=torch.zeros(16, 16, dtype=torch.bool))
    with pytest.raises(ValueError, match="shape of the fields"):
        GaussianModel(x, mask=torch.ones(16, 15, dtype=torch.bool))
    bad, mask = x.clone(), torch.ones(16, 16, dtype=torch.bool)
    bad[2, 3], mask[5, 5] = torch.nan, False
    with pytest.raises(ValueError, match="1 NaN"):
        GaussianModel(bad, mask=mask)
