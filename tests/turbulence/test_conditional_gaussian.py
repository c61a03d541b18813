"""A Gaussian field given some of its pixels: against dense linear algebra."""

import pytest
import torch

from phasewave.turbulence.conditional_gaussian import ConditionalGaussian, check_mask
from phasewave.turbulence.gaussian import GaussianModel, white_noise

SHAPE = (12, 10)


def random_mask(shape, share=0.6, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


@pytest.fixture(scope="module")
def case():
    noise = white_noise(5, SHAPE, seed=1)
    k = torch.hypot(torch.fft.fftfreq(SHAPE[0])[:, None], torch.fft.fftfreq(SHAPE[1])).double()
    fields = torch.fft.ifft2(torch.fft.fft2(noise) / (0.1 + k)).real + 2.0
    mask = random_mask(SHAPE)
    model = GaussianModel(fields)
    conditional = ConditionalGaussian(model, fields[0], mask, tolerance=1e-13)
    # the precision matrix of the pixels, one column a shift; the mean over space is free
    power = model.spectrum.clone()
    power[0, 0] = torch.inf
    impulses = torch.eye(SHAPE[0] * SHAPE[1], dtype=torch.float64).reshape(-1, *SHAPE)
    precision = torch.fft.ifft2(torch.fft.fft2(impulses) / power).real.flatten(1)
    return conditional, fields[0], mask, precision


def test_the_mean_is_that_of_the_dense_equations(case):
    conditional, field, mask, precision = case
    seen = mask.flatten()
    wanted = -torch.linalg.solve(precision[~seen][:, ~seen], precision[~seen][:, seen] @ field.flatten()[seen])
    found = conditional.mean()
    assert torch.equal(found[mask], field[mask])
    torch.testing.assert_close(found[~mask], wanted, rtol=1e-9, atol=1e-9)


def test_samples_have_the_conditional_covariance(case):
    """A sample is an affine map of white noise: its covariance is the map times its transpose, exactly."""
    conditional, _, mask, precision = case
    n = mask.numel()
    impulses = torch.eye(n, dtype=torch.float64).reshape(n, *SHAPE)
    map_ = (conditional.colour(impulses) - conditional.mean()).flatten(1).T
    seen = mask.flatten()
    assert torch.equal(map_[seen], torch.zeros_like(map_[seen]))
    covariance = torch.linalg.inv(precision[~seen][:, ~seen])
    torch.testing.assert_close((map_ @ map_.T)[~seen][:, ~seen], covariance, rtol=1e-8, atol=1e-9)


def test_a_sample_depends_on_its_seed_and_number_alone(case):
    conditional, field, mask, _ = case
    three = conditional.sample(3, seed=5)
    assert torch.equal(conditional.sample(1, seed=5)[0], three[0])
    assert not torch.equal(three[0], three[1])
    assert all(torch.equal(sample[mask], field[mask]) for sample in three)


def test_missing_pixels_may_hold_anything(case):
    conditional, field, mask, _ = case
    spoilt = torch.where(mask, field, torch.nan)
    other = ConditionalGaussian(conditional.model, spoilt, mask, tolerance=1e-13)
    assert torch.equal(other.mean(), conditional.mean())


def test_bad_masks():
    field = torch.zeros(8, 8)
    with pytest.raises(TypeError, match=r"`mask` must be a boolean tensor, got torch.float32"):
        check_mask(torch.ones(8, 8), field.shape)
    with pytest.raises(ValueError, match=r"`mask` must have the shape of the fields \(8, 8\), got \(8, 7\)"):
        check_mask(torch.ones(8, 7, dtype=torch.bool), field.shape)
    with pytest.raises(ValueError, match="False everywhere"):
        check_mask(torch.zeros(8, 8, dtype=torch.bool), field.shape)
    with pytest.raises(ValueError, match="True everywhere"):
        check_mask(torch.ones(8, 8, dtype=torch.bool), field.shape)


def test_bad_arguments(case):
    conditional, field, mask, _ = case
    with pytest.raises(ValueError, match="`tolerance` must lie between 0 and 1"):
        ConditionalGaussian(conditional.model, field, mask, tolerance=0.0)
    with pytest.raises(ValueError, match="`field` must have last axes"):
        ConditionalGaussian(conditional.model, field[:, :4], mask)
    with pytest.raises(ValueError, match="`field` must be finite"):
        ConditionalGaussian(conditional.model, field.where(~mask, torch.inf), mask)
