"""The models A to D: their sizes, their definition at full resolution, symmetries, other sizes, masks."""

import copy
import math
from collections import Counter

import pytest
import torch

from phasewave.core.bump import BumpSteerable
from phasewave.turbulence.full_resolution import channel_field, channel_statistics, moments_at_full_resolution
from phasewave.turbulence.moment_table import Channel, Moment
from phasewave.turbulence.zhang_mallat import ZhangMallatMoments
from phasewave.turbulence.zhang_mallat_table import ZhangMallatSet, canonical

F64 = torch.float64
FULL = 8


def fields(n, shape, seed=0):
    """Skew correlated fields with a mean."""
    noise = torch.randn(n, *shape, dtype=F64, generator=torch.Generator().manual_seed(seed))
    smooth = noise
    for step in (1, 2, 4):
        smooth = smooth + smooth.roll(step, -1) + smooth.roll(step, -2)
    return (smooth / smooth.std()).exp().sqrt() + 0.1 * noise


def build(shape=(32, 32), **settings):
    return ZhangMallatMoments(shape, **{"n_scales": 3, "n_angles": 4, "dtype": F64} | settings)


def numbers(settings):
    """Real numbers of a model as its authors count them."""
    real = {"S00", "C00", "low_pass"}
    total = 0
    for row in settings.listed():
        own = row.kind == "S11" and row.first == row.second and row.shift == (0, 0)
        total += 1 if row.kind in real or own else 2
    return total


def test_sizes_of_the_literature():
    assert numbers(ZhangMallatSet("B")) == 6895
    assert numbers(ZhangMallatSet("C")) == 10927
    assert numbers(ZhangMallatSet("C", angle_reach=1)) == 5839
    # D: 16 frequencies; within a scale (1, 0) complex, (1, 1) and (0, 0) real; across (0, 0) real, three complex.
    classes = Counter(kind for kind, *_ in {d[:3] for d, _ in ZhangMallatSet("D").differences()})
    assert classes == {"S10": 5, "S11": 5, "S00": 5, "C00": 4, "C01": 4, "C02": 4, "Cphase": 4}
    assert 16 * (5 * (2 + 1 + 1) + 4 * (1 + 2 + 2 + 2)) + 1 == 769


def test_no_covariance_stands_twice():
    # Every listed covariance of a field is one of the table or its conjugate, and those of the table differ.
    x = fields(1, (32, 32))[0]
    settings = ZhangMallatSet("C", n_scales=2, n_angles=3, angle_reach=2, shift_reach=1)
    listed, table = list(settings.listed()), settings.table()
    folded = [Moment(row.kind, plain(row.first, 3), plain(row.second, 3), row.shift) for row in listed]
    every = moments_at_full_resolution(x, folded, BumpSteerable(3))
    once = moments_at_full_resolution(x, table, BumpSteerable(3))
    at = {row: n for n, row in enumerate(table)}
    for row, value in zip(listed, every, strict=True):
        expected = once[at[canonical(row, 3)]]
        assert min(abs(value - expected), abs(value - expected.conj())) < 1e-12
    distance = (once[:, None] - once).abs().minimum((once[:, None] - once.conj()).abs())
    assert (distance + torch.eye(len(once))).min() > 1e-9


def plain(channel, n_angles):
    """A channel of the full turn in the terms of the reference."""
    if channel.source != "wavelet" or channel.angle < n_angles:
        return channel
    return Channel("wavelet", channel.scale, channel.angle - n_angles, -channel.harmonic)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "A"},
        {"model": "B", "n_angles": 3, "angle_reach": 3},
        {"model": "C", "shift_reach": 1},
        {"model": "C", "n_angles": 3, "angle_reach": 2, "scale_reach": 2, "harmonics": (0, 2, 3)},
    ],
)
@pytest.mark.parametrize("shape", [(32, 32), (33, 40)])
def test_every_row_equals_its_definition(settings, shape):
    x, y = fields(2, shape)
    moments = build(shape, oversampling=FULL, **settings)
    family = moments.covariances.family
    statistics = channel_statistics(x, moments.table, family)
    raw = moments_at_full_resolution(y, moments.table, family)
    fixed = moments_at_full_resolution(y, moments.table, family, statistics=statistics)
    torch.testing.assert_close(moments(y), raw, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(moments.standardized(x)(y), fixed, rtol=1e-9, atol=1e-11)


def turn_of_channels(x, family, scale, harmonic):
    """A channel at the 2 L angles of a turn, centred, shape (2 L, H, W)."""
    half = [channel_field(x, Channel("wavelet", scale, a, harmonic), family) for a in range(family.n_angles)]
    turn = torch.stack([*half, *(z.conj() for z in half)]).to(torch.complex128)
    return turn - turn.mean((-2, -1), keepdim=True)


def test_the_isotropic_model_is_the_covariance_along_the_angle():
    x = fields(1, (32, 32))[0]
    moments = build(model="D", n_scales=2, n_angles=3, oversampling=FULL)
    family = moments.covariances.family
    values = moments(x)
    for row, value in zip(moments.table[:-1], values[:-1], strict=True):
        a, b = (
            torch.fft.fft(turn_of_channels(x, family, c.scale, c.harmonic), dim=0, norm="ortho")
            for c in (row.first, row.second)
        )
        every = (a * b.conj()).mean((-2, -1))
        torch.testing.assert_close(value, every[row.frequency], rtol=1e-9, atol=1e-12)
        if 0 in (row.first.harmonic, row.second.harmonic):
            assert every[1::2].abs().max() < 1e-12  # the frequencies that the table leaves out
        torch.testing.assert_close(every[-row.frequency], every[row.frequency].conj(), rtol=1e-9, atol=1e-12)
    low_pass = channel_field(x, moments.table[-1].first, family)
    torch.testing.assert_close(values[-1].real, low_pass.square().mean())


def test_the_isotropic_model_does_not_see_a_quarter_turn():
    x, y = fields(2, (32, 32))
    moments = build(model="D").standardized(y)
    turned = x.T.flip(1).roll(1, 1)
    torch.testing.assert_close(moments(turned), moments(x), rtol=1e-9, atol=1e-11)
    other = build(model="C").standardized(y)
    assert (other(turned) - other(x)).abs().max() > 0.01


def test_the_isotropic_model_is_standardised_by_all_angles():
    x = fields(1, (32, 32))[0]
    values = (moments := build(model="D", oversampling=FULL).standardized(x))(x)
    for kind in ("S11", "S00"):
        for scale in range(3):
            rows = [n for n, row in enumerate(moments.table[:-1]) if row.kind == kind and row.first.scale == scale]
            q = torch.tensor([moments.table[n].frequency for n in rows])
            # The mean over the 2 L frequencies is the mean variance of the channels: 1.
            weights = torch.where((q == 0) | (q == 4), 1.0, 2.0)
            assert abs(float((weights * values[rows].real).sum()) / 8 - 1) < (1e-9 if kind == "S11" else 0.2)


@pytest.mark.parametrize("model", ["B", "C", "D"])
def test_each_scale_at_its_resolution_is_near_full_resolution(model):
    x, y = fields(2, (128, 128))
    settings = {"model": model, "n_scales": 4, "shift_reach": 1, "angle_reach": 1}
    full = build((128, 128), oversampling=FULL, **settings).standardized(x)
    fast = build((128, 128), **settings).standardized(x)
    error = (fast(y) - full(y)).abs()
    assert error.max() < 1e-3  # of the product of the two standard deviations
    exact = [n for n, row in enumerate(full.table) if row.kind in ("S11", "low_pass")]
    assert error[exact].max() < 1e-12


@pytest.mark.parametrize("model", ["A", "C", "D"])
def test_chunks_and_batches_change_neither_values_nor_gradients(model):
    target, batch = fields(1, (32, 32))[0], fields(3, (32, 32), seed=1)
    results = []
    for chunk in (None, 1, 2):
        moments = build(model=model, n_scales=2, n_angles=3, chunk=chunk, shift_reach=1).standardized(target)
        x = batch.clone().requires_grad_()
        values = moments(x)
        (gradient,) = torch.autograd.grad(values.abs().square().sum(), x)
        results.append((values.detach(), gradient))
    alone = torch.stack([moments(one) for one in batch])
    torch.testing.assert_close(alone, results[0][0], rtol=1e-11, atol=1e-13)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("model", ["C", "D"])
def test_gradients(model):
    x, y = fields(2, (16, 18))
    moments = build((16, 18), model=model, n_scales=2, n_angles=2, shift_reach=1).standardized(x)
    weights = torch.randn(moments.n_moments, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))

    def loss(field):
        values = moments(field)
        return (values * weights).real.sum() + values.abs().square().sum()

    assert torch.autograd.gradcheck(loss, y.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("model", ["A", "C", "D"])
def test_other_sizes_and_masks(model):
    x = fields(1, (32, 32))[0]
    settings = {"model": model, "n_scales": 2, "shift_reach": 1}
    moments = build(**settings).standardized(x)
    tiled = moments.resized((64, 32))
    assert tiled.shape == (64, 32)
    assert tiled.table == moments.table
    torch.testing.assert_close(tiled(x.repeat(2, 1)), moments(x), rtol=1e-9, atol=1e-11)
    # Everything observed: the same values; a gap: what it holds has no influence.
    torch.testing.assert_close(
        moments.masked(torch.ones(32, 32, dtype=torch.bool))(x), moments(x), rtol=1e-9, atol=1e-11
    )
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[8:11, 20:24] = False
    gapped = moments.masked(mask)
    hidden = torch.where(mask, x, math.nan)
    assert torch.equal(gapped(hidden), gapped(x))
    assert 1e-4 < (gapped(x) - moments(x)).abs().max() < 0.5
    assert torch.equal(moments(x), build(**settings).standardized(x)(x))


def test_copies_and_dtypes():
    x, y = fields(2, (32, 32))
    moments = build(model="D", dtype=torch.float32).standardized(x.float())
    values = moments(y.float())
    assert values.dtype == torch.complex64
    torch.testing.assert_close(copy.deepcopy(moments)(y.float()), values, rtol=0, atol=0)
    converted = moments.to(F64)(y)
    assert converted.dtype == torch.complex128
    torch.testing.assert_close(converted, build(model="D").standardized(x)(y), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"model": "E"}, ValueError, "`model` must be one of 'A', 'B', 'C', 'D', got 'E'"),
        ({"n_scales": 6}, ValueError, r"`n_scales` must be at most 5 for fields of \(32, 32\)"),
        ({"angle_reach": 5}, ValueError, "`angle_reach` must be an integer between 0 and 4, got 5"),
        ({"scale_reach": -1}, ValueError, "`scale_reach` must be an integer >= 0"),
        ({"harmonics": (0, 0)}, ValueError, r"`harmonics` must be different, got \(0, 0\)"),
        ({"harmonics": (-1,)}, ValueError, "`harmonics` must be an integer >= 0"),
        ({"shift_reach": 1.0}, TypeError, "`shift_reach` must be an integer, got 1.0"),
        ({"dtype": torch.float16}, TypeError, "`dtype` must be torch.float32 or torch.float64"),
    ],
)
def test_bad_settings(settings, error, message):
    with pytest.raises(error, match=message):
        build(**settings)
