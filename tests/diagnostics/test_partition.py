import itertools

import pytest
import torch
from torch import nn

from phasewave.diagnostics.convexity import convexity_violation, is_convex_by_design, make_convex
from phasewave.diagnostics.lipschitz import layer_norm, lipschitz_bound, region_norms
from phasewave.diagnostics.partition import Plane, code_distance, partition_slice, region_numbers
from phasewave.diagnostics.splines import AffineSpline


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def perceptron(*widths, nonlinear=nn.ReLU, seed=0):
    torch.manual_seed(seed)
    layers = []
    for n_inputs, n_outputs in itertools.pairwise(widths):
        layers += [nn.Linear(n_inputs, n_outputs), nonlinear()]
    return nn.Sequential(*layers[:-1]).double()


def three_lines():
    """x > 0, y > 0, x + y > 0.5: a triangle and the 6 regions around it."""
    layer = nn.Linear(2, 3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [1, 1]]))
        layer.bias.copy_(torch.tensor([0, 0, -0.5]))
    return nn.Sequential(layer, nn.ReLU())


PLANE = Plane(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))


def test_three_lines_cut_the_plane_in_seven():
    found = partition_slice(three_lines(), PLANE, size=64)
    assert found.n_regions == 7
    s, t = torch.meshgrid(found.axis, found.axis, indexing="ij")
    code = 4 * (s > 0) + 2 * (t > 0) + (s + t > 0.5).long()
    assert len(torch.unique(code * 10 + found.regions)) == 7  # one number for each code and the reverse
    assert found.regions[0, 0] == 0
    batched = partition_slice(three_lines(), PLANE, size=64, batch_size=100)
    assert torch.equal(batched.regions, found.regions)
    borders = found.borders()
    assert borders[31].all()  # s changes its sign between rows 31 and 32
    assert not borders[:30, :30].any()


def test_deeper_layers_subdivide():
    network = perceptron(2, 6, 6, 6, 1, seed=3)
    shallow, deep = (partition_slice(network, PLANE, extent=3.0, size=80, depth=d) for d in (1, 3))
    whole = partition_slice(network, PLANE, extent=3.0, size=80)
    assert torch.equal(deep.regions, whole.regions)
    assert shallow.n_regions < deep.n_regions
    pairs = torch.unique(torch.stack([shallow.regions.flatten(), deep.regions.flatten()]), dim=1)
    assert pairs.shape[1] == deep.n_regions  # each deep region lies in one shallow region


def test_one_region_one_affine_map():
    network = perceptron(2, 6, 5, 3, seed=1)
    found = partition_slice(network, PLANE, extent=2.0, size=24)
    points = PLANE.points(torch.cartesian_prod(found.axis, found.axis))
    spline = AffineSpline(network)
    numbers = found.regions.flatten()
    assert torch.equal(numbers, region_numbers(spline.codes(points)))
    affine = spline.affine(points)
    first = torch.stack([(numbers == k).nonzero()[0, 0] for k in range(found.n_regions)])
    assert torch.allclose(affine.templates, affine.templates[first][numbers], atol=1e-14)
    assert torch.allclose(affine.offsets, affine.offsets[first][numbers], atol=1e-14)


def test_a_plane_through_images():
    images = normal(3, 2, 4, 4, seed=0)
    plane = Plane.through(images)
    gram = plane.directions.flatten(1) @ plane.directions.flatten(1).mT
    assert torch.allclose(gram, torch.eye(2, dtype=torch.float64), atol=1e-14)
    coordinates = plane.coordinates(images)
    assert torch.allclose(plane.points(coordinates), images, atol=1e-14)
    distances = torch.pdist(coordinates)
    assert torch.allclose(distances, torch.pdist(images.flatten(1)), rtol=1e-12)
    with pytest.raises(ValueError, match="not lie on one line"):
        Plane.through(torch.arange(3.0)[:, None] * torch.ones(4))


def test_code_distance():
    network = perceptron(4, 30, 20, 2)
    spline, x = AffineSpline(network), normal(12, 4, seed=2)
    codes = spline.codes(x)
    found = code_distance(codes, codes)
    assert torch.equal(found, found.mT)
    assert not found.diagonal().any()
    joined = torch.cat(codes, 1)
    assert float(found[3, 7]) == float((joined[3] != joined[7]).double().mean())
    near = spline.codes(x + 1e-9)
    assert not code_distance(codes, near).diagonal().any()
    assert code_distance(codes[:1], codes[:1]).shape == (12, 12)
    opposite = AffineSpline(nn.Sequential(nn.ReLU())).codes
    assert code_distance(opposite(x), opposite(-x)).diagonal().tolist() == [1] * 12
    with pytest.raises(ValueError, match="have 50 entries as `codes`, got 30"):
        code_distance(codes, codes[:1])


def matrix(layer, shape):
    p = shape[0] * shape[1] * shape[2]
    basis = torch.eye(p, dtype=torch.float64).view(p, *shape)
    with torch.no_grad():
        zero = layer(torch.zeros_like(basis[:1]))
        return (layer(basis) - zero).flatten(1).mT


@pytest.mark.parametrize(
    ("layer", "tight"),
    [
        (nn.Conv2d(2, 3, 3, padding=1), 1.2),
        (nn.Conv2d(2, 4, (3, 2), groups=2), 1.3),
        (nn.Conv2d(2, 3, 3, padding="same", dilation=2), 1.3),
        (nn.Conv2d(2, 3, 5, padding=2, stride=2), 2.2),
        (nn.Conv2d(2, 3, 2, stride=2, bias=False), 2.2),
        (nn.AvgPool2d(2), 1 + 1e-12),
        (nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), 1.5),
        (nn.AdaptiveAvgPool2d(3), 1.5),
        (nn.BatchNorm2d(2, affine=False).eval(), 1 + 1e-12),
    ],
)
def test_bound_of_a_layer(layer, tight):
    torch.manual_seed(2)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    layer = layer.double()
    exact = float(torch.linalg.matrix_norm(matrix(layer, (2, 10, 8)), ord=2))
    bound = layer_norm(layer, torch.zeros(1, 2, 10, 8, dtype=torch.float64))
    assert exact * (1 - 1e-12) <= bound <= tight * exact


def test_bound_of_maximum_pooling_is_reached():
    x = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    bump = x.clone()
    bump[0, 0, 2, 2] = 1  # in the four windows around it
    assert layer_norm(nn.MaxPool2d(3, 2), x) == 2
    assert layer_norm(nn.MaxPool2d(3, 2, padding=1), x) == 2
    assert layer_norm(nn.MaxPool2d(2), x) == 1
    assert float((nn.MaxPool2d(3, 2)(bump) - nn.MaxPool2d(3, 2)(x)).norm()) == 2.0


def test_lipschitz_constant_by_regions_is_within_the_product():
    network = perceptron(3, 8, 8, 2, nonlinear=lambda: nn.LeakyReLU(-1.0), seed=4)
    x = 3 * normal(400, 3, seed=6)
    norms = region_norms(network, x)
    bound = lipschitz_bound(network, (3,))
    product = 1.0
    for layer in (network[0], network[2], network[4]):
        product *= float(torch.linalg.svdvals(layer.weight.detach())[0])
    assert bound == pytest.approx(product, rel=1e-12)
    assert float(norms.max()) <= bound
    y = x + normal(400, 3, seed=7)
    with torch.no_grad():
        slopes = (network(y) - network(x)).norm(dim=1) / (y - x).norm(dim=1)
        assert float(slopes.max()) <= bound
        # In one region: A's leading direction is where the slope is reached.
        leading = torch.linalg.svd(AffineSpline(network).templates(x), full_matrices=False).Vh[:, 0]
        steps = (network(x + 1e-7 * leading) - network(x)).norm(dim=1) / 1e-7
    assert float(((steps - norms).abs() < 1e-6 * norms).double().mean()) > 0.95
    assert lipschitz_bound(nn.Sequential(nn.PReLU(init=-3.0), nn.Hardtanh()), (3,)) == 3


def test_convolutional_bound_holds():
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 3),
    ).double()
    bound = lipschitz_bound(network, (1, 10, 10))
    found = float(region_norms(network, normal(30, 1, 10, 10, seed=8)).max())
    assert 0 < found <= bound
    with pytest.raises(ValueError, match="padded by zeros"):
        lipschitz_bound(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), (1, 8, 8))
    with pytest.raises(ValueError, match="without dilation"):
        lipschitz_bound(nn.Sequential(nn.MaxPool2d(2, dilation=2)), (1, 8, 8))


def test_convex_networks():
    network = perceptron(6, 20, 20, 20, 5, seed=5)
    a, b = 3 * normal(500, 6, seed=9), 3 * normal(500, 6, seed=10)
    assert float(convexity_violation(network, a, b).max()) > 0.05
    assert not is_convex_by_design(network)
    make_convex(network)
    assert is_convex_by_design(network)
    with torch.no_grad():
        assert float(network(a).std()) > 0.1
    assert float(convexity_violation(network, a, b).max()) < 2e-15
    with torch.no_grad():
        network[0].weight.neg_()
        assert is_convex_by_design(network)
        network[2].weight[0, 0] = -0.1
    assert not is_convex_by_design(network)


def test_which_nonlinearities_are_convex():
    linear = nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight.abs_()
    first, modulus = nn.Linear(2, 2), nn.LeakyReLU(-1.0)
    assert is_convex_by_design(nn.Sequential(first, modulus, linear, nn.ReLU()))
    assert not is_convex_by_design(nn.Sequential(first, nn.ReLU(), linear, modulus))
    assert not is_convex_by_design(nn.Sequential(first, nn.LeakyReLU(2.0)))
    assert not is_convex_by_design(nn.Sequential(first, nn.Hardtanh()))
    with pytest.raises(ValueError, match="after the first one nondecreasing"):
        make_convex(nn.Sequential(first, nn.ReLU(), linear, modulus))
    with pytest.raises(ValueError, match="have the shape"):
        convexity_violation(linear, torch.ones(2, 2), torch.ones(3, 2))


def test_bad_slices():
    with pytest.raises(ValueError, match="`extent` must be > 0"):
        partition_slice(three_lines(), PLANE, extent=0.0)
    with pytest.raises(ValueError, match="`depth` must be an integer between 1 and 1, got 2"):
        partition_slice(three_lines(), PLANE, size=4, depth=2)
    with pytest.raises(ValueError, match="one entry or more"):
        partition_slice(nn.Sequential(nn.Linear(2, 2).double()), PLANE, size=4)
