import pytest
import torch
from torch import nn

from phasewave.diagnostics.splines import AffineSpline, template_penalty


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def perceptron(slope=0.0):
    torch.manual_seed(0)
    nonlinear = (nn.LeakyReLU(slope, inplace=slope > 0) for _ in range(2))
    return nn.Sequential(
        nn.Linear(6, 20), next(nonlinear), nn.Sequential(nn.Linear(20, 15), next(nonlinear)), nn.Linear(15, 4)
    ).double()


def convolutional():
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(5, 6, 3),
        nn.PReLU(6),
        nn.AvgPool2d(2),
        nn.ReLU6(),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(6 * 3 * 2, 7),
        nn.Hardtanh(-0.1, 0.2),
        nn.Linear(7, 3),
    ).double()
    network(3 * normal(40, 2, 15, 12, seed=5))  # running statistics
    return network.eval()


@pytest.mark.parametrize("slope", [0.0, 0.2, -1.0])
def test_perceptron_is_its_affine_map(slope):
    network, x = perceptron(slope), normal(50, 6, seed=0)
    before = x.clone()
    affine = AffineSpline(network).affine(x)
    assert affine.templates.shape == (50, 4, 6)
    outputs = network(x).detach()
    assert float((affine.apply(x) - outputs).norm() / outputs.norm()) < 1e-15
    assert float(affine.offsets.norm()) > 0.1
    assert torch.equal(x, before)


def test_slopes_and_offsets_are_the_products_of_the_layers():
    network, x = perceptron(), normal(1, 6, seed=1)
    first, last = network[0], network[3]
    middle = network[2][0]
    one, two = (code[0].double() for code in AffineSpline(network).codes(x))
    inner = middle.weight * one  # A_2 with the columns that the first code keeps
    slopes = (last.weight * two) @ inner @ first.weight
    offsets = (last.weight * two) @ (inner @ first.bias + middle.bias) + last.bias
    affine = AffineSpline(network).affine(x)
    assert torch.allclose(affine.templates[0], slopes, atol=1e-15)
    assert torch.allclose(affine.offsets[0], offsets, atol=1e-15)


def test_convolutional_network_is_its_affine_map():
    network, x = convolutional(), normal(20, 2, 15, 12, seed=2)
    spline = AffineSpline(network)
    codes = spline.codes(x)
    assert [code.shape[1] for code in codes] == [5 * 180, 5 * 48, 6 * 24, 36, 7]
    assert {0, 1, 2} == set(codes[-1].unique().tolist())
    affine = spline.affine(x)
    assert affine.templates.shape == (20, 3, 2, 15, 12)
    with torch.no_grad():
        outputs = network(x)
        assert torch.allclose(affine.apply(x), outputs, rtol=1e-13, atol=1e-14)
        assert torch.allclose(spline.replay(x, codes), outputs, rtol=1e-13, atol=1e-14)


def test_the_map_holds_in_the_region_and_fails_outside():
    network, x = perceptron(), normal(30, 6, seed=3)
    spline = AffineSpline(network)
    affine = spline.affine(x)
    inside, outside = x + 1e-6 * normal(30, 6, seed=4), x + 3 * normal(30, 6, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(spline.codes(inside), spline.codes(x), strict=True))
    with torch.no_grad():
        assert float((affine.apply(inside) - network(inside)).abs().max()) < 1e-14
        assert float((affine.apply(outside) - network(outside)).abs().min(0).values.max()) > 1e-4
        assert float((spline.replay(outside, spline.codes(x)) - affine.apply(outside)).abs().max()) < 1e-13


def test_float32():
    network, x = perceptron().float(), normal(50, 6, seed=0).float()
    affine = AffineSpline(network).affine(x)
    assert affine.offsets.dtype is torch.float32
    assert torch.allclose(affine.apply(x), network(x), atol=1e-6)


def test_template_penalty_by_hand():
    rows = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 5]])
    assert float(template_penalty(rows, strength=3.0)) == pytest.approx(3 * 2 * 1 / 6)
    assert float(template_penalty(torch.eye(4) * 7)) == 0
    both = torch.stack([rows, torch.eye(3)])[..., None]
    assert float(template_penalty(both, strength=3.0)) == pytest.approx(0.5)


def test_training_by_the_penalty_makes_templates_orthogonal():
    network, x = perceptron(), normal(16, 6, seed=7)
    spline = AffineSpline(network)
    weights = [p for p in network.parameters() if p.ndim == 2]

    def cosines():
        units = nn.functional.normalize(spline.templates(x), dim=2)
        return float((units @ units.mT).triu(1).abs().mean())

    before = cosines()
    for _ in range(30):
        units = nn.functional.normalize(spline.templates(x, create_graph=True), dim=2)
        gradients = torch.autograd.grad(template_penalty(units), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= 0.5 * gradient
    assert cosines() < 0.5 * before


def test_bad_input():
    with pytest.raises(TypeError, match=r"must be of Linear, Conv2d.*got Sigmoid"):
        AffineSpline(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()))
    with pytest.raises(TypeError, match=r"must be a torch.nn.Sequential, got Linear"):
        AffineSpline(nn.Linear(2, 2))
    spline = AffineSpline(convolutional().train())
    with pytest.raises(ValueError, match="be in evaluation mode"):
        spline.codes(normal(2, 2, 15, 12, seed=0))
    spline = AffineSpline(perceptron())
    with pytest.raises(ValueError, match="be 2 tensors of 3 rows"):
        spline.replay(normal(3, 6, seed=0), spline.codes(normal(2, 6, seed=0)))
    with pytest.raises(ValueError, match="C >= 2"):
        template_penalty(torch.ones(1, 3))
    with pytest.raises(ValueError, match="`strength` must be >= 0"):
        template_penalty(torch.eye(3), strength=-1.0)
