import pytest
import torch

from phasewave.solve.homotopy import Homotopy
from phasewave.solve.implicit import attach_gradient, lasso_with_gradient
from phasewave.solve.ista import FISTA, ISTA
from phasewave.solve.lasso import lasso
from phasewave.solve.sparse_problem import LinearMap, spectral_norm
from phasewave.solve.unrolled import unrolled

THRESHOLDS = ["signed", "positive"]


def problem(n=4, d=8, p=12, seed=0):
    g = torch.Generator().manual_seed(seed)
    matrix = torch.randn(d, p, generator=g, dtype=torch.float64)
    matrix = matrix / matrix.norm(dim=0)
    w = torch.randn(n, d, generator=g, dtype=torch.float64)
    penalty = torch.linspace(0.1, 0.4, n, dtype=torch.float64)
    return [tensor.requires_grad_() for tensor in (w, matrix, penalty)]


def weights(codes):
    return torch.randn(codes.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(codes)


def gradients(codes, tensors):
    return torch.autograd.grad((weights(codes) * codes).sum(), tensors)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("solver", [ISTA(), FISTA(), Homotopy(n_stages=3), Homotopy(ISTA(), n_stages=7)], ids=str)
def test_gradients_of_a_fixed_number_of_steps(solver, threshold):
    tensors = problem(n=3, d=5, p=7)
    norm = 1.1 * spectral_norm(tensors[1])[0].detach()

    def network(w, matrix, penalty):
        return unrolled(w, matrix, penalty, n_steps=7, solver=solver, threshold=threshold, norm=norm)

    assert torch.autograd.gradcheck(network, tensors)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_implicit_gradient_is_that_of_the_solution(threshold):
    tensors = problem(n=1, d=4, p=6, seed=5)
    near = lasso(*tensors, threshold=threshold, tolerance=1e-10).codes
    assert near.any(-1).all()

    def solution(w, matrix, penalty):
        # every step allowed is taken: the codes are then better than their gap can tell
        options = {"tolerance": 0.0, "max_steps": 120, "start": near}
        return lasso_with_gradient(w, matrix, penalty, threshold=threshold, **options).codes

    # gradcheck compares with finite differences of solutions found anew
    assert torch.autograd.gradcheck(solution, tensors, eps=1e-5, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_unrolled_and_implicit_gradients_meet_at_convergence(threshold):
    tensors = problem()
    implicit = lasso_with_gradient(*tensors, threshold=threshold, tolerance=1e-16)
    assert implicit.support_sizes.min() >= 1
    through = unrolled(*tensors, n_steps=800, threshold=threshold)
    torch.testing.assert_close(through, implicit.codes, rtol=0, atol=1e-7)
    for one, other in zip(gradients(through, tensors), gradients(implicit.codes, tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_an_orthogonal_dictionary_has_a_gradient_in_closed_form():
    matrix = torch.linalg.qr(problem(d=8, p=8)[1].detach())[0]
    w, _, penalty = problem()
    codes = lasso_with_gradient(w, matrix, penalty, tolerance=1e-16).codes
    exact = torch.nn.functional.relu((w @ matrix).abs() - penalty[:, None]) * (w @ matrix).sign()
    for one, other in zip(gradients(codes, (w, penalty)), gradients(exact, (w, penalty)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_a_scalar_penalty_and_leading_axes_have_gradients_too():
    w, matrix, _ = problem(n=6)
    penalty = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    codes = lasso_with_gradient(w.reshape(2, 3, 8), matrix, penalty, tolerance=1e-14).codes
    flat = lasso_with_gradient(w, matrix, penalty, tolerance=1e-14).codes
    assert codes.shape == (2, 3, 12)
    whole = gradients(codes, (w, matrix, penalty))
    rows = gradients(flat.reshape(2, 3, 12), (w, matrix, penalty))
    for one, other in zip(whole, rows, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_pair_of_functions_passes_gradients_to_what_it_is_made_of(threshold):
    w, matrix, penalty = problem()
    operator = LinearMap(lambda z: z @ matrix.T, lambda r: r @ matrix, 12)
    tensors = (w, matrix, penalty)
    dense = lasso_with_gradient(w, matrix, penalty, threshold=threshold, tolerance=1e-16).codes
    mapped = lasso_with_gradient(w, operator, penalty, threshold=threshold, tolerance=1e-16).codes
    for one, other in zip(gradients(dense, tensors), gradients(mapped, tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)
    dense = unrolled(w, matrix, penalty, n_steps=9, threshold=threshold)
    mapped = unrolled(w, operator, penalty, n_steps=9, threshold=threshold)
    for one, other in zip(gradients(dense, tensors), gradients(mapped, tensors), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_the_codes_are_not_changed_and_zero_codes_have_zero_gradients():
    tensors = problem()
    found = lasso(*tensors, tolerance=1e-10).codes
    assert not found.requires_grad
    assert torch.equal(attach_gradient(found, *tensors), found)
    w, matrix, _ = tensors
    for dictionary in (matrix, LinearMap(lambda z: z @ matrix.T, lambda r: r @ matrix, 12)):
        nothing = lasso_with_gradient(w, dictionary, 100.0).codes
        assert not nothing.any()
        assert not gradients(nothing, w)[0].any()
        empty = lasso_with_gradient(w[:0], dictionary, 0.1).codes
        assert empty.shape == (0, 12)
        empty.sum().backward()


def test_dependent_atoms_do_not_break_the_gradient():
    w, matrix, penalty = (tensor.detach() for tensor in problem())
    w.requires_grad_()
    twins = torch.cat([matrix, matrix], 1)
    double = lasso_with_gradient(w, twins, penalty, tolerance=1e-16).codes
    single = lasso_with_gradient(w, matrix, penalty, tolerance=1e-16).codes
    weight = weights(single)
    one = torch.autograd.grad((torch.cat([weight, weight], 1) * double).sum(), w)[0]
    other = torch.autograd.grad((weight * single).sum(), w)[0]
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_float32_gradients_follow_float64():
    tensors = problem(n=8, d=20, p=30)
    single = [tensor.detach().float().requires_grad_() for tensor in tensors]
    exact = lasso_with_gradient(*tensors, tolerance=1e-14).codes
    rounded = lasso_with_gradient(*single, tolerance=3e-6).codes
    assert torch.equal(exact != 0, rounded != 0)
    for one, other in zip(gradients(exact, tensors), gradients(rounded, single), strict=True):
        torch.testing.assert_close(one.float(), other, rtol=2e-2, atol=2e-2)


def test_momentum_beats_plain_steps_in_a_few_steps_and_homotopy_takes_any_share():
    w, matrix, _ = problem(n=10, d=20, p=40)
    best = lasso(w, matrix, 0.1, tolerance=1e-12).codes
    plain = unrolled(w, matrix, 0.1, n_steps=30, solver=ISTA())
    fast = unrolled(w, matrix, 0.1, n_steps=30)
    assert (fast - best).norm() < (plain - best).norm()
    assert unrolled(w, matrix, 0.1, n_steps=8, solver=Homotopy(n_stages=3)).isfinite().all()
    longer = unrolled(w, matrix, 0.1, n_steps=2000, solver=Homotopy(n_stages=7))
    torch.testing.assert_close(longer, best, rtol=0, atol=1e-5)


def test_a_norm_with_gradients_is_part_of_the_network():
    w, matrix, penalty = (tensor.detach() for tensor in problem(n=3, d=5, p=7))
    norm = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda norm: unrolled(w, matrix, penalty, n_steps=3, norm=norm), norm)


def test_bad_input():
    w, matrix, penalty = problem()
    with pytest.raises(ValueError, match=r"`n_steps` must be an integer >= 1, got 0"):
        unrolled(w, matrix, penalty, n_steps=0)
    with pytest.raises(ValueError, match=r"`n_steps` must be an integer >= 6, got 5"):
        unrolled(w, matrix, penalty, n_steps=5, solver=Homotopy())
    with pytest.raises(ValueError, match=r"`codes` must have shape \(4, 12\), got \(4, 11\)"):
        attach_gradient(torch.zeros(4, 11), w, matrix, penalty)
    with pytest.raises(ValueError, match=r"`penalty` must be a number >= 0"):
        lasso_with_gradient(w, matrix, -1.0)
