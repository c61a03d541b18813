"""Denoising: what is minimised, where it stops, and that what comes out has the statistics behind the noise."""

import pytest
import torch

from phasewave.solve.result import Status
from phasewave.turbulence.denoising import Denoiser
from phasewave.turbulence.gaussian import white_noise
from phasewave.turbulence.onepoint import kurtosis, skewness
from phasewave.turbulence.spectra import band_spectrum, log_bands
from phasewave.turbulence.wiener import as_noise

SIGMA, TOLERANCE = 0.5, 0.05


def moments(x):
    """Means of products of the low-passed field at small shifts: spectrum, and third and fourth orders."""
    values = []
    for width in (1, 2, 4):
        low = sum(x.roll((i, j), (-2, -1)) for i in range(width) for j in range(width)) / width**2
        for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
            other = low.roll((-down, -across), (-2, -1))
            for product in (low * other, low.square() * other, (low * other).square()):
                values.append(product.mean((-2, -1)))
    return torch.stack(values, dim=-1)


def bright_points(n=48, seed=0):
    k = torch.hypot(torch.fft.fftfreq(n)[:, None], torch.fft.fftfreq(n)).double()
    smooth = torch.fft.ifft2(torch.fft.fft2(white_noise(1, (n, n), seed=seed)[0]) * torch.exp(-60 * k**2)).real
    field = torch.exp(1.0 * smooth / smooth.std())
    return (field - field.mean()) / field.std(correction=0)


def posterior(tolerance=TOLERANCE, **limits):
    return Denoiser(moments, 2.0 * SIGMA, start="posterior", tolerance=tolerance, **limits)


@pytest.fixture(scope="module")
def case():
    truth = bright_points()
    observed = 3.0 + 2.0 * (truth + SIGMA * white_noise(1, truth.shape, seed=7)[0])
    return (
        3.0 + 2.0 * truth,
        observed,
        posterior().sample(observed, n_samples=2, seed=1),
    )


def test_the_moments_seen_through_the_noise_are_the_observed_ones(case):
    _, observed, result = case
    assert result.converged
    assert (result.losses <= TOLERANCE).all()
    assert (result.history[0] > 1.0).all(), "the Gaussian posterior would do"
    mean, scale = observed.mean(), observed.std(correction=0)
    x = (result.samples - mean) / scale
    draws = as_noise(2.0 * SIGMA / float(scale), observed.shape).draws(400, seed=99)  # none of those it used
    seen = torch.stack([moments(field + draws).mean(0) for field in x])
    rows = moments(x[:1] + draws)
    wanted = moments(((observed - mean) / scale)[None])
    chi_square = ((seen - wanted).square() / rows.var(0)).mean(-1)
    assert (chi_square < 1.0).all()
    assert result.n_moments == wanted.numel()


def test_the_statistics_are_those_behind_the_noise(case):
    truth, observed, result = case
    start = posterior(1e9).sample(observed, n_samples=2, seed=1)
    assert start.n_evaluations == (1, 1), "the Gaussian posterior, as it is"
    for statistic in (skewness, kurtosis):
        found, gaussian, linear, wanted = (
            float(statistic(x).mean()) for x in (result.samples, start.samples, result.wiener, truth)
        )
        assert abs(found - wanted) < 0.5 * abs(gaussian - wanted)
        assert abs(found - wanted) < 0.7 * abs(linear - wanted)
    edges = log_bands(truth.shape, n_bands=8)
    power = band_spectrum(truth, edges)
    strong = power > (2.0 * SIGMA) ** 2
    ratio = band_spectrum(result.samples, edges).mean(0) / power
    assert strong.sum() >= 3
    assert (ratio[strong].log().abs() < 0.5).all(), ratio


def test_the_wiener_estimate_has_the_least_error_and_the_sample_less_than_the_observed(case):
    truth, observed, result = case
    wiener, sample, noisy = ((x - truth).square().mean().sqrt() for x in (result.wiener, result.samples, observed))
    assert wiener < sample < noisy


def test_a_sample_depends_on_its_seed_and_number_alone(case):
    _, observed, _ = case
    denoiser = posterior(max_evaluations=3)
    one, two = (denoiser.sample(observed, n_samples=n, seed=1).samples for n in (1, 2))
    assert torch.equal(one[0], two[0])
    assert not torch.equal(two[0], two[1])


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(case):
    _, observed, _ = case
    states = []

    def stop(progress):
        states.append(progress.state)
        return len(states) == 2

    denoiser = posterior(max_evaluations=4)
    unbroken = denoiser.sample(observed, seed=1)
    assert Status.INTERRUPTED in denoiser.sample(observed, seed=1, callback=stop).status
    whole = denoiser.sample(observed, seed=1, state=states[-1])
    assert torch.equal(whole.samples, unbroken.samples)
    assert whole.n_evaluations == (4,)


def test_the_gradient_is_that_of_the_loss(case):
    """The moments that are computed again draw by draw give the gradient of the whole."""
    _, observed, _ = case
    y = ((observed - observed.mean()) / observed.std(correction=0))[:16, :16].contiguous()
    matching, unit = Denoiser(moments, 0.3)._matching(y, 0.9 * y, as_noise(0.3, y.shape), 0)
    x = (0.8 * y)[None]
    losses, gradient = matching.value_and_gradient(x)
    direction = white_noise(1, (16, 16), seed=3)
    step = 1e-5
    with torch.no_grad():
        slope = (matching(x + step * direction) - matching(x - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope[0], rtol=1e-6, atol=0.0)
    assert losses[0] > 0
    # the truth of "chi^2 = 1": weights are one over the variance of a moment, K of them
    assert unit * matching.scale == pytest.approx(len(matching.target))


def test_from_the_linear_estimate_statistics_improve_at_little_cost_in_error(case):
    truth, observed, result = case
    found = Denoiser(moments, 2.0 * SIGMA, tolerance=TOLERANCE).sample(observed)
    assert found.converged
    wanted = float(skewness(truth))
    assert abs(float(skewness(found.samples)) - wanted) < 0.7 * abs(float(skewness(found.wiener)) - wanted)
    error, linear, posterior_error = (
        float((x - truth).square().mean().sqrt()) for x in (found.samples, found.wiener, result.samples)
    )
    assert error < (linear + posterior_error) / 2


def test_from_the_observed_field(case):
    _, observed, _ = case
    result = Denoiser(moments, 2.0 * SIGMA, start="observed", tolerance=0.0, max_evaluations=4).sample(observed)
    assert result.losses[0] < result.history[0, 0]
    assert result.samples.shape == (1, *observed.shape)


def test_maps_of_the_noise(case):
    truth, observed, _ = case
    maps = 2.0 * SIGMA * white_noise(16, observed.shape, seed=30)
    result = Denoiser(moments, maps, n_draws=8, tolerance=TOLERANCE).sample(observed)
    assert result.converged
    wanted = float(skewness(truth))
    assert abs(float(skewness(result.samples)) - wanted) < abs(float(skewness(result.wiener)) - wanted)


def test_float32(case):
    _, observed, result = case
    single = Denoiser(moments, 2.0 * SIGMA, max_evaluations=2).sample(observed.float(), seed=1)
    assert single.samples.dtype == single.wiener.dtype == torch.float32
    torch.testing.assert_close(single.wiener.double(), result.wiener, rtol=0, atol=1e-4)


def test_bad_input(case):
    _, observed, _ = case
    with pytest.raises(ValueError, match="`noise` must have less variance than the field"):
        Denoiser(moments, 100.0).sample(observed)
    with pytest.raises(ValueError, match="`noise` must be a standard deviation > 0"):
        Denoiser(moments, 0.0).sample(observed)
    with pytest.raises(ValueError, match=r"`noise` must have last axes \(48, 48\)"):
        Denoiser(moments, torch.ones(32, 32)).sample(observed)
    with pytest.raises(ValueError, match="`field` must be finite, got 48 NaN"):
        Denoiser(moments, 0.1).sample(torch.where(torch.arange(48) == 0, torch.nan, observed))
    with pytest.raises(ValueError, match=r"`field` must have axes \(H, W\)"):
        Denoiser(moments, 0.1).sample(observed[None])
    with pytest.raises(ValueError, match="`n_draws` must be even, got 5"):
        Denoiser(moments, 0.1, n_draws=5)
    with pytest.raises(ValueError, match="`start` must be one of"):
        Denoiser(moments, 0.1, start="zero")
    with pytest.raises(ValueError, match="`tolerance` must be a number >= 0"):
        Denoiser(moments, 0.1, tolerance=-1.0)
    states = []
    Denoiser(moments, 1.0, max_evaluations=1).sample(observed, callback=lambda told: states.append(told.state))
    with pytest.raises(ValueError, match="`state` must hold 2 fields"):
        posterior().sample(observed, n_samples=2, state=states[0])
    with pytest.raises(ValueError, match='`n_samples` must be 1 for the start "wiener"'):
        Denoiser(moments, 1.0).sample(observed, n_samples=2)
