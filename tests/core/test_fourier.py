"""Band and Support against a loop over every frequency of every box."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phasewave.core.fourier import Band, Support

FLOAT64 = torch.float64


def random(*shape, dtype=torch.complex128, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def support(start, extent, *, real=True, seed=0) -> Support:
    return Support(tuple(start), random(*extent, dtype=FLOAT64 if real else torch.complex128, seed=seed))


def dense(supports, spectrum, out_shape):
    """Y[k mod m] += M/N W[k] X[k mod n], one frequency at a time."""
    in_shape = spectrum.shape[-len(out_shape) :]
    batch = spectrum.shape[: -len(out_shape)]
    out = torch.zeros((*batch, len(supports), *out_shape), dtype=spectrum.dtype)
    for f, filter_ in enumerate(supports):
        for position in itertools.product(*map(range, filter_.extent)):
            k = tuple(s + p for s, p in zip(filter_.start, position, strict=True))
            source = tuple(a % n for a, n in zip(k, in_shape, strict=True))
            target = tuple(a % m for a, m in zip(k, out_shape, strict=True))
            out[(..., f, *target)] += filter_.values[position] * spectrum[(..., *source)]
    return out * math.prod(out_shape) / math.prod(in_shape)


def relative(a, b):
    return float((a - b).norm() / b.norm())


BOXES = {
    "inside": ((-3, 1), (5, 4)),
    "corner_of_grid": ((0, 0), (4, 5)),
    "past_nyquist": ((5, -12), (9, 7)),
    "far_outside": ((40, -55), (3, 4)),
    "whole_grid": ((-8, -6), (16, 12)),
    "whole_axis": ((-8, 2), (16, 3)),
    "wider_than_a_period": ((-21, -13), (41, 30)),
    "two_periods_from_zero": ((0, 0), (32, 24)),
    "two_periods_before_zero": ((-32, -12), (32, 12)),
    "one_frequency": ((3, -2), (1, 1)),
}
GRIDS = [(16, 12), (8, 6), (4, 12), (7, 5), (16, 3), (1, 1), (24, 18)]


@pytest.mark.parametrize("real", [True, False], ids=["real", "complex"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("box", BOXES)
def test_plane_band_is_multiply_and_fold(box, grid, real):
    start, extent = BOXES[box]
    filters = [support(start, extent, real=real, seed=s) for s in range(2)]
    x = random(2, 16, 12, seed=9)
    result = Band(filters, (16, 12), grid, dtype=FLOAT64)(x)
    expected = dense(filters, x, grid)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-13 * float(expected.abs().max()))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), n_axes=st.integers(1, 3), real=st.booleans())
def test_band_is_multiply_and_fold_in_any_dimension(data, n_axes, real):
    size = 19 if n_axes < 3 else 7
    sizes = st.tuples(*[st.integers(1, size)] * n_axes)
    in_shape, out_shape = data.draw(sizes), data.draw(sizes)
    starts = st.tuples(*[st.integers(-2 * size, 2 * size)] * n_axes)
    filters = [support(data.draw(starts), data.draw(sizes), real=real, seed=s) for s in range(3)]
    x = random(*in_shape, seed=5)
    result = Band(filters, in_shape, out_shape, dtype=FLOAT64)(x)
    expected = dense(filters, x, out_shape)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-13 * float(expected.abs().max() + 1))


@pytest.mark.parametrize("real", [True, False], ids=["real", "complex"])
def test_empty_filter_gives_zeros(real):
    """What `clipped` leaves of a filter that a coarse grid cannot carry."""
    nothing = support((9, -2), (4, 3), real=real).clipped((16, 12))
    assert nothing.extent == (0, 3)
    filters = [nothing, support((-2, -2), (4, 4), real=real)]
    result = Band(filters, (16, 12), (8, 6), dtype=FLOAT64)(random(16, 12))
    assert bool((result[0] == 0).all())
    assert bool((result[1] != 0).any())


def mixed_band(dtype=FLOAT64, *, real=True) -> Band:
    """Filters of several shapes and places, onto a grid that does not divide the input's."""
    filters = [support(*BOXES[box], real=real, seed=i) for i, box in enumerate(("inside", "past_nyquist"))]
    return Band(filters, (16, 12), (10, 7), dtype=dtype)


@pytest.fixture(params=[True, False], ids=["real", "complex"])
def band(request):
    return mixed_band(real=request.param)


def test_band_samples_the_filtered_field():
    """On a divisor grid the inverse FFT is the filtered field at every second pixel."""
    x = random(16, 12, dtype=FLOAT64)
    filter_ = support((-4, -3), (8, 6))
    y = torch.fft.ifft2(Band([filter_], (16, 12), (8, 6), dtype=FLOAT64)(torch.fft.fft2(x)))[0]
    full = torch.fft.ifft2(filter_.on_grid((16, 12)) * torch.fft.fft2(x))
    torch.testing.assert_close(y, full[::2, ::2], rtol=0, atol=1e-14)


def test_linearity(band):
    x, y = random(2, 16, 12), random(2, 16, 12, seed=1)
    combined = band(2.5 * x - 1j * y)
    assert relative(combined, 2.5 * band(x) - 1j * band(y)) <= 1e-15


@pytest.mark.parametrize("grid", [(10, 7), (16, 12)], ids=str)
@pytest.mark.parametrize("box", ["past_nyquist", "whole_grid"])
@pytest.mark.parametrize("real", [True, False], ids=["real", "complex"])
def test_adjoint_identity(box, grid, real):
    filters = [support(*BOXES[box], real=real, seed=s) for s in range(2)]
    band = Band(filters, (16, 12), grid, dtype=FLOAT64)
    x, y = random(3, 16, 12), random(3, 2, *grid, seed=1)
    left, right = torch.vdot(band(x).flatten(), y.flatten()), torch.vdot(x.flatten(), band.adjoint(y).flatten())
    assert float((left - right).abs()) <= 1e-12 * float(left.abs())


def test_derivatives(band):
    x = random(2, 16, 12).requires_grad_()
    assert torch.autograd.gradcheck(band, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(band, x, fast_mode=True)


def test_derivatives_of_the_adjoint(band):
    y = random(2, 10, 7).requires_grad_()
    assert torch.autograd.gradcheck(band.adjoint, y, fast_mode=True)
    assert torch.autograd.gradgradcheck(band.adjoint, y, fast_mode=True)


def test_backward_is_the_adjoint(band):
    x, y = random(16, 12).requires_grad_(), random(2, 10, 7, seed=1)
    (gradient,) = torch.autograd.grad(band(x), x, y)
    assert bool((gradient == band.adjoint(y)).all())


@pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 3), (2, 4), (3, 4), (0, 4), (2, 2)])
@pytest.mark.parametrize("box", ["inside", "whole_grid"])
def test_ranges_of_filters(box, first, last):
    filters = [support(*BOXES[box], seed=s) for s in range(4)]
    band = Band(filters, (16, 12), (16, 12), dtype=FLOAT64)
    x = random(3, 16, 12).requires_grad_()
    part = band(x, first, last)
    assert bool((part == band(x)[:, first:last]).all())
    weights = random(*part.shape, seed=7)
    padded = torch.zeros(3, 4, 16, 12, dtype=torch.complex128)
    padded[:, first:last] = weights
    (gradient,) = torch.autograd.grad(part, x, weights)
    torch.testing.assert_close(gradient, band.adjoint(padded), rtol=1e-14, atol=1e-14)


def test_leading_axes_and_batch_equals_loop(band):
    x = random(2, 1, 3, 16, 12)
    result = band(x)
    assert result.shape == (2, 1, 3, 2, 10, 7)
    for i, j in itertools.product(range(2), range(3)):
        assert bool((result[i, 0, j] == band(x[i, 0, j])).all())


def test_non_contiguous_conjugate_and_expanded_input(band):
    x = random(12, 16, 3).permute(2, 1, 0)
    assert not x.is_contiguous()
    assert bool((band(x) == band(x.contiguous())).all())
    one = random(16, 12)
    assert one.conj().is_conj()
    assert bool((band(one.conj()) == band(one.conj().resolve_conj())).all())
    assert bool((band(one.expand(4, 16, 12)) == band(one)).all())


def test_gradient_that_arrives_conjugated_or_expanded(band):
    """Autograd hands over lazy conjugates and expanded tensors."""
    x = random(3, 16, 12).requires_grad_()
    (gradient,) = torch.autograd.grad(band(x).real.sum(), x)
    ones = torch.ones(3, 2, 10, 7, dtype=torch.complex128)
    torch.testing.assert_close(gradient, band.adjoint(ones), rtol=1e-14, atol=1e-14)
    weights = random(3, 2, 10, 7)
    (gradient,) = torch.autograd.grad(band(x), x, weights.conj())
    torch.testing.assert_close(gradient, band.adjoint(weights.conj().resolve_conj()), rtol=1e-14, atol=1e-14)


def test_view_of_larger_storage(band):
    """Offsets of pieces count from where the view starts."""
    x = random(5, 16, 12)
    assert bool((band(x[2:4]) == band(x[2:4].clone())).all())


def test_empty_batch(band):
    x = torch.empty(0, 16, 12, dtype=torch.complex128, requires_grad=True)
    result = band(x)
    assert result.shape == (0, 2, 10, 7)
    result.abs().sum().backward()
    assert x.grad.shape == x.shape


def test_copies_and_state(band):
    x = random(2, 16, 12)
    twin = copy.deepcopy(band)
    assert twin.weights.data_ptr() != band.weights.data_ptr()
    assert bool((twin(x) == band(x)).all())
    assert dict(band.state_dict()) == {}  # filters are remade from their parameters, not stored
    band.load_state_dict(band.state_dict())


@pytest.mark.parametrize("real", [True, False], ids=["real", "complex"])
def test_precision_by_dtype(real):
    x = random(2, 16, 12)
    expected = mixed_band(real=real)(x)
    single = mixed_band(torch.float32, real=real)
    assert single.weights.dtype == torch.float32
    result = single(x.to(torch.complex64))
    assert result.dtype == torch.complex64
    assert 0 < relative(result.to(x.dtype), expected) <= 3e-7
    # Moved to float64, complex weights included, the module works there with its rounded weights.
    moved = single.to(FLOAT64)
    assert moved(x).dtype == torch.complex128
    assert 0 < relative(moved(x), expected) <= 1e-7


class TestSupport:
    def test_on_grid_sums_the_repeats(self):
        filter_ = support((-11, 3), (30, 20))
        expected = torch.zeros(8, 5, dtype=FLOAT64)
        for i, j in itertools.product(range(30), range(20)):
            expected[(i - 11) % 8, (j + 3) % 5] += filter_.values[i, j]
        torch.testing.assert_close(filter_.on_grid((8, 5)), expected, rtol=0, atol=1e-13)

    def test_folded_keeps_small_boxes_and_shortens_wide_ones(self):
        filter_ = support((-11, 3), (30, 4))
        folded = filter_.folded((8, 6))
        assert folded.start == (-4, 3)
        assert folded.extent == (8, 4)
        torch.testing.assert_close(folded.on_grid((8, 6)), filter_.on_grid((8, 6)), rtol=0, atol=1e-13)

    @pytest.mark.parametrize("n", [8, 9])
    def test_clipped_keeps_what_the_grid_carries(self, n):
        filter_ = support((-7,), (16,))
        kept = filter_.clipped((n,))
        k = torch.arange(-7, 9)
        inside = (k >= -n / 2) & (k < n / 2)
        assert kept.start == (int(k[inside][0]),)
        assert bool((kept.values == filter_.values[inside]).all())
