import json
import math

import pytest
import torch
from torch import nn

from phasewave.diagnostics.representations import depths
from phasewave.diagnostics.separation import by_depth, class_spectrum, separation
from phasewave.diagnostics.support import local_support, neighbours


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blobs(number, *, gap, seed, width=6, n_classes=3):
    labels = torch.arange(number) % n_classes
    centres = gap * torch.eye(width, dtype=torch.float64)[:n_classes]
    return normal(number, width, seed=seed) + centres[labels], labels


def test_neighbours_against_all_distances():
    rows = normal(1100, 5, seed=0) + 50
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    assert torch.equal(neighbours(rows, n_neighbours=4), distances.argsort(1)[:, :4])
    line = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    assert neighbours(line, n_neighbours=2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_local_support_by_the_definition():
    rows, labels = blobs(300, gap=1.5, seed=1)
    found = local_support(rows, labels, n_neighbours=6)
    near = neighbours(rows, n_neighbours=6)
    members = set(range(300))
    for k in range(1, 7):
        wrong = {i: int((labels[near[i, :k]] != labels[i]).sum()) for i in members}
        members = {i for i in members if (wrong[i] > k / 2 if k > 1 else wrong[i] == 1)}
        assert found.sizes[k - 1] == len(members)
        assert set((found.order >= k).nonzero().flatten().tolist()) == members
    assert found.sizes[1] == found.sizes[2]
    assert found.sizes[3] == found.sizes[4]
    assert found.sizes[0] > found.sizes[1] > found.sizes[3] > 0


@pytest.mark.parametrize("seed", range(3))
def test_even_and_odd_orders_hold_the_same_samples(seed):
    rows, labels = blobs(400, gap=seed, seed=seed, n_classes=4)
    sizes = local_support(rows, labels, n_neighbours=9).sizes
    for m in range(1, 5):
        assert sizes[2 * m - 1] == sizes[2 * m]


def test_fair_coins_give_the_walks_that_stay_positive():
    rows = normal(3500, 2, seed=5)
    labels = torch.randint(2, (3500,), generator=torch.Generator().manual_seed(6))
    fractions = local_support(rows, labels, n_neighbours=6).fractions
    expected = [math.comb(k - 1, (k - 1) // 2) / 2**k for k in range(1, 7)]
    assert expected[:4] == [1 / 2, 1 / 4, 1 / 4, 3 / 16]
    assert fractions == pytest.approx(expected, abs=0.02)


def test_classes_apart_have_no_local_support():
    rows, labels = blobs(90, gap=100, seed=2)
    assert local_support(rows, labels, n_neighbours=5).sizes == (0,) * 5
    found = separation(rows, labels, rows[:30], labels[:30], scaling="none")
    assert found.nearest_accuracy == found.kernel_accuracy == 1
    assert found.relative_within < 0.05


def test_distances_and_spectrum_of_known_rows():
    rows = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 10.0], [0.0, 12.0]])
    labels = torch.tensor([0, 0, 1, 1])
    found = separation(rows, labels, rows, labels, n_neighbours=1, scaling="none")
    assert found.within == pytest.approx(3)
    everything = [4, 10, 12, math.hypot(4, 10), math.hypot(4, 12), 2]
    assert found.relative_within == pytest.approx(3 / (sum(everything) / 6))
    assert found.spectrum.tolist() == pytest.approx([8 / 10, 1])
    scaled = separation(7 * rows, labels, 7 * rows, labels, n_neighbours=1, scaling="none")
    assert scaled.relative_within == pytest.approx(found.relative_within)
    assert class_spectrum(torch.ones(3, 2)).tolist() == [1, 1]


def test_spectrum_against_the_eigenvalues():
    rows = normal(50, 4, seed=8) * torch.tensor([4, 3, 2, 1])
    values = torch.linalg.eigvalsh(torch.cov(rows.mT)).flip(0)
    assert torch.allclose(class_spectrum(rows), values.cumsum(0) / values.sum(), rtol=1e-12)


def test_gaussian_kernel_solves_what_no_line_does():
    angle = 2 * math.pi * torch.rand(200, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    labels = torch.arange(200) % 2
    rows = (1 + labels)[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    found = separation(rows[:100], labels[:100], rows[100:], labels[100:], scaling="none")
    assert found.kernel_accuracy == 1
    scales = torch.tensor([1.0, 1e4])
    train, test = (rows[:100] * scales, labels[:100]), (rows[100:] * scales, labels[100:])
    assert separation(*train, *test, scaling="none").kernel_accuracy < 0.9
    standard = separation(*train, *test)
    assert standard.kernel_accuracy == 1


def test_by_depth_is_separation_of_each_depth():
    rows, labels = blobs(120, gap=2, seed=9)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    train, test = (rows[:80], labels[:80]), (rows[80:], labels[80:])
    found = by_depth([lambda x: x, *depths(network)], train, test, n_neighbours=3, batch_size=32)
    assert [one.n_features for one in found] == [6, 5, 5, 3]
    with torch.no_grad():
        last = separation(network(rows[:80]), labels[:80], network(rows[80:]), labels[80:], n_neighbours=3)
    assert found[3].record() == last.record()
    record = json.loads(json.dumps(found[0].record()))
    assert record["support"]["sizes"][1] == record["support"]["sizes"][2]
    assert record["axes_by_energy"]["0.99"] <= 6


def test_bad_input():
    rows, labels = blobs(20, gap=1, seed=0)
    with pytest.raises(ValueError, match=r"`rows` must have the shape \(n >= 21, p\), got \(20, 6\)"):
        local_support(rows, labels, n_neighbours=20)
    with pytest.raises(ValueError, match="two classes or more"):
        separation(rows, labels * 0, rows, labels)
    with pytest.raises(ValueError, match="`scaling` must be one of"):
        separation(rows, labels, rows, labels, scaling="max")
    with pytest.raises(ValueError, match="6 columns as `rows`"):
        separation(rows, labels, rows[:, :5], labels)
    with pytest.raises(ValueError, match="one or more callables"):
        by_depth([], (rows, labels), (rows, labels))
