import pytest
import torch

from phasewave.images.class_features import N_FEATURES, ClassNetwork, class_record, learn_classes
from phasewave.images.evaluation import ImageJudge


def stripes(n, *, seed):
    """Upright and lying stripes at random phases, and noise: the class is the direction."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    phases = 6.28 * torch.rand(n, 1, 1, generator=generator)
    upright = torch.sin(torch.arange(16.0) * 1.2 + phases).expand(n, 16, 16)
    images = torch.where(labels.bool()[:, None, None], upright, upright.mT)
    noise = torch.randn(n, 16, 16, generator=generator)
    return (0.5 + 0.2 * images + 0.05 * noise)[:, None].clamp(0, 1), labels


@pytest.fixture(scope="module")
def learnt():
    return learn_classes(stripes(400, seed=0), stripes(100, seed=1), max_epochs=4)


def test_the_classes_are_told_apart(learnt):
    assert class_record(learnt, stripes(200, seed=2)) == {"n_classes": 2, "accuracy": 1.0}
    features = learnt(stripes(50, seed=3)[0])
    assert features.shape == (50, N_FEATURES)
    assert features.dtype == torch.float64
    first = torch.linalg.eigvalsh(torch.cov(learnt(stripes(400, seed=0)[0]).mT))[-1]
    assert float(first) == pytest.approx(1, rel=1e-6)  # the unit


def test_a_missing_class_counts_in_its_features(learnt):
    train, test = stripes(400, seed=0), stripes(260, seed=4)
    judge = ImageJudge(train[0], test[0], n_images=250, classes=learnt)
    both, one = stripes(250, seed=5)[0], stripes(600, seed=6)
    whole, missing = judge.generated(both), judge.generated(one[0][one[1] == 1][:250])
    assert whole["frechet_classes"] < 0.3
    assert missing["frechet_classes"] > 3 * whole["frechet_classes"]
    assert judge.floor["frechet_classes"] < 0.3
    without = ImageJudge(train[0], test[0], n_images=250).generated(both)
    assert without == {key: value for key, value in whole.items() if key != "frechet_classes"}


@pytest.mark.parametrize(("size", "n_channels"), [(16, 1), ((20, 28), 3)])
def test_the_seed_fixes_the_weights(size, n_channels):
    one, same, other = (ClassNetwork(size, 3, n_channels=n_channels, width=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.tell.weight, same.tell.weight)
    assert not torch.equal(one.tell.weight, other.tell.weight)
    height, width = one.size
    assert one(torch.rand(2, n_channels, height, width)).shape == (2, 3)


def test_bad_input(tmp_path):
    images, labels = stripes(20, seed=0)
    with pytest.raises(ValueError, match=r"`train` must have one label >= 0 for each of 20 images, got 19"):
        learn_classes((images, labels[1:]), (images, labels))
    with pytest.raises(ValueError, match=r"`validation` must have one label >= 0"):
        learn_classes((images, labels), (images, labels - 1))
    with pytest.raises(ValueError, match="`n_classes` must be an integer >= 2"):
        learn_classes((images, 0 * labels), (images, 0 * labels))
    checkpoint = tmp_path / "checkpoint.h5"
    with pytest.raises(KeyboardInterrupt):
        learn_classes((images, labels), (images, labels), checkpoint=checkpoint, stop=lambda: True)
    assert checkpoint.exists()
