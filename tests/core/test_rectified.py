import pytest
import torch

from phasewave.core.meyer import MeyerSteerable
from phasewave.core.rectified import RectifiedWavelets
from phasewave.core.transform import WaveletTransform

SHAPES = [((32, 32), 3), ((28, 28), 2), ((17, 30), 2), ((33, 19), 3), ((64, 48), 4)]


@pytest.mark.parametrize(("shape", "n_scales"), SHAPES)
@pytest.mark.parametrize("n_angles", [1, 2, 3, 4, 8])
def test_the_frame_is_parseval_at_any_size(shape, n_scales, n_angles):
    transform = WaveletTransform(shape, MeyerSteerable(n_angles), n_scales=n_scales, tight=True, oversampling=0)
    torch.testing.assert_close(
        transform.bank.littlewood_paley(), torch.ones(shape, dtype=torch.float64), rtol=0, atol=1e-13
    )


def test_the_squares_telescope_away_from_the_nyquist_frequencies():
    transform = WaveletTransform((32, 32), MeyerSteerable(4), n_scales=3, tight=False, oversampling=0)
    inside = transform.bank.littlewood_paley().clone()
    inside[16], inside[:, 16] = 1.0, 1.0
    # cos^6 over four angles sums to 4 * 20 / 64, the mean of cos^6 times the number of angles
    low = transform.bank.low_pass
    expected = (1 - (low[0][:, None] * low[1]) ** 2) * (4 * 20 / 64) + (low[0][:, None] * low[1]) ** 2
    expected[16], expected[:, 16] = 1.0, 1.0
    torch.testing.assert_close(inside, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize(("shape", "n_scales"), SHAPES)
@pytest.mark.parametrize("n_phases", [4, 6, 8, 10])
def test_the_inverse_is_exact(dtype, bound, shape, n_scales, n_phases):
    operator = RectifiedWavelets(shape, n_scales=n_scales, n_angles=3, n_phases=n_phases, dtype=dtype)
    x = torch.randn(2, 3, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    levels = operator(x)
    assert all(level.min() >= 0 for level in levels[:-1])
    assert [level.shape[2] for level in levels] == list(operator.n_channels)
    assert (operator.inverse(levels) - x).norm() <= bound * x.norm()


@pytest.mark.parametrize("n_phases", [4, 8])
def test_the_energy_is_that_of_the_field(n_phases):
    operator = RectifiedWavelets((32, 32), n_scales=3, n_phases=n_phases, dtype=torch.float64)
    x = torch.randn(32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    *scales, low = operator(x)
    energy = (
        sum(4**j * (4 / n_phases) * u.square().sum() for j, u in enumerate(scales)) + 4**3 * low.square().sum()
    )
    torch.testing.assert_close(energy, x.square().sum(), rtol=1e-12, atol=0)


def test_the_inverse_is_linear_and_projects():
    operator = RectifiedWavelets((16, 18), n_scales=2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    u = [
        torch.randn(n, *grid, dtype=torch.float64, generator=generator)
        for n, grid in zip(operator.n_channels, operator.grids, strict=True)
    ]
    x = operator.inverse(u)
    doubled = operator.inverse([2 * level for level in u])
    torch.testing.assert_close(doubled, 2 * x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(operator.inverse(operator(x)), x, rtol=0, atol=1e-12)


def test_coefficients_scale_with_the_field():
    operator = RectifiedWavelets((16, 16), n_scales=2, dtype=torch.float64)
    x = torch.randn(4, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    for scaled, level in zip(operator(3 * x), operator(x), strict=True):
        torch.testing.assert_close(scaled, 3 * level, rtol=1e-12, atol=1e-12)


def test_gradients():
    operator = RectifiedWavelets((16, 16), n_scales=1, n_angles=2, dtype=torch.float64)
    x = torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda field: operator(field)[0].square().sum(), (x,), fast_mode=True)


def test_bad_input():
    with pytest.raises(ValueError, match=r"`n_phases` must be even, got 5"):
        RectifiedWavelets((16, 16), n_scales=1, n_phases=5)
    with pytest.raises(ValueError, match="n_phases"):
        RectifiedWavelets((16, 16), n_scales=1, n_phases=2)
    operator = RectifiedWavelets((16, 16), n_scales=1)
    with pytest.raises(ValueError, match="`levels` must hold 1 scales and the low-pass, got 1"):
        operator.inverse(operator(torch.zeros(16, 16))[:1])
    with pytest.raises(ValueError, match=r"`levels` must have 16 channels on the grid \(16, 16\)"):
        operator.inverse([torch.zeros(15, 16, 16), torch.zeros(1, 8, 8)])
    with pytest.raises((TypeError, ValueError), match="`x`"):
        operator(torch.zeros(15, 16))
