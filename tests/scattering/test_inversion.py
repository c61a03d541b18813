"""Fields found from their scattering coefficients."""

import math

import pytest
import torch

from phasewave.scattering.inversion import _Distance, invert
from phasewave.scattering.planar import Scattering2D
from phasewave.solve.result import Status

FLOAT64 = torch.float64


def scattering(n_scales=1, max_order=1, size=16, **options):
    options = {"n_angles": 4, "dtype": FLOAT64, **options}
    return Scattering2D((size, size), n_scales=n_scales, max_order=max_order, **options)


def smooth_fields(n, size=16, seed=0):
    """Fields in [0, 1] of decreasing spectra."""
    noise = torch.randn(n, size, size, generator=torch.Generator().manual_seed(seed), dtype=FLOAT64)
    frequencies = torch.fft.fftfreq(size, dtype=FLOAT64)
    radius = (frequencies[:, None] ** 2 + frequencies**2).sqrt()
    x = torch.fft.ifft2(torch.fft.fft2(noise) / (0.05 + radius) ** 1.5).real
    low, high = x.amin((1, 2), keepdim=True), x.amax((1, 2), keepdim=True)
    return (x - low) / (high - low)


def decibels(found, fields):
    return -10 * (found - fields).square().mean((1, 2)).log10()


def relative(transform, found, target):
    error = transform(found) - target
    return error.flatten(1).norm(dim=1) / target.flatten(1).norm(dim=1)


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
def test_a_field_comes_back_from_near(bounds):
    transform, fields = scattering(2, 2, n_angles=8), smooth_fields(2)
    target = transform(fields)
    start = fields + 0.1 * smooth_fields(2, seed=7)
    result = invert(transform, target, start=start, bounds=bounds, tolerance=1e-4)
    errors = relative(transform, result.value, target)
    assert result.converged
    assert bool((errors <= 1e-4).all())
    torch.testing.assert_close(result.losses.sqrt(), errors, rtol=1e-6, atol=1e-9)
    assert bool((decibels(result.value, fields) > 50).all())
    if bounds is not None:
        assert 0 <= float(result.value.min()) <= float(result.value.max()) <= 1


def test_from_the_default_start_a_field_comes_back_in_part():
    transform, fields = scattering(n_angles=8), smooth_fields(3)
    target = transform(fields)
    start = _Distance(transform, target, (16, 16), None, 1).start(0)
    result = invert(transform, target, bounds=(0, 1), tolerance=0.0, max_evaluations=100)
    assert bool((relative(transform, result.value, target) < 0.015).all())
    found, begun = decibels(result.value, fields), decibels(start, fields)
    assert bool((found > 20).all())
    assert bool((found > begun).all())


def test_order_0_alone_gives_a_field_of_that_order_0():
    transform, fields = scattering(2, 0), smooth_fields(2)
    result = invert(transform, transform(fields), tolerance=1e-8)
    assert result.converged
    assert not torch.allclose(result.value, fields, atol=1e-2)


def test_any_differentiable_transform_and_a_start_of_ones_own():
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(12, 7, generator=generator, dtype=FLOAT64)
    fields = torch.randn(4, 7, generator=generator, dtype=FLOAT64)

    def linear(x):
        return x @ matrix.T

    for options in ({"start": torch.zeros(4, 7, dtype=FLOAT64)}, {"shape": (7,), "seed": 3}):
        result = invert(linear, linear(fields), tolerance=1e-10, **options)
        assert result.converged
        torch.testing.assert_close(result.value, fields, rtol=1e-7, atol=1e-8)
    assert invert(linear, linear(fields), start=fields, tolerance=1e-10).n_evaluations == (1, 1, 1, 1)


def test_a_sample_depends_on_its_seed_and_number_alone():
    transform, fields = scattering(2), smooth_fields(3)
    target = transform(fields)
    options = {"tolerance": 1e-3, "max_evaluations": 15}
    whole = invert(transform, target, seed=4, **options)
    assert torch.equal(invert(transform, target, seed=4, **options).value, whole.value)
    first = invert(transform, target[:1], seed=4, **options)
    assert torch.equal(first.value, whole.value[:1])
    assert first.n_evaluations == whole.n_evaluations[:1]
    assert not torch.equal(invert(transform, target, seed=5, **options).value, whole.value)
    together = invert(transform, target, seed=4, chunk=None, **options)
    torch.testing.assert_close(together.value, whole.value, rtol=1e-6, atol=1e-6)


def test_finished_fields_leave_the_others_their_own_coefficients():
    transform, fields = scattering(), smooth_fields(3)
    start = fields.clone()
    start[1] += 0.1 * smooth_fields(1, seed=9)[0]
    result = invert(transform, transform(fields), start=start, tolerance=1e-5)
    assert result.converged
    assert result.n_evaluations[::2] == (1, 1)
    assert result.n_evaluations[1] > 5
    assert torch.equal(result.value[::2], fields[::2])
    assert float(decibels(result.value, fields)[1]) > 40


@pytest.mark.parametrize("bounds", [None, (-0.2, 1.3)])
def test_gradients_are_those_of_the_losses(bounds):
    transform, fields = scattering(2, 2), smooth_fields(2)
    distance = _Distance(transform, transform(fields), (16, 16), bounds, 1)
    generator = torch.Generator().manual_seed(0)
    point = distance.free(0.7 * fields + 0.2 * torch.rand(fields.shape, generator=generator, dtype=FLOAT64))
    along = torch.randn(fields.shape, generator=generator, dtype=FLOAT64)
    losses, gradients = distance(point)
    step = 1e-6
    slopes = (distance(point + step * along)[0] - distance(point - step * along)[0]) / (2 * step)
    torch.testing.assert_close((gradients * along).sum((1, 2)), slopes, rtol=1e-6, atol=1e-12)
    error = transform(distance.bound(point)) - transform(fields)
    expected = error.flatten(1).square().sum(1) / transform(fields).flatten(1).square().sum(1)
    torch.testing.assert_close(losses, expected)


def test_limits_and_stops():
    transform, fields = scattering(), smooth_fields(1)
    target = transform(fields)
    result = invert(transform, target, tolerance=1e-12, max_evaluations=4)
    assert result.status == (Status.MAX_EVALUATIONS,)
    assert result.n_evaluations == (4,)
    told = []

    def stop(progress):
        told.append(progress)
        return len(told) == 3

    assert invert(transform, target, callback=stop).status == (Status.INTERRUPTED,)
    assert float(told[-1].losses[0]) <= float(told[0].losses[0])


def test_float32():
    transform, fields = scattering(dtype=torch.float32), smooth_fields(2).float()
    result = invert(transform, transform(fields), bounds=(0, 1), tolerance=0.02)
    assert result.converged
    assert result.value.dtype is torch.float32


def test_bad_input():
    transform, fields = scattering(), smooth_fields(2)
    target = transform(fields)
    with pytest.raises(
        ValueError, match=r"`coefficients` must have the shape \(2, 5, 8, 8\) .* got \(2, 4, 8, 8\)"
    ):
        invert(transform, target[:, :4])
    with pytest.raises(
        ValueError, match=r"`coefficients` must have a shape \(n, ...\), none .* got \(0, 5, 8, 8\)"
    ):
        invert(transform, target[:0])
    with pytest.raises(ValueError, match=r"`coefficients` must be finite and not all zero .* \[0.0, "):
        invert(transform, torch.cat([0 * target[:1], target[1:]]))
    with pytest.raises(ValueError, match=r"`coefficients` must be finite and not all zero .*nan"):
        invert(transform, target * math.nan)
    with pytest.raises(TypeError, match=r"`coefficients` must be a real floating tensor, got torch.complex128"):
        invert(transform, target.to(torch.complex128))
    with pytest.raises(TypeError, match="`coefficients` must be a real floating tensor, got list"):
        invert(transform, [1.0])
    with pytest.raises(TypeError, match=r"must be of dtype torch.float64"):
        invert(transform, target.float())
    with pytest.raises(ValueError, match="`shape` or `start` must be given for a transform without"):
        invert(lambda x: x, target)
    with pytest.raises(ValueError, match=r"`start` must have a shape \(2, ...\), got \(1, 16, 16\)"):
        invert(transform, target, start=fields[:1])
    with pytest.raises(ValueError, match=r"`start` must be of fields \(16, 16\), got \(8, 8\)"):
        invert(transform, target, shape=(16, 16), start=fields[:, :8, :8])
    with pytest.raises(ValueError, match=r"`bounds` must be two finite numbers, the second larger, got \(1, 0\)"):
        invert(transform, target, bounds=(1, 0))
    with pytest.raises(ValueError, match="`tolerance` must be a number >= 0, got -1"):
        invert(transform, target, tolerance=-1)
    with pytest.raises(ValueError, match="`max_evaluations` must be an integer >= 1, got 0"):
        invert(transform, target, max_evaluations=0)
    with pytest.raises(ValueError, match="`chunk` must be an integer >= 1, got 0"):
        invert(transform, target, chunk=0)
