"""Noise, the Wiener filter and the spectrum behind noise, against closed forms."""

import pytest
import torch

from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.spectra import band_spectrum, log_bands
from phasewave.turbulence.wiener import Noise, WienerFilter, as_noise, filtered, signal_model

SHAPE = (32, 32)


def red_spectrum(shape=SHAPE, slope=3.0):
    k = torch.hypot(*torch.meshgrid(*(torch.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij")).double()
    power = (1 + k) ** -slope
    power[0, 0] = 0.0
    return power


def model_of(spectrum):
    model = GaussianModel(torch.randn(spectrum.shape, generator=torch.Generator().manual_seed(0)).double())
    model.mean, model.spectrum = torch.tensor(0.0, dtype=torch.float64), spectrum
    return model


def test_noise_given_as_a_number_a_spectrum_or_maps():
    white = as_noise(0.5, SHAPE)
    assert white.variance == pytest.approx(0.25)
    assert torch.equal(as_noise(white.spectrum.float(), SHAPE).spectrum, white.spectrum)
    maps = white.colour(white_noise(40, SHAPE, seed=0))
    given = as_noise(maps, SHAPE)
    assert given.variance == pytest.approx(float(maps.var(correction=0)), rel=1e-2)
    assert (given.spectrum / 0.25 - 1).abs().mean() < 0.1
    assert torch.equal(given.draws(6, seed=0), maps[:6])


def test_draws_of_a_spectrum_have_it_and_come_in_pairs():
    noise = as_noise(red_spectrum() + 0.1, SHAPE)
    draws = noise.draws(400, seed=3)
    assert torch.equal(draws[0::2], -draws[1::2])
    power = torch.fft.fft2(draws[0::2]).abs().square().mean(0) / 32**2
    assert (power / noise.spectrum - 1).abs().mean() < 0.08  # 200 draws: 1 / sqrt(200) of scatter
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(noise.draws(4, seed=3), draws[:4])


def test_the_wiener_filter_and_its_error():
    """Of Gaussian fields: the mean has the posterior's error, samples twice its square, and the right spectrum."""
    signal, noise = red_spectrum() * 50, as_noise(0.3, SHAPE)
    x = filtered(white_noise(300, SHAPE, seed=1), signal.sqrt())
    y = x + noise.colour(white_noise(300, SHAPE, seed=2))
    wiener = WienerFilter(model_of(signal), noise)
    response = signal / (signal + 0.09)
    response[0, 0] = 1.0  # the mean of y is kept
    torch.testing.assert_close(wiener.mean(y), filtered(y, response), rtol=0, atol=1e-12)
    posterior = float((signal * 0.09 / (signal + 0.09)).mean())
    error = float((wiener.mean(y) - x).square().mean())
    assert error == pytest.approx(posterior, rel=0.02)
    samples = torch.cat([wiener.sample(field, 1, seed=i) for i, field in enumerate(y)])
    assert float((samples - x).square().mean()) == pytest.approx(2 * posterior, rel=0.02)
    edges = log_bands(SHAPE, n_bands=6)
    ratio = band_spectrum(samples, edges).mean(0) / band_spectrum(x, edges).mean(0)
    assert (ratio - 1).abs().max() < 0.08


def test_a_sample_depends_on_its_seed_and_number_alone():
    wiener = WienerFilter(model_of(red_spectrum()), as_noise(0.1, SHAPE))
    y = white_noise(1, SHAPE, seed=0)[0]
    assert torch.equal(wiener.sample(y, 3, seed=4)[:1], wiener.sample(y, 1, seed=4))


@pytest.mark.parametrize("kind", ["power law", "dissipation"])
def test_the_spectrum_behind_noise(kind):
    """Where the signal is above the noise it is found, and below it goes on as it must."""
    shape = (128, 128)
    k = torch.hypot(*torch.meshgrid(*(torch.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij")).double()
    signal = red_spectrum(shape, 4.0)
    if kind == "dissipation":
        signal = (1 + (k / 8) ** 2) ** -1.5 * torch.exp(-k / 8)
        signal[0, 0] = 0.0
    x = filtered(white_noise(1, shape, seed=5)[0], signal.sqrt())
    noise = as_noise(float(signal.mean()) ** 0.5 * 0.3, shape)
    y = x + noise.colour(white_noise(1, shape, seed=6)[0])
    found = signal_model(y, noise).spectrum
    clear = (signal > 3 * noise.spectrum) & (k > 3)
    hidden = (signal < 0.2 * noise.spectrum) & (signal > 0.01 * noise.spectrum) & (k > 3) & (k < 64)
    assert clear.sum() > 200
    assert hidden.sum() > 1000
    assert float(found[clear].sum() / signal[clear].sum()) == pytest.approx(1.0, abs=0.2)
    ratio = (found[hidden] / signal[hidden]).log()
    assert ratio.abs().mean() < 0.5, "the octave before, continued as a power law, is off by more in a dissipation"
    naive = (GaussianModel(y).smoothed().spectrum - noise.spectrum)[hidden]
    assert (naive < 0).float().mean() > 0.1, "subtraction alone gives no spectrum"


@pytest.mark.parametrize(
    ("noise", "error", "message"),
    [
        (0.0, ValueError, "`noise` must be a standard deviation > 0, got 0.0"),
        (-1, ValueError, "`noise` must be a standard deviation > 0, got -1"),
        (float("nan"), ValueError, "`noise` must be a standard deviation > 0, got nan"),
        ("white", TypeError, "`noise` must be a number, a spectrum or maps of noise, got str"),
        (True, TypeError, "`noise` must be a number"),
        (torch.ones(32, 31), ValueError, r"`noise` must have last axes \(32, 32\)"),
        (-torch.ones(32, 32), ValueError, "`noise` must be a power spectrum >= 0"),
        (torch.zeros(32, 32), ValueError, "not zero everywhere"),
        (torch.ones(3, 32, 32), ValueError, "four or more maps"),
        (torch.ones(4, 32, 32), ValueError, "`noise` must vary over space"),
        (torch.full((4, 32, 32), torch.nan), ValueError, "`noise` must be finite"),
        (torch.ones(32, 32, dtype=torch.complex64), TypeError, "real floating"),
    ],
)
def test_bad_noise(noise, error, message):
    with pytest.raises(error, match=message):
        as_noise(noise, SHAPE)


def test_noise_that_leaves_nothing():
    y = filtered(white_noise(1, SHAPE, seed=0)[0], red_spectrum().sqrt())
    with pytest.raises(ValueError, match="`noise` must have less variance than the field"):
        signal_model(y, as_noise(2 * float(y.std()), SHAPE))
    white = white_noise(1, SHAPE, seed=0)[0]
    with pytest.raises(ValueError, match="hides them all"):
        signal_model(white, as_noise(0.97 * float(white.std(correction=0)), SHAPE))
    with pytest.raises(ValueError, match="`n_draws` must be even, got 5"):
        Noise(red_spectrum(), None).draws(5, seed=0)
    with pytest.raises(ValueError, match="`n_draws` must be an integer >= 4, got 2"):
        Noise(red_spectrum(), None).draws(2, seed=0)
