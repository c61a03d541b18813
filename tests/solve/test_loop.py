import pytest
import torch

from phasewave.solve.lbfgs import LBFGS
from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.solve.loop import Plateau, minimize
from phasewave.solve.result import Result, Status


def objective(x):
    x = x.detach().requires_grad_()
    losses = (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(-1)
    return losses.detach(), torch.autograd.grad(losses.sum(), x)[0]


def starts():
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_result_of_a_run():
    result = minimize(objective, starts(), tolerance=1e-6, max_evaluations=500)
    assert isinstance(result, Result)
    assert result.converged
    assert result.status == (Status.CONVERGED,) * 4
    assert result.value.shape == (4, 6)
    assert torch.equal(objective(result.value)[0], result.losses)
    assert (result.losses <= 1e-6).all()
    assert result.history.shape == (result.n_steps + 1, 4)
    assert max(result.n_evaluations) == result.n_steps + 1
    for index, count in enumerate(result.n_evaluations):
        # a sample stops at its first loss within the tolerance, and is not touched afterwards
        assert result.history[count - 1, index] <= 1e-6
        assert count == 1 or result.history[count - 2, index] > 1e-6
        assert (result.history[count - 1 :, index] == result.history[count - 1, index]).all()


def test_a_start_within_the_tolerance_costs_one_evaluation():
    result = minimize(objective, torch.ones(2, 6), tolerance=0.0, max_evaluations=500)
    assert result.converged
    assert result.n_evaluations == (1, 1)
    assert result.n_steps == 0
    assert torch.equal(result.value, torch.ones(2, 6))


def test_max_evaluations():
    result = minimize(objective, starts(), tolerance=0.0, max_evaluations=17)
    assert result.status == (Status.MAX_EVALUATIONS,) * 4
    assert result.n_evaluations == (17,) * 4
    assert not result.converged
    torch.testing.assert_close(objective(result.value)[0], result.losses, rtol=1e-14, atol=0.0)


def test_the_best_point_is_returned_even_inside_a_line_search():
    full = minimize(objective, starts(), tolerance=0.0, max_evaluations=25).history
    for limit in (1, 2, 9, 25):
        result = minimize(objective, starts(), tolerance=0.0, max_evaluations=limit)
        assert torch.equal(result.losses, full[limit - 1])
        torch.testing.assert_close(objective(result.value)[0], result.losses, rtol=1e-12, atol=0.0)


def test_a_callback_sees_everything_and_stops():
    seen = []

    def callback(progress):
        seen.append(progress)
        return progress.losses.max() < 1.0

    result = minimize(objective, starts(), tolerance=1e-9, max_evaluations=500, callback=callback)
    assert [max(progress.n_evaluations) for progress in seen] == list(range(1, len(seen) + 1))
    assert Status.INTERRUPTED in result.status
    assert set(result.status) <= {Status.INTERRUPTED, Status.CONVERGED}
    assert seen[0].status == (None,) * 4
    assert torch.equal(seen[-1].state.value, result.value)
    assert torch.equal(seen[-1].losses, result.losses)
    assert (result.losses < 1.0).all()
    assert len(seen) == len(result.history)


@pytest.mark.parametrize("n_before", [1, 2, 5, 23])
def test_a_resumed_run_is_the_uninterrupted_one(n_before):
    whole = minimize(objective, starts(), tolerance=1e-9, max_evaluations=500)
    last = []

    def stop(progress):
        last[:] = [progress.state.to_tensors()]
        return max(progress.n_evaluations) == n_before

    first = minimize(objective, starts(), tolerance=1e-9, max_evaluations=500, callback=stop)
    assert first.status == (Status.INTERRUPTED,) * 4
    state = LBFGSState.from_tensors(last[0])
    second = minimize(objective, None, tolerance=1e-9, max_evaluations=500, state=state)
    assert torch.equal(second.value, whole.value)
    assert torch.equal(second.history, whole.history)
    assert second.n_evaluations == whole.n_evaluations
    assert second.status == whole.status


def test_more_evaluations_can_be_granted_to_a_finished_run():
    states = []

    def callback(progress):
        states.append(progress.state)

    first = minimize(objective, starts(), tolerance=1e-9, max_evaluations=10, callback=callback)
    assert first.status == (Status.MAX_EVALUATIONS,) * 4
    second = minimize(objective, None, tolerance=1e-9, max_evaluations=500, state=states[-1])
    whole = minimize(objective, starts(), tolerance=1e-9, max_evaluations=500)
    assert torch.equal(second.value, whole.value)


def test_keyboard_interrupt_in_an_evaluation_keeps_the_last_state():
    reference = minimize(objective, starts(), tolerance=0.0, max_evaluations=6)
    calls = []

    def interrupted(x):
        calls.append(len(x))
        if len(calls) == 7:
            raise KeyboardInterrupt
        return objective(x)

    result = minimize(interrupted, starts(), tolerance=0.0, max_evaluations=500)
    assert result.status == (Status.INTERRUPTED,) * 4
    assert torch.equal(result.value, reference.value)
    assert torch.equal(result.history, reference.history)


def test_keyboard_interrupt_in_the_callback_keeps_the_last_state():
    def callback(progress):
        if max(progress.n_evaluations) == 6:
            raise KeyboardInterrupt

    result = minimize(objective, starts(), tolerance=0.0, max_evaluations=500, callback=callback)
    reference = minimize(objective, starts(), tolerance=0.0, max_evaluations=6)
    assert result.status == (Status.INTERRUPTED,) * 4
    assert torch.equal(result.value, reference.value)


def test_keyboard_interrupt_in_the_first_evaluation_is_passed_on():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimize(interrupted, starts(), tolerance=0.0, max_evaluations=500)


def test_errors_of_the_objective_are_passed_on():
    def broken(x):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        minimize(broken, starts(), tolerance=0.0, max_evaluations=500)


def test_a_solver_of_other_settings_is_used():
    few = minimize(objective, starts(), solver=LBFGS(history_size=1), tolerance=1e-9, max_evaluations=900)
    many = minimize(objective, starts(), solver=LBFGS(history_size=20), tolerance=1e-9, max_evaluations=900)
    # sample 3 ends in the other minimum of the function
    assert few.status[:3] == many.status[:3] == (Status.CONVERGED,) * 3
    assert sum(few.n_evaluations[:3]) > sum(many.n_evaluations[:3])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tolerance": -1.0}, ValueError, r"`tolerance` must be a number >= 0, got -1.0"),
        ({"tolerance": float("nan")}, ValueError, r"`tolerance` must be a number >= 0, got nan"),
        ({"max_evaluations": 0}, ValueError, r"`max_evaluations` must be an integer >= 1, got 0"),
        ({"max_evaluations": 1.5}, TypeError, r"`max_evaluations` must be an integer, got 1.5"),
        ({"x0": None}, ValueError, r"`x0` must be a real floating tensor of shape \(n, ...\), got None"),
        ({"x0": torch.ones(3)}, ValueError, r"`x0` must be a real floating tensor of shape \(n, ...\)"),
        ({"x0": torch.ones(3, 2, dtype=torch.int64)}, ValueError, r"`x0` must be a real floating tensor"),
    ],
)
def test_bad_arguments(arguments, error, message):
    arguments = {"x0": starts(), "tolerance": 1e-3, "max_evaluations": 5} | arguments
    with pytest.raises(error, match=message):
        minimize(objective, arguments.pop("x0"), **arguments)


def raised(x):
    """A least loss of 0.5."""
    losses, gradients = objective(x)
    return losses + 0.5, gradients


def test_a_loss_that_has_stopped_falling_low_enough_has_converged():
    plateau = Plateau(0.6, decrease=0.01, window=8)
    options = {"tolerance": 1e-6, "max_evaluations": 500}
    full = minimize(raised, starts(), **(options | {"max_evaluations": 60}))
    assert Status.CONVERGED not in full.status
    result = minimize(raised, starts(), plateau=plateau, **options)
    assert result.converged
    for index, count in enumerate(result.n_evaluations):
        losses = result.history[:count, index]
        assert 0.5 <= float(losses[-1]) <= 0.6
        assert count > 9
        assert losses[-1] >= 0.99 * losses[-9]
        # it is the first such, and the rest of the batch changes nothing of it
        assert losses[-2] > 0.6 or losses[-2] < 0.99 * losses[-10]
        alone = minimize(raised, starts()[index : index + 1], plateau=plateau, **options)
        assert torch.equal(alone.value[0], result.value[index])
        assert alone.n_evaluations == (count,)
    # too high a plateau is none, whatever its length
    high = minimize(raised, starts(), plateau=Plateau(0.4), **(options | {"max_evaluations": 60}))
    assert high.status == full.status


def test_a_sample_that_has_stalled_low_enough_has_converged():
    def bowl(x):
        return x.square().sum(-1) + 0.5, 2 * x

    options = {"tolerance": 1e-6, "max_evaluations": 500}
    assert minimize(bowl, starts(), **options).status == (Status.STALLED,) * 4
    result = minimize(bowl, starts(), plateau=Plateau(0.5 + 1e-9), **options)
    assert result.converged
    assert max(result.n_evaluations) <= 21


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": -1.0}, r"`loss` must be a number >= 0, got -1.0"),
        ({"loss": float("nan")}, r"`loss` must be a number >= 0, got nan"),
        ({"loss": 1.0, "decrease": 1.0}, r"`decrease` must lie between 0 and 1, got 1.0"),
        ({"loss": 1.0, "window": 0}, r"`window` must be .*>= 1, got 0"),
    ],
)
def test_bad_plateaus(arguments, message):
    with pytest.raises(ValueError, match=message):
        Plateau(**arguments)
