"""Networks over scattering maps: they learn, resume to the same weights, and are saved; sparse codes."""

import itertools

import numpy as np
import pytest
import torch

from phasewave.classify.augmentation import Augmentation
from phasewave.classify.hybrid import ClassifierNetwork
from phasewave.classify.istc import SparseCodes
from phasewave.classify.model_file import SavedClassifier, load_classifier, save_classifier
from phasewave.classify.scattering_classifier import ScatteringClassifier
from phasewave.classify.training import NetworkClassifier
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.training_records import TrainingEnd

NEW = ("nonlinearity", "exponent")  # parameters that older files do not have
KINDS = ["hybrid", "grid", "perceptron", "encoder", "istc", "cnn"]


def bars(n=36, seed=0):
    """Waves, upright or lying, of two lengths, in noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = np.arange(n) % 3
    grid = torch.arange(16.0)
    waves = [(grid * 2 * torch.pi / 4).cos().expand(16, 16), (grid * 2 * torch.pi / 8).cos().expand(16, 16)]
    shapes = torch.stack([waves[0], waves[0].T, waves[1]])
    images = 0.5 + 0.3 * shapes[labels] + 0.1 * torch.randn(n, 16, 16, generator=generator)
    return (255 * images.clamp(0, 1)).to(torch.uint8)[:, None], labels


def network(kind, **settings):
    return NetworkClassifier(kind, n_angles=2, max_order=1, width=4, batch_size=12, dropout=0.1, **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_learns_and_is_saved(kind, tmp_path):
    images, labels = bars()
    model = network(kind, max_epochs=30, learning_rate=0.01, validation_fraction=0)
    model.fit(images, labels + 4)
    new, truth = bars(30, seed=1)
    assert (model.predict(new) == truth + 4).mean() > 0.9
    save_classifier(tmp_path / "model.h5", SavedClassifier(model, ("a", "b", "c"), {"n": 36}))
    saved = load_classifier(tmp_path / "model.h5")
    np.testing.assert_array_equal(saved.model.decision_function(new), model.decision_function(new))
    assert (saved.kind, saved.class_names, saved.shape) == (kind, ("a", "b", "c"), (1, 16, 16))
    sparsity = model.sparsity(new)
    assert (sparsity is None) == (kind != "istc")
    if sparsity is not None:
        assert 0 < sparsity["active"] < 1
        assert sparsity["n_active"] == pytest.approx(16 * sparsity["active"])
        assert sparsity["relative_gap"] >= 0


def test_a_resumed_training_is_the_unbroken_one(tmp_path):
    images, labels = bars()
    whole = network("hybrid", max_epochs=3).fit(images, labels)
    count = itertools.count()
    broken = network("hybrid", max_epochs=3)
    broken.fit(images, labels, checkpoint=tmp_path / "c.h5", stop=lambda: next(count) >= 4)
    assert broken.training_.end is TrainingEnd.INTERRUPTED
    resumed = network("hybrid", max_epochs=3).fit(images, labels, checkpoint=tmp_path / "c.h5")
    assert resumed.training_.history == whole.training_.history
    np.testing.assert_array_equal(resumed.decision_function(images), whole.decision_function(images))
    other = network("hybrid", max_epochs=3, seed=1).fit(images, labels)
    assert other.training_.history != whole.training_.history


@pytest.mark.parametrize("head", ["linear", "logistic", "svm", "affine"])
def test_a_fitted_head_is_saved_with_its_features(head, tmp_path):
    images, labels = bars()
    model = ScatteringClassifier(head, n_angles=2, max_order=1).fit(images, labels)
    new, truth = bars(30, seed=1)
    assert (model.predict(new) == truth).mean() > 0.9
    save_classifier(tmp_path / "model.h5", SavedClassifier(model, ("a", "b", "c")))
    saved = load_classifier(tmp_path / "model.h5")
    np.testing.assert_array_equal(saved.model.decision_function(new), model.decision_function(new))
    assert saved.kind == head


def test_the_penalty_reaches_the_heads_that_have_one():
    images, labels = bars()
    fit = lambda head, penalty: ScatteringClassifier(head, n_angles=2, max_order=1, penalty=penalty).fit(  # noqa: E731
        images, labels
    )
    assert (fit("svm", None).head_.penalty, fit("logistic", None).head_.penalty) == (10.0, 3e-3)
    assert (fit("svm", 2.0).head_.penalty, fit("logistic", 0.5).head_.penalty) == (2.0, 0.5)
    with pytest.raises(ValueError, match="`penalty` must be a number > 0, got 0"):
        fit("logistic", 0.0)


def test_sparse_codes_of_orthogonal_atoms_are_the_lasso_and_of_nearly_orthogonal_ones_come_near():
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    rotation, shift, maps = torch.linalg.qr(draw(8, 8))[0], 0.02 * draw(8, 8), draw(2, 8, 3, 4)
    gaps = []
    for directions, n_steps in ((rotation, 5), (rotation + shift, 10), (rotation + shift, 100)):
        layer = SparseCodes(8, 8, 8, n_steps=n_steps, window=1, stride=1).to(torch.float64)
        with torch.no_grad():
            layer.projection.weight.copy_(torch.eye(8)[:, :, None, None])
            layer.directions.copy_(directions)
        layer.begin()
        report = layer.report(maps)
        assert report.penalty == pytest.approx(0.1)
        gaps.append(report.relative_gap)
        if directions is rotation:
            signals = layer.signals(maps)
            torch.testing.assert_close(signals.norm(dim=-1), torch.ones(2, 3, 4, dtype=torch.float64))
            exact = (signals @ rotation.T - 0.1).clamp(min=0)
            torch.testing.assert_close(layer(maps).movedim(1, -1), exact)
            assert report.coherence < 1e-12
            assert report.active == float((exact > 0).double().mean())
    assert gaps[0] < 1e-12
    # What is left is the step from the threshold before the last, which is as 1 / n_steps.
    assert gaps[2] == pytest.approx(0.1 * gaps[1], rel=0.1)


def drawn(layer, *, seed):
    """Return a layer with weights of its own."""
    with torch.no_grad():
        for number, value in enumerate((layer.projection.weight, layer.directions)):
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(seed + number)))
    layer.begin()
    return layer


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 2), (5, 1)])
def test_codes_depend_on_their_window_alone_and_learning_reaches_all_parts(window, stride):
    layer = drawn(SparseCodes(3, 5, 10, window=window, stride=stride), seed=0)
    maps = torch.randn(1, 3, 7, 8, generator=torch.Generator().manual_seed(2))
    codes = layer(maps)
    assert codes.shape == (1, 10, -(-7 // stride), -(-8 // stride))
    other = maps.clone()
    other[:, :, 4, 2] += 5.0
    changed = (layer(other) - codes).abs().amax((0, 1)) > 0
    centres = torch.meshgrid(*(torch.arange(0, n, stride) for n in (7, 8)), indexing="ij")
    reached = ((centres[0] - 4).abs() <= window // 2) & ((centres[1] - 2).abs() <= window // 2)
    assert torch.equal(changed, reached)
    codes.square().sum().backward()
    for parameter in layer.parameters():
        assert float(parameter.grad.abs().sum()) > 0


def test_codes_do_not_see_the_size_of_their_window():
    layer = drawn(SparseCodes(3, 5, 10), seed=3)
    maps = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(layer(7 * maps), layer(maps))


def test_sizes_of_the_windows_are_checked():
    with pytest.raises(ValueError, match="`window` must be odd, got 2"):
        SparseCodes(3, 5, 10, window=2)
    with pytest.raises(ValueError, match="`stride` must be an integer >= 1"):
        SparseCodes(3, 5, 10, stride=0)


def test_a_network_that_learnt_from_changed_images_judges_by_their_mean():
    images, labels = bars()
    tilted = images.clone()
    tilted[:, :, :, :5] //= 3
    turned = tilted.flip(-1)
    plain = network("cnn", max_epochs=2).fit(tilted, labels)
    assert np.abs(plain.decision_function(tilted) - plain.decision_function(turned)).max() > 1e-3
    for max_shift in (0, 2):
        both = network("cnn", max_epochs=2, mirror=True, max_shift=max_shift).fit(tilted, labels)
        np.testing.assert_allclose(both.decision_function(tilted), both.decision_function(turned), atol=1e-6)
        views = list(Augmentation(max_shift, True).views(tilted))
        assert len(views) == (10 if max_shift else 2)
        with torch.no_grad():
            mean = torch.stack([both.network_(view) for view in views]).mean(0)
        np.testing.assert_allclose(both.decision_function(tilted), mean, atol=1e-6)


def test_grid_tells_positions_apart_and_hybrid_does_not():
    maps = torch.zeros(2, 5, 16, 16)
    maps[0, :, 6, 6], maps[1, :, 8, 10] = 1.0, 1.0  # the same, out of reach of the borders
    for kind in ("hybrid", "grid"):
        net = ClassifierNetwork(kind, (5, 16, 16), 3, width=4).eval()
        first, second = net.hidden(maps).detach()
        assert len(first) == (8 if kind == "hybrid" else 16)
        apart = float((first - second).abs().max() / first.abs().max())
        assert apart > 0.1 if kind == "grid" else apart < 1e-5


def test_weights_come_from_the_seed_alone():
    first, second, third = (ClassifierNetwork("hybrid", (5, 4, 4), 3, width=4, seed=seed) for seed in (0, 0, 1))
    maps = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(first.eval()(maps), second.eval()(maps), rtol=0, atol=0)
    assert not torch.equal(first(maps), third.eval()(maps))


def test_bad_input(tmp_path):
    images, labels = bars(12)
    for model in (network("hybrid"), ScatteringClassifier()):
        with pytest.raises(ValueError, match="two classes"):
            model.fit(images, np.zeros(12, dtype=int))
        with pytest.raises(ValueError, match="one label for each"):
            model.fit(images, labels[:5])
    with pytest.raises(ValueError, match="`kind` must be one of"):
        network("forest").fit(images, labels)
    with pytest.raises(ValueError, match="`head` must be one of"):
        ScatteringClassifier("forest").fit(images, labels)
    with pytest.raises(ValueError, match="`validation` must hold the classes"):
        network("cnn").fit(images, labels, validation=(images, labels + 1))
    with pytest.raises(ValueError, match="`validation_fraction` must"):
        network("cnn", validation_fraction=1.0).fit(images, labels)
    with pytest.raises(ValueError, match="`batch_size` must be an integer >= 2"):
        network("cnn").set_params(batch_size=1).fit(images, labels)
    with pytest.raises(ValueError, match="must be finite"):
        network("cnn").fit(np.where(images > 250, np.nan, images / 255.0), labels)
    with pytest.raises(FileNotFoundError, match="there is no model"):
        load_classifier(tmp_path / "none.h5")
    (tmp_path / "bad.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be used"):
        load_classifier(tmp_path / "bad.h5")


def test_files_of_other_versions_are_read_or_refused(tmp_path):
    images, labels = bars()
    model = ScatteringClassifier(n_angles=2, max_order=1, nonlinearity="none").fit(images, labels)
    save_classifier(tmp_path / "model.h5", SavedClassifier(model, ("a", "b", "c")))
    content = load_checkpoint(tmp_path / "model.h5")

    def stored(**changes):
        save_checkpoint(tmp_path / "other.h5", content | changes, settings={})
        return load_classifier(tmp_path / "other.h5").model

    parameters = {name: value for name, value in content["parameters"].items() if name not in NEW}
    before = stored(parameters=parameters | {"log": False})
    assert before.nonlinearity == "none"
    np.testing.assert_array_equal(before.decision_function(images), model.decision_function(images))
    with pytest.raises(ValueError, match=r"does not know \(colour, depth\): use the version that made it"):
        stored(parameters=parameters | {"depth": 3, "colour": "red"})
    with pytest.raises(ValueError, match=r"no whole classifier of images \(type\)"):
        stored(type="Forest")
    with pytest.raises(ValueError, match="is no classifier of images"):
        stored(format="phasewave-other")
    with pytest.raises(ValueError, match="`state` must hold floors"):
        stored(state={"shape": [1, 16, 16]})
    with pytest.raises(ValueError, match="`nonlinearity` must be one of 'log', 'power', 'none', got 'root'"):
        stored(parameters=parameters | {"nonlinearity": "root"})
    del content["class_names"]
    with pytest.raises(ValueError, match=r"no whole classifier of images \(class_names\)"):
        stored()
