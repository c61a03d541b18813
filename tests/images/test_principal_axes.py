import pytest
import torch

from phasewave.images.principal_axes import principal_axes


def spread_rows(number=700):
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(number, 20, generator=generator, dtype=torch.float64) * torch.logspace(0, -2, 20)
    return rows @ torch.randn(20, 30, generator=generator, dtype=torch.float64) + 5


@pytest.mark.parametrize("size", [1, 7, 90, 700])
def test_axes_are_those_of_the_covariance(size):
    rows = spread_rows()
    found = principal_axes(rows.split(size), kept=25)
    values, vectors = torch.linalg.eigh(torch.cov(rows.T, correction=0))
    assert torch.allclose(found.mean, rows.mean(0), atol=1e-12)
    assert torch.allclose(found.variances[:15], values.flip(0)[:15], rtol=1e-8)
    assert found.total == pytest.approx(float(values.sum()), rel=1e-12)
    overlap = (found.axes[:, :10].T @ vectors.flip(1)[:, :10]).abs()
    assert torch.allclose(overlap, torch.eye(10, dtype=torch.float64), atol=1e-6)


def test_a_cut_leaves_the_leading_axes():
    rows = spread_rows()
    found = principal_axes(rows.split(50), kept=12)
    values = torch.linalg.eigvalsh(torch.cov(rows.T, correction=0)).flip(0)
    assert found.axes.shape == (30, 12)
    assert torch.allclose(found.variances[:5], values[:5], rtol=1e-3)


def test_axes_without_variance_are_left_out():
    rows = torch.outer(torch.arange(5.0), torch.tensor([3.0, 4.0])).double()
    found = principal_axes([rows], kept=10)
    assert found.axes.abs().flatten().tolist() == pytest.approx([0.6, 0.8])
    assert found.variances.tolist() == pytest.approx([50.0])
    assert len(principal_axes([rows[:1]], kept=10).variances) == 0


def test_no_rows():
    with pytest.raises(ValueError, match="`batches` must hold rows"):
        principal_axes([], kept=3)
