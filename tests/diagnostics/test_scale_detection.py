"""The task of two pixels: numbers of pairs, uniform draws; how constant filters lose position and keep noise."""

import math
from itertools import combinations, product

import pytest
import torch

from phasewave.diagnostics.distances import pair_distances
from phasewave.diagnostics.draws import white_draws
from phasewave.diagnostics.scale_detection import ScaleDetection, constant_filters


def test_the_numbers_of_pairs():
    assert ScaleDetection().counts() == (180846, 296178, 523776)
    assert ScaleDetection(size=32, scale=14, gap=2).counts()[2] == math.comb(1024, 2)


def test_counts_by_listing_all_pairs():
    task = ScaleDetection(size=6, scale=3.2, gap=1.0)
    distances = [math.dist(p, q) for p, q in combinations(product(range(6), repeat=2), 2)]
    assert task.counts() == (sum(d < 2.7 for d in distances), sum(d >= 3.7 for d in distances), len(distances))


@pytest.mark.parametrize("balanced", [True, False])
def test_draws_are_uniform_over_pairs(balanced):
    task = ScaleDetection(size=3, scale=1.5, gap=0.5)
    close, far, _ = task.counts()
    n = 20000
    x, y = task.sample(n, seed=4, balanced=balanced)
    assert x.shape == (n, 1, 3, 3)
    assert y.dtype == torch.int64
    assert set(x.unique().tolist()) == {0, 1}
    assert bool((x.sum((1, 2, 3)) == 2).all())
    codes = (x.flatten(1) * 2.0 ** torch.arange(9)).sum(1)
    for label, number in ((1, close), (0, far)):
        expected = n / 2 if balanced else n * number / (close + far)
        found, times = codes[y == label].unique(return_counts=True)
        assert len(found) == number
        chi_square = float(((times - expected / number) ** 2 / (expected / number)).sum())
        assert chi_square < number + 5 * math.sqrt(2 * number)


def test_labels_are_the_signs_of_the_distance():
    task = ScaleDetection()
    x, y = task.sample(300, seed=1)
    where = x[:, 0].nonzero().view(300, 2, 3)[..., 1:].double()
    distance = (where[:, 0] - where[:, 1]).norm(dim=1)
    assert torch.equal(y == 1, distance < 13)
    assert torch.equal(y == 0, distance >= 15)
    assert torch.equal(task.sample(300, seed=1)[0], x)
    assert len(task.sample(0)[0]) == 0


def test_a_constant_filter_layer_is_the_mean_of_three():
    x = torch.randn(2, 1, 7, 8, dtype=torch.float64)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="circular")
    mean = torch.nn.functional.avg_pool2d(padded, 3, stride=1)
    assert torch.allclose(constant_filters(1)(x), mean.relu(), atol=1e-15)
    network = constant_filters(3)
    assert torch.equal(network[:2](x), network[1](network[0](x)))


def figures(depths, *, n_axes, size, n):
    """D_k and G_k of constant filters, for shifts of one pixel and noise of the same norm."""
    shape = (size,) * n_axes
    place = torch.randint(size**n_axes, (n, 2), generator=torch.Generator().manual_seed(0))
    x = torch.zeros(n, size**n_axes, dtype=torch.float64).scatter_(1, place, 1).view(n, *shape)
    shifted = x.roll(1, -1)
    noise = white_draws(n, shape, seed=1).flatten(1)
    noise *= ((shifted - x).flatten(1).norm(dim=1) / noise.norm(dim=1))[:, None]
    noisy = x + noise.view_as(x)
    network = constant_filters(max(depths), n_axes=n_axes)
    found, states = [], (x, shifted, noisy)
    for k, layer in enumerate(network, 1):
        states = tuple(layer(state) for state in states)
        if k in depths:
            before, moved, perturbed = (state.flatten(1) for state in states)
            scale, _ = pair_distances(before)
            changes = [float((other - before).square().sum(1).mean()) / scale for other in (moved, perturbed)]
            found.append(changes)
    return torch.tensor(found, dtype=torch.float64).T


def test_along_an_axis_the_relative_stability_falls_as_the_power_three_halves_of_depth():
    d, g = figures((8, 32, 128), n_axes=1, size=4096, n=20)
    excess = 4 * d[1:] / d[:-1] - 1  # D ~ 1 / k
    assert 0 < excess[1] < excess[0]
    assert excess[1] < 0.03
    # G = a k^(1/2) + b: the rectified level, and the noise that diffuses as the pulses do.
    assert float((g[2] - g[1]) / (g[1] - g[0])) == pytest.approx(2, rel=0.05)
    slopes = (d / g).log().diff() / math.log(4)
    assert -1.5 < slopes[1] < slopes[0] - 0.05


def test_in_the_plane_of_the_task_it_falls_at_least_as_fast_from_eight_layers_on():
    d, g = figures((2, 4, 8, 16), n_axes=2, size=32, n=60)
    assert bool((d.diff() < 0).all())
    assert bool((g.diff() > 0).all())
    slopes = (d / g).log().diff() / math.log(2)
    assert -1.55 < slopes[0] < -1.2
    assert -2 < slopes[2] < -1.5


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`scale and gap` must leave both close and far pairs, got '0 close"):
        ScaleDetection(size=8, scale=2, gap=3)
    with pytest.raises(ValueError, match=r"`gap` must be finite and >= 0, got -1"):
        ScaleDetection(gap=-1)
    with pytest.raises(ValueError, match=r"`n_axes` must be an integer between 1 and 2, got 3"):
        constant_filters(2, n_axes=3)
