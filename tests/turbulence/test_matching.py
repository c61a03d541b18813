"""The loss of every kind of target, with a set of moments small enough to compute by hand."""

from dataclasses import dataclass

import pytest
import torch

from phasewave.solve.result import Status
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.matching import set_goal
from phasewave.turbulence.sampler import MaxEntropySampler
from phasewave.turbulence.start import GaussianStart
from phasewave.turbulence.targets import standard_target


@dataclass(frozen=True)
class Row:
    kind: str


class Toy(torch.nn.Module):
    """Mean, second and third power, and neighbours' products over their deviations, where all is observed."""

    table = tuple(Row(kind) for kind in ("power", "power", "power", "neighbours", "neighbours"))

    def __init__(self, shape, mask=None, scale=None):
        super().__init__()
        self.shape, self.mask, self.scale = tuple(shape), mask, scale

    def forward(self, x):
        if x.shape[-2:] != self.shape:
            raise ValueError(f"`x` must have last axes {self.shape}, got {tuple(x.shape)}")
        parts = [x, x**2, x**3, x * x.roll(1, -1), x * x.roll(2, -2)]
        mask = torch.ones(self.shape, dtype=torch.bool) if self.mask is None else self.mask
        masks = [mask, mask, mask, mask & mask.roll(1, -1), mask & mask.roll(2, -2)]
        means = [p[..., m].mean(-1) for p, m in zip(parts, masks, strict=True)]
        return torch.stack(means, dim=-1) / (1.0 if self.scale is None else self.scale)

    def standardized(self, target):
        values = Toy(self.shape, self.mask)(target).reshape(-1, 5).mean(0)
        return Toy(self.shape, self.mask, values.abs().clamp(min=0.1))

    def resized(self, shape):
        return Toy(shape, None, self.scale)

    def masked(self, mask):
        return Toy(self.shape, mask, self.scale)


def skewed(*shape, seed=0):
    """A field with correlations between neighbours and a third moment, in units of its own."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x + 0.8 * x.roll(1, -1) + 0.8 * x.roll(2, -2)
    return 10.0 + 3.0 * torch.exp(0.4 * x)


def standard(x, like):
    return (x - like.mean()) / like.std(correction=0)


def test_samples_of_another_size_have_the_moments_of_the_target():
    field = skewed(24, 24)
    result = MaxEntropySampler(Toy((24, 24)), tolerance=1e-10).sample(field, n_samples=2, shape=(32, 20))
    assert result.converged
    assert result.samples.shape == (2, 32, 20)
    wanted = Toy((24, 24))(standard(field, field))
    found = Toy((32, 20))(standard(result.samples, field))
    torch.testing.assert_close(found, wanted.expand(2, -1), rtol=0, atol=1e-4)


def test_the_start_of_another_size_is_the_gaussian_model():
    field = skewed(24, 24)
    start = MaxEntropySampler(Toy((24, 24)), max_evaluations=1).sample(field, n_samples=2, seed=4, shape=(32, 20))
    model = GaussianModel(standard(field, field)).smoothed()
    gaussian = model.sample(2, seed=4, shape=(32, 20)) * field.std(correction=0) + field.mean()
    torch.testing.assert_close(start.samples, gaussian, rtol=1e-10, atol=1e-10)


def test_the_sets_shape_may_be_neither():
    field = skewed(24, 24)
    sampler = MaxEntropySampler(Toy((16, 16)), max_evaluations=2)
    other = MaxEntropySampler(Toy((24, 24)), max_evaluations=2)
    one, two = (s.sample(field, n_samples=1, shape=(20, 20)).samples for s in (sampler, other))
    assert torch.equal(one, two)


def test_functions_are_taken_to_be_right_for_every_size():
    field = skewed(24, 24)

    def powers(x):
        return torch.stack([(x**k).mean((-2, -1)) for k in (1, 2, 3)], dim=-1)

    result = MaxEntropySampler(powers, tolerance=1e-9).sample(field, n_samples=1, shape=(16, 16))
    assert result.converged
    assert list(result.class_losses) == ["moments"]


def test_an_ensemble_is_matched_in_its_mean_weighted_by_its_spread():
    fields = torch.stack([skewed(24, 24, seed=seed) for seed in range(4)])
    target = standard_target(fields)
    goal = set_goal(Toy((24, 24)), target, (24, 24), tolerance=1e-8)
    toy = Toy((24, 24)).standardized(target.fields)
    rows = toy(target.fields)
    torch.testing.assert_close(goal.matching.target, rows.mean(0))
    variance = rows.var(0)
    weights = 1.0 / (variance + variance.median())
    torch.testing.assert_close(goal.matching.weights, weights / weights.mean())
    by_hand = ((rows - rows.mean(0)).square() * weights).sum(1) / (rows.mean(0).square() * weights).sum()
    torch.testing.assert_close(goal.realisation_losses, by_hand)

    result = MaxEntropySampler(Toy((24, 24)), tolerance=1e-8).sample(fields, n_samples=2)
    assert result.converged
    torch.testing.assert_close(result.realisation_losses, by_hand)
    # a sample is nearer to the mean than any realisation
    assert result.losses.max() < 1e-3 * by_hand.min()
    torch.testing.assert_close(result.sample_moments, rows.mean(0).expand(2, -1), rtol=0, atol=1e-3)


def test_equal_realisations_weigh_nothing():
    field = skewed(24, 24)
    one = MaxEntropySampler(Toy((24, 24)), max_evaluations=4).sample(field, n_samples=1)
    two = MaxEntropySampler(Toy((24, 24)), max_evaluations=4).sample(torch.stack([field, field]), n_samples=1)
    torch.testing.assert_close(two.samples, one.samples, rtol=1e-9, atol=1e-9)
    assert one.realisation_losses is None
    assert two.realisation_losses.tolist() == pytest.approx([0.0, 0.0], abs=1e-25)


def test_the_users_weights_and_those_of_the_spread_multiply():
    fields = torch.stack([skewed(24, 24, seed=seed) for seed in range(3)])
    own = torch.tensor([0.0, 1.0, 2.0, 1.0, 1.0])
    target = standard_target(fields)
    plain, chosen = (
        set_goal(Toy((24, 24)), target, (24, 24), weights=weights, tolerance=0.0).matching.weights
        for weights in (None, own)
    )
    torch.testing.assert_close(chosen, plain * own)


def test_a_field_with_gaps_is_measured_where_it_is_observed():
    field = skewed(64, 64)
    mask = torch.ones(64, 64, dtype=torch.bool)
    mask[10:30, 20:50] = False
    broken = torch.where(mask, field, torch.nan)
    result = MaxEntropySampler(Toy((64, 64)), tolerance=1e-10).sample(broken, n_samples=1, mask=mask)
    assert result.converged
    assert bool(torch.isfinite(result.samples).all())
    wanted = Toy((64, 64), mask)(standard(field, field[mask]))
    found = Toy((64, 64))(standard(result.samples[0], field[mask]))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    # the second moment of what is observed, by hand
    assert float(wanted[1]) == pytest.approx(1.0, rel=1e-12)
    assert float(result.samples.std(correction=0)) == pytest.approx(float(field[mask].std(correction=0)), rel=1e-4)


def test_borders_of_a_field_that_is_not_periodic_are_no_neighbours():
    # One period and a half of a wave: the sides do not fit.
    field = 4.0 * torch.cos(3 * torch.pi * torch.arange(32) / 32)[None] + skewed(32, 32)
    result = MaxEntropySampler(Toy((32, 32)), tolerance=1e-10).sample(field, n_samples=1, periodic=False)
    assert result.converged
    assert result.samples.shape == (1, 32, 32)
    x = standard(field, field)
    neighbours = (x[:, 1:] * x[:, :-1]).mean()
    y = standard(result.samples[0], field)
    assert float((y * y.roll(1, -1)).mean()) == pytest.approx(float(neighbours), abs=1e-4)
    assert abs(float((x * x.roll(1, -1)).mean() - neighbours)) > 1e-2  # what periodic moments would have taken


class Halves(torch.nn.Module):
    """The second moment of two halves of what is observed; over a whole field, twice that of all of it."""

    def __init__(self, mask=None):
        super().__init__()
        self.mask = mask

    def forward(self, x):
        if self.mask is None:
            parts = [x.flatten(-2), x.flatten(-2)]
        else:
            left = self.mask & (torch.arange(x.shape[-1]) < x.shape[-1] // 2)
            parts = [x[..., left], x[..., self.mask & ~left]]
        return torch.stack([(part**2).mean(-1) for part in parts], dim=-1)

    def resized(self, shape):
        return Halves()

    def masked(self, mask):
        return Halves(mask)

    shape = (32, 32)


def test_moments_that_contradict_each_other_beside_gaps_are_met_as_well_as_can_be():
    x = torch.randn(32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    field = x + 0.8 * x.roll(1, -1)
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[4:28, 4:28] = False
    result = MaxEntropySampler(Halves(), tolerance=1e-8).sample(field, n_samples=2, mask=mask)
    a, b = Halves(mask)(standard(field, field[mask])).tolist()
    least = 0.5 * (a - b) ** 2 / (a**2 + b**2)
    assert least > 1e-4  # or there is no contradiction
    assert result.converged
    assert result.losses.tolist() == pytest.approx([least, least], rel=1e-6)
    assert result.tolerance < least <= result.plateau_loss

    strict = MaxEntropySampler(Halves(), tolerance=1e-8, masking_factor=0.0).sample(field, mask=mask, n_samples=1)
    assert not strict.converged
    whole = MaxEntropySampler(Halves(), tolerance=1e-8).sample(field, n_samples=1)
    assert whole.converged
    assert whole.plateau_loss is None


def test_the_loss_that_a_mask_makes_grows_with_its_gaps():
    losses = []
    for width in (0, 4, 16):
        mask = torch.ones(32, 32, dtype=torch.bool)
        mask[:, :width] = False
        target = standard_target(skewed(32, 32), mask=mask)
        losses.append(set_goal(Toy((32, 32)), target, (32, 32), tolerance=1e-8).masking_loss)
    assert losses[0] == 0.0
    assert 0.0 < losses[1] < losses[2] < 1.0
    assert set_goal(Toy((32, 32)), standard_target(skewed(32, 32)), (32, 32), tolerance=0.0).masking_loss is None


def test_gaps_need_a_method():
    mask = torch.ones(16, 16, dtype=torch.bool)
    with pytest.raises(TypeError, match="`moments` must have a method `masked` for a field with gaps or borders"):
        MaxEntropySampler(lambda x: x.mean((-2, -1))[:, None]).sample(skewed(16, 16), mask=mask)


class Pair(torch.nn.Module):
    """Second moments of two fields of one sky, their product included."""

    def forward(self, x):
        a, b = x.unbind(-3)
        return torch.stack([(p * q).mean((-2, -1)) for p, q in ((a, a), (a, b), (b, b))], dim=-1)


def test_fields_of_one_sky_are_sampled_together():
    one = skewed(24, 24)
    fields = torch.stack([one, -0.01 * one + 0.02 * skewed(24, 24, seed=3)])
    result = MaxEntropySampler(Pair(), tolerance=1e-12).sample(fields, n_samples=2, channels=True)
    assert result.converged
    assert result.samples.shape == (2, 2, 24, 24)
    wanted, found = (torch.corrcoef(x.flatten(1))[0, 1] for x in (fields, result.samples[1]))
    assert float(wanted) < -0.3
    assert float(found) == pytest.approx(float(wanted), abs=2e-5)
    means = result.samples.mean((-2, -1))
    torch.testing.assert_close(means, fields.mean((-2, -1)).expand(2, -1), rtol=1e-6, atol=0)


def test_fields_of_one_sky_start_with_their_cross_spectra():
    one = skewed(32, 32)
    fields = torch.stack([one, 5.0 - 0.1 * one])
    start = MaxEntropySampler(Pair(), max_evaluations=1).sample(fields, n_samples=1, channels=True, shape=(48, 32))
    x, y = start.samples[0]
    torch.testing.assert_close(y, 5.0 - 0.1 * x, rtol=1e-6, atol=1e-6)
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[4:8, 4:8] = False
    assert GaussianStart(standard_target(fields, channels=True, mask=mask), (32, 32)).joint is None


def test_samples_can_be_drawn_in_parts():
    sampler = MaxEntropySampler(Toy((24, 24)), max_evaluations=5)
    whole = sampler.sample(skewed(24, 24), n_samples=3, seed=7)
    last = sampler.sample(skewed(24, 24), n_samples=2, seed=7, first_sample=1)
    assert torch.equal(whole.samples[1:], last.samples)
    assert torch.equal(whole.sample_moments[1:], last.sample_moments)


def test_classes_are_reported_and_have_tolerances_of_their_own():
    field = skewed(24, 24)
    plain = MaxEntropySampler(Toy((24, 24)), tolerance=1e-6).sample(field, n_samples=2)
    assert list(plain.class_losses) == ["power", "neighbours"]
    difference = (plain.sample_moments - plain.target_moments).square()
    wanted = difference[:, 3:].sum(1) / plain.target_moments[3:].square().sum()
    torch.testing.assert_close(plain.class_losses["neighbours"], wanted)

    tolerance = {"power": 1e-10, "rest": 1e-3}
    strict = MaxEntropySampler(Toy((24, 24)), tolerance=tolerance).sample(field, n_samples=2)
    assert strict.status == (Status.CONVERGED,) * 2
    assert (strict.class_losses["power"] <= 1e-10).all()
    assert (strict.class_losses["neighbours"] <= 1e-3).all()
    assert (strict.losses <= strict.tolerance).all()


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        ({"power": 1e-3}, r"`tolerance` must have a number for neighbours too, or for 'rest'"),
        (
            {"spin": 1e-3, "rest": 1.0},
            r"`tolerance` must name classes among power, neighbours or 'rest', got 'spin'",
        ),
        ({"power": 0.0, "rest": 1.0}, r"`tolerance` must be positive for every class, got 'power=0.0'"),
    ],
)
def test_bad_tolerances(tolerance, message):
    with pytest.raises(ValueError, match=message):
        MaxEntropySampler(Toy((24, 24)), tolerance=tolerance).sample(skewed(24, 24))
