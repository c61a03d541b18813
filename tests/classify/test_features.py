"""Compressed scattering features: the formulas, batches, contrast, refusals."""

import numpy as np
import pytest
import torch

from phasewave.classify.features import CompressedScattering, ScatteringFeatures
from phasewave.scattering.planar import Scattering2D


def pictures(n=6, shape=(1, 16, 18), seed=0):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))


def test_the_features_are_the_formula():
    x = pictures(shape=(3, 16, 18))
    module = CompressedScattering((3, 16, 18), n_scales=1, n_angles=3, floor=0.2).calibrate(x, batch_size=4)
    raw = Scattering2D((16, 18), n_scales=1, n_angles=3)(x)
    eps = 0.2 * raw.mean((0, 3, 4))
    expected = torch.log((raw[:, :, 1:] + eps[:, 1:, None, None]) / eps[:, 1:, None, None])
    found = module(x).reshape(6, 3, -1, *raw.shape[-2:])
    torch.testing.assert_close(found[:, :, :1], raw[:, :, :1])
    torch.testing.assert_close(found[:, :, 1:], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_powers_are_the_formula_and_know_no_levels(exponent):
    x = pictures(shape=(2, 16, 18))
    settings = {"n_scales": 1, "n_angles": 3, "nonlinearity": "power", "exponent": exponent}
    found = CompressedScattering((2, 16, 18), **settings).calibrate(3 * x)(x).reshape(6, 2, -1, 8, 9)
    raw = Scattering2D((16, 18), n_scales=1, n_angles=3, max_order=2)(x)
    torch.testing.assert_close(found[:, :, 0], raw[:, :, 0], rtol=0, atol=0)
    torch.testing.assert_close(found[:, :, 1:], raw[:, :, 1:].clamp(min=0) ** exponent)


def test_powers_of_scaled_images_are_scaled_and_gradients_at_0_are_finite():
    module = CompressedScattering((1, 16, 18), n_scales=1, n_angles=3, nonlinearity="power", exponent=0.25)
    x = pictures()
    torch.testing.assert_close(module(16 * x)[:, 1:], 2 * module(x)[:, 1:])
    flat = torch.zeros(1, 1, 16, 18, requires_grad=True)
    found = module(flat)
    found.sum().backward()
    assert not found.any()
    assert torch.isfinite(flat.grad).all()


def test_the_square_root_makes_noise_of_variance_s_constant_and_the_logarithm_noise_of_deviation_s():
    generator = torch.Generator().manual_seed(0)
    module = CompressedScattering((1, 16, 16), n_scales=1, n_angles=2, max_order=1)
    white = torch.randn(4000, generator=generator, dtype=torch.float64)
    spreads = {"power": [], "log": []}
    for level in (100.0, 10000.0):
        for name, noise in (("power", level**0.5), ("log", 0.1 * level)):
            module.nonlinearity = name
            values = (level + noise * white).expand(1, 1, 2, 1, -1).movedim(-1, 0)
            spreads[name].append(float(module._compress(values).std()))
    assert spreads["power"][0] == pytest.approx(0.5, rel=0.02)  # the derivative of sqrt(S), times sqrt(S)
    assert spreads["power"][1] == pytest.approx(spreads["power"][0], rel=0.02)
    assert spreads["log"][1] == pytest.approx(spreads["log"][0], rel=0.02)


def test_without_the_logarithm_they_are_the_scattering():
    x = pictures()
    module = CompressedScattering((1, 16, 18), n_scales=1, n_angles=3, max_order=1, nonlinearity="none")
    torch.testing.assert_close(module(x), Scattering2D((16, 18), n_scales=1, n_angles=3, max_order=1)(x)[:, 0])


def test_standardised_contrast_ignores_brightness_and_contrast():
    x = pictures()
    module = CompressedScattering((1, 16, 18), n_scales=1, n_angles=3, contrast="standardise").calibrate(x)
    torch.testing.assert_close(module(0.3 * x + 0.2), module(x), rtol=1e-3, atol=1e-3)


def test_the_transformer_gives_rows_in_any_batches_and_kinds():
    images = (255 * pictures(5)).to(torch.uint8)
    whole = ScatteringFeatures(n_scales=1, n_angles=3).fit(images)
    parts = ScatteringFeatures(n_scales=1, n_angles=3, batch_size=2).fit(images)
    rows = whole.transform(images)
    assert rows.shape == (5, whole.scattering_.n_channels * 8 * 9)
    np.testing.assert_allclose(parts.transform(images), rows, atol=1e-5)
    np.testing.assert_allclose(whole.transform(images[:, 0].numpy().astype(np.float64) / 255), rows, atol=1e-4)
    assert ScatteringFeatures().get_params()["floor"] == 0.1


def test_flat_images_give_finite_features():
    flat = torch.full((3, 1, 16, 16), 0.5)
    assert np.isfinite(ScatteringFeatures().fit(flat).transform(flat)).all()
    assert np.isfinite(ScatteringFeatures(contrast="standardise").fit(flat).transform(flat)).all()


def test_bad_input():
    model = ScatteringFeatures(n_scales=1).fit(pictures())
    with pytest.raises(ValueError, match=r"\(1, 16, 18\) as in the fit"):
        model.transform(pictures(shape=(1, 18, 18)))
    with pytest.raises(ValueError, match="must be finite"):
        model.transform(torch.full((1, 1, 16, 18), torch.nan))
    with pytest.raises(ValueError, match="n >= 1"):
        model.transform(torch.zeros(0, 1, 16, 18))
    with pytest.raises(TypeError, match="uint8 or floating"):
        model.transform(torch.zeros(1, 16, 18, dtype=torch.int64))
    with pytest.raises(ValueError, match="`contrast` must be one of"):
        ScatteringFeatures(contrast="high").fit(pictures())
    for name, value in (("floor", 0), ("exponent", 0.0), ("exponent", 1.5), ("nonlinearity", "root")):
        with pytest.raises(ValueError, match=f"`{name}` must"):
            CompressedScattering((1, 16, 16), **{name: value})
