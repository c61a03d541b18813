import itertools
import math

import pytest
import torch

from phasewave.solve.moment_ascent import MomentAscent
from phasewave.solve.moment_ascent_state import AscentState
from phasewave.solve.result import Status
from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.macrocanonical import GibbsPotential, MacrocanonicalSampler
from phasewave.turbulence.moments import PhaseHarmonicMoments


class Shells(torch.nn.Module):
    """Mean power of a field in shells of frequency."""

    def __init__(self, shape, n_shells):
        super().__init__()
        radius = torch.hypot(torch.fft.fftfreq(shape[0])[:, None], torch.fft.fftfreq(shape[1])).double()
        edges = torch.linspace(0.0, float(radius.max()) + 1e-9, n_shells + 1, dtype=torch.float64)
        inside = [(low < radius) & (radius <= high) for low, high in itertools.pairwise(edges)]
        self.register_buffer("inside", torch.stack(inside).flatten(1).double())

    def forward(self, x):
        power = torch.fft.fft2(x).abs().square().flatten(-2) / math.prod(x.shape[-2:])
        return power @ (self.inside / self.inside.sum(1, keepdim=True)).T.to(power)


def smooth(shape=(32, 32), seed=5, exponent=1.0):
    """Gaussian noise whose power falls with the frequency."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    radius = torch.hypot(torch.fft.fftfreq(shape[0])[:, None], torch.fft.fftfreq(shape[1])).double()
    return 40.0 + 3.0 * torch.fft.ifft2(torch.fft.fft2(noise) / (radius**2 + 0.1) ** exponent).real


def white_reference(shape):
    """A model of unit power at every frequency but zero."""
    model = GaussianModel(torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    model.spectrum = torch.ones(shape, dtype=torch.float64)
    model.spectrum[0, 0] = 0.0
    return model


QUICK = MomentAscent(n_updates=4, n_measurements=4, steps_per_update=2)


def test_band_powers_give_the_inverse_spectrum():
    # N beta_b / n_b |X|^2 / N + |X|^2 / 2 N: the precision of a mode of shell b is 2 N beta_b / n_b + 1 = 1 / S_b
    field = smooth(exponent=0.7)
    shells = Shells((32, 32), 5)
    solver = MomentAscent(n_updates=120, n_measurements=40, rate=0.2)
    result = MacrocanonicalSampler(shells, solver=solver, tolerance=1e-3, chunk=None).sample(
        field, n_samples=8, seed=1, reference=white_reference((32, 32))
    )
    assert result.converged
    n_modes = shells.inside.sum(1)
    precision = 2 * 1024 * result.beta / n_modes + 1
    standardized = (field - field.mean()) / field.std(correction=0)
    power = shells(standardized[None])[0]
    assert power.max() / power.min() > 5  # beta is far from zero, where precision = 1
    # each of some 100 independent samples knows a shell to (2 / n_modes)^1/2, .15 at most
    assert (precision * power - 1).abs().max() < 0.05
    assert ((result.moments - power) / result.standard_errors).abs().max() < 5.0
    # the samples have the units and the mean of the field, and scatter about its moments as the model says
    assert (result.samples.mean((1, 2)) - field.mean()).abs().max() < 1e-10
    sampled = shells((result.samples - field.mean()) / field.std(correction=0))
    scores = (sampled / power - 1) / (2 / n_modes) ** 0.5
    assert scores.abs().max() < 4.0
    assert 0.6 < scores.square().mean() < 1.6


def test_the_reference_is_white_noise_coloured_by_the_spectrum():
    field = smooth()
    shells = Shells((32, 32), 5)
    target = (field - field.mean()) / field.std(correction=0)
    model = GaussianModel(target).smoothed()
    potential = GibbsPotential(shells, model, wall=math.inf)(torch.zeros(5, dtype=torch.float64))
    v = white_noise(2, (32, 32), seed=0)
    evaluation = potential(v)
    torch.testing.assert_close(evaluation.potential, v.square().sum((1, 2)) / 2)
    torch.testing.assert_close(evaluation.gradient, v)
    torch.testing.assert_close(evaluation.observables, shells(model.colour(v)), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("wall", [math.inf, 1.5])
def test_the_potential_is_what_is_documented_and_its_gradient_right(wall):
    shape = (8, 6)
    model = GaussianModel(smooth(shape))
    matrix = torch.randn(48, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def moments(x):
        return torch.complex(x.flatten(1) @ matrix[:, :3], (x**3).flatten(1) @ matrix[:, 3:])

    theta = torch.randn(6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    gibbs = GibbsPotential(moments, model, wall=wall)
    v = white_noise(3, shape, seed=2)
    x = model.colour(v) - model.mean
    beta = torch.complex(theta[::2], theta[1::2]) / 48
    documented = 48 * (beta.conj() * moments(x)).sum(-1).real + v.square().sum((1, 2)) / 2
    if wall < math.inf:
        assert (x.abs() > wall).any()
        documented = documented + (4 * x.abs() / wall - 4).clamp(min=0).pow(4).sum((1, 2))
    evaluation = gibbs(theta)(v)
    torch.testing.assert_close(evaluation.potential, documented, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(gibbs.as_moments(evaluation.observables), moments(x), rtol=1e-12, atol=1e-12)
    step = 1e-5 * white_noise(3, shape, seed=6)
    difference = gibbs(theta)(v + step).potential - gibbs(theta)(v - step).potential
    along = 2 * (evaluation.gradient * step).sum((1, 2))
    torch.testing.assert_close(difference, along, rtol=1e-7, atol=0.0)


def test_complex_moments_and_several_realisations():
    moments = PhaseHarmonicMoments((32, 32), n_scales=2, classes=("S11", "S00"), dtype=torch.float64)
    fields = torch.stack([smooth(seed=1), smooth(seed=2)])
    result = MacrocanonicalSampler(moments, solver=QUICK).sample(fields, n_samples=3, seed=0)
    assert result.beta.is_complex()
    assert result.beta.shape == result.moments.shape == result.standard_errors.shape == (moments.n_moments,)
    both = (fields - fields.mean()) / fields.std(correction=0)
    wanted = moments.standardized(both)(both).mean(0)
    torch.testing.assert_close(result.target, wanted, rtol=1e-9, atol=1e-12)
    assert result.losses.shape == (8,)
    assert result.acceptances.shape == (8, 3)
    assert result.samples.shape == (3, 32, 32)
    assert result.status in (Status.CONVERGED, Status.MAX_EVALUATIONS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(dtype):
    field = smooth().to(dtype)
    sampler = MacrocanonicalSampler(Shells((32, 32), 3), solver=QUICK)
    whole = sampler.sample(field, n_samples=2, seed=7)
    states = []

    def stop(state):
        states.append(state)
        return state.n_cycles == 3

    stopped = sampler.sample(field, n_samples=2, seed=7, callback=stop)
    assert stopped.status is Status.INTERRUPTED
    assert stopped.moments.isnan().all()
    state = AscentState.from_tensors(states[-1].to_tensors())
    resumed = sampler.sample(field, n_samples=2, seed=7, state=state)
    assert resumed.samples.dtype is dtype
    assert torch.equal(resumed.samples, whole.samples)
    assert torch.equal(resumed.beta, whole.beta)
    assert resumed.loss == whole.loss
    other = sampler.sample(field, n_samples=2, seed=8)
    assert not torch.equal(other.samples, whole.samples)


def test_chunks_change_nothing_beyond_rounding():
    field = smooth()
    one = MacrocanonicalSampler(Shells((32, 32), 3), solver=QUICK).sample(field, n_samples=3)
    for chunk in (2, None):
        sampler = MacrocanonicalSampler(Shells((32, 32), 3), solver=QUICK, chunk=chunk)
        torch.testing.assert_close(sampler.sample(field, n_samples=3).samples, one.samples, rtol=1e-9, atol=1e-9)


def test_bad_input():
    shells, field = Shells((32, 32), 3), smooth()
    with pytest.raises(ValueError, match=r"`tolerance` must be a number >= 0, got -1"):
        MacrocanonicalSampler(shells, tolerance=-1)
    with pytest.raises(ValueError, match=r"`bound` must be a finite number > 0, or None, got 0.0"):
        MacrocanonicalSampler(shells, bound=0.0)
    sampler = MacrocanonicalSampler(shells, solver=QUICK)
    with pytest.raises(TypeError, match=r"`field` must be of a real floating dtype, got torch.complex128"):
        sampler.sample(field.to(torch.complex128))
    with pytest.raises(ValueError, match=r"`field` must have axes \(H, W\) or \(m, H, W\), got \(32,\)"):
        sampler.sample(field[0])
    with pytest.raises(ValueError, match=r"`field` must hold at least one realisation, got \(0, 32, 32\)"):
        sampler.sample(field[None][:0])
    with pytest.raises(ValueError, match=r"`field` must be finite, got 1 NaN or infinite values of 1024"):
        sampler.sample(torch.where(field == field.max(), math.nan, field))
    with pytest.raises(ValueError, match=r"`field` must vary over space, got 'a constant field'"):
        sampler.sample(torch.ones(32, 32))
    with pytest.raises(ValueError, match=r"`n_samples` must be an integer >= 1, got 0"):
        sampler.sample(field, n_samples=0)
    with pytest.raises(ValueError, match=r"`reference` must be of shape \(32, 32\), got \(16, 16\)"):
        sampler.sample(field, reference=white_reference((16, 16)))
    with pytest.raises(ValueError, match=r"`moments` must map fields \(n, H, W\) to moments \(n, n_moments\)"):
        MacrocanonicalSampler(lambda x: x.mean((1, 2)), solver=QUICK).sample(field)
    states = []
    sampler.sample(field, n_samples=2, callback=lambda state: states.append(state) or True)
    with pytest.raises(ValueError, match=r"`state` must hold 3 fields of shape \(32, 32\), got \(2, 32, 32\)"):
        sampler.sample(field, n_samples=3, state=states[0])
