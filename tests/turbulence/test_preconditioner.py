import math

import pytest
import torch

from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.preconditioner import SpectralPreconditioner


def power_law(shape, slope, seed=0):
    """A field of exactly the isotropic spectrum |omega|^slope, phases at random."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spectrum = torch.fft.fft2(noise)
    radius = torch.hypot(torch.fft.fftfreq(shape[0])[:, None], torch.fft.fftfreq(shape[1])).double()
    radius[0, 0] = torch.inf
    return torch.fft.ifft2(spectrum / spectrum.abs() * radius ** (slope / 2)).real


@pytest.mark.parametrize("shape", [(32, 32), (33, 31), (24, 40)])
def test_the_two_maps_are_inverse(shape):
    preconditioner = SpectralPreconditioner(GaussianModel(power_law(shape, -3.0)), exponent=1.0)
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(preconditioner.variables(preconditioner.fields(x)), x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(preconditioner.fields(preconditioner.variables(x)), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(16, 16), (17, 20)])
def test_the_map_is_its_own_adjoint(shape):
    preconditioner = SpectralPreconditioner(GaussianModel(power_law(shape, -2.0)), exponent=1.0)
    a, b = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left, right = (preconditioner.fields(a) * b).sum(), (a * preconditioner.fields(b)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=0.0)


def test_equal_power_in_every_octave_needs_no_preconditioning():
    # S ~ |omega|^-2 in two dimensions: the amplitude is flat, but for the width of the shells
    preconditioner = SpectralPreconditioner(GaussianModel(power_law((64, 64), -2.0)), exponent=1.0)
    assert float(preconditioner.amplitude.std() / preconditioner.amplitude.mean()) < 0.05


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("slope", [0.0, -1.0, -3.0])
def test_the_amplitude_is_the_root_of_the_power_and_a_power_of_the_frequency(slope, exponent):
    model = GaussianModel(power_law((128, 128), slope))
    amplitude = SpectralPreconditioner(model, exponent=exponent, floor=1e-12).amplitude
    ratio = float(amplitude[0, 32] / amplitude[0, 8])
    assert ratio == pytest.approx(4.0 ** (exponent + slope / 2), rel=0.03)


@pytest.mark.parametrize("exponent", [-0.5, math.nan])
def test_bad_exponent(exponent):
    with pytest.raises(ValueError, match=r"`exponent` must be >= 0, got"):
        SpectralPreconditioner(GaussianModel(power_law((16, 16), -1.0)), exponent=exponent)


def test_the_floor_bounds_the_amplification_of_an_empty_range():
    field = power_law((64, 64), -3.0)
    spectrum = torch.fft.fft2(field)
    radius = torch.hypot(torch.fft.fftfreq(64)[:, None], torch.fft.fftfreq(64))
    smooth = torch.fft.ifft2(spectrum * (radius < 0.2)).real
    amplitude = SpectralPreconditioner(GaussianModel(smooth), exponent=1.0, floor=1e-4).amplitude
    assert float(amplitude.min() / amplitude.max()) == pytest.approx(1e-2, rel=1e-9)
    assert torch.isfinite(amplitude.reciprocal()).all()


def test_units_do_not_matter():
    one = SpectralPreconditioner(GaussianModel(power_law((32, 32), -1.5)), exponent=1.0)
    two = SpectralPreconditioner(GaussianModel(1e3 * power_law((32, 32), -1.5)), exponent=1.0)
    torch.testing.assert_close(one.amplitude, two.amplitude, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("floor", [0.0, -1.0, 1.5, math.nan])
def test_bad_floor(floor):
    with pytest.raises(ValueError, match=r"`floor` must be in \(0, 1\], got"):
        SpectralPreconditioner(GaussianModel(power_law((16, 16), -1.0)), exponent=1.0, floor=floor)
