"""Wavelet transform: exact samples, energy identity, inverse, in one to three dimensions."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import pytest
import torch

from phasewave.core.fourier import Support
from phasewave.core.morlet import Morlet
from phasewave.core.transform import WaveletTransform

FLOAT64 = torch.float64


@dataclass(frozen=True)
class Hats:
    """Two wavelets a scale in any dimension, leaning to either side of axis 0."""

    complex_filters: bool = False
    n_filters: int = 2

    def dilation(self, scale: int) -> float:
        return 2.0**scale

    def wavelets(self, shape, scale, *, tolerance):
        width = 2.0**scale / (0.75 * math.pi)
        radius = math.sqrt(2 * math.log(8 / tolerance)) / width
        extents = [math.floor(radius * n / (2 * math.pi)) for n in shape]
        axes = [2 * math.pi / n * torch.arange(-k, k + 1).to(FLOAT64) for n, k in zip(shape, extents, strict=True)]
        omega = torch.meshgrid(*axes, indexing="ij")
        r = width * torch.stack(omega).square().sum(dim=0).sqrt()
        hat = r * torch.exp(-0.5 * r * r)
        lean = width * omega[0] / r.clamp_min(1e-9)
        pair = [hat * (1 + lean), hat * (1 - lean)]
        if self.complex_filters:
            pair[1] = pair[1] * torch.exp(1j * omega[0])
            pair[0] = pair[0].to(torch.complex128)
        start = tuple(-k for k in extents)
        return tuple(Support(start, values) for values in pair)

    def low_pass(self, omega, n_scales):
        return torch.exp(-0.5 * (0.8 * 2.0 ** (n_scales - 1) * omega) ** 2)


TRANSFORMS = {
    "square": ((32, 32), Morlet(4), {"n_scales": 3}),
    "deep": ((128, 96), Morlet(4), {"n_scales": 5}),
    "one_scale": ((32, 48), Morlet(4), {"n_scales": 1}),
    "odd": ((33, 45), Morlet(5), {"n_scales": 3}),
    "odd_deep": ((131, 70), Morlet(3), {"n_scales": 5}),
    "line": ((200,), Hats(), {"n_scales": 6}),
    "odd_line": ((131,), Hats(complex_filters=True), {"n_scales": 6}),
    "volume": ((16, 18, 21), Hats(), {"n_scales": 2}),
    "complex_volume": ((17, 16, 16), Hats(complex_filters=True), {"n_scales": 3}),
}


def field(*shape, dtype=FLOAT64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def make(case, *, dtype=FLOAT64, oversampling=3, tight=True):
    shape, family, settings = TRANSFORMS[case]
    return WaveletTransform(shape, family, **settings, tight=tight, oversampling=oversampling, dtype=dtype)


def energies(transform, low, scales) -> torch.Tensor:
    """Squares of each sample times the pixels it stands for, summed by field."""
    n_axes, size = len(transform.shape), math.prod(transform.shape)
    weighted = []
    for z, grid in zip([*scales, low.unsqueeze(-n_axes - 1)], transform.grids, strict=True):
        weighted.append((z.abs() ** 2).flatten(-n_axes - 1).sum(dim=-1) * size / math.prod(grid))
    return torch.stack(weighted).sum(dim=0)


@pytest.mark.parametrize("case", TRANSFORMS)
def test_energy_identity(case):
    transform = make(case)
    x = field(3, *transform.shape)
    total = energies(transform, *transform(x))
    torch.testing.assert_close(total, (x * x).flatten(1).sum(dim=1), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("case", TRANSFORMS)
def test_inverse_round_trip(case, dtype, tolerance):
    transform = make(case, dtype=dtype)
    x = field(2, 1, *transform.shape, dtype=dtype) + 3
    recovered = transform.inverse(*transform(x))
    assert recovered.shape == x.shape
    assert recovered.dtype == dtype
    assert float((recovered - x).norm() / x.norm()) <= tolerance


@pytest.mark.parametrize("case", ["deep", "odd_deep", "line"])
def test_coarse_grids_are_used(case):
    """The identities above are not those of full-resolution coefficients."""
    transform = make(case)
    assert math.prod(transform.grids[-2]) <= 0.51 * math.prod(transform.shape)


def test_grids():
    transform = WaveletTransform((50, 36), Morlet(2), n_scales=3, oversampling=0)
    assert transform.grids == ((50, 36), (25, 18), (13, 9), (7, 5))
    low, scales = transform(field(2, 50, 36, dtype=torch.float32))
    assert low.shape == (2, 7, 5)
    assert [z.shape for z in scales] == [(2, 2, 50, 36), (2, 2, 25, 18), (2, 2, 13, 9)]
    assert not low.is_complex()
    assert all(z.dtype == torch.complex64 for z in scales)


@pytest.mark.parametrize(("tight", "oversampling"), [(False, 0), (True, 1), (True, 3)])
def test_coefficients_are_samples_of_the_convolution(tight, oversampling):
    """Against multiplication with the whole filter, read at every 2^r-th pixel; aliased or not."""
    transform = make("deep", tight=tight, oversampling=oversampling)
    x = field(*transform.shape)
    low, scales = transform(x)
    spectrum = torch.fft.fft2(x)
    for z, filters, grid in zip(scales, transform.bank.wavelets, transform.grids, strict=False):
        step = transform.shape[0] // grid[0]
        for f, support in enumerate(filters):
            full = torch.fft.ifft2(spectrum * support.on_grid(transform.shape))
            torch.testing.assert_close(z[f], full[::step, ::step], rtol=0, atol=1e-13)
    full = torch.fft.ifft2(spectrum * torch.outer(*transform.bank.low_pass)).real
    step = transform.shape[0] // transform.grids[-1][0]
    torch.testing.assert_close(low, full[::step, ::step], rtol=0, atol=1e-13)


def test_energy_is_only_kept_without_aliasing():
    transform = make("deep", oversampling=0)
    x = field(*transform.shape)
    assert abs(float(energies(transform, *transform(x)) / (x * x).sum()) - 1) > 1e-5


def test_shift_by_the_coarsest_step_rolls_the_coefficients():
    transform = make("deep", oversampling=0)
    x = field(*transform.shape)
    low, scales = transform(x)
    moved_low, moved = transform(x.roll((32, -64), dims=(0, 1)))
    torch.testing.assert_close(moved_low, low.roll((1, -2), dims=(0, 1)), rtol=0, atol=1e-13)
    for j, (a, b) in enumerate(zip(scales, moved, strict=True)):
        shifts = (32 >> j, -(64 >> j))
        torch.testing.assert_close(b, a.roll(shifts, dims=(1, 2)), rtol=0, atol=1e-13)


def test_derivatives():
    transform = WaveletTransform((16, 17), Morlet(2), n_scales=2, dtype=FLOAT64)

    def everything(x):
        low, scales = transform(x)
        return low, *scales

    assert torch.autograd.gradcheck(everything, field(1, 16, 17).requires_grad_(), fast_mode=True)
    assert torch.autograd.gradgradcheck(everything, field(1, 16, 17).requires_grad_(), fast_mode=True)


def test_inverse_is_differentiable():
    transform = make("one_scale")
    low, (z,) = transform(field(*transform.shape))
    low.requires_grad_()
    z.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: transform.inverse(a, [b]), (low, z), fast_mode=True)


def test_copies():
    transform = make("square")
    twin = copy.deepcopy(transform)
    x = field(*transform.shape)
    assert all(bool((a == b).all()) for a, b in zip(transform(x)[1], twin(x)[1], strict=True))
    assert not transform.state_dict()


class TestRefusals:
    def test_inverse_of_a_bank_that_is_not_tight(self):
        transform = make("square", tight=False)
        with pytest.raises(ValueError, match="needs a Parseval bank: construct the transform with `tight=True`"):
            transform.inverse(*transform(field(32, 32)))

    def test_inverse_of_aliased_grids(self):
        transform = make("square", oversampling=1)
        with pytest.raises(
            ValueError, match=r"`oversampling` must be larger: filters alias on the grids .*, got 1"
        ):
            transform.inverse(*transform(field(32, 32)))

    def test_inverse_of_a_wrong_number_of_scales(self):
        transform = make("square")
        low, scales = transform(field(32, 32))
        with pytest.raises(ValueError, match="`coefficients` must hold 3 scales, got 2"):
            transform.inverse(low, scales[:2])

    @pytest.mark.parametrize(
        ("x", "error", "message"),
        [
            (torch.zeros(32, 33), ValueError, r"`x` must have last axes \(32, 32\), got \(32, 33\)"),
            (torch.zeros(32), ValueError, r"`x` must have last axes \(32, 32\), got \(32,\)"),
            (torch.zeros(32, 32, dtype=FLOAT64), TypeError, "`x` must be of dtype torch.float32 .*float64"),
            (torch.zeros(32, 32, dtype=torch.complex64), TypeError, "must be of a real floating dtype.*complex64"),
            (
                torch.zeros(32, 32, dtype=torch.int64),
                TypeError,
                "must be of a real floating dtype, got torch.int64",
            ),
            ([[0.0]], TypeError, r"`x` must be a torch.Tensor, got list"),
        ],
    )
    def test_bad_fields(self, x, error, message):
        transform = make("square", dtype=torch.float32)
        with pytest.raises(error, match=message):
            transform(x)

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"oversampling": -1}, ValueError, "`oversampling` must be an integer >= 0, got -1"),
            ({"oversampling": 0.5}, TypeError, "`oversampling` must be an integer, got 0.5"),
            (
                {"dtype": torch.float16},
                TypeError,
                "`dtype` must be torch.float32 or torch.float64, got torch.float16",
            ),
            ({"n_scales": 6}, ValueError, r"`n_scales` must be at most 5 for a grid of \(32, 32\), got 6"),
        ],
    )
    def test_bad_settings(self, settings, error, message):
        with pytest.raises(error, match=message):
            WaveletTransform((32, 32), Morlet(2), **({"n_scales": 2} | settings))
