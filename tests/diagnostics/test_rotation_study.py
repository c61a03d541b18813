"""The study of rotations: isometries, linear maps and invariants with known answers."""

import json
import math

import pytest
import torch
from torch import nn

from phasewave.diagnostics.rotation_study import InvariantScattering, rotation_study, within_disc
from phasewave.diagnostics.warping import rotate_images

IMAGES = torch.rand(5, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_an_isometry_has_the_change_of_the_closed_form():
    mirrored = rotation_study({"mirror": lambda x: x.flip(-1)}, IMAGES, angle=0.3)
    assert mirrored.angles == pytest.approx([0.075, 0.15, 0.3, 0.6, 1.2])
    found = [one.relative for one in mirrored.sphere["mirror"]]
    assert found == pytest.approx(mirrored.isometry, rel=1e-12)
    still = within_disc(IMAGES).flatten(1)
    size = still.square().sum(1).mean() / torch.pdist(still).square().mean()
    assert mirrored.isometry[2] == pytest.approx(float(2 * (1 - math.cos(0.3)) * size), rel=1e-12)
    for one in mirrored.plane["mirror"]:
        assert one.gain == pytest.approx(1, rel=1e-12)
        assert one.residual < 1e-12  # it is linear
    json.dumps(mirrored.record(), allow_nan=False)


def test_what_depends_on_the_mean_alone_does_not_change():
    study = rotation_study(
        {"mean": lambda x: x.mean((-2, -1)), "nothing": lambda x: 0 * x}, within_disc(IMAGES), angle=math.pi / 4
    )
    assert study.plane["mean"][-1].angle == math.pi
    assert study.plane["mean"][-1].change < 1e-20  # by half a turn pixels fall on pixels
    assert {one.change for one in study.plane["nothing"]} == {None}
    assert study.pictures.shape == (2, 6, 1, 16, 16)


def test_the_window_keeps_the_middle_and_lets_nothing_in():
    x = torch.rand(2, 3, 17, 21, dtype=torch.float64)
    faded = within_disc(x)
    mean = x.mean((-2, -1))
    assert torch.equal(faded[:, :, 8, 10], x[:, :, 8, 10])
    torch.testing.assert_close(faded[:, :, 0, 10], mean)
    torch.testing.assert_close(faded[:, :, 3, 2], mean)
    whole = rotate_images(rotate_images(faded, math.pi / 2), -math.pi / 2)
    torch.testing.assert_close(whole, faded, rtol=1e-12, atol=1e-12)  # right angles lose nothing


def test_invariant_scattering_forgets_turns_and_keeps_the_image():
    wave = torch.arange(32, dtype=torch.float64)
    images = torch.stack([torch.cos(k * wave)[:, None] * torch.cos(0.3 * k * wave) for k in (0.5, 0.7, 1.0)])
    images = within_disc(images[:, None]).float()
    invariant = InvariantScattering((32, 32), n_angles=4)
    assert invariant(images).shape == (3, 1, 1 + 3 + 3 * 4)
    rows = invariant(images).flatten(1)
    turned = invariant(images.rot90(1, (-2, -1))).flatten(1)
    assert torch.cdist(turned, rows).argmin(1).tolist() == [0, 1, 2]
    change = (rows - turned).norm(dim=1)
    plain = invariant.scattering(images).mean((-2, -1)).flatten(1)
    moved = invariant.scattering(images.rot90(1, (-2, -1))).mean((-2, -1)).flatten(1)
    assert float(change.max()) < 0.05 * float((plain - moved).norm(dim=1).min())


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`angle` must be above 0 and at most pi / 4, got 1.0"):
        rotation_study({"identity": nn.Identity()}, IMAGES, angle=1.0)
    with pytest.raises(ValueError, match=r"`images` must have the shape \(n >= 2, C, H, W\), got"):
        rotation_study({"identity": nn.Identity()}, IMAGES[:1])
