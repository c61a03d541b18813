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


def test_one_fit_to_all_rows_predicts_and_the_members_disagree():
    X, y = problem(100, 1.0)
    model = EnsembleRegressor(n_members=3, calibration_fraction=0.0).fit(X, y)
    members = np.stack([member.predict(X) for member in model.members_])
    values, std = model.predict(X, return_std=True)
    assert np.array_equal(values, LeaveOneOutRidge().fit(X, y).predict(X))
    assert np.array_equal(values, model.predict(X))
    np.testing.assert_allclose(std, members.std(axis=0, ddof=1), rtol=1e-14)
    assert (model.factor_, model.floor_, model.calibration_) == (1.0, 0.0, None)


def test_no_member_sees_the_rows_that_calibrate():
    X, y = problem(200, 1.0)
    X = np.concatenate([X, np.eye(200)], axis=1)  # a column that varies in a member's rows is a row it was given
    model = EnsembleRegressor(n_members=4).fit(X, y)
    seen = [set(member.columns_[member.columns_ >= 5] - 5) for member in model.members_]
    assert [len(rows) for rows in seen] == [144] * 4
    assert len(set.union(*seen)) <= 180
    assert len(model.whole_.columns_) == 205


def test_deviations_are_cautious_by_what_the_members_lack_in_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3400, 100))
    y = X @ rng.normal(size=100) + 3.0 * rng.normal(size=3400)
    model = EnsembleRegressor(calibration_fraction=0.5, n_members=3).fit(X[:400], y[:400])
    values, std = model.predict(X[400:], return_std=True)
    members = np.mean([member.predict(X[400:]) for member in model.members_], axis=0)
    whole, mean, told = (np.sqrt((part**2).mean()) for part in (values - y[400:], members - y[400:], std))
    assert whole < 0.95 * mean
    assert told == pytest.approx(mean, rel=0.15)  # 200 rows tell it to 5 %


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


@pytest.mark.parametrize("name", ["whole", "members"])
def test_a_state_that_lacks_a_part_is_refused(name):
    state = EnsembleRegressor(n_members=2).fit(*problem(30, 1.0)).state()
    del state[name]
    with pytest.raises(ValueError, match=f"be that of a EnsembleRegressor, with {name}"):
        EnsembleRegressor.from_state({}, state)


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
