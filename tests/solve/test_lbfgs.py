import math

import pytest
import torch

from phasewave.solve.lbfgs import LBFGS
from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.solve.loop import minimize
from phasewave.solve.result import Status


def rosenbrock(x):
    x = x.flatten(1)
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(-1)


def objective(loss):
    def value_and_gradient(x):
        # sample by sample, so that the objective itself does not know the batch
        values, gradients = [], []
        for one in x:
            one = one.detach()[None].requires_grad_()
            value = loss(one)
            values.append(value.detach()[0])
            gradients.append(torch.autograd.grad(value.sum(), one)[0][0])
        return torch.stack(values), torch.stack(gradients)

    return value_and_gradient


def starts(n=5, shape=(3, 7), dtype=torch.float64):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def advanced(n_steps, x0, solver=None, loss=rosenbrock):
    solver = LBFGS() if solver is None else solver
    state = solver.init(objective(loss), x0)
    for _ in range(n_steps):
        state = solver.step(objective(loss), state)
    return state


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sample_does_not_know_its_batch(dtype):
    x0 = starts(dtype=dtype)
    together = advanced(40, x0)
    for index in range(5):
        alone = advanced(40, x0[index : index + 1])
        assert torch.equal(alone.value[0], together.value[index])
        assert torch.equal(alone.history[:, 0], together.history[:, index])
    shuffled = advanced(40, x0.flip(0))
    assert torch.equal(shuffled.value.flip(0), together.value)


def test_inactive_samples_are_neither_evaluated_nor_changed():
    x0 = starts()
    seen = []

    def counting(x):
        seen.append(len(x))
        return objective(rosenbrock)(x)

    solver = LBFGS()
    state = solver.init(counting, x0)
    later = solver.step(counting, state, active=[True, False, True, False, False])
    assert seen == [5, 2]
    assert later.n_evaluations == (2, 1, 2, 1, 1)
    for index in (1, 3, 4):
        assert later.samples[index] is state.samples[index]
    assert solver.step(counting, state, active=[False] * 5).samples == state.samples
    assert seen == [5, 2]


def test_steps_are_pure():
    x0 = starts()
    solver = LBFGS()
    state = advanced(12, x0)
    before = {name: tensor.clone() for name, tensor in state.to_tensors().items()}
    first = solver.step(objective(rosenbrock), state)
    second = solver.step(objective(rosenbrock), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in state.to_tensors().items())
    for name, tensor in first.to_tensors().items():
        assert torch.equal(tensor, second.to_tensors()[name]), name
    assert torch.equal(x0, starts())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_before", [0, 1, 2, 9, 33])
def test_state_survives_a_round_trip_through_tensors(n_before, dtype, tmp_path):
    solver = LBFGS(history_size=6)
    state = advanced(n_before, starts(dtype=dtype), solver)
    torch.save(state.to_tensors(), tmp_path / "state.pt")
    tensors = torch.load(tmp_path / "state.pt", weights_only=True)
    restored = LBFGSState.from_tensors(tensors)
    here = there = None
    for _ in range(15):
        state = solver.step(objective(rosenbrock), state)
        restored = solver.step(objective(rosenbrock), restored)
        here, there = state.to_tensors(), restored.to_tensors()
        assert here.keys() == there.keys()
    for name, tensor in here.items():
        assert tensor.dtype == there[name].dtype
        assert torch.equal(tensor, there[name]), name


def test_a_search_still_bracketing_survives_the_round_trip():
    # an infinite, slopeless end of the bracket is stored as it is
    def wall(x):
        return torch.where(x.abs().amax((1, 2)) < 3, ((x - 5) ** 2).sum((1, 2)), torch.nan)

    state = advanced(1, starts().clamp(-2.9, 2.9), loss=wall)
    highs = [sample.search.high for sample in state.samples]
    assert any(high is not None and math.isinf(high.loss) for high in highs)
    restored = LBFGSState.from_tensors(state.to_tensors())
    assert torch.equal(advanced_from(state, 10, wall).value, advanced_from(restored, 10, wall).value)


def advanced_from(state, n_steps, loss):
    for _ in range(n_steps):
        state = LBFGS().step(objective(loss), state)
    return state


def test_a_foreign_dictionary_is_refused():
    with pytest.raises(ValueError, match=r"`tensors` must be what LBFGSState.to_tensors returns"):
        LBFGSState.from_tensors({"history": torch.zeros(1, 2)})


def test_the_memory_is_bounded_and_positive():
    state = advanced(40, starts(), LBFGS(history_size=4))
    for sample in state.samples:
        assert len(sample.pairs) == 4
        assert all((pair.step * pair.change).sum() > 0 for pair in sample.pairs)


def test_the_direction_is_that_of_the_dense_bfgs_formula():
    # H_0 = gamma I, then H <- (I - s y'/y's) H (I - y s'/y's) + s s'/y's for every pair
    sample = advanced(9, starts(1, (6,))).samples[0]
    assert len(sample.pairs) >= 3
    s, y, _ = sample.pairs[-1]
    inverse = torch.eye(6, dtype=torch.float64) * (s @ y) / (y @ y)
    for s, y, _ in sample.pairs:
        left = torch.eye(6, dtype=torch.float64) - torch.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + torch.outer(s, s) / (s @ y)
    torch.testing.assert_close(sample.direction, -inverse @ sample.gradient, rtol=1e-10, atol=1e-12)


def test_a_stationary_start_and_a_bad_start_stall_without_hurting_others():
    def loss(x):
        return (x**2).sum((1, 2)) + 1.0

    x0 = starts()
    x0[1] = 0.0
    x0[3] = torch.nan
    result = minimize(objective(loss), x0, tolerance=1.0 + 1e-9, max_evaluations=50)
    assert result.status[3] is Status.STALLED
    assert result.n_evaluations[3] == 1
    assert math.isnan(result.losses[3])
    assert [result.status[i] for i in (0, 1, 2, 4)] == [Status.CONVERGED] * 4
    stuck = minimize(objective(loss), x0, tolerance=0.5, max_evaluations=300)
    assert stuck.status == (Status.STALLED,) * 5
    assert stuck.n_evaluations[1] == 1
    assert max(stuck.n_evaluations) < 60
    assert torch.allclose(stuck.losses[[0, 1, 2, 4]], torch.ones(4, dtype=torch.float64))


def test_nan_and_inf_trials_are_backed_away_from():
    # log barrier: not a number outside of the unit ball, and the start is next to its edge
    def loss(x):
        return -torch.log(1 - (x**2).sum((1, 2))) + ((x - 0.1) ** 2).sum((1, 2))

    x0 = starts()
    x0 = 0.9999 * x0 / x0.flatten(1).norm(dim=1)[:, None, None]
    barrier = minimize(objective(loss), x0, tolerance=0.0, max_evaluations=300)
    assert barrier.losses.isfinite().all()
    assert set(barrier.status) == {Status.STALLED}
    # symmetric: x = c (1, .., 1), 21 c^2 = s: the minimum in c by a fine scan
    c = torch.linspace(0.0, 0.1, 200_001, dtype=torch.float64)
    exact = (-torch.log(1 - 21 * c**2) + 21 * (c - 0.1) ** 2).min()
    torch.testing.assert_close(barrier.losses, exact.expand(5), rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("condition", [3.0, 30.0])
def test_float32_reaches_the_rounding_floor_of_a_sum_of_squares(condition):
    # residuals A x - b of order one at the start: the loss can reach (eps |b|)^2 but no less
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(64, 64, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(64, 64, generator=generator, dtype=torch.float64))
    matrix = (left * torch.logspace(0, -math.log10(condition), 64, dtype=torch.float64)) @ right
    target = matrix @ torch.randn(64, generator=generator, dtype=torch.float64)
    matrix, target = matrix.float(), target.float()

    def loss(x):
        return ((x @ matrix.T - target) ** 2).sum(-1) / (target**2).sum()

    x0 = torch.randn(2, 64, generator=generator)
    result = minimize(objective(loss), x0, tolerance=1e-11, max_evaluations=400)
    assert result.converged
    floor = minimize(objective(loss), x0, tolerance=0.0, max_evaluations=600)
    assert set(floor.status) == {Status.STALLED}
    assert (floor.losses < 1e-12).all()


def test_history_never_rises():
    state = advanced(60, starts())
    assert state.history.shape == (61, 5)
    assert (state.history.diff(dim=0) <= 0).all()
    assert torch.equal(state.history[-1], state.losses)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"history_size": 0}, r"`history_size` must be an integer >= 1, got 0"),
        ({"max_line_search": 0}, r"`max_line_search` must be an integer >= 1, got 0"),
        ({"patience": 0}, r"`patience` must be an integer >= 1, got 0"),
        ({"c1": 0.5, "c2": 0.4}, r"`c1, c2` must satisfy 0 < c1 < c2 < 1, got \(0.5, 0.4\)"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        LBFGS(**arguments)


def test_an_objective_of_wrong_shapes_is_named():
    with pytest.raises(ValueError, match=r"`objective` must return losses \(5,\) and gradients \(5, 3, 7\)"):
        LBFGS().init(lambda x: (x.sum(), x), starts())
