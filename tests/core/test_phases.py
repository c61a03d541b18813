"""Modulus, phase harmonics and rectifier against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss

from phasewave.core.phases import (
    modulus,
    phase_harmonic,
    rectifier_harmonic,
    rectifier_inverse,
    rectifier_phases,
)

COMPLEX = [torch.complex64, torch.complex128]
EPSILON = {torch.complex64: 2**-23, torch.complex128: 2**-52}


def random(*shape, dtype=torch.complex128, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


CLOSED_FORMS = {
    -3: lambda z: z.conj() ** 3 / z.abs() ** 2,
    -2: lambda z: z.conj() ** 2 / z.abs(),
    -1: lambda z: z.conj(),
    0: lambda z: z.abs().to(z.dtype),
    1: lambda z: z,
    2: lambda z: z**2 / z.abs(),
    3: lambda z: z**3 / z.abs() ** 2,
    4: lambda z: z**4 / z.abs() ** 3,
}


class TestModulus:
    @pytest.mark.parametrize("dtype", COMPLEX)
    def test_equals_abs(self, dtype):
        z = random(50, 3, dtype=dtype) * torch.logspace(-12, 12, 50)[:, None]
        torch.testing.assert_close(modulus(z), z.abs(), rtol=2 * EPSILON[dtype], atol=0)

    def test_pythagorean_triples_are_exact(self):
        z = torch.tensor([3 + 4j, -5 + 12j, 8 - 15j, -20 - 21j, 0j, -2 + 0j, 7j])
        assert modulus(z).tolist() == [5, 13, 17, 29, 0, 2, 7]

    @pytest.mark.parametrize("dtype", COMPLEX)
    def test_stated_range(self, dtype):
        """In float32, what lies under 1e-23 counts as zero; 1e-18 and 1e18 are still right."""
        z = torch.tensor([1e-23, 1e-18, 1e18], dtype=dtype)
        expected = z.abs() if dtype == torch.complex128 else torch.tensor([0, 1e-18, 1e18])
        torch.testing.assert_close(modulus(z), expected, rtol=1e-3, atol=0)
        gradient = torch.autograd.grad(modulus(z.requires_grad_()).sum(), z)[0]
        assert bool(torch.isfinite(torch.view_as_real(gradient)).all())

    @pytest.mark.parametrize("dtype", COMPLEX)
    def test_gradient_is_the_unit_phase_and_zero_at_zero(self, dtype):
        z = random(6, dtype=dtype)
        z[2] = z[4] = 0
        z.requires_grad_()
        (gradient,) = torch.autograd.grad(modulus(z).sum(), z)
        torch.testing.assert_close(gradient, torch.sgn(z).detach(), rtol=4 * EPSILON[dtype], atol=0)
        assert gradient[2] == 0

    def test_derivatives_away_from_zero(self):
        z = random(3, 4).requires_grad_()
        assert torch.autograd.gradcheck(modulus, z)
        assert torch.autograd.gradgradcheck(modulus, z)

    def test_second_derivative_is_finite_at_zero(self):
        z = torch.zeros(3, dtype=torch.complex128, requires_grad=True)
        (gradient,) = torch.autograd.grad((modulus(z) ** 2).sum(), z, create_graph=True)
        (second,) = torch.autograd.grad(gradient.real.sum(), z)
        assert bool(torch.isfinite(torch.view_as_real(second)).all())

    @pytest.mark.parametrize("make", [torch.conj, torch.t, lambda z: z[::2, 1:], lambda z: z.t().conj()])
    def test_lazy_and_strided_views(self, make):
        z = random(6, 5)
        value = modulus(make(z))
        torch.testing.assert_close(value, make(z).resolve_conj().abs(), rtol=1e-15, atol=0)
        leaf = z.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(modulus(make(leaf)).sum(), leaf)
        (expected,) = torch.autograd.grad(make(leaf).abs().sum(), leaf)
        torch.testing.assert_close(gradient, expected, rtol=1e-14, atol=0)

    def test_gradient_that_arrives_as_a_lazy_negative(self):
        """The imaginary part of a lazy conjugate carries a negative bit."""
        z = random(5).requires_grad_()
        weights = random(5, seed=1).conj().imag
        assert weights.is_neg()
        (gradient,) = torch.autograd.grad(modulus(z), z, weights)
        torch.testing.assert_close(gradient, weights.resolve_neg() * torch.sgn(z).detach())


class TestPhaseHarmonic:
    @pytest.mark.parametrize("dtype", COMPLEX)
    @pytest.mark.parametrize("k", CLOSED_FORMS)
    def test_closed_forms(self, k, dtype):
        z = random(4, 5, dtype=dtype)
        result = phase_harmonic(z, k)
        assert result.dtype == dtype
        torch.testing.assert_close(result, CLOSED_FORMS[k](z), rtol=16 * EPSILON[dtype], atol=0)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(k=st.integers(-37, 37), phase=st.floats(-math.pi, math.pi), radius=st.floats(1e-6, 1e6))
    def test_multiplies_the_phase_and_keeps_the_modulus(self, k, phase, radius):
        z = torch.polar(torch.tensor(radius, dtype=torch.float64), torch.tensor(phase, dtype=torch.float64))
        result = complex(phase_harmonic(z, k))
        expected = radius * complex(math.cos(k * phase), math.sin(k * phase))
        assert abs(result - expected) <= 1e-13 * radius

    @pytest.mark.parametrize("k", [-3, -2, -1, 0, 1, 2, 3, 6])
    def test_derivatives_away_from_zero(self, k):
        z = random(2, 3).requires_grad_()
        assert torch.autograd.gradcheck(lambda z: phase_harmonic(z, k), z)
        assert torch.autograd.gradgradcheck(lambda z: phase_harmonic(z, k), z)

    @pytest.mark.parametrize("k", [-3, -2, 0, 2, 3, 4])
    def test_value_and_gradient_at_zero_are_zero(self, k):
        z = torch.zeros(4, dtype=torch.complex64, requires_grad=True)
        value = phase_harmonic(z, k)
        (gradient,) = torch.autograd.grad(value, z, torch.ones_like(z))
        assert bool((value == 0).all())
        assert bool((gradient == 0).all())

    @pytest.mark.parametrize("k", [-1, 0, 2])
    def test_result_of_a_conjugate(self, k):
        """[conj z]^k = conj [z]^k, also after a lazy conjugate."""
        z = random(5)
        torch.testing.assert_close(phase_harmonic(z.conj(), k), phase_harmonic(z, k).conj())
        torch.testing.assert_close(modulus(phase_harmonic(z, k)), z.abs())


class TestRectifier:
    @pytest.mark.parametrize("n_phases", [3, 4, 5, 8])
    def test_definition(self, n_phases):
        z = random(4, 3)
        u = rectifier_phases(z, n_phases)
        assert u.shape == (n_phases, 4, 3)
        for a in range(n_phases):
            turned = torch.exp(torch.tensor(2j * math.pi * a / n_phases, dtype=z.dtype)) * z
            torch.testing.assert_close(u[a], torch.relu(turned.real), rtol=1e-14, atol=1e-15)

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex128, 1e-13), (torch.complex64, 1e-6)])
    @pytest.mark.parametrize("n_phases", range(4, 33, 2))
    def test_inverse(self, n_phases, dtype, tolerance):
        z = random(7, 5, dtype=dtype)
        recovered = rectifier_inverse(rectifier_phases(z, n_phases))
        assert recovered.dtype == dtype
        assert float((recovered - z).norm() / z.norm()) <= tolerance

    @pytest.mark.parametrize("n_phases", [1, 2, 3, 5, 7])
    def test_no_inverse_for_odd_or_few_phases(self, n_phases):
        u = rectifier_phases(random(6), n_phases)
        with pytest.raises(
            ValueError, match=rf"`u.shape\[0\]` must be an even number of phases >= 4, got {n_phases}"
        ):
            rectifier_inverse(u)

    @pytest.mark.parametrize("n_phases", [0, -4])
    def test_no_phases(self, n_phases):
        with pytest.raises(ValueError, match=f"`n_phases` must be an integer >= 1, got {n_phases}"):
            rectifier_phases(random(6), n_phases)

    def test_difference_of_opposite_phases_is_the_real_part(self):
        """rho(a) - rho(-a) = a."""
        z = random(9)
        u = rectifier_phases(z, 4)
        torch.testing.assert_close(u[0] - u[2], z.real, rtol=1e-14, atol=1e-15)

    def test_derivatives_away_from_the_corners(self):
        z = random(2, 3).requires_grad_()
        assert torch.autograd.gradcheck(lambda z: rectifier_phases(z, 6), z)
        assert torch.autograd.gradcheck(lambda z: rectifier_inverse(rectifier_phases(z, 6)), z)

    def test_lazy_conjugate(self):
        z = random(5)
        assert bool((rectifier_phases(z.conj(), 6) == rectifier_phases(z.conj().resolve_conj(), 6)).all())


class TestRectifierHarmonic:
    @pytest.mark.parametrize("k", range(-9, 10))
    def test_is_the_fourier_coefficient_of_the_rectified_cosine(self, k):
        """Gauss-Legendre on the half turn where the cosine is positive."""
        nodes, weights = map(torch.from_numpy, leggauss(40))
        angle = 0.5 * math.pi * nodes
        integral = float((weights * angle.cos() * (k * angle).cos()).sum()) * 0.5 * math.pi / (2 * math.pi)
        assert abs(rectifier_harmonic(k) - integral) <= 1e-14

    def test_parseval(self):
        """The mean square of the rectified cosine is 1/4."""
        assert abs(sum(rectifier_harmonic(k) ** 2 for k in range(-400, 401)) - 0.25) <= 1e-9

    @pytest.mark.parametrize("order", [8, 32, 128])
    def test_series_of_the_rectifier(self, order):
        """The tail of even k beyond K = order: sum of 2 / (pi (k^2 - 1)) = 1 / (pi (K + 1)), attained at z = i."""
        z = random(50)
        z[0] = 1j
        bound = 1 / (math.pi * (order + 1))
        worst = 0.0
        for alpha in (0.0, 0.7, 2.9):
            phase = torch.exp(torch.tensor(1j * alpha, dtype=z.dtype))
            rectified = torch.relu((phase * z).real)
            series = sum(rectifier_harmonic(k) * phase**k * phase_harmonic(z, k) for k in range(-order, order + 1))
            error = (rectified - series).abs() / z.abs()
            worst = max(worst, float(error.max()))
        assert bound * (1 - 1e-9) <= worst <= bound * (1 + 1e-9)
