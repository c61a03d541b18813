"""Derivatives of the scattering transform: first everywhere, second where moduli do not vanish."""

from __future__ import annotations

import pytest
import torch

from phasewave.core.bank import filter_bank
from phasewave.core.fourier import Band
from phasewave.core.morlet import Morlet
from phasewave.core.phases import modulus
from phasewave.core.pool import pooling_matrix
from phasewave.scattering.paths import Layer, Leaf, Pool, pooled_moduli
from phasewave.scattering.planar import Scattering2D

FLOAT64 = torch.float64


def field(*shape, dtype=FLOAT64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def tiny(**settings) -> Scattering2D:
    return Scattering2D((16, 17), n_scales=2, n_angles=2, dtype=FLOAT64, **settings)


def layer() -> Layer:
    """Two leaves of different resolutions over one 16 x 20 spectrum."""
    bank = filter_bank((16, 20), Morlet(3), n_scales=2, tolerance=1e-16)

    def leaf(scale, grid):
        matrices = [pooling_matrix(p, m, h) for p, m, h in zip(bank.low_pass, grid, (4, 5), strict=True)]
        return Leaf(Band(bank.wavelets[scale], (16, 20), grid, dtype=FLOAT64), Pool(*matrices))

    return Layer([leaf(0, (16, 20)), leaf(1, (8, 10))])


def plain(spectrum, leaves):
    """The same paths by the differentiable parts."""
    return torch.cat([leaf.pool(modulus(torch.fft.ifft2(leaf.band(spectrum)))) for leaf in leaves], dim=1)


class TestPooledModuli:
    @pytest.mark.parametrize("chunk", [1, 700, 2**18])
    def test_value_and_gradient_are_those_of_the_parts(self, chunk):
        leaves, spectrum = layer(), torch.fft.fft2(field(3, 16, 20)).requires_grad_()
        weights = field(3, 6, 4, 5, seed=1)
        fused, expected = pooled_moduli(spectrum, leaves, chunk), plain(spectrum, leaves)
        torch.testing.assert_close(fused, expected, rtol=0, atol=1e-14)
        (a,), (b,) = (torch.autograd.grad(y, spectrum, weights) for y in (fused, expected))
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-15)

    @pytest.mark.parametrize("chunk", [1, 2**18])
    def test_derivatives(self, chunk):
        leaves, spectrum = layer(), torch.fft.fft2(field(2, 16, 20)).requires_grad_()
        assert torch.autograd.gradcheck(lambda z: pooled_moduli(z, leaves, chunk), spectrum, fast_mode=True)
        assert torch.autograd.gradgradcheck(lambda z: pooled_moduli(z, leaves, chunk), spectrum, fast_mode=True)

    @pytest.mark.parametrize(
        "view", [lambda z: z.permute(0, 2, 1), torch.conj, lambda z: z[:1].expand(2, 20, 16).transpose(1, 2)]
    )
    def test_second_derivative_through_strided_and_lazy_spectra(self, view):
        """The gradient's graph starts at the spectrum that was given, whatever its layout."""
        leaves = layer()
        base = torch.fft.fft2(field(2, 16, 20))
        base = base if view is torch.conj else base.permute(0, 2, 1).contiguous()
        base.requires_grad_()
        hessians = []
        for function in (lambda z: pooled_moduli(z, leaves, 700), lambda z: plain(z, leaves)):
            y = function(view(base))
            (gradient,) = torch.autograd.grad((y**2).sum(), base, create_graph=True)
            hessians.append(torch.autograd.grad(gradient.abs().square().sum(), base)[0])
        torch.testing.assert_close(*hessians, rtol=1e-10, atol=1e-12)

    def test_nothing_is_kept_without_a_gradient(self):
        spectrum = torch.fft.fft2(field(2, 16, 20))
        assert pooled_moduli(spectrum, layer(), 700).grad_fn is None


class TestTransform:
    @pytest.mark.parametrize("border", ["periodic", "reflect", "zero"])
    @pytest.mark.parametrize("max_order", [0, 1, 2])
    def test_first_derivative(self, max_order, border):
        transform = tiny(max_order=max_order, border=border)
        assert torch.autograd.gradcheck(transform, field(2, 16, 17).requires_grad_(), fast_mode=True)

    @pytest.mark.parametrize("chunk", [1, 2**18])
    def test_second_derivative(self, chunk):
        transform = tiny(border="periodic", chunk=chunk)
        assert torch.autograd.gradgradcheck(transform, field(2, 16, 17).requires_grad_(), fast_mode=True)

    def test_every_entry_of_a_jacobian(self):
        transform = Scattering2D((16, 16), n_scales=2, n_angles=1, border="periodic", dtype=FLOAT64)
        x = field(16, 16).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: transform(x)[:, :1, 1], x)

    def test_hessian_vector_product_against_finite_differences(self):
        transform = tiny(border="periodic", oversampling=1)
        x, v, step = field(16, 17), field(16, 17, seed=1), 1e-6

        def gradient(x, *, create_graph=False):
            loss = (transform(x) ** 2).sum()
            return torch.autograd.grad(loss, x, create_graph=create_graph)[0]

        ahead, behind = (gradient((x + s * v).requires_grad_()) for s in (step, -step))
        x.requires_grad_()
        (product,) = torch.autograd.grad(gradient(x, create_graph=True), x, v)
        expected = (ahead - behind) / (2 * step)
        assert float((product - expected).norm() / expected.norm()) <= 1e-7

    @pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
    def test_gradient_of_a_zero_field_is_the_one_of_the_mean(self, dtype):
        """All moduli vanish: only order 0 has a derivative, and it is the adjoint of its low-pass."""
        transform = Scattering2D((32, 32), n_scales=2, n_angles=2, border="periodic", dtype=dtype)
        x = torch.zeros(2, 32, 32, dtype=dtype, requires_grad=True)
        y = transform(x)
        (higher,) = torch.autograd.grad(y[:, 1:].sum(), x, retain_graph=True)
        assert bool((higher == 0).all())
        (whole,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(whole.mean(), torch.tensor(1 / 16, dtype=dtype))

    @pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
    def test_gradients_stay_finite_where_moduli_vanish(self, dtype):
        """Fields of zeros, of one value, and with one non-zero pixel: first derivatives bounded, second finite."""
        transform = Scattering2D((32, 32), n_scales=3, n_angles=2, border="zero", dtype=dtype)
        x = torch.zeros(3, 32, 32, dtype=dtype)
        x[1] = 2.0
        x[2, 5, 7] = 1.0
        x.requires_grad_()
        y = transform(x)
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert bool(torch.isfinite(gradient).all())
        assert float(gradient.detach().abs().max()) <= len(transform.table)
        (second,) = torch.autograd.grad(gradient.square().sum(), x)
        assert bool(torch.isfinite(second).all())

    def test_gradient_is_that_of_each_field_alone(self):
        transform = tiny()
        x = field(3, 16, 17).requires_grad_()
        (whole,) = torch.autograd.grad((transform(x) ** 2).sum(), x)
        for i in range(3):
            one = x[i].detach().requires_grad_()
            (alone,) = torch.autograd.grad((transform(one) ** 2).sum(), one)
            torch.testing.assert_close(whole[i], alone, rtol=1e-13, atol=1e-15)
