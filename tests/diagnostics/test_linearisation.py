"""Weak linearisation: known for affine and quadratic maps, contractions and isometries, waves."""

import dataclasses
import json
import math

import pytest
import torch
from torch import nn

from phasewave.diagnostics.linearisation import orbit_curvature, weak_linearisation
from phasewave.diagnostics.warping import rotate_images
from phasewave.scattering.planar import Scattering2D


def pair(n=6):
    white = torch.randn(n, 1, 20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    x = nn.functional.avg_pool2d(white, 5, stride=1)
    return x, rotate_images(x, 0.05)


def test_an_affine_map_is_linear():
    x, y = pair()
    matrix = torch.randn(256, 40, dtype=torch.float64)
    found = weak_linearisation(lambda z: z.flatten(1) @ matrix + 1, x, y)
    moved = (y - x).flatten(1)
    assert found.residual < 1e-13
    assert found.residual_median < 1e-13
    assert found.gain == pytest.approx(float((moved @ matrix).norm() / moved.norm()), rel=1e-12)


def test_an_isometry_has_gain_one():
    x, y = pair()
    found = weak_linearisation(lambda z: torch.complex(z.flip(-1), z).mul(0.5**0.5), x, y)
    assert found.gain == pytest.approx(1, abs=1e-13)
    assert found.largest_gain == pytest.approx(1, abs=1e-13)
    assert found.residual < 1e-13


def test_the_residual_of_a_square():
    x, y = pair()
    found = weak_linearisation(torch.square, x, y, batch_size=4)
    change, missed = (y**2 - x**2).flatten(1), ((y - x) ** 2).flatten(1)
    assert found.residual == pytest.approx(float(missed.norm() / change.norm()), rel=1e-12)
    ratio = (missed.norm(dim=1) / change.norm(dim=1)).median()
    assert found.residual_median == pytest.approx(float(ratio), rel=1e-12)
    gains = change.norm(dim=1) / (y - x).flatten(1).norm(dim=1)
    assert found.largest_gain == pytest.approx(float(gains.max()), rel=1e-12)


def test_the_residual_falls_with_the_step():
    x, _ = pair()
    steps = [weak_linearisation(torch.tanh, x, x * (1 + h)).residual for h in (1e-2, 1e-3)]
    assert steps[0] / steps[1] == pytest.approx(10, rel=0.02)


def test_a_tight_scattering_contracts_and_is_differentiated():
    x, y = pair(3)
    scattering = Scattering2D((16, 16), n_scales=2, n_angles=4, tight=True, oversampling=2, dtype=torch.float64)
    found = weak_linearisation(scattering, x, y)
    assert found.largest_gain < 1
    near = weak_linearisation(scattering, x, x + 1e-4 * (y - x))
    assert near.residual < 1e-3 < found.residual


def test_of_a_wave_the_orbit_bends_by_the_tangent_of_half_the_phase():
    position = torch.arange(32, dtype=torch.float64)
    for k, step in ((1, 0.5), (3, 1.0), (5, 1.5)):
        w = 2 * math.pi * k / 32
        waves = [torch.cos(w * (position - t * step))[None, None].expand(1, 32, 32) for t in range(3)]
        assert orbit_curvature(nn.Identity(), *waves) == pytest.approx(math.tan(w * step / 2), rel=1e-12)
        straight = [torch.full((1, 4), float(t), dtype=torch.float64) for t in range(3)]
        assert orbit_curvature(nn.Identity(), *straight) == 0
        # The modulus of the wave's coefficient does not move at all.
        invariant = orbit_curvature(lambda z: z.sum(-1).mul(0), *waves)
        assert invariant is None


def test_nothing_moved_and_modes():
    x, _ = pair()
    found = weak_linearisation(torch.tanh, x, x)
    assert dataclasses.asdict(found) == dict.fromkeys(("gain", "largest_gain", "residual", "residual_median"))
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 3), nn.Dropout(0.9)).double().train()
    with torch.no_grad():
        found = weak_linearisation(network, *pair())
    assert found.residual < 1e-12  # without the dropout it is affine
    assert network[2].training
    json.dumps(dataclasses.asdict(found), allow_nan=False)


def test_bad_input_is_named():
    x, y = pair()
    with pytest.raises(ValueError, match=r"`moved` must have the shape \(6, 1, 16, 16\) of `images`, got"):
        weak_linearisation(torch.tanh, x, y[:3])
    with pytest.raises(TypeError, match=r"`moved` must be of dtype torch.float64"):
        weak_linearisation(torch.tanh, x, y.float())
    with pytest.raises(ValueError, match=r"`images` must have the shape \(n >= 1, ...\), got"):
        weak_linearisation(torch.tanh, x[:0], y[:0])
    with pytest.raises(ValueError, match=r"`middle` must be finite, got 1536 NaN"):
        orbit_curvature(torch.tanh, x, x * torch.nan, y)
