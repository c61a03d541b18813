"""Random shifts and mirror images: where pixels go, shares of a batch, trainings with them."""

import itertools

import numpy as np
import pytest
import torch

from phasewave.classify.augmentation import Augmentation, AugmentedNetwork, TwoSidedNetwork, moved
from phasewave.classify.features import CompressedScattering
from phasewave.classify.hybrid import ClassifierNetwork
from phasewave.classify.training import NetworkClassifier
from phasewave.runs.shared_batches import BatchNoise


def pictures(n=6, shape=(1, 16, 18), seed=0):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))


def test_pixels_move_down_and_right_and_borders_are_continued():
    x = torch.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4).to(torch.uint8)
    found = moved(x, torch.tensor([[1, 0], [0, -2]]), mirrored=torch.tensor([False, False]))
    assert torch.equal(found[0], x[0][:, [0, 0, 1]])
    assert torch.equal(found[1], x[1][..., [2, 3, 3, 3]])
    turned = moved(x, torch.tensor([[0, 0], [0, 1]]), mirrored=torch.tensor([True, True]))
    assert torch.equal(turned[0], x[0].flip(-1))
    assert torch.equal(turned[1], x[1].flip(-1)[..., [0, 0, 1, 2]])
    assert found.dtype is torch.uint8


def test_all_shifts_and_both_sides_come_equally_often():
    point = torch.zeros(9000, 1, 9, 9)
    point[:, 0, 4, 4] = 1
    noise = torch.Generator().manual_seed(0)
    counts = Augmentation(max_shift=1)(point, noise=noise).sum((0, 1))
    assert int((counts > 0).sum()) == 9
    assert float((counts[3:6, 3:6] - 1000).abs().max()) < 150  # 5 deviations
    sides = Augmentation(mirror=True)(point.roll(2, -1), noise=noise).sum((0, 1))
    assert float(sides[4, 2] + sides[4, 6]) == 9000
    assert abs(float(sides[4, 2]) - 4500) < 240
    assert not Augmentation()
    assert torch.equal(Augmentation()(point, noise=noise), point)


def test_views_are_the_image_its_neighbours_and_their_mirror_images():
    x = pictures()
    assert len(list(Augmentation().views(x))) == 1
    assert torch.equal(next(Augmentation(3, True).views(x)), x)
    assert torch.equal(list(Augmentation(mirror=True).views(x))[1], x.flip(-1))
    point = torch.zeros(1, 1, 7, 7)
    point[0, 0, 2, 1] = 1
    seen = torch.cat(list(Augmentation(max_shift=2, mirror=True).views(point))).sum((0, 1))
    cross = torch.zeros(7, 7)
    cross[1:4, 1] = cross[2, 0:3] = 1
    assert torch.equal(seen, cross + cross.flip(-1))


def test_a_sample_is_changed_alike_however_many_processes_share_the_batch():
    x, change = pictures(7), Augmentation(max_shift=3, mirror=True)
    whole = change(x, noise=torch.Generator().manual_seed(5))
    part = change(x[3:], noise=BatchNoise(5, n_samples=7, rows=range(3, 7)))
    assert torch.equal(part, whole[3:])
    assert not torch.equal(whole, x)


def test_losses_are_those_of_the_features_of_changed_images():
    x, labels = pictures(), torch.arange(6) % 2
    features = CompressedScattering((1, 16, 18), n_scales=1, n_angles=2, max_order=1).calibrate(x)
    network = ClassifierNetwork("encoder", (3, 8, 9), 2, width=4, dropout=0)
    change = Augmentation(max_shift=2)
    both = AugmentedNetwork(network, features, change).train()
    found = both.losses(x, labels, noise=torch.Generator().manual_seed(1))
    changed = change(x, noise=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, network.losses(features(changed), labels, noise=torch.Generator()))
    maps = features(x)
    both.eval()
    expected = network.losses(maps, labels, noise=torch.Generator())
    assert torch.equal(both.losses(maps, labels, noise=torch.Generator()), expected)


def test_of_two_sides_each_comes_half_of_the_time_and_losses_are_theirs():
    maps, mirrored, labels = pictures(200, (3, 4, 4)), pictures(200, (3, 4, 4), seed=1), torch.arange(200) % 2
    network = ClassifierNetwork("encoder", (3, 4, 4), 2, width=4, dropout=0).eval()
    both = TwoSidedNetwork(network).train()
    network.eval()  # a sample's loss is then its own
    either = [network.losses(side, labels, noise=torch.Generator()) for side in (maps, mirrored)]
    found = both.losses(maps, mirrored, labels, noise=torch.Generator().manual_seed(0))
    first, second = ((found - one).abs() < 1e-6 for one in either)
    assert bool((first ^ second).all())
    assert 70 < int(second.sum()) < 130  # 4 deviations
    part = both.losses(
        maps[50:], mirrored[50:], labels[50:], noise=BatchNoise(0, n_samples=200, rows=range(50, 200))
    )
    torch.testing.assert_close(part, found[50:])
    assert torch.equal(both.eval().losses(maps, labels, noise=torch.Generator()), either[0])


@pytest.mark.parametrize("kind", ["hybrid", "cnn"])
def test_mirror_images_are_learnt_from_also_without_shifts(kind):
    images = (255 * pictures(48, (1, 16, 16))).to(torch.uint8) // 4
    labels = np.arange(48) % 2
    images[labels == 1, :, ::4, :8] = 255  # on the left alone
    images[labels == 0, :, :, 1:8:4] = 255
    settings = {"width": 4, "n_angles": 2, "max_order": 1, "batch_size": 12, "validation_fraction": 0.0}
    fits = {
        m: NetworkClassifier(kind, **settings, mirror=m, max_epochs=15).fit(images, labels) for m in (False, True)
    }
    turned = images.flip(-1)
    assert (fits[True].predict(turned) == labels).mean() > 0.9
    assert fits[True].training_.history != fits[False].training_.history


@pytest.mark.parametrize("kind", ["hybrid", "cnn"])
def test_a_resumed_training_on_changed_images_is_the_unbroken_one(kind, tmp_path):
    images = (255 * pictures(30, (1, 16, 16))).to(torch.uint8)
    labels = np.arange(30) % 2
    images[labels == 1, :, ::4] = 255

    def model(**changes):
        settings = {"width": 4, "n_angles": 2, "max_order": 1, "batch_size": 9, "max_epochs": 2, "max_shift": 2}
        return NetworkClassifier(kind, **(settings | {"mirror": True, "validation_fraction": 0.0} | changes))

    whole = model().fit(images, labels)
    count = itertools.count()
    model().fit(images, labels, checkpoint=tmp_path / "c.h5", stop=lambda: next(count) >= 4)
    with pytest.raises(ValueError, match=r"other settings: classifier.max_shift was 2, now 1"):
        model(max_shift=1).fit(images, labels, checkpoint=tmp_path / "c.h5")
    resumed = model().fit(images, labels, checkpoint=tmp_path / "c.h5")
    assert resumed.training_.history == whole.training_.history
    np.testing.assert_array_equal(resumed.decision_function(images), whole.decision_function(images))
    assert model(mirror=False).fit(images, labels).training_.history != whole.training_.history


def test_bad_augmentations_are_refused():
    images, labels = pictures(8, (1, 16, 16)), np.arange(8) % 2
    for changes, error, message in (
        ({"max_shift": -1}, ValueError, "`max_shift` must be an integer >= 0, got -1"),
        ({"max_shift": 0.5}, TypeError, "`max_shift` must be an integer"),
        ({"max_shift": 9}, ValueError, "`max_shift` must be at most 8, half of the smaller side, got 9"),
        ({"mirror": "yes"}, TypeError, "`mirror` must be True or False"),
    ):
        with pytest.raises(error, match=message):
            NetworkClassifier("cnn", **changes).fit(images, labels)
