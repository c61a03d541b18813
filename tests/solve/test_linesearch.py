import math

import pytest

from phasewave.solve.linesearch import LineSearch

CONSTANTS = {"c1": 1e-4, "c2": 0.9, "noise": 0.0}


def run(function, slope, *, step=1.0, c2=0.9, max_trials=20, noise=0.0):
    """Search along phi; return the finished search and the steps tried."""
    search = LineSearch.begin(function(0.0), slope(0.0), step)
    steps = []
    while not (search.accepted or search.failed):
        steps.append(search.step)
        search = search.advance(
            function(search.step), slope(search.step), c1=1e-4, c2=c2, max_trials=max_trials, noise=noise
        )
    return search, steps


def test_a_good_unit_step_costs_one_evaluation():
    search, steps = run(lambda a: (a - 1.2) ** 2, lambda a: 2 * (a - 1.2))
    assert search.accepted
    assert steps == [1.0]
    assert search.low.step == 1.0


@pytest.mark.parametrize("minimum", [1e-6, 1e-3, 0.3, 1.0, 30.0, 1e4])
def test_the_minimum_of_a_parabola_is_found_by_interpolation(minimum):
    search, steps = run(lambda a: (a - minimum) ** 2, lambda a: 2 * (a - minimum), c2=1e-3)
    assert search.accepted
    assert search.low.step == pytest.approx(minimum, rel=1e-3)
    assert len(steps) <= 7


@pytest.mark.parametrize("minimum", [0.05, 0.7, 5.0, 80.0])
@pytest.mark.parametrize("c2", [0.9, 0.1, 1e-3])
def test_strong_wolfe_conditions_hold_on_more_thuente_function(minimum, c2):
    # -a / (a^2 + 2), stretched so that its minimum sqrt(2) lies at `minimum`
    scale = math.sqrt(2.0) / minimum

    def phi(a):
        return -scale * a / ((scale * a) ** 2 + 2)

    def slope(a):
        return scale * ((scale * a) ** 2 - 2) / ((scale * a) ** 2 + 2) ** 2

    search, _ = run(phi, slope, c2=c2)
    assert search.accepted
    found = search.low
    assert found.loss == phi(found.step)
    assert found.loss <= phi(0.0) + 1e-4 * found.step * slope(0.0)
    assert abs(slope(found.step)) <= c2 * abs(slope(0.0))


def test_oscillating_function():
    def phi(a):
        return (a - 3) ** 2 + 0.5 * math.sin(15 * a)

    def slope(a):
        return 2 * (a - 3) + 7.5 * math.cos(15 * a)

    search = LineSearch.begin(phi(0.25), slope(0.25), 4.0)
    for _ in range(30):
        search = search.advance(
            phi(0.25 + search.step), slope(0.25 + search.step), c1=1e-4, c2=0.1, max_trials=30, noise=0.0
        )
        if search.accepted:
            break
    assert search.accepted
    assert abs(slope(0.25 + search.low.step)) <= 0.1 * abs(slope(0.25))
    assert phi(0.25 + search.low.step) < phi(0.25)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_wall_of_not_finite_values_is_backed_away_from(bad):
    def phi(a):
        return bad if a > 0.01 else (a - 0.005) ** 2

    def slope(a):
        return bad if a > 0.01 else 2 * (a - 0.005)

    search, steps = run(phi, slope, step=1.0)
    assert search.accepted
    assert 0.0 < search.low.step <= 0.01
    assert len(steps) <= 5


def test_a_finite_loss_with_a_bad_slope_is_not_accepted():
    search = LineSearch.begin(1.0, -1.0, 1.0).advance(0.1, math.nan, max_trials=20, **CONSTANTS)
    assert not search.accepted
    assert search.low.step == 0.0
    assert 0.0 < search.step < 1.0


def test_rounding_noise_is_accepted_by_slopes_alone():
    # the loss is flat to rounding and even rises by an ulp, the slope tells that the step is good
    start = LineSearch.begin(1.0, -1e-9, 1.0)
    exact = start.advance(1.0 + 1e-16, -1e-11, max_trials=20, **CONSTANTS)
    assert exact.accepted  # 1 + 1e-16 == 1: the decrease asked for is below an ulp too
    above = start.advance(1.0 + 1e-12, -1e-11, max_trials=20, **CONSTANTS)
    assert not above.accepted
    noisy = start.advance(1.0 + 1e-12, -1e-11, max_trials=20, c1=1e-4, c2=0.9, noise=1e-11)
    assert noisy.accepted
    assert noisy.low.step == 1.0


def test_failure_keeps_the_best_step():
    # an ever steeper descent is never acceptable to the curvature condition
    search, steps = run(lambda a: -(a**2) - a, lambda a: -2 * a - 1, max_trials=4)
    assert search.failed
    assert not search.accepted
    assert len(steps) == 4
    assert steps == sorted(steps)
    assert search.low.step == steps[-1]


def test_an_ascent_fails_without_a_step():
    # the slope at 0 lies: the function rises everywhere
    search, _ = run(lambda a: a, lambda a: 1.0 if a > 0 else -1.0, max_trials=12)
    assert search.failed
    assert search.low.step == 0.0
