"""A Gaussian field given some of its pixels: against dense linear algebra, and its spectrum behind holes."""

import pytest
import torch

from phasewave.turbulence.conditional_gaussian import ConditionalGaussian, check_mask, observed_model
from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.spectra import band_spectrum, log_bands

SHAPE = (12, 10)


def random_mask(shape, share=0.6, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


def steep_field(n: int, slope: float, seed: int = 3) -> torch.Tensor:
    """A Gaussian field of spectrum (1 + (k/4)^2)^(-slope / 2), k in cycles a side."""
    k = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    power = (1 + (k[:, None] ** 2 + k**2) / 16) ** (-slope / 2)
    noise = white_noise(1, (n, n), seed=seed)[0]
    return torch.fft.ifft2(torch.fft.fft2(noise) * power.sqrt()).real


@pytest.fixture(scope="module")
def case():
    noise = white_noise(5, SHAPE, seed=1)
    k = torch.hypot(torch.fft.fftfreq(SHAPE[0])[:, None], torch.fft.fftfreq(SHAPE[1])).double()
    fields = torch.fft.ifft2(torch.fft.fft2(noise) / (0.1 + k)).real + 2.0
    mask = random_mask(SHAPE)
    conditional = ConditionalGaussian(GaussianModel(fields), fields[0], mask, tolerance=1e-13)
    half = conditional.power
    power = torch.fft.fft2(torch.fft.irfft2(half.to(torch.complex128), s=SHAPE)).real
    # the covariance matrix of the pixels, one column a shift
    impulses = torch.eye(SHAPE[0] * SHAPE[1], dtype=torch.float64).reshape(-1, *SHAPE)
    covariance = torch.fft.ifft2(torch.fft.fft2(impulses) * power).real.flatten(1)
    return conditional, fields[0], mask, covariance


def test_the_mean_is_that_of_the_dense_equations(case):
    conditional, field, mask, covariance = case
    seen = mask.flatten()
    weights = covariance[~seen][:, seen] @ torch.linalg.inv(covariance[seen][:, seen])
    mu = conditional.model.mean
    wanted = mu + weights @ (field.flatten()[seen] - mu)
    found = conditional.mean()
    assert torch.equal(found[mask], field[mask])
    torch.testing.assert_close(found[~mask], wanted, rtol=1e-9, atol=1e-9)


def test_samples_have_the_conditional_covariance(case):
    """A sample is an affine map of white noise: its covariance is the map times its transpose, exactly."""
    conditional, _, mask, covariance = case
    n = mask.numel()
    impulses = torch.eye(n, dtype=torch.float64).reshape(n, *SHAPE)
    map_ = (conditional.colour(impulses) - conditional.mean()).flatten(1).T
    seen = mask.flatten()
    assert torch.equal(map_[seen], torch.zeros_like(map_[seen]))
    schur = covariance[~seen][:, ~seen] - covariance[~seen][:, seen] @ torch.linalg.solve(
        covariance[seen][:, seen], covariance[seen][:, ~seen]
    )
    torch.testing.assert_close((map_ @ map_.T)[~seen][:, ~seen], schur, rtol=1e-8, atol=1e-9)


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


@pytest.mark.parametrize("kind", ["hole", "dots"])
def test_the_spectrum_behind_holes_of_a_smooth_field(kind):
    """A spectrum that falls by 5 decades: behind one filling with a constant it is lost."""
    field = steep_field(64, 6.0)
    mask = torch.ones(64, 64, dtype=torch.bool)
    if kind == "hole":
        mask[20:40, 30:52] = False
    else:
        mask = random_mask((64, 64), 0.75)
    edges = log_bands(field.shape, n_bands=6)
    wanted = band_spectrum(field, edges)[1:]
    assert wanted[0] > 3e4 * wanted[-1]

    def bands(model):
        return band_spectrum(torch.fft.ifft2(model.spectrum.sqrt()).real * 64, edges)[1:]

    naive = GaussianModel(torch.where(mask, field, field[mask].mean())).smoothed(width=1.0)
    assert (bands(naive) / wanted)[-1] > 5.0
    ratio = bands(observed_model(field, mask, width=1.0, n_rounds=8)) / bands(
        GaussianModel(field).smoothed(width=1.0)
    )
    assert (ratio.log().abs() < 0.5).all(), ratio


def test_the_observed_model_has_the_field_s_dtype_and_keeps_away_from_gaps():
    field = steep_field(32, 4.0)
    mask = random_mask((32, 32), 0.8)
    one = observed_model(field, mask)
    two = observed_model(torch.where(mask, field, 1e30), mask)
    assert torch.equal(one.spectrum, two.spectrum)
    assert observed_model(field.float(), mask).dtype == torch.float32


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
    with pytest.raises(ValueError, match="`tolerance` must be in"):
        ConditionalGaussian(conditional.model, field, mask, tolerance=0.0)
    with pytest.raises(ValueError, match="`field` must have last axes"):
        ConditionalGaussian(conditional.model, field[:, :4], mask)
    with pytest.raises(ValueError, match="`field` must be finite"):
        ConditionalGaussian(conditional.model, field.where(~mask, torch.inf), mask)
