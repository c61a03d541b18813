import math

import pytest
import torch

from phasewave.turbulence.circular_moments import CircularMoments
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.marginals import Marginals
from phasewave.turbulence.whitening import Whitened

TIGHT = {"rtol": 0, "atol": 1e-9}


def power_law(shape, slope, *, seed=0):
    """White noise times ``|omega|^(slope / 2)``, and no mean."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    radius = torch.hypot(torch.fft.fftfreq(shape[0])[:, None], torch.fft.fftfreq(shape[1])).double()
    radius[0, 0] = torch.inf
    return torch.fft.ifft2(torch.fft.fft2(noise) * radius ** (slope / 2)).real


class Identity(torch.nn.Module):
    """The pixels themselves, as moments."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.flatten(-2)

    def standardized(self, target):
        return self

    def resized(self, shape):
        return Identity(shape)


@pytest.mark.parametrize("shape", [(64, 64), (48, 65)])
@pytest.mark.parametrize("slope", [-2.0, -6.0])
def test_the_part_sees_a_flat_spectrum(shape, slope):
    x = power_law(shape, slope)
    white = Whitened(Identity(shape)).standardized(x)(x).reshape(shape)
    density = GaussianModel(white).spectrum
    radius = torch.hypot(torch.fft.fftfreq(shape[0])[:, None], torch.fft.fftfreq(shape[1])).double()
    bands = [density[(radius > low) & (radius <= 1.6 * low)].mean() for low in (0.1, 0.16, 0.25, 0.4)]
    # Periodograms scatter; before, the bands differ by factors of 5 to 4e3.
    assert max(bands) / min(bands) < 1.6
    assert float(density.mean()) == pytest.approx(1.0, rel=0.1)


def test_the_response_is_isotropic_and_smooth():
    x = power_law((64, 64), -3.0)
    response = Whitened(Identity((64, 64))).standardized(x).response
    torch.testing.assert_close(response[5, 12], response[12, 5], **TIGHT)
    torch.testing.assert_close(response[3, 4], response[5, 0], **TIGHT)
    torch.testing.assert_close(response[3, 4], response[0, 5], **TIGHT)
    # |omega|^1.5, but for the scatter of the periodogram
    assert float(response[0, 24] / response[0, 6]) == pytest.approx(4**1.5, rel=0.3)


def test_units_cancel():
    x = power_law((32, 32), -3.0)
    moments = Whitened(CircularMoments((32, 32), n_scales=2, dtype=torch.float64))
    one, thousand = moments.standardized(x)(x), moments.standardized(1e3 * x)(1e3 * x)
    torch.testing.assert_close(one, thousand, rtol=1e-9, atol=1e-9)


def test_before_a_target_is_given_nothing_is_done():
    x = power_law((32, 32), -3.0)
    part = Marginals((32, 32), n_scales=2, dtype=torch.float64)
    torch.testing.assert_close(Whitened(part)(x), part(x), **TIGHT)


def test_power_in_the_noise_is_not_raised():
    x = power_law((64, 64), -2.0)
    spectrum = torch.fft.fft2(x)
    radius = torch.hypot(torch.fft.fftfreq(64)[:, None], torch.fft.fftfreq(64)).double()
    empty = torch.fft.ifft2(spectrum * (radius < 0.2)).real
    response = Whitened(Identity((64, 64))).standardized(empty).response
    assert float(response.max() / response.min()) <= 1.001e5
    assert bool(torch.isfinite(response).all())


def test_resized_repeats_the_same_filter():
    """A field tiled twice has the moments of the field: the response depends on the frequency alone."""
    x = power_law((32, 32), -3.0)
    moments = Whitened(CircularMoments((32, 32), n_scales=2, dtype=torch.float64)).standardized(x)
    tiled = moments.resized((64, 64))(x.repeat(2, 2))
    torch.testing.assert_close(tiled, moments(x), rtol=0, atol=2e-3 * float(moments(x).abs().max()))
    torch.testing.assert_close(moments.resized((64, 64)).response[::2, ::2], moments.response, rtol=1e-12, atol=0)


def test_a_gap_has_no_say():
    x = power_law((64, 64), -4.0)
    mask = torch.ones(64, 64, dtype=torch.bool)
    mask[10:20, 30:36] = False
    masked = Whitened(Marginals((64, 64), n_scales=2, dtype=torch.float64)).masked(mask)
    other = torch.where(mask, x, 1e3)
    torch.testing.assert_close(masked.standardized(x)(x), masked.standardized(other)(other), rtol=1e-9, atol=1e-9)
    whole = masked.standardized(x).resized((64, 64))
    torch.testing.assert_close(whole.response, masked.standardized(x).response, **TIGHT)


def test_table_and_gradient():
    part = Marginals((32, 32), n_scales=2, dtype=torch.float64)
    moments = Whitened(part)
    assert moments.n_moments == part.n_moments == len(moments.table)
    assert {row.kind for row in moments.table} == {row.kind for row in part.table}
    assert moments.is_complex == part.is_complex
    x = power_law((32, 32), -2.0).requires_grad_()
    moments.standardized(x.detach())(x).square().sum().backward()
    assert math.isfinite(float(x.grad.abs().sum()))


def test_constant_field():
    with pytest.raises(ValueError, match=r"`target` must vary over space, got 'a constant field'"):
        Whitened(Identity((32, 32))).standardized(torch.ones(32, 32))
