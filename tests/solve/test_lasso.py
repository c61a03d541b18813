import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso

from phasewave.solve.homotopy import Homotopy
from phasewave.solve.ista import FISTA, ISTA, SparseState
from phasewave.solve.lasso import lasso
from phasewave.solve.result import Status
from phasewave.solve.sparse_problem import (
    LinearMap,
    SparseProblem,
    duality_gap,
    largest_penalty,
    objective,
    shrink,
    spectral_norm,
)
from phasewave.solve.unrolled import unrolled

SOLVERS = [ISTA(), FISTA(), FISTA(restart=False), Homotopy(), Homotopy(ISTA(), n_stages=3)]
THRESHOLDS = ["signed", "positive"]


def dictionary(d=20, p=40, *, seed=0, dtype=torch.float64):
    matrix = torch.randn(d, p, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (matrix / matrix.norm(dim=0)).to(dtype)


def signals(*batch, d=20, seed=1, dtype=torch.float64):
    return torch.randn(*batch, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("share", [0.5, 0.1, 0.02])
def test_the_codes_are_those_of_scikit_learn(threshold, share):
    matrix, w = dictionary(), signals(6)
    penalty = share * largest_penalty(w, matrix, threshold=threshold)
    result = lasso(w, matrix, penalty, threshold=threshold, tolerance=1e-14)
    assert result.converged
    for one, level, codes in zip(w, penalty, result.codes, strict=True):
        # scikit-learn divides the squares by the number of rows of the dictionary
        peer = Lasso(
            alpha=float(level) / 20,
            fit_intercept=False,
            positive=threshold == "positive",
            tol=1e-14,
            max_iter=200_000,
        ).fit(matrix.numpy(), one.numpy())
        np.testing.assert_allclose(codes.numpy(), peer.coef_, rtol=0, atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_every_solver_ends_at_the_solution(solver, threshold):
    matrix, w = dictionary(), signals(5)
    reference = lasso(w, matrix, 0.5, threshold=threshold, tolerance=1e-15)
    result = lasso(w, matrix, 0.5, threshold=threshold, solver=solver, tolerance=1e-12)
    assert result.converged
    torch.testing.assert_close(result.codes, reference.codes, rtol=0, atol=1e-6)
    assert torch.equal(result.support_sizes, reference.support_sizes)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_an_orthogonal_dictionary_has_a_closed_form(threshold):
    matrix = torch.linalg.qr(signals(20))[0]
    w = signals(3, 4)
    penalty = torch.linspace(0.1, 1.0, 4, dtype=torch.float64)
    result = lasso(w, matrix, penalty, threshold=threshold, tolerance=1e-15)
    exact = shrink(w @ matrix, penalty[:, None], threshold)
    torch.testing.assert_close(result.codes, exact, rtol=0, atol=1e-7)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_optimality_holds_coefficient_by_coefficient(threshold):
    matrix, w = dictionary(), signals(8)
    codes = lasso(w, matrix, 0.3, threshold=threshold, tolerance=1e-15).codes
    correlation = (w - codes @ matrix.T) @ matrix
    on = codes != 0
    torch.testing.assert_close(correlation[on], 0.3 * codes.sign()[on], rtol=0, atol=1e-7)
    rest = correlation[~on] if threshold == "positive" else correlation[~on].abs()
    assert rest.max() <= 0.3 + 1e-7
    if threshold == "positive":
        assert codes.min() >= 0


def test_planted_supports_are_found_under_the_coherence_condition():
    # s < (1 + 1/mu) / 2: every lambda above |M^T noise| / (1 - ...) keeps the support inside, and the
    # coefficients that stand out by more than the shrinkage are all there
    eye = torch.eye(128, dtype=torch.float64)
    k = torch.arange(128, dtype=torch.float64)
    cosines = (2 / 128) ** 0.5 * torch.cos(torch.pi * (k[:, None] + 0.5) * k / 128)
    cosines[:, 0] /= 2**0.5
    matrix = torch.cat([eye, cosines], 1)
    gram = (matrix.T @ matrix - torch.eye(256, dtype=torch.float64)).abs()
    s = 4
    assert s < 0.5 * (1 + 1 / gram.max())
    g = torch.Generator().manual_seed(3)
    planted = torch.zeros(30, 256, dtype=torch.float64)
    for row in planted:
        place = torch.randperm(256, generator=g)[:s]
        row[place] = (1 + torch.rand(s, generator=g, dtype=torch.float64)) * (
            2 * torch.randint(0, 2, (s,), generator=g) - 1
        )
    result = lasso(planted @ matrix.T, matrix, 0.05, tolerance=1e-12)
    assert torch.equal(result.codes != 0, planted != 0)
    assert torch.equal(result.codes.sign(), planted.sign())
    assert (result.codes - planted).abs().max() <= 0.05 / (1 - (s - 1) * gram.max())


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_gap_bounds_the_suboptimality_at_any_point(threshold):
    matrix, w = dictionary(), signals(7)
    least = objective(lasso(w, matrix, 0.2, threshold=threshold, tolerance=1e-15).codes, w, matrix, 0.2)
    codes = shrink(signals(50, 7, d=40, seed=4), 0.5, threshold)
    for point in (codes, 0.1 * codes, torch.zeros_like(codes)):
        gap = duality_gap(point, w.expand(50, 7, 20), matrix, 0.2, threshold=threshold)
        excess = objective(point, w.expand(50, 7, 20), matrix, 0.2) - least
        assert (gap >= excess - 1e-12).all()
        assert excess.min() > 0
    # and it closes at the solution, where a bound that is always large would not
    near = lasso(w, matrix, 0.2, threshold=threshold, tolerance=1e-10)
    assert (near.gaps <= 1e-10).all()
    gap = duality_gap(near.codes, w, matrix, 0.2, threshold=threshold)
    torch.testing.assert_close(near.gaps, gap / (0.5 * w.square().sum(-1)), rtol=1e-3, atol=1e-15)


def test_the_gap_is_that_of_the_dual_written_out():
    matrix, w = dictionary(), signals(3)
    codes = 0.1 * signals(3, d=40, seed=2)
    residual = w - codes @ matrix.T
    shares = torch.linspace(0, 2, 20001, dtype=torch.float64)[:, None]
    bound = 0.7 / (residual @ matrix).abs().amax(-1)
    dual = shares * (w * residual).sum(-1) - 0.5 * shares**2 * residual.square().sum(-1)
    best = torch.where(shares <= bound, dual, -torch.inf).amax(0)
    exact = objective(codes, w, matrix, 0.7) - best
    torch.testing.assert_close(duality_gap(codes, w, matrix, 0.7), exact, rtol=1e-3, atol=0)


@pytest.mark.parametrize("solver", [ISTA(), FISTA(), Homotopy()], ids=str)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_sample_does_not_know_its_batch(solver, threshold):
    matrix, w = dictionary(), signals(6)
    w[2] *= 100.0
    penalty = torch.tensor([0.6, 0.2, 1.0, 0.5, 0.3, 5.0], dtype=torch.float64)
    options = {"threshold": threshold, "solver": solver, "tolerance": 1e-3}
    together = lasso(w, matrix, penalty, **options)
    assert len(set(together.n_steps.tolist())) > 2  # they end at different times
    for index in range(6):
        alone = lasso(w[index], matrix, penalty[index], **options)
        assert alone.codes.shape == (40,)
        assert alone.n_steps == together.n_steps[index]
        torch.testing.assert_close(alone.codes, together.codes[index], rtol=1e-10, atol=1e-12)
    backwards = lasso(w.flip(0), matrix, penalty.flip(0), **options)
    torch.testing.assert_close(backwards.codes.flip(0), together.codes, rtol=1e-10, atol=1e-12)


def test_finished_samples_are_not_worked_on():
    matrix, w = dictionary(), signals(4)
    penalty = torch.tensor([10.0, 0.5, 0.01, 10.0], dtype=torch.float64)
    rows = []

    def apply(codes):
        rows.append(len(codes))
        return codes @ matrix.T

    operator = LinearMap(apply, lambda r: r @ matrix, 40)
    result = lasso(w, operator, penalty, norm=float(spectral_norm(matrix)[0]), tolerance=1e-10)
    assert result.n_steps.tolist()[0] == result.n_steps.tolist()[3] == 0
    assert rows[0] == 4
    assert sum(rows[1:]) == int(result.n_steps.sum())


def test_leading_axes_and_penalties_of_each_sample():
    matrix, w = dictionary(), signals(2, 3)
    penalty = torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64)
    result = lasso(w, matrix, penalty)
    assert result.codes.shape == (2, 3, 40)
    assert result.gaps.shape == result.n_steps.shape == result.support_sizes.shape == (2, 3)
    assert len(result.status) == 6
    for index, level in enumerate((0.1, 0.2, 0.4)):
        alone = lasso(w[:, index], matrix, level)
        torch.testing.assert_close(alone.codes, result.codes[:, index], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_float32_follows_float64(threshold):
    matrix, w = dictionary(), signals(10)
    exact = lasso(w, matrix, 0.3, threshold=threshold, tolerance=1e-14)
    single = lasso(w.float(), matrix.float(), 0.3, threshold=threshold)
    assert single.converged
    assert single.codes.dtype == single.gaps.dtype == torch.float32
    least = objective(exact.codes, w, matrix, 0.3)
    excess = objective(single.codes.double(), w, matrix, 0.3) - least
    assert (excess <= 1.1e-5 * 0.5 * w.square().sum(-1)).all()
    # asked for more than its rounding allows, it says so and ends
    finest = lasso(w.float(), matrix.float(), 0.3, threshold=threshold, tolerance=0.0, max_steps=100_000)
    assert Status.STALLED in finest.status
    assert Status.MAX_EVALUATIONS not in finest.status
    torch.testing.assert_close(finest.codes.double(), exact.codes, rtol=0, atol=2e-5)


def test_edges():
    matrix, w = dictionary(), signals(4)
    empty = lasso(w[:0], matrix, 0.1)
    assert empty.codes.shape == (0, 40)
    assert empty.converged
    assert empty.status == ()
    assert lasso(w[:0], matrix, 0.1, solver=Homotopy()).codes.shape == (0, 40)
    # a dead atom is never used and harms nobody
    dead = matrix.clone()
    dead[:, 7] = 0.0
    result = lasso(w, dead, 0.1, tolerance=1e-12)
    assert result.converged
    assert not result.codes[:, 7].any()
    others = torch.arange(40) != 7
    alone = lasso(w, matrix[:, others], 0.1, tolerance=1e-12)
    torch.testing.assert_close(alone.codes, result.codes[:, others], rtol=0, atol=1e-5)
    # nothing but dead atoms; a signal that is 0
    assert not lasso(w, torch.zeros_like(matrix), 0.1).codes.any()
    for solver in (FISTA(), Homotopy()):
        nothing = lasso(torch.zeros_like(w), matrix, 0.1, solver=solver)
        assert nothing.converged
        assert not nothing.codes.any()
    # without a penalty: a signal in the span is met exactly
    exact = lasso(w, matrix, 0.0, tolerance=1e-12)
    assert exact.converged
    torch.testing.assert_close(exact.codes @ matrix.T, w, rtol=0, atol=1e-5)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_above_the_largest_penalty_codes_are_zero_and_below_they_are_not(threshold):
    matrix, w = dictionary(), signals(9)
    largest = largest_penalty(w, matrix, threshold=threshold)
    correlation = w @ matrix
    expected = correlation.abs().amax(-1) if threshold == "signed" else correlation.amax(-1)
    torch.testing.assert_close(largest, expected)
    for solver in (FISTA(), Homotopy()):
        above = lasso(w, matrix, 1.0001 * largest, threshold=threshold, solver=solver)
        assert above.converged
        assert not above.codes.any()
        assert not above.n_steps.any()
    below = lasso(w, matrix, 0.999 * largest, threshold=threshold, tolerance=1e-12)
    assert (below.support_sizes >= 1).all()


def test_signals_all_of_whose_correlations_are_negative_have_positive_code_zero():
    matrix = dictionary().abs()
    w = -signals(3).abs()
    assert not largest_penalty(w, matrix, threshold="positive").any()
    for solver in (FISTA(), Homotopy()):
        result = lasso(w, matrix, 0.0, threshold="positive", solver=solver)
        assert result.converged
        assert not result.codes.any()


def test_a_warm_start_saves_steps_and_ends_at_the_same_point():
    matrix, w = dictionary(), signals(5)
    cold = lasso(w, matrix, 0.1, tolerance=1e-12)
    near = lasso(w, matrix, 0.105, tolerance=1e-12)
    warm = lasso(w, matrix, 0.1, tolerance=1e-12, start=near.codes)
    assert warm.n_steps.sum() < cold.n_steps.sum()
    torch.testing.assert_close(warm.codes, cold.codes, rtol=0, atol=1e-5)
    again = lasso(w, matrix, 0.1, tolerance=1.1e-12, start=cold.codes)
    assert not again.n_steps.any()
    assert torch.equal(again.codes, cold.codes)


def test_restarts_pay_and_plain_steps_never_go_up():
    matrix, w = dictionary(), signals(10)
    steps = {
        solver: lasso(w, matrix, 0.2, solver=solver, tolerance=1e-6).n_steps.sum()
        for solver in (ISTA(), FISTA(), FISTA(restart=False))
    }
    assert steps[FISTA()] < steps[FISTA(restart=False)] < steps[ISTA()]
    values = [
        objective(unrolled(w, matrix, 0.02, n_steps=n, solver=ISTA()), w, matrix, 0.02) for n in range(1, 30)
    ]
    assert (torch.stack(values).diff(dim=0) <= 1e-14).all()


def test_steps_used_up_are_reported():
    matrix, w = dictionary(), signals(3)
    result = lasso(w, matrix, 0.01, tolerance=1e-14, max_steps=15)
    assert result.status == (Status.MAX_EVALUATIONS,) * 3
    assert result.n_steps.tolist() == [20] * 3
    assert not result.converged
    assert (result.gaps > 1e-14).all()


def test_the_power_iteration_comes_from_below_and_starts_warm():
    matrix = dictionary(60, 100)
    exact = torch.linalg.matrix_norm(matrix, 2)
    norm, vector = spectral_norm(matrix)
    assert 0.99 * exact <= norm <= exact * (1 + 1e-12)
    longer, _ = spectral_norm(matrix, vector, n_steps=1000)
    torch.testing.assert_close(longer, exact, rtol=1e-8, atol=0)
    moved = matrix + 1e-3 * signals(60, d=100)
    warm, _ = spectral_norm(moved, vector, n_steps=2)
    assert warm >= 0.99 * torch.linalg.matrix_norm(moved, 2)
    assert spectral_norm(torch.zeros(3, 4))[0] == 0.0
    operator = LinearMap(lambda z: z @ matrix.T, lambda r: r @ matrix, 100)
    torch.testing.assert_close(spectral_norm(operator, vector)[0], spectral_norm(matrix, vector)[0])


def test_a_convolutional_dictionary_as_a_pair_of_functions():
    kernels = signals(3, 5, d=7, seed=5).reshape(3, 1, 35)[:, :, :9]

    def apply(codes):
        return torch.nn.functional.conv_transpose1d(codes.reshape(-1, 3, 20), kernels).flatten(1)

    def adjoint(rows):
        return torch.nn.functional.conv1d(rows[:, None], kernels).flatten(1)

    matrix = apply(torch.eye(60, dtype=torch.float64)).T
    w = signals(4, d=28)
    operator = LinearMap(apply, adjoint, 60)
    for solver in (FISTA(), Homotopy()):
        mapped = lasso(w, operator, 0.5, solver=solver, tolerance=1e-12)
        dense = lasso(w, matrix, 0.5, solver=solver, tolerance=1e-12)
        assert mapped.converged
        torch.testing.assert_close(mapped.codes, dense.codes, rtol=1e-8, atol=1e-10)


def test_steps_are_pure():
    matrix, w = dictionary(), signals(3)
    problem = SparseProblem.of(w, matrix, 0.1)
    step = torch.tensor(0.1, dtype=torch.float64)
    state = SparseState.at(problem, torch.zeros(3, 40, dtype=torch.float64), step)
    for _ in range(5):
        state = FISTA().step(problem, state, step)
    before = {name: value.clone() for name, value in vars(state).items()}
    first, second = FISTA().step(problem, state, step), FISTA().step(problem, state, step)
    for name, value in vars(state).items():
        assert torch.equal(value, before[name])
        assert torch.equal(vars(first)[name], vars(second)[name])


NAN = torch.tensor([[float("nan")] * 20], dtype=torch.float64)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"signals": NAN}, ValueError, r"`signals` must be finite, got 20 NaN"),
        ({"dictionary": NAN.T}, ValueError, r"`dictionary` must be finite"),
        ({"penalty": torch.tensor(float("nan"))}, ValueError, r"`penalty` must be finite"),
        ({"penalty": -0.1}, ValueError, r"`penalty` must be a number >= 0, got -0.1"),
        ({"penalty": float("nan")}, ValueError, r"`penalty` must be a number >= 0"),
        ({"penalty": torch.tensor([-0.5])}, ValueError, r"`penalty` must be >= 0, got -0.5"),
        ({"penalty": torch.ones(3)}, ValueError, r"`penalty` must be a number or broadcast to the samples \(2,\)"),
        ({"signals": [1.0]}, TypeError, r"`signals` must be a torch.Tensor, got list"),
        ({"signals": torch.ones(2, 20, dtype=torch.int64)}, TypeError, r"torch.float32 or torch.float64"),
        ({"signals": torch.ones(2, 20)}, TypeError, r"`dictionary` must be of dtype torch.float32"),
        ({"signals": torch.ones(2, 19).double()}, ValueError, r"`dictionary` must have shape \(19, p\)"),
        ({"dictionary": torch.ones(20).double()}, ValueError, r"`dictionary` must have shape \(20, p\)"),
        ({"dictionary": None}, TypeError, r"`dictionary` must be a tensor or a LinearMap, got NoneType"),
        ({"threshold": "soft"}, ValueError, r"`threshold` must be one of 'signed', 'positive', got 'soft'"),
        ({"tolerance": -1.0}, ValueError, r"`tolerance` must be a number >= 0"),
        ({"max_steps": 0}, ValueError, r"`max_steps` must be an integer >= 1, got 0"),
        ({"start": torch.zeros(40)}, ValueError, r"`start` must have shape \(2, 40\), got \(40,\)"),
        ({"norm": 0.0}, ValueError, r"`norm` must be a number > 0"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"signals": signals(2), "dictionary": dictionary(), "penalty": 0.1} | change
    with pytest.raises(error, match=message):
        lasso(**arguments)


def test_bad_settings():
    with pytest.raises(ValueError, match=r"`n_stages` must be an integer >= 1, got 0"):
        Homotopy(n_stages=0)
    with pytest.raises(ValueError, match=r"`tolerance` must be a number > 0"):
        Homotopy(tolerance=0.0)
    with pytest.raises(ValueError, match=r"`n_atoms` must be an integer >= 1"):
        LinearMap(torch.clone, torch.clone, 0)
    with pytest.raises(ValueError, match=r"`start` must be a vector \(4,\), got None"):
        spectral_norm(LinearMap(torch.clone, torch.clone, 4))
    with pytest.raises(ValueError, match=r"`n_steps` must be an integer >= 1"):
        spectral_norm(dictionary(), n_steps=0)
    with pytest.raises(ValueError, match=r"`codes` must have shape \(..., 40\), one for each of 2 signals"):
        duality_gap(torch.zeros(2, 39).double(), signals(2), dictionary(), 0.1)
