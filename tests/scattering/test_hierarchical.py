"""The hierarchical convolution: its definition, equivariance to shifts of attributes, invariance of sums."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from phasewave.scattering.hierarchical import HierarchicalConvolution
from phasewave.scattering.nonlinearities import FractionalReLU, SignedRoot

FLOAT64 = torch.float64
CASES = [((), 5, None), ((6,), 4, None), ((5, 4), 3, (3, 2)), ((3, 2, 4), 2, None), ((4,), 3, (4,))]


def field(*shape, dtype=FLOAT64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def make(attributes, n_filters, widths, **settings):
    layer = HierarchicalConvolution(attributes, n_filters, widths=widths, **settings).to(FLOAT64)
    nn.init.normal_(layer.bias, generator=torch.Generator().manual_seed(1))
    return layer


def definition(layer, x):
    """One circular convolution over all axes by its FFT, the middle tap of each axis at 0."""
    axes = tuple(range(1, x.ndim))
    kernel_shape = (*layer.widths, layer.size, layer.size)
    maps = []
    for kernel, bias in zip(layer.weight.detach(), layer.bias.detach(), strict=True):
        placed = torch.zeros(x.shape[1:], dtype=FLOAT64)
        kernel = kernel.reshape(kernel_shape).flip((-2, -1))  # space is correlated, as conv2d does
        for index in itertools.product(*(range(size) for size in kernel_shape)):
            position = tuple((i - s // 2) % n for i, s, n in zip(index, kernel_shape, x.shape[1:], strict=True))
            placed[position] += kernel[index]
        product = torch.fft.fftn(x, dim=axes) * torch.fft.fftn(placed)
        maps.append(torch.fft.ifftn(product, dim=axes).real + bias)
    return torch.stack(maps, dim=-3).relu()


@pytest.mark.parametrize(("attributes", "n_filters", "widths"), CASES)
def test_definition(attributes, n_filters, widths):
    layer, x = make(attributes, n_filters, widths), field(2, *attributes, 6, 7)
    y = layer(x)
    assert y.shape == (2, *attributes, n_filters, 6, 7)
    torch.testing.assert_close(y, definition(layer, x), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("attributes", "n_filters", "widths"), CASES)
def test_shifts_of_attributes_and_of_the_plane_shift_the_output(attributes, n_filters, widths):
    """Exact for circular convolutions; the sum over the attribute does not change."""
    layer, x = make(attributes, n_filters, widths), field(2, *attributes, 6, 7)
    layer.requires_grad_(False)
    y = layer(x)
    for axis in range(1, len(attributes) + 1):
        moved = layer(x.roll(1, axis))
        error = (moved - y.roll(1, axis)).norm() / y.norm()
        assert float(error) <= 7e-16
        assert float((moved.sum(axis) - y.sum(axis)).norm() / y.sum(axis).norm()) <= 7e-16
    torch.testing.assert_close(layer(x.roll((2, -1), (-2, -1))), y.roll((2, -1), (-2, -1)), rtol=0, atol=1e-14)


def test_a_network_of_them_is_invariant():
    """Three layers and the sum over v_1 and v_2."""
    layers = nn.Sequential(make((), 6, None), make((6,), 5, None), make((6, 5), 4, None)).requires_grad_(False)
    x = field(2, 8, 8)
    hidden = layers[0](x)
    for axis, shift in ((1, 2), (1, -1)):
        top, moved = (layers[2](layers[1](h)).sum((1, 2)) for h in (hidden, hidden.roll(shift, axis)))
        assert float((top - moved).norm() / top.norm()) <= 7e-16
    assert layers(x).shape == (2, 6, 5, 4, 8, 8)


def test_gradient_stride_and_batches():
    layer = make((4,), 3, None, stride=2, nonlinearity=torch.tanh)
    x = field(3, 4, 7, 8).requires_grad_()
    y = layer(x)
    assert y.shape == (3, 4, 3, 4, 4)
    for one, whole in zip(x, y, strict=True):
        torch.testing.assert_close(layer(one[None])[0], whole, rtol=0, atol=1e-14)
    assert torch.autograd.gradcheck(layer, x, fast_mode=True)
    y.sum().backward()
    assert all(bool((p.grad != 0).any()) for p in layer.parameters())
    assert layer(x[:0]).shape == (0, 4, 3, 4, 4)
    twin = HierarchicalConvolution((4,), 3, stride=2, nonlinearity=torch.tanh, seed=7).to(FLOAT64)
    assert not bool((twin.weight == layer.weight).any())
    twin.load_state_dict(layer.state_dict())
    assert bool((twin(x) == y).all())


@pytest.mark.parametrize(
    ("attributes", "arguments", "message"),
    [
        ((4,), {"widths": (5,)}, "`widths` must be an integer between 1 and 4, got 5"),
        ((4,), {"widths": (3, 3)}, "`widths` must hold 1 widths"),
        ((0,), {}, "`attributes` must be an integer >= 1, got 0"),
        ((4,), {"size": 2}, "`size` must be odd, got 2"),
        ((4,), {"stride": 0}, "`stride` must be an integer >= 1, got 0"),
    ],
)
def test_bad_settings(attributes, arguments, message):
    with pytest.raises(ValueError, match=message):
        HierarchicalConvolution(attributes, 3, **arguments)


def test_bad_input():
    layer = HierarchicalConvolution((4, 2), 3, size=5)
    with pytest.raises(ValueError, match=r"`x` must have the shape \(n, 4, 2, H, W\), got \(1, 4, 8, 8\)"):
        layer(torch.zeros(1, 4, 8, 8))
    with pytest.raises(ValueError, match="`x` must have sides of at least 2"):
        layer(torch.zeros(1, 4, 2, 1, 8))
    with pytest.raises(TypeError, match=r"dtype torch.float32 like the module, got torch.float64"):
        layer(torch.zeros(1, 4, 2, 8, 8, dtype=FLOAT64))


class TestFractionalReLU:
    def test_its_ends_are_relu_and_the_identity(self):
        x = field(2, 5, 3)
        assert bool((FractionalReLU(5, 5)(x) == x.relu()).all())
        assert bool((FractionalReLU(5, 0)(x) == x).all())
        y = FractionalReLU(5, 2)(x)
        assert bool((y[:, :2] == x[:, :2].relu()).all())
        assert bool((y[:, 2:] == x[:, 2:]).all())
        assert torch.autograd.gradcheck(FractionalReLU(5, 2), x.requires_grad_())

    def test_refusals(self):
        with pytest.raises(ValueError, match="`n_rectified` must be an integer between 0 and 5, got 6"):
            FractionalReLU(5, 6)
        with pytest.raises(ValueError, match=r"`x` must have 5 channels along axis 1, got \(2, 4\)"):
            FractionalReLU(5, 2)(torch.zeros(2, 4))


class TestSignedRoot:
    def test_values(self):
        x = torch.tensor([-4.0, -0.25, 0.0, 1e-4, 9.0], dtype=FLOAT64)
        expected = torch.tensor([-2.1, -0.6, 0.0, 0.11, 3.1], dtype=FLOAT64)
        torch.testing.assert_close(SignedRoot()(x), expected, rtol=1e-15, atol=0)
        torch.testing.assert_close(SignedRoot(0)(x), x.sign() * x.abs().sqrt())

    def test_is_odd_and_increasing_and_its_derivative_is_bounded(self):
        x = torch.cat([torch.logspace(-9, 2, 200, dtype=FLOAT64), torch.zeros(1, dtype=FLOAT64)]).requires_grad_()
        y = SignedRoot()(x)
        assert bool((SignedRoot()(-x) == -y).all())
        assert bool((y[:-1].diff() > 0).all())
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert bool(torch.isfinite(gradient).all())
        assert 0 == float(gradient[-1]) < float(gradient.max()) <= 1000 * (1 + 1e-12)
        assert torch.autograd.gradcheck(SignedRoot(), x[60:-1].detach().requires_grad_(), eps=1e-10, atol=1e-3)

    def test_refusals(self):
        with pytest.raises(ValueError, match="`offset` must be at least 0 and finite, got -1"):
            SignedRoot(-1)
