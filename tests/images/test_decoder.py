import copy

import pytest
import torch

from phasewave.core.rectified import RectifiedWavelets
from phasewave.images.code_gradient import code_gradient, curvature
from phasewave.images.decoder import SparseDecoder
from phasewave.images.dictionary import PatternDictionary
from phasewave.images.encoder import ScatteringEncoder, averaged
from phasewave.images.glyphs import glyph_images
from phasewave.runs.network_training import train_network
from phasewave.runs.training_records import TrainingSettings


@pytest.fixture(scope="module")
def images():
    return glyph_images(260, size=16, seed=0).images


@pytest.fixture(scope="module")
def encoder(images):
    return ScatteringEncoder(16, code_dim=24).fit(images)


def decoder_of(encoder, images, **settings):
    decoder = SparseDecoder(encoder, n_atoms=12, **settings)
    decoder.fit_linear(encoder.encode(images), images)
    return decoder.eval()


@pytest.mark.parametrize(
    ("shape", "n_scales", "n_channels", "average"),
    [((32, 32), 3, 1, 2), ((28, 28), 3, 1, 2), ((32, 32), 3, 3, 4), ((64, 48), 4, 3, 4), ((30, 34), 3, 1, 2)],
)
def test_the_matrix_is_the_functions_of_the_averages_of_the_patterns(shape, n_scales, n_channels, average):
    rectified = RectifiedWavelets(shape, n_scales=n_scales, dtype=torch.float64)
    dictionary = PatternDictionary(rectified, n_channels=n_channels, n_atoms=3, stride=2 * average).double()
    blocks = (*(max(1, average >> j) for j in range(n_scales)), 1)
    generator = torch.Generator().manual_seed(0)
    rows = [
        torch.randn(
            5, n_channels * n, *(-(-side // block) for side in grid), dtype=torch.float64, generator=generator
        )
        for n, grid, block in zip(rectified.n_channels, rectified.grids, blocks, strict=True)
    ]
    matrix = dictionary.seen_by(rows, blocks)
    assert matrix.shape == (5, dictionary.n_codes)
    for column in torch.randint(dictionary.n_codes, (6,), generator=generator).tolist():
        z = torch.zeros(1, dictionary.n_codes, dtype=torch.float64)
        z[0, column] = 1.0
        expected = torch.zeros(5, dtype=torch.float64)
        for level, row, block in zip(dictionary.levels(z), rows, blocks, strict=True):
            expected += (row * averaged(level, block).flatten(1, 2)).sum((1, 2, 3))
        torch.testing.assert_close(matrix[:, column], expected, rtol=1e-10, atol=1e-10)


def test_patterns_move_with_their_node():
    rectified = RectifiedWavelets((32, 32), n_scales=2, dtype=torch.float64)
    dictionary = PatternDictionary(rectified, n_channels=1, n_atoms=2, stride=4).double()
    maps = torch.zeros(2, 2, *dictionary.grid, dtype=torch.float64)
    maps[0, 1, 3, 3] = maps[1, 1, 4, 5] = 1.0
    first, second = dictionary(maps.flatten(1))
    torch.testing.assert_close(first.roll((4, 8), (-2, -1)), second, rtol=1e-9, atol=1e-9)


def test_filled_patterns_are_patches_of_norm_one(images):
    rectified = RectifiedWavelets((16, 16), n_scales=2)
    dictionary = PatternDictionary(rectified, n_channels=1, n_atoms=4, stride=2)
    dictionary.fill(images.float(), seed=0)
    norms = sum(kernel.square().sum((1, 2, 3)) for kernel in dictionary.kernels)
    torch.testing.assert_close(norms, torch.ones(4))
    assert all(bool((kernel >= 0).all()) for kernel in dictionary.kernels)
    assert dictionary.atoms().shape == (4, 1, 4, 4)


def test_without_patterns_it_is_the_ridge_regression(encoder, images):
    codes = encoder.encode(images)
    decoder = decoder_of(encoder, images, n_corrections=0)
    decoder.log_share.fill_(0.0)  # the largest useful penalty: no pattern is active
    torch.testing.assert_close(decoder.decode(codes), decoder.linear(codes), rtol=0, atol=1e-5)
    # the linear decoder against scikit-learn's
    from sklearn.linear_model import Ridge

    from phasewave.images.contrast import normalised

    x = normalised(images.double() / 255)[0].flatten(1).numpy()
    ridge = Ridge(alpha=1e-3 * len(images)).fit(codes[:, :24].double().numpy(), x)
    torch.testing.assert_close(decoder.linear_.double().T, torch.tensor(ridge.coef_), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(decoder.mean_.double(), torch.tensor(ridge.intercept_), rtol=1e-3, atol=1e-5)


def test_corrections_bring_the_code_back(encoder, images):
    codes = encoder.encode(images)
    errors = []
    for n_corrections in (0, 4, 40):
        decoder = decoder_of(encoder, images, n_corrections=n_corrections)
        again = encoder.encode(decoder.decode(codes))
        errors.append(float(((again - codes)[:, :24].norm(dim=1) / codes[:, :24].norm(dim=1)).mean()))
    assert errors[1] < 0.7 * errors[0]
    assert errors[2] < 0.8 * errors[1]


def test_the_gradient_of_the_code(encoder):
    double = copy.deepcopy(encoder).double()
    generator = torch.Generator().manual_seed(0)
    x, direction = torch.randn(2, 1, 1, 16, 16, dtype=torch.float64, generator=generator)
    w = torch.randn(1, 24, dtype=torch.float64, generator=generator)
    slope = (code_gradient(double, x, w) * direction).sum()
    ahead, behind = (0.5 * (double.white(x + step * direction) - w).square().sum() for step in (1e-6, -1e-6))
    assert float((ahead - behind) / 2e-6) == pytest.approx(float(slope), rel=1e-6)


def test_the_curvature_is_that_of_the_jacobian(encoder, images):
    x = images[:3].float() / 255
    expected = max(
        float(
            torch.linalg.matrix_norm(
                torch.autograd.functional.jacobian(encoder.white, one[None]).flatten(2)[0].flatten(1), 2
            )
        )
        ** 2
        for one in x
    )
    assert float(curvature(encoder, x, seed=0)) == pytest.approx(expected, rel=2e-2)


def test_training_learns_patterns_and_keeps_to_the_sparsity(encoder, images):
    codes = encoder.encode(images)
    decoder = decoder_of(encoder, images, sparsity=0.05, n_corrections=0)
    before = decoder.losses(codes, images, noise=torch.Generator()).mean()
    result = train_network(
        decoder,
        (codes[:220], images[:220]),
        (codes[220:], images[220:]),
        settings=TrainingSettings(batch_size=32, learning_rate=3e-3, max_epochs=8),
    )
    after = decoder.losses(codes, images, noise=torch.Generator()).mean()
    assert result.validation == pytest.approx(min(row[1] for row in result.history))
    assert after < 0.9 * before
    active = (decoder.sparse_codes(codes) > 0).float().mean()
    assert 0.03 < float(active) < 0.08


def test_state_and_settings_make_the_same_decoder(encoder, images):
    codes = encoder.encode(images[:5])
    decoder = decoder_of(encoder, images, sparsity=0.1)
    again = SparseDecoder(ScatteringEncoder(**encoder.settings), **decoder.settings)
    again.load_state_dict(decoder.state_dict())
    torch.testing.assert_close(again.eval().decode(codes), decoder.decode(codes), rtol=0, atol=0)


def test_batches_do_not_matter(encoder, images):
    codes = encoder.encode(images)
    decoder = decoder_of(encoder, images)
    torch.testing.assert_close(decoder.decode(codes)[7:8], decoder.decode(codes[7:8]), rtol=0, atol=2e-4)
    assert decoder.decode(codes[:0]).shape == (0, 1, 16, 16)
    assert decoder.sparse_codes(codes[:0]).shape == (0, 12 * 64)


def test_bad_input(encoder, images):
    with pytest.raises(ValueError, match="sides are multiples of 2"):
        SparseDecoder(ScatteringEncoder((33, 32)))
    with pytest.raises(ValueError, match=r"`sparsity` must lie between 0 and 1, got 1\.5"):
        SparseDecoder(encoder, sparsity=1.5)
    with pytest.raises(ValueError, match="no linear map: call `fit_linear`"):
        SparseDecoder(encoder).decode(torch.zeros(1, 26))
    decoder = decoder_of(encoder, images)
    with pytest.raises(ValueError, match=r"`codes` must have the shape \(n, 26\), got \(1, 24\)"):
        decoder.decode(torch.zeros(1, 24))
    with pytest.raises(ValueError, match=r"`codes` must have the shape \(260, 26\)"):
        decoder.fit_linear(torch.zeros(3, 26), images)
