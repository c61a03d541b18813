"""Rotations on the sphere: the known stability of a coordinate and of isometries."""

import dataclasses
import json
import math

import pytest
import torch
from torch import nn

from phasewave.diagnostics.rotation import rotate_on_sphere, rotation_stability, sphere_points


@pytest.mark.parametrize("dimension", [2, 3, 17])
def test_a_rotation_turns_by_the_angle_and_keeps_the_norm(dimension):
    x = sphere_points(50, dimension, seed=1) * torch.linspace(0.1, 9, 50, dtype=torch.float64)[:, None]
    for angle in (0.0, 1e-3, 1.0, math.pi / 2, math.pi):
        turned = rotate_on_sphere(x, angle, seed=2)
        norm = x.norm(dim=1)
        assert torch.allclose(turned.norm(dim=1), norm, rtol=1e-13)
        assert torch.allclose((turned * x).sum(1) / norm**2, torch.full_like(norm, math.cos(angle)), atol=1e-13)


@pytest.mark.parametrize("angle", [0.2, 1.0, 2.5])
def test_isometries_are_exact(angle):
    x = sphere_points(40, 12)
    turn, _ = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64))
    found = rotation_stability(lambda y: y @ turn - 2, x, angle, n_draws=2)
    assert found.stability == pytest.approx(2 * (1 - math.cos(angle)), rel=1e-12)
    assert found.median == pytest.approx(2 * (1 - math.cos(angle)), rel=1e-12)
    assert found.standard_error < 1e-12


@pytest.mark.parametrize(("dimension", "angle"), [(3, 0.4), (10, 0.4), (10, 2.0)])
def test_one_coordinate_on_the_sphere(dimension, angle):
    x = sphere_points(4000, dimension, seed=3)
    expected = 2 / dimension * (1 - math.cos(angle))
    found = rotation_stability(lambda y: y[:, :1], x[:1000], angle, n_draws=4, seed=8)
    assert abs(found.stability - expected) < 3 * found.standard_error
    assert found.standard_error < 0.05 * expected
    # All the coordinates share the whole: the mean over them has no error of sampling.
    every = rotation_stability(lambda y: y / math.sqrt(dimension), x[:20], angle)
    assert every.stability == pytest.approx(expected, rel=1e-12)


def test_relative_to_the_distance_of_two_points():
    x = sphere_points(30, 5)
    found = rotation_stability(lambda y: 7 * y, x, 0.5)
    pairs = torch.pdist(x).square().mean()
    assert found.relative == pytest.approx(float(2 * (1 - math.cos(0.5)) / pairs), rel=1e-12)
    assert rotation_stability(lambda y: torch.ones(len(y), 2), x, 0.5).relative is None
    json.dumps(dataclasses.asdict(found), allow_nan=False)


def test_batches_draws_and_modules():
    x = sphere_points(30, 5).float()
    network = nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5), nn.ReLU()).train()
    whole = rotation_stability(network, x, 0.5, n_draws=3, seed=1)
    parts = rotation_stability(network, x, 0.5, n_draws=3, seed=1, batch_size=7)
    assert dataclasses.asdict(whole) == pytest.approx(dataclasses.asdict(parts), rel=1e-5)
    assert network[1].training


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`dimension` must be an integer >= 2, got 1"):
        sphere_points(3, 1)
    with pytest.raises(ValueError, match=r"`x` must have the shape \(n, ...\) with at least 2 values each, got"):
        rotate_on_sphere(torch.zeros(3, 1), 0.1)
    with pytest.raises(ValueError, match=r"`angle` must be finite, got nan"):
        rotation_stability(torch.tanh, sphere_points(4, 3), math.nan)
    with pytest.raises(TypeError, match=r"`x` must be of a real floating dtype, got torch.int64"):
        rotation_stability(torch.tanh, torch.ones(4, 3, dtype=torch.int64), 0.1)
