"""The scattering encoder: white codes, plain averages, contrast apart."""

import math

import pytest
import torch
from sklearn.covariance import OAS

from phasewave.images.contrast import ImageStatistics, normalised
from phasewave.images.encoder import ScatteringEncoder, shrunk
from phasewave.images.principal_axes import principal_axes

SIZES = [16, (17, 30), 28, 64]


def images(n, size=16, n_channels=1, seed=0):
    """Smooth random images in [0, 1]."""
    height, width = (size, size) if isinstance(size, int) else size
    coarse = torch.rand(n, n_channels, 7, 6, generator=torch.Generator().manual_seed(seed))
    x = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)


@pytest.fixture(scope="module")
def data():
    return images(400)


@pytest.fixture(scope="module")
def encoder(data):
    return ScatteringEncoder(16, code_dim=12).fit(data)


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


def test_training_codes_are_white_but_for_the_shrinkage(encoder, data):
    codes = encoder.encode(data).double()
    assert codes.shape == (400, encoder.n_entries) == (400, 14)
    assert float(codes.mean(0).abs().max()) < 1e-4
    covariance = torch.cov(codes[:, :12].T, correction=0)
    rows = encoder.averages(normalised(data.float() / 255)[0]).double()
    found = principal_axes([rows], kept=140)
    expected = (found.variances / shrunk(found, 400))[:12]
    torch.testing.assert_close(covariance, expected.diag(), rtol=1e-3, atol=1e-3)
    assert 1 <= float(expected.min()) <= float(expected.max()) < 1.2
    assert codes[:, 12:].std(0).tolist() == pytest.approx([1, 1], rel=1e-4)


def test_mirrored_images_count_as_others(data):
    mirrored = ScatteringEncoder(16, code_dim=12).fit(data[:50], mirror=True)
    both = torch.cat([data[:50], data[:50].flip(-1)])
    assert float(mirrored.encode(both)[:, :12].mean(0).abs().max()) < 1e-3
    plain = ScatteringEncoder(16, code_dim=12).fit(both)
    assert relative(mirrored.mean_, plain.mean_) < 1e-5
    assert relative(mirrored.axes_.abs(), plain.axes_.abs()) < 0.02


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("average", [None, 4])
def test_averages_are_means_over_blocks(size, average):
    encoder = ScatteringEncoder(size, average=average, code_dim=2, n_channels=3)
    x = images(2, size, 3).float()
    found, start = encoder.averages(x), 0
    for level, block in zip(encoder.rectified(x), encoder.blocks, strict=True):
        height, width = level.shape[-2:]
        means = [
            level[..., i : i + block, j : j + block].double().mean((-2, -1))
            for i in range(0, height, block)
            for j in range(0, width, block)
        ]
        direct = torch.stack(means, -1).flatten(1)
        assert relative(found[:, start : start + direct.shape[1]], direct) < 1e-6
        start += direct.shape[1]
    assert start == found.shape[1]


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_any_size_and_colour(size, n_channels):
    x = images(12, size, n_channels)
    encoder = ScatteringEncoder(size, n_channels=n_channels, code_dim=4).fit(x)
    codes = encoder.encode(x)
    assert codes.shape == (12, 4 + n_channels + 1)
    assert bool(codes.isfinite().all())
    statistics = encoder.statistics(codes)
    again = statistics.applied(normalised(x.float() / 255)[0])
    torch.testing.assert_close(again, x.float() / 255, rtol=0, atol=1e-5)
    rows = encoder.rows()
    assert torch.equal(torch.cat([part.flatten(1) for part in rows], 1), encoder.axes_)
    with pytest.raises(ValueError, match="hold at least 1 images"):
        encoder.encode(x[:0])


def test_averages_are_homogeneous_and_codes_know_no_contrast(encoder, data):
    x = data[:20].float() / 255
    assert relative(encoder.averages(3 * x), 3 * encoder.averages(x)) < 1e-6
    codes, changed = encoder.encode(x), encoder.encode(0.4 * x + 0.3)
    torch.testing.assert_close(changed[:, :12], codes[:, :12], rtol=0, atol=2e-3)
    before, after = encoder.statistics(codes), encoder.statistics(changed)
    torch.testing.assert_close(after.brightness, 0.4 * before.brightness + 0.3, rtol=0, atol=1e-5)
    torch.testing.assert_close(after.contrast, 0.4 * before.contrast, rtol=1e-3, atol=0)


def test_statistics_of_flat_images_are_finite():
    x, own = normalised(torch.full((2, 3, 16, 16), 0.5))
    assert float(x.abs().max()) == 0
    assert own.contrast.flatten().tolist() == pytest.approx([1e-3, 1e-3])
    values = own.values()
    assert values.shape == (2, 4)
    torch.testing.assert_close(ImageStatistics.of(values).contrast, own.contrast)


@pytest.mark.parametrize("order", [1, 2])
def test_a_fitted_encoder_is_kept_by_settings_and_state(order):
    x = images(60, 16, 3)
    encoder = ScatteringEncoder(16, n_channels=3, code_dim=5, order=order).fit(x)
    again = ScatteringEncoder(**encoder.settings)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again.encode(x), encoder.encode(x))
    assert set(encoder.state_dict()) == {"mean_", "axes_", "statistics_"}
    holder = torch.nn.ModuleDict({"inside": ScatteringEncoder(**encoder.settings)})
    holder.load_state_dict({f"inside.{key}": value for key, value in encoder.state_dict().items()})
    assert torch.equal(holder["inside"].encode(x), encoder.encode(x))


def test_order_2_adds_to_the_averages():
    x = images(2).float()
    first, second = (ScatteringEncoder(16, code_dim=5, order=order).averages(x) for order in (1, 2))
    assert torch.equal(second[:, : first.shape[1]], first)
    assert second.shape[1] > first.shape[1]
    assert bool((second[:, first.shape[1] :].abs().sum(1) > 0).all())


def test_gradients_reach_the_pixels(data):
    encoder = ScatteringEncoder(16, code_dim=6).fit(data).double()
    x = (data[:3].double() / 255).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, encoder.n_entries, generator=generator, dtype=torch.float64)
    along = torch.randn(x.shape, generator=generator, dtype=torch.float64)

    def value(images):
        return (weights * encoder(images)).sum()

    (gradient,) = torch.autograd.grad(value(x), x)
    step = 1e-6
    with torch.no_grad():
        slope = (value(x + step * along) - value(x - step * along)) / (2 * step)
    assert float((gradient * along).sum()) == pytest.approx(float(slope), rel=1e-4)


def test_the_shrinkage_is_that_of_scikit_learn():
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(60, 300, generator=generator, dtype=torch.float64) * torch.logspace(0, -1, 300)
    expected = OAS().fit(rows.numpy())
    assert 0.05 < expected.shrinkage_ < 0.9
    found = principal_axes([rows], kept=300)
    values = torch.linalg.eigvalsh(torch.tensor(expected.covariance_)).flip(0)[: len(found.variances)]
    torch.testing.assert_close(shrunk(found, 60), values, rtol=2e-3, atol=0)  # it leaves out terms 2 / p


def test_bad_input(encoder, data):
    with pytest.raises(ValueError, match=r"hold more than `code_dim` = 12 images \(got 12, .* lower `code_dim`"):
        ScatteringEncoder(16, code_dim=12).fit(data[:12])
    with pytest.raises(ValueError, match="vary in `code_dim` = 12 directions"):
        ScatteringEncoder(16, code_dim=12).fit(data[:2].repeat(10, 1, 1, 1))
    broken = data[:30].float() / 255
    broken[3, 0, 4, 4] = math.nan
    with pytest.raises(ValueError, match="`images` must be finite"):
        ScatteringEncoder(16, code_dim=12).fit(broken)
    with pytest.raises(ValueError, match=r"have the shape \(n, 1, 16, 16\), got \(400, 1, 16, 15\)"):
        encoder.encode(data[..., :15])
    with pytest.raises(ValueError, match=r"have the shape \(n, 1, 16, 16\), got \(400, 3, 16, 16\)"):
        encoder.encode(data.repeat(1, 3, 1, 1))
    with pytest.raises(ValueError, match="the encoder is not fitted"):
        ScatteringEncoder(16).encode(data)
    with pytest.raises(ValueError, match="the encoder is not fitted"):
        ScatteringEncoder(16).rows()
    with pytest.raises(ValueError, match="`average` must be a power of two, got 3"):
        ScatteringEncoder(16, average=3)
    with pytest.raises(ValueError, match="`order` must be an integer between 1 and 2, got 3"):
        ScatteringEncoder(16, order=3)
    with pytest.raises(TypeError, match="uint8, float32 or float64"):
        encoder.encode(data.long())
