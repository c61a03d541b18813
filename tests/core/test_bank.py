"""Filter banks: Littlewood-Paley sum, tight normalisation, cache, messages."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from phasewave.core.bank import filter_bank, scale_wavelets
from phasewave.core.bump import BumpSteerable
from phasewave.core.fourier import Support
from phasewave.core.morlet import Morlet

PRECISE = 1e-16


def direct_littlewood_paley(bank) -> torch.Tensor:
    """A(w) = |phi(w)|^2 + 1/2 sum (|psi(w)|^2 + |psi(-w)|^2) with -w by explicit index."""
    low = bank.low_pass[0]
    for profile in bank.low_pass[1:]:
        low = low[..., None] * profile
    total = low**2
    negative = torch.meshgrid(*[(-torch.arange(n)) % n for n in bank.shape], indexing="ij")
    for support in (support for scale in bank.wavelets for support in scale):
        energy = support.on_grid(bank.shape).abs() ** 2
        total = total + 0.5 * (energy + energy[negative])
    return total


@pytest.mark.parametrize(("n_scales", "largest"), [(2, 1.0001), (3, 1.0136), (4, 1.0353)])
def test_littlewood_paley_bounds_of_the_morlet_bank(n_scales, largest):
    """The usual bank of 8 angles is far from Parseval; kymatio's filters, pi / 3.1415 larger, even exceed 1."""
    sums = filter_bank((64, 64), Morlet(8), n_scales=n_scales, tolerance=PRECISE).littlewood_paley()
    kymatio = sums * (math.pi / 3.1415) ** 2
    assert round(float(kymatio.min()), 3) == 0.123
    assert round(float(kymatio.max()), 4) == largest


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("shape", [(32, 32), (33, 48), (17, 19)])
def test_littlewood_paley_sum(shape, tight):
    bank = filter_bank(shape, Morlet(5), n_scales=3, tight=tight, tolerance=PRECISE)
    torch.testing.assert_close(bank.littlewood_paley(), direct_littlewood_paley(bank), rtol=1e-14, atol=0)


@pytest.mark.parametrize("n_angles", [2, 5, 8])
@pytest.mark.parametrize("shape", [(32, 32), (33, 48), (64, 17), (101, 96)])
@pytest.mark.parametrize("n_scales", [1, 2, 4])
def test_tight_bank_is_parseval(shape, n_scales, n_angles):
    bank = filter_bank(shape, Morlet(n_angles), n_scales=n_scales, tight=True, tolerance=PRECISE)
    assert float((direct_littlewood_paley(bank) - 1).abs().max()) <= 1e-14


def test_tight_rescales_all_wavelets_of_a_frequency_alike():
    plain, tight = (
        filter_bank((32, 48), Morlet(4), n_scales=3, tight=tight, tolerance=PRECISE) for tight in (False, True)
    )
    gains = []
    for a, b in zip(sum(plain.wavelets, ()), sum(tight.wavelets, ()), strict=True):
        assert a.start == b.start
        on_a, on_b = a.on_grid((32, 48)), b.on_grid((32, 48))
        gains.append(torch.where(on_a.abs() > 1e-6, on_b / on_a, math.nan))
    stacked = torch.stack(gains)
    middle = stacked.nanmedian(dim=0).values
    spread = (stacked - middle).nan_to_num(0).abs() / middle.nan_to_num(1)
    assert float(spread.max()) <= 1e-9
    assert all(bool((a == b).all()) for a, b in zip(plain.low_pass, tight.low_pass, strict=True))


def test_equal_calls_share_one_design():
    first = filter_bank((32, 48), Morlet(4), n_scales=2, tolerance=1e-8)
    assert filter_bank([32, 48], Morlet(n_angles=4), n_scales=2, tolerance=1e-8) is first
    assert filter_bank((48, 32), Morlet(4), n_scales=2, tolerance=1e-8) is not first
    assert filter_bank((32, 48), Morlet(4, sigma=0.9), n_scales=2, tolerance=1e-8) is not first


def test_float32_boxes_are_smaller_and_as_good():
    fine, coarse = (filter_bank((64, 64), Morlet(8), n_scales=3, tolerance=t) for t in (1e-16, 4e-6))
    assert sum(s.values.numel() for s in coarse.wavelets[2]) < 0.5 * sum(
        s.values.numel() for s in fine.wavelets[2]
    )
    for a, b in zip(sum(fine.wavelets, ()), sum(coarse.wavelets, ()), strict=True):
        assert float((a.on_grid((64, 64)) - b.on_grid((64, 64))).abs().max()) <= 8e-6


def test_low_pass_support_is_the_outer_product():
    bank = filter_bank((17, 20), Morlet(2), n_scales=2, tolerance=PRECISE)
    expected = torch.outer(*bank.low_pass)
    assert bool((bank.low_pass_support().on_grid((17, 20)) == expected).all())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (15, 64)}, r"`shape` must be 2 integers >= 16, got \(15, 64\)"),
        ({"shape": (64.0, 64)}, r"`shape` must be 2 integers >= 16, got \(64.0, 64\)"),
        ({"n_scales": 0}, "`n_scales` must be an integer >= 1, got 0"),
        ({"n_scales": 7}, r"`n_scales` must be at most 6 for a grid of \(64, 64\), got 7"),
        ({"shape": (64, 20), "n_scales": 6}, r"`n_scales` must be at most 4 for a grid of \(64, 20\), got 6"),
        ({"tolerance": 0.0}, r"`tolerance` must lie between 0 and 1, got 0\.0"),
        ({"tolerance": 1.0}, r"`tolerance` must lie between 0 and 1, got 1\.0"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"shape": (64, 64), "n_scales": 3, "tolerance": 1e-6} | arguments
    with pytest.raises(ValueError, match=message):
        filter_bank(given.pop("shape"), Morlet(4), **given)


def test_largest_number_of_scales_that_the_message_names_is_accepted():
    assert filter_bank((64, 20), Morlet(2), n_scales=4, tolerance=1e-6).n_scales == 4


@dataclass(frozen=True)
class Hole:
    """A family that leaves most frequencies uncovered."""

    n_filters: int = 1

    def dilation(self, scale: int) -> float:
        return 2.0**scale

    def wavelets(self, shape, scale, *, tolerance):
        return (Support((2,) * len(shape), torch.ones((2,) * len(shape), dtype=torch.float64)),)

    def low_pass(self, omega, n_scales):
        return torch.exp(-0.5 * (4 * omega) ** 2)


def test_tight_refuses_a_bank_with_holes():
    with pytest.raises(ValueError, match="`tight` needs wavelets that cover every frequency"):
        filter_bank((16, 16), Hole(), n_scales=1, tight=True, tolerance=1e-6)


@pytest.mark.parametrize("shape", [(16,), (16, 17), (16, 18, 17)])
def test_any_number_of_axes(shape):
    bank = filter_bank(shape, Hole(), n_scales=2, tolerance=1e-6)
    sums = bank.littlewood_paley()
    torch.testing.assert_close(sums, direct_littlewood_paley(bank), rtol=1e-14, atol=0)
    assert float(sums[(0,) * len(shape)]) == pytest.approx(1, abs=1e-9)


def test_designs_of_large_grids_are_not_kept() -> None:
    small, large = ((n, n) for n in (64, 288))
    for design in (
        lambda shape: filter_bank(shape, BumpSteerable(2), n_scales=1, tolerance=1e-6).wavelets[0],
        lambda shape: scale_wavelets(shape, BumpSteerable(2), 0, tolerance=1e-6),
    ):
        assert design(small)[0].values is design(small)[0].values
        first, again = design(large)[0].values, design(large)[0].values
        assert first is not again
        assert torch.equal(first, again)
