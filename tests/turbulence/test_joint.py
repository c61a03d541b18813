import dataclasses
from collections import Counter

import pytest
import torch

from phasewave.turbulence.band_powers import BandPowers
from phasewave.turbulence.circular_moments import CircularMoments
from phasewave.turbulence.gaussian import white_noise
from phasewave.turbulence.joint import JointMoments
from phasewave.turbulence.marginals import Marginals
from phasewave.turbulence.moments import PhaseHarmonicMoments


def field(n: int = 32, seed: int = 0) -> torch.Tensor:
    """A skewed field."""
    return torch.nn.functional.avg_pool2d(white_noise(1, (n, n), seed=seed), 3, 1, 1)[0].exp()


class Mean(torch.nn.Module):
    """A set of one complex moment."""

    @dataclasses.dataclass(frozen=True)
    class Row:
        kind: str = "mean"

    shape, table, n_moments, is_complex = (32, 32), (Row(),), 1, True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.complex(x.mean((-2, -1)), x.amax((-2, -1)))[..., None]

    def standardized(self, target: torch.Tensor) -> "Mean":
        return self


def parts(shape: tuple[int, int], n_scales: int = 2) -> list[torch.nn.Module]:
    return [
        CircularMoments(shape, n_scales=n_scales, max_momentum=2, smoothings=(0.0, 2.0), dtype=torch.float64),
        Marginals(shape, n_scales=n_scales, widths=(1.5,), n_bins=16, dtype=torch.float64),
        BandPowers(shape, n_bands=5, dtype=torch.float64),
    ]


def test_the_parts_stand_side_by_side() -> None:
    x, own = field(), parts((32, 32))[1]
    joint = JointMoments([Mean(), own], weights=[4.0, 1.0]).standardized(x)
    expected = torch.cat((2 * torch.stack((x.mean(), x.max())), own.standardized(x)(x)))
    torch.testing.assert_close(joint(x), expected)


def test_the_table_has_a_row_for_every_number() -> None:
    joint = JointMoments([Mean(), *parts((32, 32))])
    assert joint.shape == (32, 32)
    assert len(joint.table) == joint.n_moments == joint(field()).shape[-1]
    kinds = Counter(row.kind for row in joint.table)
    circular = joint.parts[1]
    n_channels = len(circular.channels)
    assert kinds == {
        "mean": 2,
        "circular_mean": n_channels,
        "circular": n_channels * (n_channels + 1),
        "quantiles": sum(joint.parts[2].bins),
        "band_powers": 5,
    }
    assert [row.part for row in joint.table[:2]] == ["real", "imaginary"]


def test_no_fields_have_no_moments() -> None:
    joint = JointMoments(parts((32, 32)))
    assert joint(field().expand(0, 3, 32, 32)).shape == (0, 3, joint.n_moments)


@pytest.mark.parametrize("number", range(3))
def test_a_periodic_continuation_has_the_same_moments(number: int) -> None:
    """Every channel of the tiled field is the tiled channel, sampled at the same points of each tile."""
    small = parts((64, 64), n_scales=1)[number].standardized(field(64, seed=1))
    large = small.resized((128, 192))
    assert type(large) is type(small)
    assert large.shape == (128, 192)
    assert large.table == small.table
    x = field(64)
    if number == 2:
        # A band of the larger grid has frequencies at which a tiled field has no power: all waves alike instead.
        for module in (small, large):
            wave = torch.zeros(module.shape, dtype=torch.float64)
            wave[0, 0] = wave.numel() ** 0.5
            torch.testing.assert_close(module(wave), 1 / small.scale, rtol=1e-12, atol=0)
    else:
        torch.testing.assert_close(large(x.repeat(2, 3)), small(x), rtol=0, atol=1e-9)


def test_resized_there_and_back_is_the_same() -> None:
    joint = JointMoments(parts((32, 32)), weights=(1.0, 2.0, 3.0)).standardized(field(seed=1))
    x = field()
    back = joint.resized((48, 64)).resized((32, 32))
    torch.testing.assert_close(back(x), joint(x), rtol=0, atol=0)
    assert joint.resized((48, 64)).n_moments == joint.n_moments


def test_a_shape_that_is_too_small_is_named() -> None:
    circular, marginals, _ = parts((64, 64), n_scales=5)
    with pytest.raises(ValueError, match=r"n_scales|16"):
        circular.resized((16, 64))
    with pytest.raises(ValueError, match=r"`n_scales`"):
        marginals.resized((16, 16))
    with pytest.raises(ValueError, match=r"leave a frequency to the band 0.09817"):
        BandPowers((64, 64)).resized((32, 32))
    with pytest.raises(ValueError, match="values or more to band-pass 5"):
        Marginals((256, 256), n_scales=5).resized((32, 32))
    with pytest.raises(ValueError, match="one shape"):
        JointMoments([circular, *parts((32, 32))])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="parts"):
        JointMoments([])
    with pytest.raises(ValueError, match="weights"):
        JointMoments(parts((32, 32)), weights=[1.0, 2.0])


@pytest.mark.parametrize("masked", [False, True])
def test_chunks_change_no_value_and_no_gradient(masked: bool) -> None:
    def made(chunk: int | None) -> JointMoments:
        options = {"n_scales": 2, "dtype": torch.float64, "chunk": chunk}
        circular = CircularMoments((32, 32), max_momentum=2, smoothings=(0.0, 2.0), **options)
        marginals = Marginals((32, 32), widths=(1.5,), n_bins=16, **options)
        powers = BandPowers((32, 32), n_bands=4, dtype=torch.float64)
        joint = JointMoments([circular, marginals, powers], weights=(1.0, 2.0, 3.0), chunk=chunk)
        if masked:
            mask = torch.ones(32, 32, dtype=torch.bool)
            mask[3:5, 4:6] = False
            joint = joint.masked(mask)
        return joint.standardized(field(seed=9))

    x = torch.stack([field(seed=s) for s in range(4 - 2 * masked)]).view(2, -1, 1, 32, 32).requires_grad_()
    whole = made(None)
    expected = whole(x)
    weights = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (wanted,) = torch.autograd.grad((expected * weights).sum(), x)
    for chunk in (1, 3):
        chunked = made(chunk)
        values = chunked(x)
        torch.testing.assert_close(values, expected, rtol=0, atol=1e-11)
        (gradient,) = torch.autograd.grad((values * weights).sum(), x)
        torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-11 * float(wanted.abs().max()))
        assert chunked.resized((48, 48)).chunk == chunk
        assert [part.chunk for part in chunked.resized((48, 48)).parts[:2]] == [chunk, chunk]
        torch.testing.assert_close(chunked(x[0, 0, 0]), expected[0, 0, 0], rtol=0, atol=1e-11)
    with pytest.raises(ValueError, match="`chunk`"):
        made(0)


def test_gradients_of_complex_moments_after_an_odd_number_of_real_ones():
    x = torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
    powers = BandPowers((32, 32), n_bands=1)
    assert powers.n_moments == 1
    joint = JointMoments([powers, PhaseHarmonicMoments((32, 32), n_scales=2, classes=("S11",))])
    joint(x).square().sum().backward()
    (alone,) = torch.autograd.grad(sum(part(x).abs().square().sum() for part in joint.parts), x)
    torch.testing.assert_close(x.grad, alone)
