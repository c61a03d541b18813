import json
import math

import pytest
import torch
from torch import nn

from phasewave.diagnostics.collapse import neural_collapse, simplex_frame, simplicity
from phasewave.diagnostics.representations import depths, layer_inputs, represent


def planted(n_classes=5, width=12, *, alpha=2.0, spread=0.3, shift=7.0):
    """Features whose means are alpha U M* and whose covariance within classes is exactly spread^2 I."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(width, n_classes, generator=generator, dtype=torch.float64)).Q
    means = alpha * (basis @ simplex_frame(n_classes, dtype=torch.float64)).mT
    steps = spread * math.sqrt(width) * torch.eye(width, dtype=torch.float64)
    features = (means[:, None] + torch.cat([steps, -steps])).reshape(-1, width) + shift
    return features, torch.arange(n_classes).repeat_interleave(2 * width), means


def test_simplex_frame_is_an_equiangular_tight_frame():
    frame = simplex_frame(6, dtype=torch.float64)
    gram = frame @ frame.mT
    expected = torch.full((6, 6), -1 / 5, dtype=torch.float64).fill_diagonal_(1)
    assert torch.allclose(gram, expected, atol=1e-15)
    assert torch.allclose(gram @ gram, 6 / 5 * gram, atol=1e-15)
    assert simplex_frame(3).dtype is torch.float32


@pytest.mark.parametrize(("n_classes", "alpha", "spread"), [(2, 1.0, 0.5), (5, 2.0, 0.3), (10, 0.1, 1.0)])
def test_planted_simplex(n_classes, alpha, spread):
    features, labels, means = planted(n_classes, alpha=alpha, spread=spread)
    found = neural_collapse(features, labels, weight=3 * means)
    assert found.variability == pytest.approx(spread**2 * (n_classes - 1) ** 2 / (n_classes * alpha**2), rel=1e-10)
    for part in (found.means, found.weights):
        assert max(part.norm_variation, part.cosine_deviation, part.cosine_gap) < 1e-12
    assert found.duality < 1e-20
    assert found.disagreement is None
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    again = neural_collapse(features[order], labels[order])
    assert again.variability == pytest.approx(found.variability, rel=1e-10)


def test_variability_against_the_pseudo_inverse():
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(90, 7, generator=generator, dtype=torch.float64) * torch.arange(1, 8)
    labels = torch.arange(90) % 4
    features += 3 * torch.randn(4, 7, generator=generator, dtype=torch.float64)[labels]
    means = torch.stack([features[labels == c].mean(0) for c in range(4)])
    residue = features - means[labels]
    within = residue.mT @ residue / 90
    between = (means - means.mean(0)).mT @ (means - means.mean(0)) / 4
    expected = float(torch.trace(within @ torch.linalg.pinv(between, rtol=1e-10)) / 4)
    assert neural_collapse(features, labels).variability == pytest.approx(expected, rel=1e-9)


def test_duality_of_aligned_opposite_and_random_weights():
    features, labels, means = planted(10, 400)
    assert neural_collapse(features, labels, weight=-means).duality == pytest.approx(4, abs=1e-12)
    random = torch.randn(10, 400, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert neural_collapse(features, labels, weight=random).duality == pytest.approx(2, abs=0.1)


def test_disagreement_counts_test_features():
    features, labels, means = planted(3, 4, shift=0.0)
    test = torch.randn(500, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    # The nearest of means of equal norm is the one of largest product: the two rules agree.
    assert neural_collapse(features, labels, weight=means, test_features=test).disagreement == 0
    # Against the weights -W the rules agree nowhere: the largest score is the smallest product.
    assert neural_collapse(features, labels, weight=-means, test_features=test).disagreement == 1
    bias = torch.tensor([1e3, 0.0, 0.0])
    nearest = torch.cdist(test, means).argmin(1)
    expected = float((nearest != 0).double().mean())
    assert neural_collapse(features, labels, weight=means, bias=bias, test_features=test).disagreement == expected


def test_simplicity_of_known_vectors():
    found = simplicity(torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 3]]))
    assert found.norm_variation == pytest.approx(math.sqrt(2 / 3) / 2)
    assert found.cosine_deviation == 0
    assert found.cosine_gap == pytest.approx(1 / 2)


def test_float32_and_record():
    features, labels, means = planted()
    exact = neural_collapse(features, labels, weight=means, test_features=features)
    found = neural_collapse(features.float(), labels.int(), weight=means.float(), test_features=features.float())
    assert found.variability == pytest.approx(exact.variability, rel=1e-5)
    assert json.loads(json.dumps(found.record()))["means"]["cosine_gap"] < 1e-6


def test_bad_input():
    features, labels, means = planted()
    with pytest.raises(ValueError, match=r"without \[1\]"):
        neural_collapse(features, labels.where(labels != 1, 0))
    with pytest.raises(ValueError, match="class means that differ"):
        neural_collapse(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match=r"`weight` must have the shape \(5, 12\), got \(5, 11\)"):
        neural_collapse(features, labels, weight=means[:, 1:])
    with pytest.raises(ValueError, match="`weight` must be given with"):
        neural_collapse(features, labels, test_features=features)
    with pytest.raises(ValueError, match="entries that are not 0"):
        neural_collapse(features, labels, weight=0 * means)
    with pytest.raises(TypeError, match="integer tensor"):
        neural_collapse(features, labels.double())


def test_represent_is_one_pass_in_evaluation_mode():
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3))
    network[2].running_mean.fill_(0.5)
    network[3].eval()
    x = torch.randn(10, 2, 3)
    modes = [module.training for module in network.modules()]
    rows = represent(network, x, batch_size=3)
    assert [module.training for module in network.modules()] == modes
    features = layer_inputs(network, network[4], x, batch_size=4)
    assert [module.training for module in network.modules()] == modes
    assert torch.allclose(network[4](features), rows, atol=1e-6)
    assert not features.requires_grad
    assert represent(lambda z: torch.fft.fft(z), x).shape == (10, 12)
    with pytest.raises(ValueError, match="be a part of `network`"):
        layer_inputs(network, nn.Linear(4, 3), x)
    with pytest.raises(ValueError, match="return 10 outputs for 10 inputs"):
        represent(lambda z: z.mean(), x)


def test_depths_share_the_layers():
    network = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    assert [len(part) for part in depths(network)] == [1, 2, 3, 4, 5]
    parts = depths(network, after=(nn.ReLU,))
    assert [len(part) for part in parts] == [2, 4]
    assert parts[1][2] is network[2]
    with pytest.raises(ValueError, match="types of some layers"):
        depths(network, after=(nn.Conv2d,))
