"""The fast path against the plain definition, its symmetries and its gradients. Parity: tests/parity."""

import copy

import pytest
import torch

from phasewave.turbulence.full_resolution import channel_statistics, moments_at_full_resolution
from phasewave.turbulence.moment_table import PYWPH_CLASSES
from phasewave.turbulence.moments import PhaseHarmonicMoments

F64 = torch.float64
ALL = (*PYWPH_CLASSES, "C00", "one_point", "quantiles")
FULL = 8


def fields(n, shape, seed=0, dtype=F64):
    """Skew correlated fields with a mean."""
    noise = torch.randn(n, *shape, dtype=F64, generator=torch.Generator().manual_seed(seed))
    smooth = noise
    for step in (1, 2, 4):
        smooth = smooth + smooth.roll(step, -1) + smooth.roll(step, -2)
    return ((smooth / smooth.std()).exp().sqrt() + 0.1 * noise).to(dtype)


def build(shape=(32, 40), dtype=F64, **settings):
    return PhaseHarmonicMoments(shape, **{"n_scales": 3, "n_angles": 3, "n_shifts": 1} | settings, dtype=dtype)


def scaled_error(moments, values, expected):
    """Largest error relative to the largest moment of the class."""
    kinds = [row.kind for row in moments.table]
    errors = []
    for kind in dict.fromkeys(kinds):
        rows = [n for n, other in enumerate(kinds) if other == kind]
        errors.append(float((values[rows] - expected[rows]).abs().max() / expected[rows].abs().max()))
    return max(errors)


@pytest.mark.parametrize("shape", [(32, 32), (33, 40), (16, 27)])
def test_every_class_equals_its_definition(shape):
    moments = build(shape, classes=ALL, n_quantiles=7, quantile_scales=(0, 1), oversampling=FULL)
    x, y = fields(2, shape)
    statistics = channel_statistics(x, moments.table, moments.family)
    raw = moments_at_full_resolution(y, moments.table, moments.family)
    fixed = moments_at_full_resolution(y, moments.table, moments.family, statistics=statistics)
    assert scaled_error(moments, moments(y), raw) < 1e-11
    assert scaled_error(moments, moments.standardized(x)(y), fixed) < 1e-11


@pytest.mark.parametrize("kind", ALL)
def test_a_class_alone_is_what_it_is_among_others(kind):
    x, y = fields(2, (32, 40))
    every = build(classes=ALL, n_angles=4).standardized(x)
    rows = [n for n, row in enumerate(every.table) if row.kind == kind]
    alone = build(classes=(kind,), n_angles=4).standardized(x)
    assert [every.table[n] for n in rows] == list(alone.table)
    torch.testing.assert_close(alone(y), every(y)[rows], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_angles", [1, 2, 8])
def test_numbers_of_angles(n_angles):
    moments = build(n_angles=n_angles, shift_angles=3, classes=ALL, oversampling=FULL)
    x = fields(1, (32, 40))[0]
    expected = moments_at_full_resolution(x, moments.table, moments.family)
    assert scaled_error(moments, moments(x), expected) < 1e-11


@pytest.mark.parametrize("shape", [(128, 128), (100, 135)])
def test_each_scale_at_its_resolution_is_near_full_resolution(shape):
    settings = {"n_scales": 5, "n_angles": 3, "n_shifts": 1, "classes": (*PYWPH_CLASSES, "C00")}
    x, y = fields(2, shape)
    full = build(shape, oversampling=FULL, **settings)
    expected, fixed = full(y), full.standardized(x)(y)
    errors = {}
    for oversampling in (0, 1, 2):
        fast = build(shape, oversampling=oversampling, **settings)
        errors[oversampling] = max(
            scaled_error(full, fast(y), expected), scaled_error(full, fast.standardized(x)(y), fixed)
        )
    assert errors[1] < 1e-3
    assert errors[2] < errors[1] < errors[0] < 1e-2


def test_the_table_says_what_comes_out():
    moments = build(classes=ALL)
    x = fields(3, (32, 40)).reshape(3, 1, 32, 40)
    values = moments(x)
    assert values.shape == (3, 1, len(moments.table))
    assert moments.n_moments == len(moments.table)
    real = [n for n, row in enumerate(moments.table) if row.kind in ("S00", "L", "one_point", "quantiles")]
    assert values[..., real].imag.abs().max() < 1e-12


def test_moments_do_not_see_a_periodic_shift():
    moments = build(classes=ALL, oversampling=FULL)
    x = fields(1, (32, 40))[0]
    torch.testing.assert_close(moments(x.roll((5, -3), (0, 1))), moments(x), rtol=1e-11, atol=1e-13)


def test_moments_follow_a_quarter_turn():
    # For the map x'(u) = x(R^-1 u), R a quarter turn from axis 1 to axis 0, angle l becomes l + L/2.
    moments = build((32, 32), n_angles=4, classes=("S11", "S00", "S01"), oversampling=FULL)
    x = fields(1, (32, 32))[0]
    turned = moments(x.T.flip(1).roll(1, 1))
    at = {(row.kind, row.first, row.shift): n for n, row in enumerate(moments.table)}
    values, compared = moments(x), 0
    for (kind, channel, shift), number in at.items():
        if channel.angle < 2:
            moved = channel.__class__("wavelet", channel.scale, channel.angle + 2, channel.harmonic)
            other = at.get((kind, moved, (shift[1], -shift[0])))
            if other is not None:
                torch.testing.assert_close(turned[other], values[number])
                compared += 1
    assert compared >= 30


def test_a_batch_is_its_samples():
    moments = build(classes=ALL).standardized(fields(1, (32, 40))[0])
    x = fields(3, (32, 40), seed=1)
    torch.testing.assert_close(moments(x), torch.stack([moments(one) for one in x]), rtol=1e-12, atol=1e-13)
    assert moments(x[:0]).shape == (0, moments.n_moments)


@pytest.mark.parametrize("chunk", [1, 2])
def test_chunks_change_neither_values_nor_gradients(chunk):
    results = []
    for size in (None, chunk):
        moments = build(classes=ALL, chunk=size).standardized(fields(1, (32, 40))[0])
        x = fields(3, (32, 40), seed=1).requires_grad_()
        values = moments(x)
        (gradient,) = torch.autograd.grad(torch.view_as_real(values).square().sum(), x)
        results.append((values.detach(), gradient))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_standardised_moments_of_the_target():
    x = fields(1, (32, 40))[0]
    moments = build(classes=ALL, oversampling=FULL)
    fixed = moments.standardized(x)
    values = fixed(x)
    for value, row in zip(values, fixed.table, strict=True):
        if row.kind in ("S11", "S00") and row.shift == (0, 0):
            assert abs(value - 1) < 1e-12
        if row.kind == "one_point" and row.order < 3:
            assert abs(value - (row.order - 1)) < 1e-12
        assert row.kind in ("one_point", "quantiles") or abs(value) < 1 + 1e-12
    # The means are pinned: a field of other means has other moments even where its covariances are the same.
    raw, pinned = moments(x + 1), fixed(x + 1)
    one = [n for n, row in enumerate(fixed.table) if row.kind == "one_point"]
    torch.testing.assert_close(raw[one[1:]], moments(x)[one[1:]])
    assert (pinned[one] - values[one]).abs().min() > 0.1
    assert moments.means is None
    assert torch.equal(moments(x), build(classes=ALL, oversampling=FULL)(x))


def test_standardised_moments_do_not_see_units():
    x, y = fields(2, (32, 40))
    moments = build(classes=ALL)
    torch.testing.assert_close(
        moments.standardized(7 * x + 3)(7 * y + 3), moments.standardized(x)(y), rtol=1e-9, atol=1e-10
    )


def test_a_target_of_several_fields_pools_them():
    x = fields(2, (32, 40))
    moments = build(classes=("S11",)).standardized(x)
    values = moments(x)
    zero = [n for n, row in enumerate(moments.table) if row.shift == (0, 0)]
    torch.testing.assert_close(values[:, zero].mean(0).real, torch.ones(len(zero), dtype=F64))


@pytest.mark.parametrize("fixed", [False, True])
def test_gradients(fixed):
    moments = PhaseHarmonicMoments(
        (16, 18), n_scales=3, n_angles=2, n_shifts=1, shift_angles=2, classes=ALL, n_quantiles=5, dtype=F64
    )
    x, y = fields(2, (16, 18))
    if fixed:
        moments = moments.standardized(x)
    pick = torch.Generator().manual_seed(1)
    weights = torch.randn(moments.n_moments, 2, dtype=F64, generator=pick)

    def loss(field):
        return (torch.view_as_real(moments(field)) * weights).sum() + moments(field).abs().square().sum()

    assert torch.autograd.gradcheck(loss, y.requires_grad_(), fast_mode=True)


def test_second_derivatives():
    moments = PhaseHarmonicMoments(
        (16, 16), n_scales=2, n_angles=2, n_shifts=0, classes=("S00", "C01", "Cphase"), dtype=F64
    )
    x = fields(1, (16, 16))[0].requires_grad_()
    assert torch.autograd.gradgradcheck(lambda field: moments(field).abs().square().sum(), x, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_a_constant_field_has_finite_gradients(dtype, value):
    target = fields(1, (32, 40), dtype=dtype)[0]
    for moments in (build(classes=ALL, dtype=dtype), build(classes=ALL, dtype=dtype).standardized(target)):
        x = torch.full((32, 40), value, dtype=dtype, requires_grad=True)
        values = moments(x)
        torch.view_as_real(values).square().sum().backward()
        assert torch.isfinite(torch.view_as_real(values)).all()
        assert torch.isfinite(x.grad).all()
    # Standardising by a field without variation divides by 1 instead of 0.
    flat = build(classes=ALL, dtype=dtype).standardized(torch.zeros(32, 40, dtype=dtype))
    assert torch.isfinite(torch.view_as_real(flat(target))).all()


def test_single_precision():
    x, y = fields(2, (64, 64))
    settings = {"n_scales": 5, "n_angles": 4, "n_shifts": 2, "classes": ALL}
    exact = build((64, 64), **settings).standardized(x)
    single = build((64, 64), dtype=torch.float32, **settings).standardized(x.float())
    values = single(y.float())
    assert values.dtype == torch.complex64
    assert scaled_error(exact, values.to(torch.complex128), exact(y)) < 2e-5


def test_copies_and_state():
    x, y = fields(2, (32, 40))
    fixed = build(classes=ALL).standardized(x)
    torch.testing.assert_close(copy.deepcopy(fixed)(y), fixed(y), rtol=0, atol=0)
    other = build(classes=ALL).standardized(y)
    other.load_state_dict(fixed.state_dict())
    torch.testing.assert_close(other(y), fixed(y), rtol=0, atol=0)
    assert set(build().state_dict()) == set()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: build((32, 32), n_scales=6),
            ValueError,
            r"`n_scales` must be at most 5 for fields of \(32, 32\)",
        ),
        (lambda: build((15, 32)), ValueError, r"`shape` must be 2 integers >= 16, got \(15, 32\)"),
        (lambda: build((32,)), ValueError, "`shape` must be 2 integers"),
        (lambda: build(n_scales=2.0), TypeError, "`n_scales` must be an integer"),
        (lambda: build(oversampling=-1), ValueError, "`oversampling` must be an integer >= 0"),
        (lambda: build(chunk=0), ValueError, "`chunk` must be an integer >= 1"),
        (lambda: build(dtype=torch.float16), TypeError, "`dtype` must be torch.float32 or torch.float64"),
        (lambda: build()(torch.zeros(32, 41, dtype=F64)), ValueError, r"`x` must have last axes \(32, 40\)"),
        (lambda: build()(torch.zeros(32, 40)), TypeError, "`x` must be of dtype torch.float64 like the module"),
        (
            lambda: build()(torch.zeros(32, 40, dtype=torch.complex128)),
            TypeError,
            "`x` must be of a real floating",
        ),
        (lambda: build()([[0.0]]), TypeError, "`x` must be a torch.Tensor"),
        (lambda: build(classes=("quantiles",), n_quantiles=2000), ValueError, "`n_quantiles` must be"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_conversion_to_another_dtype():
    x, y = fields(2, (32, 40))
    single = build(classes=ALL, dtype=torch.float32).standardized(x.float())
    double = build(classes=ALL).standardized(x)
    converted = single.to(F64)
    assert converted(y).dtype == torch.complex128
    assert scaled_error(double, converted(y), double(y)) < 1e-5
