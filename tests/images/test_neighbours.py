import math

import pytest
import torch

from phasewave.images.neighbours import (
    contrast_rows,
    density_coverage,
    memorisation_ratio,
    nearest,
    nearest_images,
    precision_recall,
    radii,
)


def rows(number, *, seed, d=4):
    return torch.randn(number, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_radii_on_a_line():
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert radii(line, 1).tolist() == [1, 1, 2, 4]
    assert radii(line, 3).tolist() == [7, 6, 4, 7]
    with pytest.raises(ValueError, match="more than k = 4"):
        radii(line, 4)


def test_nearest_of_copies_is_zero_in_any_block():
    among = rows(2500, seed=0) + 1e4  # far from 0: a product of matrices would lose the small distances
    order = torch.randperm(2500, generator=torch.Generator().manual_seed(1))
    distances, indices = nearest(among[order], among)
    assert torch.equal(indices, order)
    assert not distances.any()


def test_nearest_against_all_distances():
    a, b = rows(50, seed=2), rows(60, seed=3)
    distances, indices = nearest(a, b)
    every = (a[:, None] - b).norm(dim=2)
    assert torch.equal(indices, every.argmin(1))
    assert torch.allclose(distances, every.min(1).values)


def test_equal_sets_and_sets_apart():
    a = rows(200, seed=4)
    assert precision_recall(a, a[torch.randperm(200)]) == (1.0, 1.0)
    assert density_coverage(a, a)[1] == 1.0
    assert precision_recall(a, a + 100) == (0.0, 0.0)
    assert density_coverage(a, a + 100) == (0.0, 0.0)


def test_precision_and_recall_tell_collapse_from_spread():
    real = rows(500, seed=5)
    collapsed = 0.1 * rows(500, seed=6)  # inside the law, covering little of it
    wide = 10 * rows(500, seed=7)
    precision, recall = precision_recall(real, collapsed)
    assert precision > 0.98
    assert recall < 0.05
    precision, recall = precision_recall(real, wide)
    assert precision < 0.1
    assert recall > 0.9
    assert precision_recall(real, wide) == precision_recall(wide, real)[::-1]


def test_density_and_coverage_by_hand():
    real = torch.tensor([[0.0], [1.0], [3.0]])  # balls of the nearest other: [-1, 1], [0, 2], [1, 5]
    generated = torch.tensor([[0.5], [-0.5], [10.0], [0.25]])  # in 2, 1, 0 and 2 of them
    density, coverage = density_coverage(real, generated, k=1)
    assert density == 5 / 4
    assert coverage == pytest.approx(2 / 3)


def test_density_and_coverage_of_the_same_law():
    # Naeem et al.: expected coverage 1 - C(n - 1, k) ... = about 1 - 2^-k at equal numbers; density 1
    densities, coverages = zip(
        *(density_coverage(rows(600, seed=s), rows(600, seed=s + 50)) for s in range(8)), strict=True
    )
    assert sum(densities) / 8 == pytest.approx(1.0, abs=0.03)
    assert sum(coverages) / 8 == pytest.approx(1 - 2**-5, abs=0.01)


def test_order_does_not_matter():
    a, b = rows(150, seed=8), rows(130, seed=9) * 1.3
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    assert precision_recall(a[order], b) == precision_recall(a, b)
    assert density_coverage(a[order], b.flip(0)) == density_coverage(a, b)


def ratio(train, test, generated):
    return memorisation_ratio(nearest(generated, train)[0], nearest(test, train)[0])


def test_memorisation():
    train, test, other = rows(400, seed=10), rows(200, seed=11), rows(200, seed=12)
    assert ratio(train, test, train[:100]) == 0
    assert ratio(train, test, test) == 1
    assert ratio(train, test, other) == pytest.approx(1, abs=0.1)
    assert ratio(train, test, train[:100] + 0.01 * rows(100, seed=13)) < 0.05
    with pytest.raises(ValueError, match="copies of training samples"):
        ratio(train, train[:5], test)


def test_nearest_images_see_through_exposure_in_any_batch(monkeypatch):
    monkeypatch.setattr("phasewave.images.neighbours._IMAGES", 7)
    among = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    distances, indices = nearest_images(0.1 + 0.6 * among[order], among)
    assert torch.equal(indices, order)
    assert float(distances.max()) < 1e-6
    copies = (among * 255).round().to(torch.uint8)
    assert not nearest_images(copies[order], copies)[0].any()
    negative = nearest_images(1 - among[:1], among[:1])[0]
    assert negative.tolist() == pytest.approx([2.0])


def test_contrast_rows_forget_exposure_and_contrast():
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = contrast_rows(images)
    assert torch.allclose(contrast_rows(0.2 + 0.5 * images), found, atol=1e-5)
    assert torch.allclose(found.mean(1), torch.zeros(5), atol=1e-6)
    assert torch.allclose(found.norm(dim=1), torch.full((5,), math.sqrt(192)), rtol=1e-5)
    assert not contrast_rows(torch.full((2, 1, 8, 8), 0.3)).abs().gt(1e-2).any()
    assert contrast_rows(torch.full((2, 1, 8, 8), 7, dtype=torch.uint8)).dtype is torch.float32


def test_bad_input():
    with pytest.raises(ValueError, match="`generated` must have 4 columns as `real`, got 3"):
        precision_recall(rows(20, seed=0), rows(20, seed=0, d=3))
    with pytest.raises(ValueError, match="more than k = 5"):
        density_coverage(rows(5, seed=0), rows(20, seed=0))
    with pytest.raises(ValueError, match=r"`among` must have the shape \(n >= 1, d\)"):
        nearest(rows(5, seed=0), rows(0, seed=0))
