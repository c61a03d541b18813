import dataclasses

import pytest
import torch

from phasewave.turbulence import two_sample
from phasewave.turbulence.gaussian import white_noise
from phasewave.turbulence.judge import STRONG, WEAK, Judge, answers, train_judge
from phasewave.turbulence.two_sample import TwoSampleResult, two_sample_test

SMALL = Judge(patch_size=20, n_steps=60, batch_size=8)


def field(n, *, seed, skewed=False, shape=(96, 96)):
    """White noise of mean 0 and variance 1, so that spectra are equal: normal, or exponential."""
    x = white_noise(n, shape, seed=seed)
    return (-torch.special.log_ndtr(x) - 1 if skewed else x).float()


@pytest.fixture(scope="module")
def same():
    return two_sample_test(field(2, seed=0), field(2, seed=1), judge=SMALL, n_judges=2)


@pytest.fixture(scope="module")
def different():
    return two_sample_test(field(2, seed=0), field(2, seed=1, skewed=True), judge=SMALL)


def test_it_tells_different_laws_and_not_equal_ones(same, different):
    assert different.accuracy > 0.95
    assert different.interval[0] > 0.7
    assert 0.35 < same.accuracy < 0.65
    assert same.interval[0] < 0.5 < same.interval[1]


def test_the_record_says_what_was_done(same, different):
    assert isinstance(same, TwoSampleResult)
    assert same.judge == different.judge == SMALL
    assert (same.n_real, same.n_synthetic, same.seed, same.level) == (2, 2, 0, 0.95)
    assert len(same.accuracies) == 2
    assert same.accuracy == pytest.approx(sum(same.accuracies) / 2)
    # Test parts of 96 - 20 - round(.6 * 76) = 30 rows: 3 x 17 patches every 5 pixels, 1 x 3 blocks of 32 columns.
    assert different.n_test == 4 * 3 * 17
    assert different.n_blocks == 4 * 3
    assert (same.n_test, same.n_blocks) == (2 * different.n_test, 2 * different.n_blocks)


def test_the_same_seed_gives_the_same_judge_and_no_global_state():
    x, y = field(1, seed=2), field(1, seed=3)
    rules = dataclasses.replace(SMALL, n_steps=5)
    before = torch.get_rng_state()
    first = two_sample_test(x, y, judge=rules, seed=7)
    torch.manual_seed(1)
    assert two_sample_test(x, y, judge=rules, seed=7) == first
    torch.set_rng_state(before)
    two_sample_test(x, y, judge=rules, seed=torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)
    pair = two_sample_test(x, y, judge=rules, seed=7, n_judges=2)
    assert pair.accuracies[0] == first.accuracies[0]


def test_it_works_without_gradients_outside_and_leaves_none_inside():
    x = field(1, seed=2).requires_grad_()
    with torch.no_grad():
        two_sample_test(x, field(1, seed=3), judge=dataclasses.replace(SMALL, n_steps=1))
    assert x.grad is None


@pytest.mark.parametrize("n", [60, 96, 97, 256])
@pytest.mark.parametrize("reverse", [False, True])
def test_no_pixel_is_in_both_parts_and_the_gaps_are_half_a_patch_on_the_circle(n, reverse):
    train, test = two_sample._parts(n, 20, reverse=reverse)
    a, b = set(range(n)[train]), set(range(n)[test])
    assert abs(len(a) / (len(a) + len(b)) - 0.6) < 0.02
    assert min(min(abs(i - j), n - abs(i - j)) for i in a for j in b) == 11  # ten pixels between


def test_the_held_out_end_changes_with_the_number_of_the_judge():
    ends = [two_sample._parts(96, 20, reverse=reverse)[1] for reverse in (False, True)]
    assert set(range(96)[ends[0]]).isdisjoint(range(96)[ends[1]])


def test_the_exam_sees_every_pixel_of_the_test_part():
    class Sum(torch.nn.Module):
        def forward(self, x):
            return x.sum((-2, -1))

    x = field(2, seed=0, shape=(31, 50))
    found, rows, columns = answers(Sum(), x, 20)
    assert (rows.tolist(), columns.tolist()) == ([0, 4, 7, 11], [0, 5, 10, 15, 20, 25, 30])
    assert found[1, 3, 6] == pytest.approx(float(x[1, 11:, 30:].sum()), abs=1e-4)
    assert found[0, 1, 2] == pytest.approx(float(x[0, 4:24, 10:30].sum()), abs=1e-4)


def test_blocks_hold_the_patches_by_centre():
    rows, columns = torch.tensor([0, 5, 10]), torch.arange(0, 81, 5)
    right = torch.zeros(2, 3, 17, dtype=torch.float64)
    right[1, :, 9:] = 1  # patches centred at 55 pixels and more of 100, in the second field
    means = two_sample._block_means(right, rows, columns, torch.Size((30, 100)), 20)
    # Three blocks: centres from 10, 35 and 70 pixels on; the middle one has 7 columns, 3 of them right.
    assert means.tolist() == pytest.approx([0, 0, 0, 0, 3 / 7, 1])


def test_the_interval_is_never_narrower_than_that_of_disjoint_patches():
    def reach(*blocks):
        return two_sample._reach([torch.tensor(scores, dtype=torch.float64) for scores in blocks], [10, 10], 0.95)

    smoothed = 11 / 12
    assert reach([1, 1, 1], [1, 1, 1]) == pytest.approx(1.959964 * (2 * smoothed * (1 - smoothed) / 10) ** 0.5 / 2)
    assert reach([1], [1]) == reach([1, 1, 1], [1, 1, 1])
    # Means of three blocks that spread by a variance of 1/3, four degrees of freedom.
    assert reach([0, 1, 1], [1, 0, 1]) == pytest.approx(2.776445 * (2 * (1 / 3) / 3) ** 0.5 / 2)


def test_judges_of_one_side_share_their_blocks():
    a, b, c = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5]), torch.tensor([1.0, 1.0])
    assert two_sample._pool([a, b, c]).tolist() == [0.5, 1.0, 0.5, 0.5]
    assert two_sample._pool([a]).tolist() == [0.0, 1.0]


def test_turned_patches_are_told_apart_unless_asked_not_to():
    stripes = white_noise(1, (96, 96), seed=0).float()
    stripes = stripes + stripes.roll(1, -1) + stripes.roll(2, -1)
    turned = stripes.transpose(-2, -1).roll(40, -1)
    told = two_sample_test(stripes, turned, judge=SMALL)
    blind = two_sample_test(stripes, turned, judge=dataclasses.replace(SMALL, augment=True))
    assert told.accuracy > 0.95
    assert blind.accuracy < 0.75


def test_fields_of_other_shapes_and_dtypes():
    result = two_sample_test(
        field(1, seed=0, shape=(48, 96)).double(),
        field(3, seed=1, shape=(80, 64)),
        judge=dataclasses.replace(SMALL, n_steps=2),
    )
    assert (result.n_real, result.n_synthetic) == (1, 3)


def test_the_named_judges():
    assert (WEAK.patch_size, WEAK.n_steps) == (32, 300)
    assert (STRONG.patch_size, STRONG.n_steps) == (48, 900)
    assert not WEAK.augment
    rules = Judge(patch_size=32, n_steps=1, batch_size=2)
    x = field(1, seed=0)
    network = train_judge(x, x, rules, generator=torch.Generator().manual_seed(0))
    assert not network.training
    assert network(x[:, None, :32, :32]).shape == (1, 1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"judge": "wise"}, ValueError, "`judge` must be one of 'weak', 'strong', got 'wise'"),
        ({"real": torch.zeros(96)}, ValueError, r"`real` must have axes \(H, W\) or \(n, H, W\), got \(96,\)"),
        ({"real": torch.zeros(96, 96)}, ValueError, "`real` must vary over space"),
        ({"synthetic": torch.full((96, 96), torch.nan)}, ValueError, "`synthetic` must be finite, got 9216"),
        ({"synthetic": torch.ones(96, 96, dtype=torch.cfloat)}, TypeError, "`synthetic` must be of a real"),
        ({"synthetic": torch.ones(0, 96, 96)}, ValueError, "`synthetic` must have axes"),
        (
            {"real": torch.rand(64, 64)},
            ValueError,
            r"`real` must hold .* \(about 70 x 20 in all\), got \(64, 64\)",
        ),
        ({"n_judges": 0}, ValueError, "`n_judges` must be an integer >= 1, got 0"),
        ({"seed": -1}, ValueError, "`seed` must be an integer >= 0, got -1"),
        ({"level": 1.0}, ValueError, "`level` must be between 0 and 1, got 1.0"),
    ],
)
def test_bad_input(change, error, message):
    given = {"real": field(1, seed=0), "synthetic": field(1, seed=1), "judge": SMALL, **change}
    with pytest.raises(error, match=message):
        two_sample_test(given.pop("real"), given.pop("synthetic"), **given)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"patch_size": 16, "n_steps": 1}, ValueError, "`patch_size` must be an integer >= 20, got 16"),
        ({"patch_size": 32, "n_steps": 0}, ValueError, "`n_steps` must be an integer >= 1, got 0"),
        ({"patch_size": 32, "n_steps": 1, "batch_size": 0}, ValueError, "`batch_size` must be an integer >= 1"),
        ({"patch_size": 32.0, "n_steps": 1}, TypeError, "`patch_size` must be an integer, got 32.0"),
    ],
)
def test_bad_judges(settings, error, message):
    with pytest.raises(error, match=message):
        Judge(**settings)
