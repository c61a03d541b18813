import math

import pytest
import torch

from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.solve.result import Status
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.sampler import MaxEntropySampler


def power_spectrum(x):
    return torch.fft.rfft2(x).abs().square().flatten(-2) / math.prod(x.shape[-2:])


class Shells(torch.nn.Module):
    """The spectrum in shells, and moments of the field and of its increments that no Gaussian field has."""

    def __init__(self, shape):
        super().__init__()
        radius = torch.hypot(torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1]))
        shell = (radius.flatten() * min(shape)).round().long()
        one_hot = torch.nn.functional.one_hot(shell).double()
        self.register_buffer("shells", one_hot / one_hot.sum(0))

    def forward(self, x):
        spectrum = power_spectrum(x) @ self.shells.to(x)[:, 1:]
        increments = torch.stack([x - x.roll(s, d) for s in (1, 2, 4) for d in (-1, -2)], dim=-3)
        flatness = increments.square().square().mean((-2, -1)) / increments.square().mean((-2, -1)).square()
        one_point = torch.stack([(x**k).mean((-2, -1)) for k in (1, 2, 3, 4)], dim=-1)
        return torch.cat([spectrum.log(), flatness, one_point], dim=-1)


def smooth(shape, seed):
    """Gaussian noise with a spectrum that falls with the frequency."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    radius = torch.hypot(torch.fft.fftfreq(shape[0])[:, None], torch.fft.fftfreq(shape[1])).double()
    return torch.fft.ifft2(torch.fft.fft2(noise) / (radius + 0.05) ** 1.5).real


def lognormal(shape=(32, 32), dtype=torch.float64):
    """A field far from Gaussian, in units that are not those of the sampler."""
    field = smooth(shape, 5)
    return (100.0 + 7.0 * torch.exp(0.7 * field / field.std())).to(dtype)


def test_all_autocovariances_give_the_spectrum_of_the_target():
    field = smooth((32, 32), 1) + 3.0
    result = MaxEntropySampler(power_spectrum, tolerance=1e-9).sample(field, n_samples=2, seed=0)
    assert result.converged
    wanted, found = power_spectrum(field), power_spectrum(result.samples)
    assert (found - wanted).norm(dim=-1).max() <= 3.2e-5 * wanted.norm()
    # the phases are as random as they were
    correlation = torch.corrcoef(torch.stack([field.flatten(), *result.samples.flatten(1)]))
    assert correlation.triu(1).abs().max() < 0.3


def test_nonlinear_moments_are_reached_in_the_units_of_the_field():
    field = lognormal()
    statistics = Shells(field.shape)
    result = MaxEntropySampler(statistics, tolerance=1e-10).sample(field, n_samples=3, seed=0)
    assert result.converged
    assert (result.losses <= 1e-10).all()
    assert result.samples.shape == (3, 32, 32)

    def units(x):
        return (x - field.mean()) / field.std(correction=0)

    wanted, found = statistics(units(field)[None]), statistics(units(result.samples))
    assert ((found - wanted).norm(dim=-1) <= 1.01e-5 * wanted.norm()).all()
    # skewness by hand, from the fields as returned: the Gaussian model has none
    skewness = units(result.samples).pow(3).mean((-2, -1))
    torch.testing.assert_close(skewness, units(field).pow(3).mean().expand(3), rtol=1e-3, atol=0.0)
    assert abs(float(skewness[0])) > 1.0


def test_the_start_is_the_gaussian_model():
    field = lognormal()
    start = MaxEntropySampler(Shells(field.shape), max_evaluations=1).sample(field, n_samples=2, seed=4)
    assert start.status == (Status.MAX_EVALUATIONS,) * 2
    gaussian = GaussianModel(field).smoothed().sample(2, seed=4)
    torch.testing.assert_close(start.samples, gaussian, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_seed_same_sample_whatever_the_number(dtype):
    field = lognormal(dtype=dtype)
    sampler = MaxEntropySampler(Shells(field.shape), tolerance=1e-6, max_evaluations=40)
    three = sampler.sample(field, n_samples=3, seed=2)
    again = sampler.sample(field, n_samples=3, seed=2)
    one = sampler.sample(field, n_samples=1, seed=2)
    assert three.samples.dtype == dtype
    assert torch.equal(three.samples, again.samples)
    assert torch.equal(three.samples[:1], one.samples)
    assert torch.equal(three.history[: len(one.history), :1], one.history)
    other = sampler.sample(field, n_samples=1, seed=3)
    assert not torch.equal(one.samples, other.samples)
    assert not torch.equal(three.samples[0], three.samples[1])


def test_float32_and_float64_reach_the_same_moments():
    field = lognormal()
    statistics = Shells(field.shape)
    result = MaxEntropySampler(statistics, tolerance=1e-8).sample(field.float(), n_samples=2, seed=0)
    assert result.converged

    def units(x):
        return (x.double() - field.mean()) / field.std(correction=0)

    wanted, found = statistics(units(field)[None]), statistics(units(result.samples))
    assert ((found - wanted).norm(dim=-1) <= 1.1e-4 * wanted.norm()).all()


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_and_origin_of_the_field_do_not_matter(factor):
    field = smooth((16, 16), 0)
    sampler = MaxEntropySampler(Shells(field.shape), max_evaluations=12)
    plain = sampler.sample(field, n_samples=1, seed=0)
    scaled = sampler.sample(factor * (field + 10.0), n_samples=1, seed=0)
    torch.testing.assert_close(scaled.history, plain.history, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(scaled.samples / factor - 10.0, plain.samples, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 24), (17, 21)])
def test_fields_that_are_not_square(shape):
    field = lognormal(shape)
    result = MaxEntropySampler(Shells(shape), tolerance=1e-4).sample(field, n_samples=1, seed=0)
    assert result.converged
    assert result.samples.shape == (1, *shape)


def test_a_run_resumed_from_stored_tensors_is_the_uninterrupted_one():
    field = lognormal((16, 16), dtype=torch.float32)
    sampler = MaxEntropySampler(Shells(field.shape), tolerance=1e-7, max_evaluations=40)
    whole = sampler.sample(field, n_samples=2, seed=0)
    stored = []

    def stop(progress):
        stored[:] = [progress.state.to_tensors()]
        return max(progress.n_evaluations) == 9

    first = sampler.sample(field, n_samples=2, seed=0, callback=stop)
    assert first.status == (Status.INTERRUPTED,) * 2
    state = LBFGSState.from_tensors(stored[0])
    second = sampler.sample(field, n_samples=2, seed=0, state=state)
    assert torch.equal(second.samples, whole.samples)
    assert torch.equal(second.history, whole.history)
    assert second.status == whole.status
    assert second.n_evaluations == whole.n_evaluations


def test_weights_choose_what_is_matched():
    field = lognormal()
    statistics = Shells(field.shape)
    n_moments = statistics(field[None]).shape[-1]
    weights = torch.zeros(n_moments)
    weights[-4:] = 1.0
    result = MaxEntropySampler(statistics, weights=weights, tolerance=1e-12).sample(field, n_samples=1)
    x, y = ((z - field.mean()) / field.std(correction=0) for z in (field, result.samples[0]))
    difference = (statistics(y[None]) - statistics(x[None]))[0]
    assert difference[-4:].abs().max() < 1e-4
    assert difference[:-4].abs().max() > 1e-2


def test_statistics_that_standardize_themselves_are_standardized():
    class Centred(torch.nn.Module):
        def __init__(self, centre=None):
            super().__init__()
            self.centre = centre

        def standardized(self, target):
            assert target.shape == (16, 16)
            return Centred(target.square().mean() - 5.0)

        def forward(self, x):
            return x.square().mean((-2, -1))[..., None] - self.centre

    field = smooth((16, 16), 0)
    sampler = MaxEntropySampler(Centred(), tolerance=1e-12)
    result = sampler.sample(field, n_samples=1)
    # unit variance less (unit variance - 5): the target moment is 5
    assert result.target_moments.item() == pytest.approx(5.0)
    assert result.converged


def test_an_impossible_target_stalls_with_a_status():
    field = lognormal((16, 16))

    class Impossible(torch.nn.Module):
        def forward(self, x):
            second = x.square().mean((-2, -1))
            gap = torch.where((x - field_units).abs().amax((-2, -1)) < 1e-9, 2.0, 0.0)
            return torch.stack([second, second + gap], dim=-1)

    field_units = (field - field.mean()) / field.std(correction=0)
    result = MaxEntropySampler(Impossible(), tolerance=1e-6, max_evaluations=300).sample(field, n_samples=1)
    assert result.status == (Status.STALLED,)
    # least squares between 1 and 3: s = 2, the loss (1 + 1) / (1 + 9)
    assert result.losses.item() == pytest.approx(0.2, rel=1e-6)


@pytest.mark.parametrize(
    ("field", "arguments", "error", "message"),
    [
        (torch.ones(16, 16), {}, ValueError, r"`field` must vary over space, got 'a constant field'"),
        (torch.ones(3, 2, 16, 16), {}, ValueError, r"axes \(H, W\) or \(m, H, W\), got \(3, 2, 16, 16\)"),
        (torch.ones(0, 16, 16), {}, ValueError, r"axes \(H, W\) or \(m, H, W\), got \(0, 16, 16\)"),
        (
            torch.ones(16, 16),
            {"channels": True},
            ValueError,
            r"axes \(C, H, W\) or \(m, C, H, W\), got \(16, 16\)",
        ),
        (smooth((16, 16), 0), {"shape": (8, 32)}, ValueError, r"`shape` must be 2 integers >= 16, got \(8, 32\)"),
        (smooth((16, 16), 0), {"first_sample": -1}, ValueError, r"`first_sample` must be an integer >= 0, got -1"),
        (torch.ones(16, 16).log().log(), {}, ValueError, r"`field` must be finite, got 256 NaN or infinite"),
        (torch.ones(16, 16, dtype=torch.complex64), {}, TypeError, r"`field` must be of a real floating dtype"),
        (smooth((16, 16), 0), {"n_samples": 0}, ValueError, r"`n_samples` must be an integer >= 1, got 0"),
        (smooth((16, 16), 0), {"seed": -1}, ValueError, r"`seed` must be an integer >= 0, got -1"),
    ],
)
def test_bad_arguments(field, arguments, error, message):
    with pytest.raises(error, match=message):
        MaxEntropySampler(power_spectrum).sample(field, **arguments)


def test_a_state_of_other_fields_is_refused():
    field = smooth((16, 16), 0)
    states = []
    sampler = MaxEntropySampler(power_spectrum, max_evaluations=2)
    sampler.sample(field, n_samples=2, callback=lambda progress: states.append(progress.state))
    with pytest.raises(ValueError, match=r"`state` must hold 3 fields of shape \(16, 16\), got \(2, 16, 16\)"):
        sampler.sample(field, n_samples=3, state=states[-1])


def test_moments_of_a_wrong_shape_are_named():
    with pytest.raises(ValueError, match=r"`moments` must map fields \(n, H, W\) to moments \(n, n_moments\)"):
        MaxEntropySampler(lambda x: x.mean((-2, -1))).sample(smooth((16, 16), 0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": -1e-3}, r"`tolerance` must be a number >= 0, got -0.001"),
        ({"max_evaluations": 0}, r"`max_evaluations` must be an integer >= 1, got 0"),
        ({"chunk": 0}, r"`chunk` must be an integer >= 1, got 0"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaxEntropySampler(power_spectrum, **arguments)
