"""Filling missing pixels: what stays, what is matched, when it stops; with moments that masks suit exactly."""

import copy

import pytest
import torch

from phasewave.solve.result import Status
from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.inpainting import Inpainter
from phasewave.turbulence.onepoint import skewness


class LocalMoments(torch.nn.Module):
    """Means of powers of the field and of products at small shifts; a masked one averages over observed pairs."""

    shifts = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0))

    def __init__(self, mask=None):
        super().__init__()
        self.mask = mask

    def forward(self, x):
        values = []
        for down, across in self.shifts:
            other = x.roll((-down, -across), (-2, -1))
            both = torch.ones_like(x[..., :, :], dtype=torch.bool)
            if self.mask is not None:
                both = (self.mask & self.mask.roll((-down, -across), (-2, -1))).expand_as(x)
            for product in (x * other, x.square() * other, (x * other).square()):
                values.append(product.where(both, 0.0).sum((-2, -1)) / both.sum((-2, -1)))
        return torch.stack(values, dim=-1)

    def masked(self, mask):
        if int(mask.sum()) < 0.2 * mask.numel():
            raise ValueError("too few pixels: use fewer scales")
        module = copy.copy(self)
        module.mask = mask
        return module


def skewed_field(seed, n=32):
    k = torch.hypot(torch.fft.fftfreq(n)[:, None], torch.fft.fftfreq(n)).double()
    smooth = torch.fft.ifft2(torch.fft.fft2(white_noise(1, (n, n), seed=seed)[0]) * torch.exp(-40 * k**2)).real
    return 7.0 + 3.0 * torch.exp(0.8 * smooth / smooth.std())


@pytest.fixture(scope="module")
def case():
    field = skewed_field(1)
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[6:18, 8:20] = False
    return field, mask, Inpainter(LocalMoments(), tolerance=1e-5).sample(field, mask, n_samples=3, seed=2)


def test_observed_pixels_are_kept_to_the_last_bit(case):
    field, mask, result = case
    for fills in (result.samples, result.gaussian, result.mean[None]):
        assert all(torch.equal(fill[mask], field[mask]) for fill in fills)
    single = field.float()
    low = Inpainter(LocalMoments(), max_evaluations=5).sample(single, mask, n_samples=1)
    assert low.samples.dtype == torch.float32
    assert torch.equal(low.samples[0][mask], single[mask])


def test_values_of_missing_pixels_are_not_looked_at(case):
    field, mask, result = case
    spoilt = torch.where(mask, field, torch.nan)
    again = Inpainter(LocalMoments(), tolerance=1e-5).sample(spoilt, mask, n_samples=3, seed=2)
    assert torch.equal(again.samples, result.samples)


def test_the_moments_of_the_whole_are_those_of_the_observed_part(case):
    field, mask, result = case
    assert result.converged
    assert (result.losses <= result.tolerance).all()
    assert (result.history[0] > 100 * result.tolerance).all(), "the Gaussian fill is not good enough"
    units = [(x - field[mask].mean()) / field[mask].std(correction=0) for x in (field[None], result.samples)]
    wanted = LocalMoments(mask)(units[0])
    loss = (LocalMoments()(units[1]) - wanted).square().sum(-1) / wanted.square().sum()
    torch.testing.assert_close(loss, result.losses, rtol=1e-6, atol=0.0)
    assert result.n_moments == 18


def test_fills_are_skewed_like_the_field_and_unlike_the_gaussian_model(case):
    field, mask, result = case
    observed = float(skewness(field[mask][None, None]))
    fills, gaussian = (float(skewness(x[:, ~mask][:, None]).mean()) for x in (result.samples, result.gaussian))
    assert observed > 1.5
    assert fills > 0.7 * observed
    assert gaussian < 0.5 * observed


def test_a_sample_depends_on_its_seed_and_number_alone(case):
    field, mask, result = case
    one = Inpainter(LocalMoments(), tolerance=1e-5).sample(field, mask, n_samples=1, seed=2)
    assert torch.equal(one.samples[0], result.samples[0])
    assert not torch.equal(result.samples[0], result.samples[1])


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(case):
    field, mask, result = case
    states = []

    def stop(progress):
        states.append(progress.state)
        return len(states) == 3

    inpainter = Inpainter(LocalMoments(), tolerance=1e-5)
    part = inpainter.sample(field, mask, n_samples=3, seed=2, callback=stop)
    assert Status.INTERRUPTED in part.status
    whole = inpainter.sample(field, mask, n_samples=3, seed=2, state=states[-1])
    assert torch.equal(whole.samples, result.samples)
    assert torch.equal(whole.history, result.history)


def test_the_tolerance_is_a_tenth_of_what_the_true_field_has():
    """Over many true fields, within the scatter of their mean."""
    noise = white_noise(1, (32, 32), seed=9)[0]
    model = GaussianModel(noise).smoothed()
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[:, 3:11] = False  # a quarter
    ratios = []
    for seed in range(20):
        field = model.sample(1, seed=seed)[0].exp()
        result = Inpainter(LocalMoments(), max_evaluations=1).sample(field, mask, n_samples=1)
        x = (field - field[mask].mean()) / field[mask].std(correction=0)
        wanted = LocalMoments(mask)(x)
        truth = float((LocalMoments()(x) - wanted).square().sum() / wanted.square().sum())
        ratios.append((truth, result.tolerance))
    truth, tolerance = torch.tensor(ratios).mean(0)
    assert 5.0 < truth / tolerance < 20.0


def test_training_fields_speak_for_the_missing_part(case):
    """A field skewed the other way in training: the fills follow it, for the observed part's share is fixed."""
    field, mask, _ = case
    mirrored = 20.0 - torch.stack([skewed_field(seed) for seed in (3, 4, 5)])
    result = Inpainter(LocalMoments(), tolerance=1e-4).sample(field, mask, n_samples=1, seed=2, training=mirrored)
    assert float(skewness(result.samples[:, ~mask][:, None])) < 0.0
    unmaskable = Inpainter(LocalMoments().forward).sample(
        field, mask, n_samples=1, training=torch.stack([skewed_field(seed) for seed in (3, 4, 5)])
    )
    assert unmaskable.tolerance > 0
    assert Inpainter(LocalMoments().forward).sample(
        field, mask, n_samples=1, training=skewed_field(3)
    ).tolerance == pytest.approx(3e-4)


def test_the_goal_is_told_and_a_given_one_is_kept(case):
    field, mask, _ = case
    told = []
    inpainter = Inpainter(LocalMoments(), max_evaluations=1)
    result = inpainter.sample(field, mask, n_samples=1, on_goal=told.append)
    assert told == [result.tolerance]
    given = Inpainter(LocalMoments(), tolerance=1e-3, max_evaluations=1).sample(field, mask, n_samples=1)
    assert given.tolerance == 1e-3


def test_bad_input(case):
    field, mask, _ = case
    inpainter = Inpainter(LocalMoments())
    with pytest.raises(ValueError, match="False everywhere"):
        inpainter.sample(field, torch.zeros_like(mask))
    with pytest.raises(ValueError, match="True everywhere"):
        inpainter.sample(field, torch.ones_like(mask))
    with pytest.raises(ValueError, match=r"shape of the fields \(32, 32\), got \(32, 31\)"):
        inpainter.sample(field, mask[:, :31])
    with pytest.raises(TypeError, match="boolean tensor"):
        inpainter.sample(field, mask.float())
    with pytest.raises(ValueError, match="`field` must be finite, got 32 NaN"):
        inpainter.sample(torch.where(torch.arange(32) == 0, torch.nan, field), mask)
    with pytest.raises(ValueError, match="vary over its observed pixels"):
        inpainter.sample(torch.where(mask, 1.0, field), mask)
    with pytest.raises(ValueError, match=r"have axes \(H, W\)"):
        inpainter.sample(field[None], mask[None])
    with pytest.raises(TypeError, match="must have a method masked"):
        Inpainter(LocalMoments().forward).sample(field, mask)
    with pytest.raises(ValueError, match="`training` must have last axes"):
        inpainter.sample(field, mask, training=field[:16])
    with pytest.raises(ValueError, match="`tolerance` must be a number >= 0"):
        Inpainter(LocalMoments(), tolerance=-1.0)
    states = []
    Inpainter(LocalMoments(), max_evaluations=1).sample(
        field, mask, n_samples=1, callback=lambda progress: states.append(progress.state)
    )
    with pytest.raises(ValueError, match="`state` must hold 2 fields"):
        inpainter.sample(field, mask, n_samples=2, state=states[0])
