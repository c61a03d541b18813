"""The generator: what it makes, that stages resume to the same end, that files bring back the same images."""

import copy
import math

import pytest
import torch
from sklearn.base import clone

from phasewave.images.generator import ImageGenerator
from phasewave.images.generator_file import load_generator, save_generator
from phasewave.images.glyphs import glyph_images
from phasewave.images.report import active_share, round_trip
from phasewave.images.sheets import Row, mosaic
from phasewave.images.stages import CHECKPOINTS, train_parts
from phasewave.images.ways import turned_ways
from phasewave.runs.checkpoint import save_checkpoint

SMALL = {"code_dim": 12, "n_atoms": 4, "epochs": 2, "prior_epochs": 2, "prior_width": 16, "prior_depth": 1}


@pytest.fixture(scope="module")
def images():
    return glyph_images(60, size=16, seed=1).images


@pytest.fixture(scope="module")
def fitted(images):
    return ImageGenerator(**SMALL).fit(images)


def weights(generator):
    return {**generator.decoder_.state_dict(), **{f"p.{k}": v for k, v in generator.prior_.state_dict().items()}}


def same(one, other):
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_codes_and_images_have_their_shapes_and_range(fitted, images):
    codes = fitted.encode(images[:5])
    assert codes.shape == (5, 14)
    made = fitted.decode(codes)
    assert made.shape == (5, 1, 16, 16)
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    torch.testing.assert_close(fitted.reconstruct(images[:5]), made)
    floats = fitted.encode(images[:5].float() / 255)
    torch.testing.assert_close(floats, codes)
    assert fitted.training_["n_train"] == 54
    assert fitted.training_["n_validation"] == 6


def test_the_record_says_how_the_training_went(fitted):
    for part in ("decoder", "prior"):
        told = fitted.training_[part]
        assert (told["end"], told["epochs"], len(told["history"])) == ("max_epochs", 2, 2)
    losses = [row[1] for row in fitted.training_["decoder"]["history"]]
    assert losses[1] < losses[0]


def test_new_images_depend_on_the_seed_alone(fitted):
    one = fitted.generate(6, seed=3)
    assert one.shape == (6, 1, 16, 16)
    assert torch.equal(one, fitted.generate(6, seed=3))
    assert not torch.equal(one, fitted.generate(6, seed=4))
    noise = torch.randn(6, 14, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(fitted.draw_codes(6, seed=3, prior="white"), noise)
    torch.testing.assert_close(fitted.generate(6, seed=3, prior="white"), fitted.decode(noise, n_corrections=3))
    torch.testing.assert_close(one, fitted.decode(fitted.prior_.codes(noise), n_corrections=3))


@pytest.mark.parametrize("path", ["noise", "codes"])
def test_a_way_begins_and_ends_at_the_reconstructions(fitted, images, path):
    a, b = images[:3], images[3:6]
    ways = fitted.interpolate(a, b, steps=5, path=path)
    assert ways.shape == (3, 5, 1, 16, 16)
    torch.testing.assert_close(ways[:, 0], fitted.reconstruct(a), atol=2e-3, rtol=0)
    torch.testing.assert_close(ways[:, -1], fitted.reconstruct(b), atol=2e-3, rtol=0)
    assert not torch.allclose(ways[:, 2], ways[:, 0], atol=1e-2)


def test_a_turn_goes_at_constant_speed_between_the_norms():
    a, b = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 5.0, 0.0])
    way = turned_ways(a[None], b[None], 4)[0, [0, 1, 3]]
    angle = math.pi / 6
    middle = (11 / 3) * torch.tensor([math.cos(angle), math.sin(angle), 0.0])
    torch.testing.assert_close(way, torch.stack([a, middle, b]))
    torch.testing.assert_close(turned_ways(a[None], 2 * a[None], 3)[0, 1], 1.5 * a)


def test_a_file_brings_back_the_same_images(fitted, images, tmp_path):
    save_generator(fitted, tmp_path / "model.h5")
    again = load_generator(tmp_path / "model.h5")
    assert same(again, fitted)
    assert torch.equal(again.generate(3, seed=0), fitted.generate(3, seed=0))
    assert torch.equal(again.reconstruct(images[:3]), fitted.reconstruct(images[:3]))
    assert again.get_params() == fitted.get_params()
    assert again.training_["decoder"] == fitted.training_["decoder"]


def test_files_that_are_no_models_are_refused(fitted, tmp_path):
    path = tmp_path / "model.h5"
    with pytest.raises(FileNotFoundError, match="there is no model"):
        load_generator(path)
    save_generator(fitted, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged or was not made here"):
        load_generator(path)
    save_checkpoint(path, {"format": "another"}, settings={})
    with pytest.raises(ValueError, match="is no generator of images"):
        load_generator(path)
    other = copy.deepcopy(fitted)
    other.prior_.register_buffer("strange", torch.zeros(1))
    save_generator(other, path)
    with pytest.raises(ValueError, match="is a model of another version of phasewave"):
        load_generator(path)


def test_images_of_another_kind_are_refused(fitted, images):
    with pytest.raises(
        ValueError, match=r"grey images of 16 x 16 as the training .* got 'colour images of 16 x 16'"
    ):
        fitted.reconstruct(images.repeat(1, 3, 1, 1))
    with pytest.raises(ValueError, match="got 'grey images of 16 x 18'"):
        fitted.encode(torch.zeros(2, 1, 16, 18))
    with pytest.raises(ValueError, match="`b` must be 2 images as `a`"):
        fitted.interpolate(images[:2], images[:3])
    with pytest.raises(ValueError, match="`prior` must be one of 'fitted', 'white'"):
        fitted.generate(2, seed=0, prior="other")
    with pytest.raises(ValueError, match="`path` must be one of"):
        fitted.interpolate(images[:2], images[:2], path="other")


def test_too_few_images_are_refused_before_any_work(images):
    with pytest.raises(ValueError, match=r"more than `code_dim` = 60 training images .* lower `code_dim`"):
        ImageGenerator(code_dim=60).fit(images)
    ImageGenerator(code_dim=60, mirror=True).recipe(images)
    with pytest.raises(ValueError, match="`size` 32 x 32, got '16 x 16'"):
        ImageGenerator(size=32, code_dim=8).recipe(images)
    with pytest.raises(ValueError, match="hold at least 3 images"):
        ImageGenerator(code_dim=1).fit(images[:1])


def test_mirrored_and_coloured_and_oblong():
    x = torch.rand(24, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    settings = {**SMALL, "code_dim": 30, "epochs": 1, "prior_epochs": 1}
    found = ImageGenerator(mirror=True, **settings).fit(x, x[:4])
    assert found.generate(2, seed=0).shape == (2, 3, 16, 20)
    assert found.encode(x).shape == (24, 34)


def test_it_is_an_estimator(fitted):
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    assert not hasattr(other, "decoder_")
    assert "code_dim=12" in repr(fitted)


@pytest.fixture(scope="module")
def unbroken(images):
    return ImageGenerator(**SMALL, batch_size=16).fit(images)


@pytest.mark.parametrize("n_asked", [0, 1, 4, 11])
def test_a_training_stopped_anywhere_resumes_to_the_same_end(unbroken, images, tmp_path, n_asked):
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > n_asked

    with pytest.raises(KeyboardInterrupt):
        ImageGenerator(**SMALL, batch_size=16).fit(images, checkpoints=tmp_path, stop=stop)
    again = ImageGenerator(**SMALL, batch_size=16).fit(images, checkpoints=tmp_path)
    assert same(again, unbroken)
    assert again.training_["prior"]["history"] == unbroken.training_["prior"]["history"]


def test_stages_on_the_disk_are_not_done_again(images, tmp_path, monkeypatch):
    done = ImageGenerator(**SMALL).fit(images, checkpoints=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CHECKPOINTS.values())
    stages = []
    monkeypatch.setattr("phasewave.images.encoder.ScatteringEncoder.fit", None)
    monkeypatch.setattr("phasewave.images.decoder.SparseDecoder.fit_linear", None)
    again = ImageGenerator(**SMALL).fit(images, checkpoints=tmp_path, progress=stages.append)
    assert same(done, again)
    assert [(state.stage, state.training) for state in stages] == [
        (stage, None) for stage in ("encoder", "linear", "decoder", "prior")
    ]


def test_stages_of_other_settings_are_refused(images, tmp_path):
    ImageGenerator(**SMALL).fit(images, checkpoints=tmp_path)
    with pytest.raises(ValueError, match=r"made with other settings: .*n_atoms was 4, now 5"):
        ImageGenerator(**{**SMALL, "n_atoms": 5}).fit(images, checkpoints=tmp_path)


def test_a_stage_that_cannot_be_written_leaves_the_others(images, tmp_path, small_disk):
    with small_disk(), pytest.raises(OSError, match="no space left to write"):
        ImageGenerator(**{**SMALL, "prior_width": 256}).fit(images, checkpoints=tmp_path)
    assert not list(tmp_path.glob(".*"))
    done = ImageGenerator(**{**SMALL, "prior_width": 256}).fit(images, checkpoints=tmp_path)
    assert done.generate(1, seed=0).shape == (1, 1, 16, 16)


def test_sparsity_and_round_trip_are_what_they_say(fitted, images):
    codes = fitted.encode(images[:8])
    z = fitted.decoder_.sparse_codes(codes)
    assert active_share(fitted, codes) == pytest.approx(float((z > 0).sum()) / z.numel())
    decoded = fitted.decoder_.decode(codes)
    again = fitted.encode(decoded)[:, :12]
    ratios = [float((u - v).norm() / v.norm()) for u, v in zip(again, codes[:, :12], strict=True)]
    assert round_trip(fitted, codes, decoded) == pytest.approx(sum(ratios) / 8, rel=1e-5)


def test_training_on_a_recipe_alone(images):
    recipe = ImageGenerator(**SMALL).recipe(images)
    parts = train_parts(recipe, images[:54], images[54:])
    assert len(parts.decoder_result.history) == 2
    assert not parts.decoder.training
    assert not parts.prior.training


def test_a_row_shows_every_pixel():
    images = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(2, 1, 1, 2)
    picture = mosaic(Row("", images), 3)
    assert picture.shape == (3, 6 + 2 + 6, 3)
    assert picture[1, :6, 0].tolist() == [0, 0, 0, 64, 64, 64]
    assert picture[1, 6:8, 0].tolist() == [255, 255]
    assert picture[1, 8:, 0].tolist() == [128, 128, 128, 255, 255, 255]
