import math

import pytest
import torch

from phasewave.images.flow import FlowPrior
from phasewave.runs.network_training import train_network
from phasewave.runs.training_records import TrainingSettings


def white(n, d, *, seed=0, dtype=torch.float32):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def two_modes(n, *, seed):
    """Points about (1, 1/2) and (-1, -1/2), of variances 0.16 and 0.25."""
    signs = 2.0 * (white(n, 1, seed=seed + 100) > 0) - 1
    return signs * torch.tensor([1.0, 0.5]) + white(n, 2, seed=seed) * torch.tensor([0.4, 0.5])


def perturbed(prior, *, size=0.02, seed=1):
    """A prior whose network is not 0, as if trained."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        weight = prior.write.weight
        weight.copy_(size * torch.randn(weight.shape, generator=generator))
    return prior.eval()


@pytest.fixture(scope="module")
def learnt():
    """A small prior of the two modes."""
    prior = FlowPrior(2, width=16, depth=2, seed=3)
    settings = TrainingSettings(
        batch_size=256, learning_rate=5e-3, max_epochs=32, schedule="cosine", averaging=0.9
    )
    result = train_network(prior, (two_modes(4096, seed=0),), (two_modes(1024, seed=1),), settings=settings)
    return prior, result


def test_the_untrained_map_is_that_of_white_gaussian_codes():
    prior = FlowPrior(5, width=16, n_steps=4)
    noise = white(7, 5)
    assert torch.equal(prior.codes(noise), noise)
    assert torch.equal(prior.noise(noise), noise)
    losses = prior.losses(white(6000, 5, seed=1), noise=torch.Generator().manual_seed(0))
    assert losses.shape == (6000,)
    assert float(losses.detach().mean()) == pytest.approx(1, abs=0.02)


def test_gaussian_codes_keep_their_law():
    prior = FlowPrior(6, width=12, depth=1, n_steps=8, seed=0)
    settings = TrainingSettings(batch_size=256, max_epochs=2)
    result = train_network(prior, (white(2048, 6),), (white(2048, 6, seed=1),), settings=settings)
    assert result.validation > 0.97  # nothing to learn
    codes = prior.codes(white(1500, 6, seed=2))
    assert float((torch.cov(codes.T) - torch.eye(6)).abs().max()) < 0.15
    assert float(codes.mean(0).abs().max()) < 0.1
    assert float((codes**4).mean() / 3) == pytest.approx(1, abs=0.1)


def test_two_modes_are_learnt(learnt):
    prior, result = learnt
    assert result.validation < 0.85
    made = prior.codes(white(2000, 2, seed=5))
    right = made[:, 0] > 0
    assert float(right.double().mean()) == pytest.approx(0.5, abs=0.05)
    for side, sign in ((right, 1), (~right, -1)):
        assert made[side].mean(0).tolist() == pytest.approx([sign, sign / 2], abs=0.08)
        assert made[side].std(0).tolist() == pytest.approx([0.4, 0.5], abs=0.06)
    noise = prior.noise(two_modes(1000, seed=7))
    assert noise.mean(0).tolist() == pytest.approx([0, 0], abs=0.12)
    assert noise.std(0).tolist() == pytest.approx([1, 1], abs=0.1)
    assert ((noise**4).mean(0) / noise.var(0) ** 2).tolist() == pytest.approx([3, 3], abs=0.5)


def test_there_and_back(learnt):
    prior, _ = learnt
    noise = white(200, 2, seed=4)
    codes = two_modes(200, seed=4)
    for miss in (prior.noise(prior.codes(noise)) - noise, prior.codes(prior.noise(codes)) - codes):
        assert float(miss.abs().quantile(0.9)) < 1e-4
        assert float(miss.abs().max()) < 0.05  # between the modes the velocity varies fast
    assert float((prior.codes(noise) - noise).abs().mean()) > 0.3  # no identity


def test_double_precision_goes_back():
    prior = perturbed(FlowPrior(9, width=24, seed=2).double(), size=0.05)
    noise = white(20, 9, dtype=torch.float64)
    codes = prior.codes(noise)
    assert codes.dtype == torch.float64
    assert float((codes - noise).norm() / noise.norm()) > 0.02
    assert float((prior.noise(codes) - noise).abs().max()) < 1e-6
    losses = prior.losses(noise.float(), noise=torch.Generator().manual_seed(0))
    assert losses.dtype == torch.float64


def test_more_steps_change_less():
    settings = {"width": 24, "seed": 2}
    noise = white(20, 9, dtype=torch.float64)
    coarse, middle, fine = (
        perturbed(FlowPrior(9, n_steps=n, **settings).double(), size=0.05).codes(noise) for n in (24, 48, 96)
    )
    ratio = float((coarse - fine).norm() / (middle - fine).norm())
    assert 4 < ratio < 6.5  # of second order: 5


def test_the_loss_is_the_error_of_the_velocity():
    prior = perturbed(FlowPrior(4, width=8), size=0.3)
    codes = white(6, 4, seed=8)
    with torch.no_grad():
        found = prior.losses(codes, noise=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(6, 4, generator=generator)
    first = torch.rand((), generator=generator)
    for k in range(6):
        angle = math.pi / 2 * ((first + k / 6) % 1)
        u = angle.cos() * noise[k] + angle.sin() * codes[k]
        wanted = angle.cos() * codes[k] - angle.sin() * noise[k]
        error = (prior(u[None], angle)[0] - wanted).detach()
        assert float(found[k]) == pytest.approx(float(error.square().mean()), rel=1e-4)


def test_each_row_by_itself():
    prior = perturbed(FlowPrior(4, width=16, n_steps=4))
    noise = white(10, 4)
    assert torch.allclose(prior.codes(noise)[3:5], prior.codes(noise[3:5]), atol=1e-5)
    assert prior.codes(noise[:0]).shape == (0, 4)
    assert prior.noise(noise[:0]).shape == (0, 4)


def test_the_seed_and_the_state_fix_everything():
    prior = perturbed(FlowPrior(4, width=16, n_steps=4, seed=7))
    same, other = FlowPrior(4, width=16, n_steps=4, seed=7), FlowPrior(4, width=16, seed=8)
    assert torch.equal(same.read.weight, prior.read.weight)
    assert not torch.equal(other.read.weight, prior.read.weight)
    copy = FlowPrior(**prior.settings)
    copy.load_state_dict(prior.state_dict())
    noise = white(10, 4)
    assert torch.equal(copy.codes(noise), prior.codes(noise))  # although never put in `eval` mode
    assert torch.equal(copy.noise(noise), prior.noise(noise))
    assert copy.training
    assert not prior.training


def test_the_axes_are_those_of_independent_entries():
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(6000, 6, generator=generator, dtype=torch.float64) - 0.5
    sources = -uniform.sign() * (1 - 2 * uniform.abs()).log() / 2**0.5  # Laplace, of variance 1
    rotation = torch.linalg.qr(white(6, 6, seed=3, dtype=torch.float64)).Q
    prior = FlowPrior(6, width=8).double().fit_axes(sources @ rotation)
    assert torch.allclose(prior.axes_ @ prior.axes_.T, torch.eye(6, dtype=torch.float64), atol=1e-12)
    match = (prior.axes_ @ rotation.T).abs()
    assert float(match.max(1).values.min()) > 0.995
    assert sorted(match.argmax(1).tolist()) == list(range(6))
    assert torch.equal(FlowPrior(6, width=8).double().fit_axes(sources @ rotation).axes_, prior.axes_)


def test_turned_codes_are_made_by_turned_axes():
    rotation = torch.linalg.qr(white(5, 5, seed=3, dtype=torch.float64)).Q
    prior, turned = (perturbed(FlowPrior(5, width=16, n_steps=4).double(), size=0.05) for _ in range(2))
    turned.axes_.copy_(rotation)
    noise = white(10, 5, dtype=torch.float64)
    assert torch.allclose(turned.codes(noise), prior.codes(noise @ rotation.T) @ rotation)


def test_bad_input():
    prior = FlowPrior(4, width=8)
    with pytest.raises(ValueError, match=r"`noise` must have the shape \(n, 4\), got \(3, 5\)"):
        prior.codes(torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"`codes` must have the shape \(n, 4\), got \(4,\)"):
        prior.noise(torch.zeros(4))
    with pytest.raises(TypeError, match=r"`noise` must be of dtype torch.float32 like the module"):
        prior.codes(torch.zeros(3, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"`codes` must have the shape \(n >= 2, 4\), got \(1, 4\)"):
        prior.fit_axes(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="`codes` must be finite, got 1 NaN or infinite values of 8"):
        prior.fit_axes(torch.tensor([[0.0, 1, 2, 3], [0, 1, 2, math.nan]]))
    for name in ("width", "depth", "n_steps"):
        with pytest.raises(ValueError, match=f"`{name}` must be an integer >= "):
            FlowPrior(4, **{name: 0})
    with pytest.raises(TypeError, match=r"`n_entries` must be an integer, got 4\.0"):
        FlowPrior(4.0)
