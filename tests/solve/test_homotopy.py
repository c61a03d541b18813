import pytest
import torch

from phasewave.solve.homotopy import Homotopy, geometric, istc, istc_iterates
from phasewave.solve.ista import FISTA, ISTA
from phasewave.solve.lasso import lasso
from phasewave.solve.sparse_problem import LinearMap, largest_penalty
from phasewave.solve.unrolled import unrolled


def spikes_and_cosines(n=256):
    k = torch.arange(n, dtype=torch.float64)
    cosines = (2 / n) ** 0.5 * torch.cos(torch.pi * (k[:, None] + 0.5) * k / n)
    cosines[:, 0] /= 2**0.5
    return torch.cat([torch.eye(n, dtype=torch.float64), cosines], 1)


def planted(n_samples, n_atoms, sparsity, *, positive):
    g = torch.Generator().manual_seed(0)
    codes = torch.zeros(n_samples, n_atoms, dtype=torch.float64)
    for row in codes:
        values = torch.randn(sparsity, generator=g, dtype=torch.float64)
        row[torch.randperm(n_atoms, generator=g)[:sparsity]] = values.abs() if positive else values
    return codes


@pytest.mark.parametrize("threshold", ["positive", "signed"])
@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("tilt", [0.0, 0.02])
def test_iterates_obey_the_convergence_theorem(threshold, noise, tilt):
    matrix = spikes_and_cosines()
    g = torch.Generator().manual_seed(1)
    # an analysis of its own, with w_k . d_k = 1
    analysis = matrix + tilt * torch.randn(matrix.shape, generator=g, dtype=torch.float64) / 16
    analysis = analysis / (analysis * matrix).sum(0)
    mu = (analysis.T @ matrix - torch.eye(512, dtype=torch.float64)).abs().max()
    s, n_steps = 3, 40
    codes = planted(50, 512, s, positive=threshold == "positive")
    w = codes @ matrix.T + noise * torch.randn(50, 256, generator=g, dtype=torch.float64)
    error = ((w - codes @ matrix.T) @ analysis).abs().amax(-1)
    start = w @ analysis
    start = start.amax(-1) if threshold == "positive" else start.abs().amax(-1)
    # the fastest schedule that the theorem allows, to the last penalty that it allows
    ratio = 1.2
    assert 2 * ratio * mu * s < 1
    penalty = torch.maximum(start / ratio**n_steps, error / (1 - 2 * ratio * mu * s))
    iterates = istc_iterates(w, matrix, penalty, analysis=analysis, n_steps=n_steps, threshold=threshold)
    count = 0
    for found, level in iterates:
        count += 1
        assert not found[codes == 0].any()
        assert ((found - codes).abs().amax(-1) <= 2 * level * (1 + 1e-12)).all()
        share = count / n_steps
        torch.testing.assert_close(level, start * (penalty / start) ** share, rtol=1e-12, atol=0)
    assert count == n_steps
    assert torch.equal(found, istc(w, matrix, penalty, analysis=analysis, n_steps=n_steps, threshold=threshold))
    if not noise:
        assert (found - codes).abs().max() < 2e-2


def test_outside_of_the_theorem_its_bound_fails():
    # so that the test above is one: too fast a schedule breaks it on the same signals
    matrix, codes = spikes_and_cosines(), planted(50, 512, 40, positive=False)
    w = codes @ matrix.T
    worst = [
        float(((found - codes).abs().amax(-1) / (2 * level)).max())
        for found, level in istc_iterates(w, matrix, 1e-6, n_steps=6, threshold="signed")
    ]
    assert max(worst) > 1.0


def test_an_orthogonal_dictionary_needs_one_step():
    matrix = spikes_and_cosines(16)[:, 16:]
    w = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(istc(w, matrix, 0.1, n_steps=1), torch.relu(w @ matrix - 0.1))
    torch.testing.assert_close(istc(w, matrix, 0.1, n_steps=9), torch.relu(w @ matrix - 0.1))


def test_the_network_is_its_recursion_written_out():
    g = torch.Generator().manual_seed(0)
    matrix = 0.3 * torch.randn(8, 12, generator=g, dtype=torch.float64)
    analysis = 0.3 * torch.randn(8, 12, generator=g, dtype=torch.float64)
    w = torch.randn(2, 8, generator=g, dtype=torch.float64)
    codes = torch.zeros(2, 12, dtype=torch.float64)
    for level in (2.0 ** (2 / 3), 2.0 ** (1 / 3), 1.0):
        codes = torch.relu(codes + (w - codes @ matrix.T) @ analysis - 0.1 * level)
    found = istc(w, matrix, 0.1, analysis=analysis, n_steps=3, start=0.2)
    torch.testing.assert_close(found, codes, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("batch", [(0,), (2, 0)])
def test_no_signals_have_no_codes(batch):
    assert istc(torch.zeros(*batch, 3), torch.eye(3, 5), 0.1).shape == (*batch, 5)


def test_gradients_of_the_network():
    g = torch.Generator().manual_seed(0)
    w, matrix, analysis = (
        torch.randn(shape, generator=g, dtype=torch.float64).div_(3).requires_grad_()
        for shape in ((3, 5), (5, 7), (5, 7))
    )
    penalty = torch.tensor([0.05, 0.1, 0.02], dtype=torch.float64, requires_grad=True)
    for threshold in ("positive", "signed"):

        def network(w, matrix, analysis, penalty, threshold=threshold):
            return istc(w, matrix, penalty, analysis=analysis, n_steps=4, threshold=threshold)

        assert network(w, matrix, analysis, penalty).any()
        assert torch.autograd.gradcheck(network, (w, matrix, analysis, penalty))


def test_penalties_fall_geometrically_to_the_last():
    start = torch.tensor([[8.0], [1.0], [0.0], [4.0]], dtype=torch.float64)
    end = torch.tensor([[1.0], [2.0], [0.0], [0.0]], dtype=torch.float64)
    levels = torch.cat(geometric(start, end, 3), 1)
    expected = torch.tensor([[4.0, 2.0, 1.0], [2.0, 2.0, 2.0], [0.0] * 3, [0.0] * 3], dtype=torch.float64)
    torch.testing.assert_close(levels, expected)
    assert torch.equal(levels[:, -1:], end)


def test_stages_keep_plain_steps_sparse_and_end_at_the_same_solution():
    matrix = spikes_and_cosines(64)
    w = planted(5, 128, 6, positive=False) @ matrix.T
    penalty = 0.01 * largest_penalty(w, matrix)
    plain = lasso(w, matrix, penalty, solver=ISTA(), tolerance=1e-10)
    for inner in (ISTA(), FISTA()):
        for n_stages in (1, 2, 10):
            staged = lasso(w, matrix, penalty, solver=Homotopy(inner, n_stages=n_stages), tolerance=1e-10)
            assert staged.converged
            torch.testing.assert_close(staged.codes, plain.codes, rtol=0, atol=1e-4)
    # codes on the way: without stages, the first steps use many atoms
    few = unrolled(w, matrix, penalty, n_steps=20, solver=Homotopy(ISTA(), n_stages=20))
    many = unrolled(w, matrix, penalty, n_steps=20, solver=ISTA())
    assert (few != 0).sum() < (many != 0).sum()


def test_bad_input():
    w, matrix = torch.ones(2, 4), torch.ones(4, 3)
    with pytest.raises(ValueError, match=r"`n_steps` must be an integer >= 1, got 0"):
        istc(w, matrix, 0.1, n_steps=0)
    with pytest.raises(ValueError, match=r"`analysis` must have the shape \(4, 3\)"):
        istc(w, matrix, 0.1, analysis=torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"`penalty` must be a number >= 0, got -1"):
        istc(w, matrix, -1.0)
    with pytest.raises(TypeError, match=r"`dictionary` must be a torch.Tensor, got LinearMap"):
        istc(w, LinearMap.dense(matrix), 0.1)
