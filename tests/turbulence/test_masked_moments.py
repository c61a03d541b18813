"""Phase-harmonic moments of other sizes and of partly observed fields; tables of the user's own."""

import itertools
import math

import pytest
import torch

from phasewave.turbulence.full_resolution import channel_statistics, moments_at_full_resolution
from phasewave.turbulence.moment_table import PYWPH_CLASSES, Channel, Moment
from phasewave.turbulence.moments import PhaseHarmonicMoments
from phasewave.turbulence.table_moments import TableMoments

F64 = torch.float64
ALL = (*PYWPH_CLASSES, "C00", "one_point", "quantiles")
FULL = 8
SHAPE = (32, 40)


def fields(n, shape, seed=0):
    """Skew correlated fields with a mean."""
    noise = torch.randn(n, *shape, dtype=F64, generator=torch.Generator().manual_seed(seed))
    smooth = noise
    for step in (1, 2, 4):
        smooth = smooth + smooth.roll(step, -1) + smooth.roll(step, -2)
    return (smooth / smooth.std()).exp().sqrt() + 0.1 * noise


def build(shape=SHAPE, dtype=F64, **settings):
    usual = {"n_scales": 2, "n_angles": 3, "n_shifts": 1, "classes": ALL, "n_quantiles": 7}
    return PhaseHarmonicMoments(shape, **usual | settings, dtype=dtype)


def gaps(shape=SHAPE):
    mask = torch.ones(shape, dtype=torch.bool)
    mask[5:9, 12:20] = False
    mask[20, 29] = False
    return mask


@pytest.mark.parametrize("fixed", [False, True])
def test_all_observed_is_unmasked(fixed):
    x, y = fields(2, SHAPE)
    moments = build(quantile_scales=(0,))
    masked = moments.masked(torch.ones(SHAPE, dtype=torch.bool))
    if fixed:
        torch.testing.assert_close(masked.standardized(x)(y), moments.standardized(x)(y), rtol=1e-9, atol=1e-11)
        moments, masked = moments.standardized(x), moments.standardized(x).masked(torch.ones_like(gaps()))
    torch.testing.assert_close(masked(y), moments(y), rtol=1e-9, atol=1e-11)


def test_masked_covariances_are_weighted_sums():
    x = fields(1, SHAPE)[0]
    moments = build(classes=("S11", "S00", "C01", "Cphase", "C00"), oversampling=FULL).masked(gaps())
    layers = moments.wavelets.layers
    filled = moments.fill(x)
    pyramid, spectrum = moments.pyramid, torch.fft.fft2(filled)[None]
    values = moments(x)
    for row, value in zip(moments.table, values, strict=True):
        sides = []
        for channel in (row.first, row.second):
            layer = channel.scale, channel.harmonic
            window = layers.window(layer)[channel.angle]
            z = torch.fft.ifft2(pyramid(spectrum, channel.scale, SHAPE))[0, channel.angle]
            z = torch.polar(z.abs(), channel.harmonic * z.angle())
            mean = 0 if channel.harmonic == 1 else (z * window).sum() / window.sum()
            sides.append(((z - mean) * window, window))
        (a, w), (b, v) = sides
        back = (-row.shift[0], -row.shift[1])
        a, w = a.roll(back, (0, 1)), w.roll(back, (0, 1))
        torch.testing.assert_close(value, (a * b.conj()).sum() / (w * v).sum(), rtol=1e-9, atol=1e-12)


def test_masked_moments_of_a_stationary_field_are_unbiased():
    # The mean over the shifts of one periodic field is an expectation. The filled field as a whole is biased.
    shape = (32, 32)
    x = fields(1, shape, seed=3)[0]
    moments = build(shape, classes=("S11", "S00", "C01", "Cphase")).standardized(x)
    mask = gaps(shape)
    masked = moments.masked(mask)
    steps = itertools.product(range(0, 32, 2), range(0, 32, 2))
    moved = torch.stack([x.roll(step, (0, 1)) for step in steps])
    expected = moments(x)
    error = (masked(moved).mean(0) - expected).abs()
    naive = (moments(masked.fill(moved)).mean(0) - expected).abs()
    for kind in ("S11", "S00"):
        rows = [n for n, row in enumerate(moments.table) if row.kind == kind]
        assert naive[rows].max() > 0.05
    assert error.max() < 3e-3


def test_gaps_may_hold_anything():
    target, x = fields(2, SHAPE)
    mask = gaps()
    moments = build(quantile_scales=(0,)).masked(mask).standardized(torch.where(mask, target, math.nan))
    values = []
    for filler in (0.0, 1e6, math.nan):
        leaf = torch.where(mask, x, filler).requires_grad_()
        value = moments(leaf)
        value.abs().square().sum().backward()
        assert leaf.grad[~mask].abs().max() == 0
        assert torch.isfinite(leaf.grad).all()
        values.append(value.detach())
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])


def test_a_masked_set_measures_the_target_of_the_unmasked_one():
    x = fields(1, SHAPE)[0]
    masked = build().masked(gaps()).standardized(x)
    whole = masked.resized(SHAPE)
    assert whole.fill is None
    assert torch.equal(whole.means, masked.means)
    assert torch.equal(whole.deviations, masked.deviations)
    # The variances of the target in units of their own masked estimates.
    own = [n for n, row in enumerate(masked.table) if row.kind in ("S11", "S00") and row.shift == (0, 0)]
    torch.testing.assert_close(masked(x)[own].real, torch.ones(len(own), dtype=F64), rtol=1e-9, atol=0)
    assert 1e-3 < (whole(x)[own] - 1).abs().max() < 0.2


@pytest.mark.parametrize("fixed", [False, True])
def test_gradients_of_masked_moments(fixed):
    x, y = fields(2, (20, 18))
    mask = torch.ones(20, 18, dtype=torch.bool)
    mask[3:5, 4:7] = False
    moments = build((20, 18), n_scales=1, n_angles=2).masked(mask)
    if fixed:
        moments = moments.standardized(x)
    # The fill is solved to 1e-5: its gradient is that of the same solution.
    moments.fill.tolerance = 1e-12

    def loss(field):
        return moments(field).abs().square().sum()

    assert torch.autograd.gradcheck(loss, y.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("chunk", [1, 2])
def test_chunks_of_masked_moments(chunk):
    target, batch = fields(1, SHAPE)[0], fields(3, SHAPE, seed=1)
    results = []
    for size in (None, chunk):
        moments = build(chunk=size).standardized(target).masked(gaps())
        x = batch.clone().requires_grad_()
        values = moments(x)
        (gradient,) = torch.autograd.grad(values.abs().square().sum(), x)
        results.append((values.detach(), gradient))
    for one, other in zip(*results, strict=True):
        # The gradient goes back through the fill, solved to 1e-5 from slightly different right-hand sides.
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", [(64, 40), (32, 120)])
def test_a_tiled_field_has_the_same_moments(shape):
    x, y = fields(2, SHAPE)
    moments = build(quantile_scales=(0,)).standardized(y)
    larger = moments.resized(shape)
    assert larger.shape == shape
    assert larger.table == moments.table
    tiled = x.repeat(shape[0] // SHAPE[0], shape[1] // SHAPE[1])
    quantiles = [n for n, row in enumerate(moments.table) if row.kind == "quantiles"]
    values, expected = larger(tiled), moments(x)
    # Bins of 7 do not divide the pixels of either.
    torch.testing.assert_close(values[quantiles], expected[quantiles], rtol=0, atol=5e-3)
    keep = [n for n in range(moments.n_moments) if n not in quantiles]
    torch.testing.assert_close(values[keep], expected[keep], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(larger.resized(SHAPE)(x), expected, rtol=0, atol=0)


def test_dtype_and_settings_travel():
    moments = build(dtype=torch.float32, oversampling=2, chunk=2).standardized(fields(1, SHAPE)[0].float())
    for other in (moments.resized((40, 64)), moments.masked(gaps()), moments.to(F64).resized((40, 64))):
        assert other.chunk == 2
        assert other.pyramid.levels == type(other)((other.shape), n_scales=2, oversampling=2).pyramid.levels
        x = fields(2, other.shape).to(other.deviations.dtype)
        assert other(x).dtype == x.dtype.to_complex()


def test_a_table_of_ones_own():
    # Harmonics of any sign, angles and shifts that no named class has; against the definition.
    def wavelet(scale, angle, k):
        return Channel("wavelet", scale, angle, k)

    table = [
        Moment("third", wavelet(2, 1, 3), wavelet(0, 0, 0), (1, -2)),
        Moment("conjugate", wavelet(1, 0, 1), wavelet(1, 2, -1)),
        Moment("second", wavelet(2, 1, 2), wavelet(2, 1, 2), (4, 0)),
        Moment("second", wavelet(2, 1, 2), wavelet(2, 2, 2), (4, 0)),
        Moment("one_point", Channel("field"), Channel("field"), order=2),
        Moment("low_pass", Channel("lowpass", 1), Channel("lowpass", 1), (3, -3)),
    ]
    x, y = fields(2, SHAPE)
    moments = TableMoments(SHAPE, table, n_scales=3, n_angles=3, oversampling=FULL, dtype=F64)
    statistics = channel_statistics(x, table, moments.family)
    torch.testing.assert_close(
        moments(y), moments_at_full_resolution(y, table, moments.family), rtol=1e-9, atol=1e-12
    )
    expected = moments_at_full_resolution(y, table, moments.family, statistics=statistics)
    torch.testing.assert_close(moments.standardized(x)(y), expected, rtol=1e-9, atol=1e-11)
    assert moments.is_complex


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: build().masked(gaps().int()), TypeError, "`mask` must be a boolean tensor"),
        (lambda: build().masked(gaps()[1:]), ValueError, r"`mask` must have the shape of the fields \(32, 40\)"),
        (lambda: build().masked(torch.zeros(SHAPE, dtype=torch.bool)), ValueError, "False everywhere"),
        (
            lambda: build(n_scales=5).masked(gaps()),
            ValueError,
            "`mask` must keep at least 1024 pixels far from gaps at scale 4, got .*; use fewer scales",
        ),
        (
            lambda: build(classes=("quantiles",), n_quantiles=1250).masked(gaps()),
            ValueError,
            "`mask` must keep at least 1250 pixels for as many quantiles, got 1247",
        ),
        (lambda: build().resized((32,)), ValueError, "`shape` must be 2 integers"),
        (lambda: build(n_scales=5).resized((16, 64)), ValueError, "`n_scales` must be at most 4"),
        (
            lambda: TableMoments((32, 32), build().table, n_scales=1, n_angles=3),
            ValueError,
            "`table` must have scales under 1 and angles under 3",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
