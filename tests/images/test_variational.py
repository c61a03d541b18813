import math

import pytest
import torch

from phasewave.images.network_parts import matching_width
from phasewave.images.variational import VariationalAutoencoder
from phasewave.runs.trainable import n_parameters


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (28, 1), (32, 3), ((20, 30), 1)])
def test_shapes(size, channels):
    network = VariationalAutoencoder(6, size, n_channels=channels, width=2)
    sides = (size, size) if isinstance(size, int) else size
    images = torch.rand(3, channels, *sides, generator=torch.Generator().manual_seed(0))
    assert network.encode(images).shape == (3, 6)
    assert network.reconstruct(images).shape == images.shape
    made = network.generate(4, seed=0)
    assert made.shape == (4, channels, *sides)
    assert torch.equal(made, network.generate(4, seed=0))
    assert not torch.equal(made, network.generate(4, seed=1))


def test_the_loss_is_the_bound():
    network = VariationalAutoencoder(3, 16, width=2, seed=1).eval()
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = network.losses(images, noise=torch.Generator().manual_seed(5))
        mean, log_variance = network.law(images)
        white = torch.randn(2, 3, generator=torch.Generator().manual_seed(5))
        codes = torch.distributions.Normal(mean, (log_variance / 2).exp())
        pixels = torch.distributions.Normal(network.decoder(mean + codes.scale * white), 0.2)
        divergence = torch.distributions.kl_divergence(codes, torch.distributions.Normal(0.0, 1.0)).sum(1)
        expected = (divergence - pixels.log_prob(images).flatten(1).sum(1)) / 256
    assert float(network.log_deviation.detach().exp()) == pytest.approx(0.2)
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_codes_start_near_white_noise():
    network = VariationalAutoencoder(64, 32, width=8)
    images = torch.rand(20, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mean, log_variance = network.eval().law(images)
    assert float(mean.abs().mean()) < 1
    assert float(log_variance.abs().mean()) < 1


def test_as_many_weights_as_asked_for():
    found = matching_width(lambda width: VariationalAutoencoder(32, 32, width=width), 500_000)
    assert abs(math.log(n_parameters(VariationalAutoencoder(32, 32, width=found)) / 500_000)) < 0.1


def test_bytes_and_bad_input():
    network = VariationalAutoencoder(3, 16, width=2)
    stored = torch.randint(0, 256, (3, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert torch.allclose(network.encode(stored), network.encode(stored.float() / 255))
    with pytest.raises(ValueError, match=r"`images` must be of shape \(1, 16, 16\), got \(1, 20, 20\)"):
        network.encode(torch.zeros(2, 1, 20, 20))
    with pytest.raises(ValueError, match="`n_images` must be an integer >= 1"):
        network.generate(0, seed=0)
