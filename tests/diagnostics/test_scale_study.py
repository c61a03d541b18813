"""The study of scale detection: what averaging tells, counted, and what a threshold finds."""

import json
from itertools import combinations, product
from math import dist

import pytest
import torch

from phasewave.diagnostics.scale_detection import (
    ScaleDetection,
    averaging_accuracy,
    constant_filters,
    white_distances,
)
from phasewave.diagnostics.scale_study import scale_study


def energies(task, n_layers):
    """The squared norm after constant filters of every pair, with its distance."""
    pairs = list(combinations(product(range(task.size), repeat=2), 2))
    images = torch.zeros(len(pairs), task.size, task.size, dtype=torch.float64)
    for k, pair in enumerate(pairs):
        for row, column in pair:
            images[k, row, column] = 1
    padded = torch.nn.functional.pad(images, (n_layers,) * 4)
    energy = constant_filters(n_layers)(padded).square().sum((-2, -1))
    return energy, torch.tensor([dist(*pair) for pair in pairs], dtype=torch.float64)


@pytest.mark.parametrize("n_layers", [1, 2, 4])
def test_the_accuracy_of_averaging_by_trying_every_threshold(n_layers):
    task = ScaleDetection(size=6, scale=3.2, gap=1.0)
    energy, distance = energies(task, n_layers)
    close, far = energy[distance < 2.7], energy[distance >= 3.7]
    thresholds = torch.cat([energy + 1e-12, energy - 1e-12])
    shares = [0.5 * float((close > t).double().mean() + (far <= t).double().mean()) for t in thresholds.unique()]
    assert averaging_accuracy(task, n_layers) == pytest.approx(max(shares), abs=1e-12)


def test_layers_that_do_not_reach_tell_only_the_nearest():
    task = ScaleDetection()
    offsets, pairs, close, _ = task.offsets()
    reached = (offsets.abs().amax(1) <= 2) & close
    told = int(pairs[reached].sum()) / int(pairs[close].sum())
    assert averaging_accuracy(task, 1) == pytest.approx((1 + told) / 2, rel=1e-12)
    assert averaging_accuracy(task, 32) == pytest.approx(1, abs=1e-12)


def test_a_threshold_finds_what_was_counted():
    task = ScaleDetection(size=16, scale=7, gap=1)
    study = scale_study(task, n_train=400, n_test=400, epochs=0, seed=2)
    for layers in (2, 16):
        exact = averaging_accuracy(task, layers)
        error = 4 * (exact * (1 - exact) / 400) ** 0.5 + 0.01
        assert abs(study.readers[f"averaging, {layers} layers"].accuracy - exact) < error
    assert study.averaging[1] == averaging_accuracy(task, 2)
    best = study.readers["averaging, 16 layers"].called_close
    assert bool((best[study.distances < 6] == 1).all())
    known = ~best.isnan() & (study.distances > 9)
    assert bool((best[known] == 0).all())
    assert study.readers["pixels"].accuracy < 0.75 < study.readers["scattering J = 3"].accuracy
    assert "CNN" not in study.readers
    json.dumps(study.record(), allow_nan=False)


def test_distances_are_read_from_images():
    images = torch.zeros(2, 1, 8, 8)
    for k, row, column in ((0, 0, 0), (0, 3, 4), (1, 7, 7), (1, 7, 2)):
        images[k, 0, row, column] = 1
    assert white_distances(images).tolist() == [5.0, 5.0]
    with pytest.raises(ValueError, match=r"`images` must have two white pixels each, got '1 in 1 images'"):
        white_distances(images[:1, :, :2])
