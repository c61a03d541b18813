import math

import pytest
import torch

from phasewave.core.bank import filter_bank
from phasewave.core.bump import BumpSteerable
from phasewave.core.circular import CircularHarmonics
from phasewave.core.fourier import Support
from phasewave.turbulence.masks import gap_depth, observed_mask, seen


def square_gap(n: int = 64, width: int = 20) -> torch.Tensor:
    mask = torch.ones(n, n, dtype=torch.bool)
    mask[:width, -width:] = False
    return mask


def test_depth_is_the_distance_on_the_torus() -> None:
    mask = torch.zeros(9, 12, dtype=torch.bool)
    mask[0, 0] = True
    expected = torch.tensor(
        [[math.hypot(min(a, 9 - a), min(b, 12 - b)) for b in range(12)] for a in range(9)], dtype=torch.float64
    )
    torch.testing.assert_close(gap_depth(mask), expected)


@pytest.mark.parametrize("grid", [(64, 64), (40, 24)])
def test_the_share_in_gaps_is_that_of_a_direct_sum(grid: tuple[int, int]) -> None:
    mask = square_gap()
    filters = filter_bank((64, 64), BumpSteerable(4), n_scales=2, tolerance=1e-12).wavelets[1]
    kept = seen(mask, filters, (64, 64))
    for number, support in enumerate(filters):
        wavelet = torch.fft.ifft2(support.on_grid((64, 64)))
        energy = wavelet.abs().square() / wavelet.abs().square().sum()
        for u in [(0, 0), (25, 30), (22, 50), (19, 44), (10, 10)]:
            share = float((torch.roll(energy.flip(0, 1), (u[0] + 1, u[1] + 1), (0, 1)) * ~mask).sum())
            assert bool(kept[number][u]) == (share <= 1e-2)
    if grid == (40, 24):
        coarse = seen(mask, filters, grid)
        # Points that both grids have: every 8th pixel, every 5th and every 3rd point.
        assert torch.equal(coarse[:, ::5, ::3], kept[:, ::8, ::8])


def test_isolated_pixels_are_no_gap_for_long_waves() -> None:
    mask = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) > 0.25
    bank = filter_bank((64, 64), CircularHarmonics(1), n_scales=7, tolerance=1e-7)
    shares = [float(seen(mask, wavelets, (64, 64)).double().mean()) for wavelets in bank.wavelets]
    assert shares[0] < 0.2
    assert shares[-1] > 0.9


def test_more_leak_keeps_more() -> None:
    mask = square_gap()
    filters = filter_bank((64, 64), CircularHarmonics(0), n_scales=3, tolerance=1e-7).wavelets[2]
    strict, loose = seen(mask, filters, (64, 64), leak=1e-3), seen(mask, filters, (64, 64), leak=1e-1)
    assert bool((strict <= loose).all())
    assert int(loose.sum()) > int(strict.sum())
    assert bool((loose[0] <= mask).all())


def test_a_delta_sees_its_own_pixel() -> None:
    mask = square_gap(16, 4)
    delta = Support((-8, -8), torch.ones(16, 16, dtype=torch.float64))
    assert torch.equal(seen(mask, (delta,), (16, 16))[0], mask)


def test_wrong_masks_are_named() -> None:
    with pytest.raises(TypeError, match=r"boolean tensor, got torch.float32"):
        observed_mask(torch.ones(4, 4), (4, 4))
    with pytest.raises(TypeError, match="boolean tensor, got list"):
        observed_mask([[True]], (1, 1))
    with pytest.raises(ValueError, match=r"shape of the fields \(4, 5\), got \(4, 4\)"):
        observed_mask(torch.ones(4, 4, dtype=torch.bool), (4, 5))
    with pytest.raises(ValueError, match="False everywhere"):
        observed_mask(torch.zeros(4, 4, dtype=torch.bool), (4, 4))
