"""A set of moments for each of several fields: what a loop over the fields gives."""

import pytest
import torch

from phasewave.turbulence.cross_moments import CrossMoments
from phasewave.turbulence.each_field import EachField
from phasewave.turbulence.moments import PhaseHarmonicMoments

SHAPE = (32, 24)


def skies(*batch: int, shape=SHAPE, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    units = torch.tensor([1.0, 50.0], dtype=torch.float64)[:, None, None]
    return units * torch.randn(*batch, 2, *shape, dtype=torch.float64, generator=generator).exp()


@pytest.fixture(scope="module")
def single() -> PhaseHarmonicMoments:
    return PhaseHarmonicMoments(SHAPE, n_scales=2, classes=("S11", "S01", "one_point"), dtype=torch.float64)


def test_the_table_and_values_are_those_of_the_fields_one_by_one(single):
    moments = EachField([single] * 2)
    x = skies(3)
    n = single.n_moments
    assert (moments.n_fields, moments.n_moments, moments.shape) == (2, 2 * n, SHAPE)
    assert [row.field for row in moments.table] == [0] * n + [1] * n
    assert [row.row for row in moments.table[n:]] == list(single.table)
    assert moments.table[0].kind == "S11"
    assert torch.equal(moments(x)[:, n:], single(x[:, 1]))
    assert moments(x[:0]).shape == (0, 2 * n)


def test_each_field_has_its_own_standardisation(single):
    target, x = skies(2, seed=1), skies(seed=2)
    moments = EachField([single] * 2).standardized(target)
    n = single.n_moments
    assert torch.equal(moments(x)[:n], single.standardized(target[:, 0])(x[0]))
    assert torch.equal(moments(x)[n:], single.standardized(target[:, 1])(x[1]))
    assert moments.parts[0] is not moments.parts[1]
    assert single.means is None


def test_other_sizes_and_masks_go_to_every_field():
    part = CrossMoments((32, 32), n_fields=2, n_scales=2, dtype=torch.float64)
    x = torch.randn(2, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[3:6, 4:9] = False

    class One(torch.nn.Module):
        """A single field taken for two equal ones."""

        def __init__(self, inner):
            super().__init__()
            self.inner, self.shape, self.table = inner, inner.shape, inner.table

        def forward(self, x):
            return self.inner(torch.stack((x, 2 * x), dim=-3))

        def resized(self, shape):
            return One(self.inner.resized(shape))

        def masked(self, mask):
            return One(self.inner.masked(mask))

    moments = EachField([One(part)] * 2)
    masked = moments.masked(mask)
    assert torch.equal(masked(x)[part.n_moments :], One(part.masked(mask))(x[1]))
    larger = moments.resized((64, 48))
    assert larger.shape == (64, 48)
    assert larger(torch.randn(2, 64, 48, dtype=torch.float64)).shape == (2 * part.n_moments,)


def test_gradients_reach_every_field(single):
    x = skies(seed=4).requires_grad_()
    EachField([single] * 2)(x).abs().square().sum().backward()
    assert bool((x.grad.abs().amax(dim=(-2, -1)) > 0).all())


def test_wrong_parts_and_fields_are_named(single):
    with pytest.raises(ValueError, match="one or more"):
        EachField([])
    with pytest.raises(TypeError, match="Linear"):
        EachField([torch.nn.Linear(2, 2)])
    with pytest.raises(ValueError, match="one shape"):
        EachField([single, PhaseHarmonicMoments((32, 32), n_scales=2)])
    with pytest.raises(ValueError, match="last axes"):
        EachField([single] * 2)(skies()[:1])
    with pytest.raises(TypeError, match="float64"):
        EachField([single] * 2)(skies().float())
