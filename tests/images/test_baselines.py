"""The baselines: as large as the generator, and the same to the last bit if their training is stopped."""

import pytest
import torch

from phasewave.images.baselines import BASELINES, CHECKPOINTS, CNN, VAE, learnt_values, make_baseline
from phasewave.images.generator import ImageGenerator
from phasewave.images.glyphs import glyph_images
from phasewave.runs.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def images():
    return glyph_images(300, size=16, seed=2).images


@pytest.fixture(scope="module")
def generator(images):
    settings = {"code_dim": 12, "n_atoms": 4, "epochs": 1, "prior_epochs": 1, "prior_width": 16, "prior_depth": 1}
    return ImageGenerator(**settings).fit(images[:60])


def leaves(state, name=""):
    """Return every number and tensor of nested states, by its place."""
    if isinstance(state, dict):
        return {key: leaf for part in state for key, leaf in leaves(state[part], f"{name}.{part}").items()}
    if isinstance(state, list):
        return leaves({str(k): part for k, part in enumerate(state)}, name)
    return {name: state}


def same(one, other):
    first, second = leaves(one), leaves(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, second[name]), name
        else:
            assert value == second[name], name


@pytest.mark.parametrize("name", [CNN, VAE])
def test_a_training_stopped_and_resumed_is_the_unbroken_one(name, generator, images, tmp_path):
    parts = (images[:256], images[256:])  # two batches an epoch
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = make_baseline(name, generator, *parts, max_epochs=3, checkpoints=whole)
    places = []
    for stops in ((1, 1), (2, 1)):  # in the middle of epochs

        def stop(stops=stops):
            return bool(places) and places[-1] == stops

        with pytest.raises(KeyboardInterrupt):
            make_baseline(
                name,
                generator,
                *parts,
                max_epochs=3,
                checkpoints=broken,
                progress=lambda told: places.append((told.epoch, told.batch)),
                stop=stop,
            )
        assert places[-1] == stops
        places.append(None)
    again = make_baseline(
        name,
        generator,
        *parts,
        max_epochs=3,
        checkpoints=broken,
        progress=lambda told: places.append((told.epoch, told.batch)),
    )
    assert [place for place in places if place] == [(e, b) for e in (1, 2, 3) for b in (1, 2)]
    assert again.training == expected.training
    same(*(load_checkpoint(folder / CHECKPOINTS[name]) for folder in (broken, whole)))
    assert torch.equal(again.generate(5, 3), expected.generate(5, 3))
    assert torch.equal(again.reconstruct(images[:5]), expected.reconstruct(images[:5]))


def test_codes_are_those_of_before(generator, images, tmp_path, monkeypatch):
    parts = (images[:40], images[40:60])
    first = make_baseline(CNN, generator, *parts, max_epochs=1, checkpoints=tmp_path)
    with monkeypatch.context() as patch:  # as by another number of threads
        encode = ImageGenerator.encode
        patch.setattr(ImageGenerator, "encode", lambda self, x: encode(self, x) * (1 + 1e-7))
        again = make_baseline(CNN, generator, *parts, max_epochs=1, checkpoints=tmp_path)
    assert torch.equal(first.generate(3, 0), again.generate(3, 0))
    with pytest.raises(ValueError, match="was made with other settings"):
        make_baseline(CNN, generator, images[:40].flip(0) // 2, parts[1], max_epochs=1, checkpoints=tmp_path)


def test_sizes_are_those_of_the_generator(generator, images):
    sizes = {}
    for name in BASELINES:
        model = make_baseline(name, generator, images[:40], images[40:60], max_epochs=1)
        sizes[name] = model.n_values
        assert model.reconstruct(images[:3]).shape == model.generate(3, 0).shape == (3, 1, 16, 16)
        assert (model.training is None) == (name not in (CNN, VAE))
    target = learnt_values(generator)
    assert sizes["ridge from w"] == 13 * 256 < target
    assert sizes[CNN] == pytest.approx(target, rel=0.3)
    assert sizes[VAE] == pytest.approx(2 * target, rel=0.3)  # encoder and decoder
