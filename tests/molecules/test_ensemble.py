import numpy as np
import pytest
from sklearn.base import clone

from phasewave.molecules.ensemble import EnsembleRegressor, _calibrate, calibration_curve
from phasewave.molecules.multilinear import MultilinearRidge
from phasewave.molecules.ridge import LeaveOneOutRidge


def problem(n_rows, noise, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 5))
    return X, X @ np.arange(1.0, 6.0) + noise * rng.normal(size=n_rows)


@pytest.mark.parametrize("noise", [0.01, 3.0])
def test_known_noise_is_the_deviation_predicted(noise):
    X, y = problem(2000, noise)
    model = EnsembleRegressor().fit(X, y)
    X, y = problem(4000, noise, seed=1)
    mean, std = model.predict(X, return_std=True)
    assert np.sqrt((std**2).mean()) == pytest.approx(noise, rel=0.15)
    curve = calibration_curve(y, mean, std)
    assert abs(curve.within_one - 0.683) < 0.06
    assert abs(curve.within_two - 0.954) < 0.03
    assert curve.error < 0.04


def test_factor_and_floor_of_known_errors_are_found():
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.1, 2.0, 50_000)
    errors = rng.normal(size=50_000) * np.hypot(0.5, 3.0 * spread)
    factor, floor = _calibrate(errors, spread)
    assert factor == pytest.approx(3.0, rel=0.03)
    assert floor == pytest.approx(0.5, rel=0.15)


def test_far_rows_are_less_certain():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(300, 3))
    model = EnsembleRegressor(estimator=MultilinearRidge(n_terms=50), n_members=8).fit(X, np.exp(X.sum(1)))
    _, near = model.predict(X, return_std=True)
    _, far = model.predict(4 * X, return_std=True)
    assert far.mean() > 3 * near.mean()


def test_mean_of_members():
    X, y = problem(100, 1.0)
    model = EnsembleRegressor(n_members=3, calibration_fraction=0.0).fit(X, y)
    members = np.stack([member.predict(X) for member in model.members_])
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean, members.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(std, members.std(axis=0, ddof=1), rtol=1e-14)
    assert (model.factor_, model.floor_, model.calibration_) == (1.0, 0.0, None)


def test_the_template_is_left_as_it_was():
    template = LeaveOneOutRidge(alphas=[1.0])
    before = clone(template).get_params()
    EnsembleRegressor(estimator=template).fit(*problem(60, 1.0))
    assert template.get_params() == before
    assert not hasattr(template, "weights_")


def test_restored_deviations_are_the_same_bits():
    X, y = problem(60, 1.0)
    model = EnsembleRegressor().fit(X, y)
    restored = EnsembleRegressor.from_state({}, model.state())
    for ours, theirs in zip(model.predict(X, return_std=True), restored.predict(X, return_std=True), strict=True):
        assert np.array_equal(ours, theirs)


def test_calibration_curve_of_a_normal_law_and_of_half_the_deviation():
    errors = np.random.default_rng(0).normal(size=100_000)
    right = calibration_curve(errors, np.zeros(100_000), np.ones(100_000))
    assert (round(right.within_one, 2), round(right.within_two, 2)) == (0.68, 0.95)
    assert right.error < 0.005
    np.testing.assert_allclose(right.root_mean_square, right.deviation, atol=0.05)
    bold = calibration_curve(errors, np.zeros(100_000), np.full(100_000, 0.5))
    assert bold.within_two == right.within_one
    assert (bold.observed < right.observed).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0], [0.0]), "`std` finite and > 0"),
        (([1.0], [1.0, 2.0], [1.0]), r"be of one shape \(n,\)"),
        (([], [], []), r"be of one shape \(n,\)"),
    ],
)
def test_bad_curves(arguments, message):
    with pytest.raises(ValueError, match=message):
        calibration_curve(*arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_members": 1}, "`n_members` must be an integer >= 2, got 1"),
        ({"fraction": 0.0}, r"`fraction` must lie in \(0, 1\], got 0.0"),
        ({"calibration_fraction": 1.0}, r"`calibration_fraction` must lie in \[0, 1\), got 1.0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        EnsembleRegressor(**settings).fit(*problem(30, 1.0))
