import math

import pytest
import torch
from torch import nn

from phasewave.diagnostics.convexity import convexity_violation
from phasewave.diagnostics.max_affine import BetaMaxPool2d, BetaVQ, max_affine, soft_max_affine

U = torch.linspace(-30, 30, 4001, dtype=torch.float64)


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_rectified_layer_is_a_max_affine_spline():
    weight, bias, x = normal(5, 3, seed=0), normal(5, seed=1), normal(2, 7, 3, seed=2)
    slopes, offsets = torch.stack([torch.zeros_like(weight), weight], 1), torch.stack([0 * bias, bias], 1)
    values, codes = max_affine(x, slopes, offsets)
    z = x @ weight.mT + bias
    assert torch.allclose(values, z.relu(), atol=1e-15)
    assert torch.equal(codes, (z > 0).long())
    slopes, offsets = normal(4, 6, 3, seed=3), normal(4, 6, seed=4)
    ends = normal(2, 200, 3, seed=5)
    assert float(convexity_violation(lambda y: max_affine(y, slopes, offsets)[0], *ends).max()) < 2e-15


def test_named_values_of_beta():
    assert torch.allclose(BetaVQ(0.5)(U), nn.functional.silu(U), rtol=1e-15)
    assert torch.equal(BetaVQ(1.0)(U), U.relu())
    assert torch.equal(BetaVQ(0.0)(U), U / 2)
    assert torch.equal(BetaVQ(1.0, slope=-1.0)(U), U.abs())
    assert torch.allclose(BetaVQ(1.0, slope=0.2)(U), nn.functional.leaky_relu(U, 0.2), rtol=1e-15)
    assert torch.allclose(BetaVQ(0.75, slope=-1.0)(U), U * (3 * U).tanh(), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("slope", [0.0, -1.0, 0.3])
@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9, 0.999, 1.0])
def test_one_formula_for_all(beta, slope):
    pieces = torch.stack([slope * U, U], -1)
    assert torch.allclose(BetaVQ(beta, slope=slope)(U), soft_max_affine(pieces, beta=beta), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("slope", [0.0, -1.0, 0.3])
def test_distance_to_the_hard_rectifier(slope):
    # max_t t / (1 + e^t) = W(1 / e), where 1 + e^t = t e^t
    largest = max(t / (1 + math.exp(t)) for t in (1.2784645 + 1e-6 * k for k in range(-5, 6)))
    assert largest == pytest.approx(0.2784645)
    for beta in (0.5, 0.9, 0.99):
        scale = (1 - beta) / beta
        u = U * scale / (1 - slope)
        gap = (BetaVQ(1.0, slope=slope)(u) - BetaVQ(beta, slope=slope)(u)).max()
        assert float(gap) == pytest.approx(largest * scale, rel=1e-4)
        assert float(gap) <= 0.27847 * scale


def test_learnt_beta():
    layer = BetaVQ(0.3, learnable=True)
    assert layer.beta == pytest.approx(0.3)
    assert torch.allclose(layer(U), BetaVQ(0.3)(U), atol=1e-6)
    target = nn.functional.silu(U / 6)
    for _ in range(300):
        loss = (layer(U / 6) - target).square().mean()
        (gradient,) = torch.autograd.grad(loss, [layer.logit])
        with torch.no_grad():
            layer.logit -= 2 * gradient
    assert layer.beta == pytest.approx(0.5, abs=0.01)
    assert "logit" in layer.state_dict()
    assert not BetaVQ(0.3).state_dict()


def test_pooling_between_average_and_maximum():
    x = normal(2, 3, 9, 6, seed=6)
    assert torch.equal(BetaMaxPool2d(2, beta=1.0)(x), nn.functional.max_pool2d(x, 2))
    assert torch.allclose(BetaMaxPool2d(3, beta=0.0)(x), nn.functional.avg_pool2d(x, 3), rtol=1e-13)
    soft = BetaMaxPool2d(2, beta=0.5)(x)
    assert bool((soft <= nn.functional.max_pool2d(x, 2)).all())
    assert bool((soft >= nn.functional.avg_pool2d(x, 2)).all())
    assert BetaMaxPool2d(2)(x.float()).dtype is torch.float32


def test_bad_input():
    with pytest.raises(ValueError, match=r"`beta` must be between 0 and 1, got 1\.5"):
        BetaVQ(1.5)
    with pytest.raises(ValueError, match="both excluded"):
        BetaVQ(1.0, learnable=True)
    with pytest.raises(ValueError, match="`slope` must be < 1"):
        BetaVQ(slope=1.0)
    with pytest.raises(ValueError, match=r"`offsets` must have the shape \(4, 6\)"):
        max_affine(torch.ones(3), torch.ones(4, 6, 3), torch.ones(4))
    with pytest.raises(ValueError, match=r"\(\.\.\., H >= 3, W >= 3\), got \(1, 2, 5\)"):
        BetaMaxPool2d(3)(torch.ones(1, 2, 5))
    with pytest.raises(TypeError, match="real floating"):
        BetaVQ()(torch.arange(3))
