import math

import pytest
import torch

from phasewave.images.encoder import ScatteringEncoder
from phasewave.images.flow import NODE_CHANNELS, FlowPrior
from phasewave.images.glyphs import glyph_images
from phasewave.images.node_axes import _at_nodes, n_nodes, node_axes, node_grid
from phasewave.images.velocity import NodeVelocity, gaussian_velocity
from phasewave.runs.network_training import train_network
from phasewave.runs.training_records import TrainingSettings


def white(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def patchy_axes(n_places, d):
    """Two entries of a code at each place."""
    axes = torch.zeros(n_places, NODE_CHANNELS, d)
    for k in range(n_places):
        axes[k, 0, 2 * k] = axes[k, 1, 2 * k + 1] = 1.0
    return axes


def patchy_codes(n, n_places, *, seed):
    """Codes that are loud at some places and quiet at the others, of variance 1."""
    generator = torch.Generator().manual_seed(seed)
    loud = torch.rand(n, n_places, 1, generator=generator) < 0.25
    scales = torch.where(loud, torch.tensor(3.6**0.5), torch.tensor((0.1 / 0.75) ** 0.5))
    return (scales * torch.randn(n, n_places, 2, generator=generator)).flatten(1)


@pytest.fixture(scope="module", params=[(32, 32), (28, 20)])
def encoder(request):
    images = glyph_images(60, size=32).float()[..., : request.param[0], : request.param[1]]
    return ScatteringEncoder(request.param, code_dim=20).fit(images)


def test_the_velocity_is_the_conditional_mean_of_joint_gaussians():
    means, variances, u = white(5, 3), white(5, 3, seed=1).exp(), white(5, 3, seed=2)
    angles = torch.tensor([0.0, 0.3, 0.8, 1.2, math.pi / 2], dtype=torch.float64)[:, None]
    cosine, sine = angles.cos(), angles.sin()
    bent = 4 * torch.atanh(variances.log() / 4)
    found = gaussian_velocity(u, angles, means, bent)
    covariance = cosine * sine * (variances - 1)  # of cos w - sin n with u = cos n + sin w
    of_u = cosine.square() + sine.square() * variances
    wanted = cosine * means + covariance / of_u * (u - sine * means)
    assert torch.allclose(found, wanted, atol=1e-12)
    assert not gaussian_velocity(u, angles, torch.zeros(()), torch.zeros(())).any()
    extreme = gaussian_velocity(u, angles, means, torch.tensor(1e9, dtype=torch.float64))
    assert bool(extreme.isfinite().all())


@pytest.mark.parametrize(("mean", "deviation"), [(0.5, 1.0), (-1.0, 0.3), (0.2, 2.0)])
def test_noise_becomes_any_gaussian_law(mean, deviation):
    def miss(n_steps):
        prior = FlowPrior(3, width=4, depth=1, n_steps=n_steps).double()
        with torch.no_grad():
            prior.write.bias[:3] = mean
            prior.write.bias[3:] = 4 * math.atanh(2 * math.log(deviation) / 4)
        noise = white(50, 3)
        return float((prior.codes(noise) - (mean + deviation * noise)).abs().max())

    assert miss(96) < 1e-3
    assert miss(96) < miss(24) / 8  # of second order


def test_entries_add_up_to_the_averages(encoder):
    columns = torch.cat([part.flatten(1) for part in encoder.averages_of_entries()], 1)
    assert torch.allclose(encoder.axes_ @ columns.T, torch.eye(20), atol=1e-5)
    assert [part.shape for part in encoder.rows()] == [part.shape for part in encoder.averages_of_entries()]


def test_the_local_channels_are_of_variance_1_and_seen_by_codes(encoder):
    axes = node_axes(encoder, 24)
    assert axes.shape == (n_nodes(encoder), 24, 22)
    assert n_nodes(encoder) == math.prod(node_grid(encoder))
    assert axes.dtype == encoder.axes_.dtype
    assert not axes[:, :, 20:].any()  # brightness and contrast are nowhere
    norms = axes.norm(dim=-1)
    assert bool(((norms - 1).abs() < 1e-5).logical_or(norms == 0).all())
    assert int(torch.linalg.matrix_rank(axes.flatten(0, 1), rtol=1e-4)) == 20  # no entry is lost


def test_every_sample_goes_to_the_node_that_it_lies_in():
    def field(h, w):
        rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        return torch.stack([rows, columns])[..., None].double()

    fine = _at_nodes(field(4, 6), (2, 3))  # 2 x 2 samples a node
    assert fine.shape == (6, 8, 1)
    assert fine[4, :, 0].tolist() == [2, 2, 3, 3, 2, 3, 2, 3]  # rows, then columns, of the node (1, 1)
    coarse = _at_nodes(field(2, 2), (4, 3))
    assert coarse[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert coarse[:3, 1, 0].tolist() == [0, 0, 1]
    odd = _at_nodes(field(5, 2), (3, 2))  # the last row is taken twice
    assert odd[4, :2, 0].tolist() == [4, 4]


def test_places_learn_together():
    codes, more = patchy_codes(4000, 9, seed=0), patchy_codes(1000, 9, seed=1)
    settings = TrainingSettings(batch_size=200, learning_rate=5e-3, max_epochs=5, schedule="cosine")
    losses = {}
    for n in (0, 9):
        prior = FlowPrior(18, n_nodes=n, width=32, depth=1)
        if n:
            prior.fit_nodes(patchy_axes(9, 18))
        losses[n] = train_network(prior, (codes,), (more,), settings=settings).validation
    assert losses[9] < losses[0] - 0.02
    made = prior.codes(white(1000, 18, dtype=torch.float32))
    wanted, found = (x.unflatten(1, (9, 2)).square().mean(-1).log().std() for x in (more, made))
    assert float(found) == pytest.approx(float(wanted), rel=0.1)  # loud and quiet places
    back = prior.noise(more[:100])
    assert float((prior.codes(back) - more[:100]).abs().quantile(0.9)) < 1e-3


def test_untrained_nodes_do_nothing():
    prior = FlowPrior(18, n_nodes=9, width=16, n_steps=2).fit_nodes(patchy_axes(9, 18))
    noise = white(5, 18, dtype=torch.float32)
    assert torch.equal(prior.codes(noise), noise)
    prior.losses(noise, noise=torch.Generator().manual_seed(0)).sum().backward()
    assert isinstance(prior.nodes, NodeVelocity)
    assert float(prior.nodes.write.weight.grad.abs().max()) > 0
    copy = FlowPrior(**prior.settings)
    copy.load_state_dict(prior.state_dict())
    assert torch.equal(copy.nodes.axes_, prior.nodes.axes_)


def test_bad_nodes():
    with pytest.raises(ValueError, match="made without nodes"):
        FlowPrior(18, width=8).fit_nodes(patchy_axes(9, 18))
    prior = FlowPrior(18, n_nodes=9, width=8)
    with pytest.raises(ValueError, match=r"`axes` must have the shape \(9, 24, 18\), got \(8, 24, 18\)"):
        prior.fit_nodes(patchy_axes(9, 18)[1:])
    with pytest.raises(ValueError, match="`axes` must be finite"):
        prior.fit_nodes(patchy_axes(9, 18) * math.nan)
    with pytest.raises(ValueError, match="`n_nodes` must be an integer >= 0"):
        FlowPrior(18, n_nodes=-1)
    with pytest.raises(ValueError, match="not fitted"):
        node_axes(ScatteringEncoder(32), 24)
