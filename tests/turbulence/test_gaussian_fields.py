import pytest
import torch

from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.gaussian_fields import GaussianFields
from phasewave.turbulence.noise import white_noise


def sky(shape=(16, 18), seed=0, n=1):
    """Three fields: one, its derivative along an axis plus noise (out of phase), and one that is independent."""
    noise = white_noise(n, (3, *shape), seed=seed)
    first = noise[:, 0] + noise[:, 0].roll(1, -1) + 0.5 * noise[:, 0].roll(2, -2)
    second = 2 * (first - first.roll(1, -1)) + 0.3 * noise[:, 1]
    return torch.stack((first, second + 5, 1e-3 * noise[:, 2]), dim=1)


def cross_spectrum(x):
    transform = torch.fft.fft2(x - x.mean((-2, -1), keepdim=True))
    return torch.einsum("ncij,ndij->cdij", transform, transform.conj()) / (len(x) * x[0, 0].numel())


def test_one_field_is_the_gaussian_model():
    x = sky()[0, 1]
    one, model = GaussianFields(x[None]), GaussianModel(x)
    noise = white_noise(2, (1, 16, 18), seed=0)
    torch.testing.assert_close(one.colour(noise)[:, 0], model.colour(noise[:, 0]), rtol=0, atol=1e-10)
    torch.testing.assert_close(one.smoothed().colour(noise)[:, 0], model.smoothed().colour(noise[:, 0]))
    wide = white_noise(2, (1, 24, 20), seed=0)
    torch.testing.assert_close(one.colour(wide)[:, 0], model.colour(wide[:, 0]))


@pytest.mark.parametrize("shape", [(16, 18), (9, 10), (7, 5)])
def test_samples_have_the_spectra_and_cross_spectra(shape):
    x = sky(shape, n=3)
    model = GaussianFields(x)
    torch.testing.assert_close(model.spectrum[..., 1:, :], cross_spectrum(x)[..., 1:, :])
    n = 4000
    measured = cross_spectrum(model.sample(n, seed=1))
    scale = model.spectrum.diagonal(dim1=0, dim2=1).real.sqrt().permute(2, 0, 1)
    # The product of two Gaussian modes scatters by sqrt 2 at most of the product of their deviations.
    bound = (scale[:, None] * scale)[..., 1:, :].clamp(min=1e-30) * 5 * (2 / n) ** 0.5
    assert bool(((measured - model.spectrum)[..., 1:, :].abs() <= bound).all())


def test_the_phase_between_fields_is_kept():
    """A field and its derivative are out of phase; independent models would make them independent."""
    x = sky((32, 32))
    y = GaussianFields(x).sample(20, seed=0)
    deviation = y - y.mean((-2, -1), keepdim=True)
    rows = deviation.roll(1, -1) - deviation.roll(-1, -1)
    measured = (rows[:, 0] * deviation[:, 1]).mean()
    centred = (x - x.mean((-2, -1), keepdim=True))[0]
    wanted = ((centred[0].roll(1, -1) - centred[0].roll(-1, -1)) * centred[1]).mean()
    assert abs(float(wanted)) > 1
    torch.testing.assert_close(measured, wanted, rtol=0.05, atol=0)


@pytest.mark.parametrize("change", [lambda m: m.smoothed(), lambda m: m.smoothed(width=1.0), lambda m: m])
@pytest.mark.parametrize("shape", [(16, 18), (24, 13), (40, 36)])
def test_other_sizes_and_smoothing_keep_variances_and_are_positive(change, shape):
    model = change(GaussianFields(sky()))
    density = model.spectral_density(shape)
    torch.testing.assert_close(
        density.mean((-2, -1)).diagonal().real, model.covariance().diagonal(), rtol=1e-10, atol=0
    )
    torch.testing.assert_close(density, density.flip((-2, -1)).roll((1, 1), (-2, -1)).conj(), rtol=0, atol=1e-12)
    values = torch.linalg.eigvalsh(density.permute(2, 3, 0, 1))
    assert float((values[..., 0] / values[..., -1].clamp(min=1e-12)).min()) > -1e-10


def test_smoothing_leaves_the_coherence_that_neighbours_share():
    def coherence(model, a, b):
        s = model.spectrum[..., 4:8, 4:8]
        return float((s[a, b].abs().square() / (s[a, a] * s[b, b]).real).mean())

    raw, smooth = GaussianFields(sky((64, 64))), GaussianFields(sky((64, 64))).smoothed()
    assert coherence(raw, 0, 2) == pytest.approx(1)
    assert coherence(smooth, 0, 2) < 0.1
    assert coherence(smooth, 0, 1) > 0.5


def test_a_sample_depends_on_seed_and_index_alone():
    model = GaussianFields(sky().float())
    three = model.sample(3, seed=7)
    assert three.dtype == torch.float32
    assert three.shape == (3, 3, 16, 18)
    assert torch.equal(model.sample(1, seed=7), three[:1])
    assert model.sample(2, seed=7, shape=(20, 22)).shape == (2, 3, 20, 22)
    assert model.sample(0, seed=0).shape == (0, 3, 16, 18)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"axes \(..., C, H, W\)"):
        GaussianFields(torch.zeros(16, 16))
    with pytest.raises(ValueError, match="1 NaN"):
        GaussianFields(torch.tensor([[[1.0, torch.nan], [0.0, 1.0]]]))
    model = GaussianFields(sky())
    with pytest.raises(ValueError, match="noise"):
        model.colour(torch.zeros(2, 16, 18))
    with pytest.raises(ValueError, match="width"):
        model.smoothed(width=0.0)
