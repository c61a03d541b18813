import pytest
import torch

from phasewave.turbulence.targets import standard_target


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_field_has_zero_mean_and_unit_variance_and_comes_back():
    field = 3.0 + 2.0 * noise(16, 20)
    target = standard_target(field)
    assert target.fields.shape == (1, 16, 20)
    assert target.mask is None
    assert target.batch == ()
    assert abs(float(target.fields.mean())) < 1e-14
    assert float(target.fields.var(correction=0)) == pytest.approx(1.0, rel=1e-13)
    torch.testing.assert_close(target.units(target.fields)[0], field, rtol=1e-13, atol=1e-13)


def test_realisations_share_one_mean_and_one_deviation():
    fields = torch.stack([noise(16, 16), 5.0 + 3.0 * noise(16, 16, seed=1)])
    target = standard_target(fields)
    assert target.fields.shape == (2, 16, 16)
    assert target.mean.shape == ()
    assert float(target.fields.flatten().std(correction=0)) == pytest.approx(1.0, rel=1e-13)
    assert float(target.fields[1].mean()) > 0.5  # what tells the realisations apart is kept


def test_fields_of_one_sky_have_each_their_own():
    fields = torch.stack([noise(16, 16), 5.0 + 3.0 * noise(16, 16, seed=1)])
    for given in (fields, torch.stack([fields, 2.0 * fields])):
        target = standard_target(given, channels=True)
        assert target.batch == (2,)
        assert target.fields.shape == (given.ndim - 2, 2, 16, 16)
        torch.testing.assert_close(target.fields.mean((0, 2, 3)), torch.zeros(2).double(), rtol=0, atol=1e-14)
        torch.testing.assert_close(target.fields.square().mean((0, 2, 3)), torch.ones(2).double())
        torch.testing.assert_close(target.units(target.fields), given.reshape(-1, 2, 16, 16))


def test_what_is_not_observed_has_no_influence():
    field, mask = noise(16, 16), noise(16, 16, seed=1) > 0
    broken = torch.where(mask, field, torch.nan)
    target, same = standard_target(broken, mask=mask), standard_target(field, mask=mask)
    assert torch.equal(target.fields, same.fields)
    assert bool((target.fields[0][~mask] == 0).all())
    assert float(target.fields[0][mask].std(correction=0)) == pytest.approx(1.0, rel=1e-13)
    assert float(target.mean) == pytest.approx(float(field[mask].mean()), rel=1e-12)


def test_a_field_that_is_not_periodic_is_padded_by_a_quarter_and_masked():
    field = noise(16, 30)
    target = standard_target(field, periodic=False)
    assert target.shape == (16, 30)
    assert target.fields.shape == (1, 20, 40)
    assert int(target.mask.sum()) == 16 * 30
    assert bool(target.mask[:16, :30].all())
    torch.testing.assert_close(target.units(target.fields)[0, :16, :30], field)
    with_gap = field.clone()
    with_gap[3, 4] = torch.nan
    both = standard_target(with_gap, mask=torch.isfinite(with_gap), periodic=False)
    assert int(both.mask.sum()) == 16 * 30 - 1


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (torch.ones(16, 16), TypeError, r"`mask` must be a boolean tensor, got torch.float32"),
        ([[True]], TypeError, r"`mask` must be a boolean tensor, got list"),
        (
            torch.ones(16, 17) > 0,
            ValueError,
            r"`mask` must have the shape of the fields \(16, 16\), got \(16, 17\)",
        ),
        (torch.ones(16, 16) < 0, ValueError, r"`mask` must be True at the observed pixels"),
    ],
)
def test_bad_masks(mask, error, message):
    with pytest.raises(error, match=message):
        standard_target(noise(16, 16), mask=mask)


def test_values_that_are_observed_must_be_finite_and_vary():
    field = noise(16, 16)
    field[2, 3] = torch.inf
    with pytest.raises(ValueError, match="`field` must be finite, got 1 NaN or infinite values of 256"):
        standard_target(field)
    with pytest.raises(ValueError, match="`field` must vary over space"):
        standard_target(torch.stack([noise(16, 16), torch.ones(16, 16)]), channels=True)
