"""Stability to deformations: known for isometries and by loops; better at larger scales of averaging."""

import dataclasses
import json

import pytest
import torch
from torch import nn

from phasewave.diagnostics.deformation import deformation_stability
from phasewave.diagnostics.diffeomorphisms import Diffeomorphisms
from phasewave.scattering.planar import Scattering2D

LAW = Diffeomorphisms.of_displacement(16, 1.0, cutoff=3)


def fields(n=12, *, channels=1, dtype=torch.float64):
    """Smooth images: white noise averaged over 5 pixels."""
    white = torch.randn(n, channels, 20, 20, dtype=dtype, generator=torch.Generator().manual_seed(4))
    return nn.functional.avg_pool2d(white, 5, stride=1)


def test_an_isometry_is_as_stable_to_deformations_as_to_noise():
    x = fields(channels=2)
    turn, _ = torch.linalg.qr(torch.randn(512, 512, dtype=torch.float64))
    for function in (lambda y: y, lambda y: y.flatten(1) @ turn + 3, lambda y: y.flip(-1) * 5):
        found = deformation_stability(function, x, law=LAW, n_draws=2)
        assert found.relative == pytest.approx(1, abs=1e-12)
        assert found.relative_median == pytest.approx(1, abs=1e-12)
        assert found.deformation == pytest.approx(found.noise, rel=1e-12)


def test_noise_of_the_mean_norm():
    x = fields() * torch.linspace(0.5, 2, 12, dtype=torch.float64)[:, None, None, None]
    each = deformation_stability(lambda y: y, x, law=LAW)
    mean = deformation_stability(lambda y: y, x, law=LAW, noise="mean")
    assert mean.deformation == each.deformation
    norms = []
    deformation_stability(lambda y: norms.append((y - x).flatten(1).norm(dim=1)) or y, x, law=LAW)
    moved = norms[1]  # the calls are: images, deformed, noisy
    assert mean.relative == pytest.approx(float(moved.square().mean() / moved.mean() ** 2), rel=1e-12)
    assert mean.relative > 1.05
    assert mean.change == pytest.approx(float(moved.square().mean().sqrt()), rel=1e-12)


def test_the_definition_by_loops():
    x = fields(5)
    calls = []

    def function(y):
        calls.append(y)
        return y.square().flatten(1)[:, ::3].exp()

    found = deformation_stability(function, x, law=LAW, seed=9)
    images, moved, noisy = calls
    assert torch.equal(images, x)
    pairs = [(a, b) for a in range(5) for b in range(a)]
    f = function
    across = torch.stack([(f(x[a : a + 1]) - f(x[b : b + 1])).square().sum() for a, b in pairs])
    d = (f(moved) - f(x)).square().sum(1)
    g = (f(noisy) - f(x)).square().sum(1)
    assert found.deformation == pytest.approx(float(d.mean() / across.mean()), rel=1e-12)
    assert found.noise == pytest.approx(float(g.mean() / across.mean()), rel=1e-12)
    assert found.relative == pytest.approx(float(d.mean() / g.mean()), rel=1e-12)
    assert found.deformation_median == pytest.approx(float(d.median() / across.median()), rel=1e-12)
    assert found.noise_median == pytest.approx(float(g.median() / across.median()), rel=1e-12)
    assert found.relative_median == pytest.approx(float(d.median() / g.median()), rel=1e-12)


def test_noise_is_isotropic_and_of_the_same_norm():
    x = fields(200)
    calls = []
    deformation_stability(lambda y: calls.append(y) or y, x, law=LAW)
    change, noise = (calls[1] - x).flatten(1), (calls[2] - x).flatten(1)
    assert torch.allclose(noise.norm(dim=1), change.norm(dim=1), rtol=1e-12)
    unit = noise / noise.norm(dim=1, keepdim=True)
    assert float(unit.square().mean(0).max()) < 2.5 / 256  # no pixel or frequency has more than its part
    spectrum = torch.fft.fft(unit, norm="ortho").abs().square().mean(0)
    assert float(spectrum[1:128].max()) < 2 / 256


def test_figures_do_not_depend_on_the_batch_size():
    x = fields(7)
    for noise in ("each", "mean"):
        whole = deformation_stability(torch.tanh, x, law=LAW, noise=noise, n_draws=2, seed=2)
        parts = deformation_stability(torch.tanh, x, law=LAW, noise=noise, n_draws=2, seed=2, batch_size=3)
        assert dataclasses.asdict(whole) == pytest.approx(dataclasses.asdict(parts), rel=1e-12)
    other = deformation_stability(torch.tanh, x, law=LAW, seed=3)
    assert other.deformation != whole.deformation


def test_scattering_is_more_stable_the_larger_its_scale():
    # Shapes with edges, as images have. Of noise the low-pass kills the distances between images as well.
    frequency = torch.fft.fftfreq(32)
    radius = (frequency[:, None] ** 2 + frequency**2).sqrt().clamp_min(1 / 32)
    white = torch.randn(24, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    smooth = torch.fft.ifft2(torch.fft.fft2(white) / radius**1.5).real
    x = (smooth > smooth.mean((-1, -2), keepdim=True)).float()
    law = Diffeomorphisms.of_displacement(32, 1.0, cutoff=3)
    maps = [nn.Identity(), *(Scattering2D((32, 32), n_scales=j, n_angles=4, tight=True) for j in (1, 2, 3))]
    moved = [deformation_stability(f, x, law=law).deformation for f in maps]
    assert moved[0] > moved[1] > moved[2] > moved[3]
    assert moved[3] < moved[0] / 3


def test_the_result_is_plain_and_says_what_was_drawn():
    law = Diffeomorphisms.of_displacement(16, 0.25)
    found = deformation_stability(nn.Flatten(), fields(40).float(), law=law, n_draws=10)
    record = json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))
    assert record["displacement"] == pytest.approx(law.displacement, rel=0.1)
    assert record["one_to_one"] == 1
    wild = deformation_stability(nn.Flatten(), fields(), law=Diffeomorphisms(16, 1.0, 3))
    assert wild.one_to_one < 0.5


def test_a_constant_has_no_figures():
    found = deformation_stability(lambda y: torch.ones(len(y), 3), fields(), law=LAW)
    assert found.deformation is None
    assert found.relative is None
    assert found.relative_median is None


def test_a_module_is_judged_in_evaluation_mode():
    network = nn.Sequential(nn.Dropout(0.5), nn.Flatten()).train()
    assert deformation_stability(network, fields(), law=LAW).relative == pytest.approx(1, abs=1e-12)
    assert network.training
    assert network[0].training


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`images` must have the shape \(n >= 2, C, 16, 16\) of the law, got"):
        deformation_stability(torch.tanh, torch.zeros(3, 1, 16, 17), law=LAW)
    with pytest.raises(ValueError, match=r"`noise` must be one of 'each', 'mean', got 'all'"):
        deformation_stability(torch.tanh, fields(), law=LAW, noise="all")
    with pytest.raises(ValueError, match=r"`images` must be finite, got 256 NaN"):
        deformation_stability(torch.tanh, torch.cat([fields(), fields(1) * torch.nan]), law=LAW)
    with pytest.raises(ValueError, match=r"`n_draws` must be an integer >= 1, got 0"):
        deformation_stability(torch.tanh, fields(), law=LAW, n_draws=0)
