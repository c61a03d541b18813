import math

import pytest
import torch

from phasewave.turbulence.band_powers import BandPowers


def test_a_wave_has_its_power_in_its_band() -> None:
    wave = math.sqrt(2) * torch.cos(2 * math.pi * 5 / 32 * torch.arange(32, dtype=torch.float64)).expand(32, 32)
    noise = torch.randn(32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    module = BandPowers((32, 32), n_bands=4, dtype=torch.float64)
    edges = module.edges / (2 * math.pi / 32)
    powers = module(wave)
    band = int((edges <= 5).sum()) - 1
    count = sum(
        edges[band] <= math.hypot(a, b) < edges[band + 1] for a in range(-16, 16) for b in range(-16, 16) if a or b
    )
    expected = torch.zeros(4, dtype=torch.float64)
    expected[band] = 32 * 32 / int(count)
    torch.testing.assert_close(powers, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(module.standardized(noise)(2 * noise), torch.full((4,), 4.0).double())


def test_gradients_are_those_of_differences() -> None:
    x = torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(BandPowers((16, 16), n_bands=3, dtype=torch.float64), x)


def test_bands_without_a_frequency_are_left_out() -> None:
    assert BandPowers((16, 16), n_bands=60)(torch.zeros(2, 16, 16)).shape[-1] < 60


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="n_bands"):
        BandPowers((16, 16), n_bands=0)
    with pytest.raises(ValueError, match="last axes"):
        BandPowers((16, 16))(torch.zeros(16, 17))


def scattered() -> torch.Tensor:
    return torch.rand(32, 32, generator=torch.Generator().manual_seed(0)) > 0.2


def smooth_field() -> torch.Tensor:
    x = torch.randn(32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(4):
        x = (x + x.roll(1, 0) + x.roll(1, 1) + x.roll((1, 1), (0, 1))) / 2
    return x + 3


def test_a_mask_without_gaps_changes_nothing() -> None:
    module, x = BandPowers((32, 32), n_bands=5, dtype=torch.float64), smooth_field()
    masked = module.masked(torch.ones(32, 32, dtype=torch.bool))
    torch.testing.assert_close(masked(x.expand(2, 1, 32, 32)), module(x.expand(2, 1, 32, 32)))


def test_powers_under_a_mask_do_not_leak() -> None:
    module, x = BandPowers((32, 32), n_bands=5, dtype=torch.float64), smooth_field()
    masked = module.masked(scattered())
    values = masked(torch.where(scattered(), x, torch.nan))
    assert torch.equal(values, masked(x))
    wanted = module(x)
    naive = module(torch.where(scattered(), x, x[scattered()].mean()))
    assert float((values / wanted - 1).abs().max()) < 0.1
    assert float((naive / wanted - 1).abs().max()) > 1
    (gradient,) = torch.autograd.grad(masked(x.requires_grad_()).sum(), x)
    assert bool((gradient[~scattered()] == 0).all())
    assert float(gradient.abs().max()) > 0
    with pytest.raises(ValueError, match="False everywhere"):
        module.masked(torch.zeros(32, 32, dtype=torch.bool))
