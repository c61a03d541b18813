import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler

from phasewave.molecules import ridge as module
from phasewave.molecules.ridge import LeaveOneOutRidge, solve_ridge


def problem(n_rows, n_columns, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_columns)) @ rng.normal(size=(n_columns, n_columns)) + 3.0
    return X, X @ rng.normal(size=n_columns) + rng.normal(size=n_rows)


@pytest.mark.parametrize("shape", [(60, 10), (20, 50)])  # p x p and n x n decompositions
@pytest.mark.parametrize("criterion", ["absolute", "squared"])
def test_left_out_errors_are_those_of_leaving_rows_out(shape, criterion):
    X, y = problem(*shape)
    model = LeaveOneOutRidge(alphas=[0.03, 1.0, 30.0], criterion=criterion).fit(X, y)
    Z = StandardScaler().fit_transform(X)
    for alpha, error in zip(model.alphas_, model.errors_, strict=True):
        left_out = []
        for i in range(len(y)):
            others = np.arange(len(y)) != i
            fit = Ridge(alpha=alpha, solver="svd").fit(Z[others], y[others])
            left_out.append(y[i] - fit.predict(Z[i : i + 1])[0])
        expected = np.abs(left_out).mean() if criterion == "absolute" else np.sqrt(np.square(left_out).mean())
        assert error == pytest.approx(expected, rel=1e-10)
    assert model.alpha_ == model.alphas_[model.errors_.argmin()]


def test_agrees_with_scikit_learn():
    X, y = problem(200, 30)
    alphas = np.logspace(-3, 3, 13)
    Z = StandardScaler().fit_transform(X)
    peer = RidgeCV(alphas=alphas, scoring="neg_mean_squared_error").fit(Z, y)
    model = LeaveOneOutRidge(alphas=alphas, criterion="squared").fit(X, y)
    assert model.alpha_ == pytest.approx(peer.alpha_)
    np.testing.assert_allclose(model.predict(X), peer.predict(Z), rtol=1e-10)
    np.testing.assert_allclose(model.weights_, peer.coef_, rtol=1e-9)


def test_blocks_do_not_change_the_result(monkeypatch):
    X, y = problem(100, 8)
    whole = solve_ridge(lambda: iter([X]), y)
    parts = solve_ridge(lambda: (X[i : i + 7] for i in range(0, 100, 7)), y)
    np.testing.assert_allclose(parts.weights, whole.weights, rtol=1e-8)
    np.testing.assert_allclose(parts.errors, whole.errors, rtol=1e-8)
    monkeypatch.setattr(module, "_LEFT_OUT_ROWS", 50)  # every other row is left out
    half = solve_ridge(lambda: iter([X]), y, alphas=[1.0, 2.0, 4.0], criterion="squared")
    assert 0 < np.abs(half.errors / np.interp(half.alphas, whole.alphas, whole.errors) - 1).max() < 0.5


@pytest.mark.parametrize("alphas", [[1e3, 1e4], [1e-9, 1e-8]])
def test_the_grid_widens_at_its_edge(alphas):
    X, y = problem(80, 40)
    reference = LeaveOneOutRidge(alphas=np.logspace(-6, 6, 49)).fit(X, y)
    model = LeaveOneOutRidge(alphas=alphas).fit(X, y)
    assert model.alphas_.min() < model.alpha_ < model.alphas_.max()
    assert model.errors_.min() <= 1.02 * reference.errors_.min()


def test_one_alpha_is_taken_as_it_is():
    X, y = problem(80, 40)
    assert LeaveOneOutRidge(alphas=[123.0]).fit(X, y).alpha_ == 123.0


def test_float32_and_memory_map(tmp_path):
    X, y = problem(300, 10)
    X = X.astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = LeaveOneOutRidge().fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y)
    np.testing.assert_array_equal(mapped.predict(X), LeaveOneOutRidge().fit(X, y).predict(X))
    double = LeaveOneOutRidge().fit(X.astype(np.float64), y)
    np.testing.assert_allclose(mapped.predict(X), double.predict(X.astype(np.float64)), rtol=1e-12)


def test_noise_on_a_constant_float32_column_is_not_blown_up():
    X, y = problem(50, 3)
    noise = 1e6 * (1 + 1e-7 * np.random.default_rng(0).normal(size=(50, 1)))
    model = LeaveOneOutRidge().fit(np.concatenate([X, noise], axis=1).astype(np.float32), y)
    assert model.columns_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("alphas", [[], [0.0], [-1.0, 1.0], [np.inf]])
def test_bad_alphas(alphas):
    with pytest.raises(ValueError, match="`alphas` must be one or more finite numbers > 0"):
        LeaveOneOutRidge(alphas=alphas).fit(*problem(20, 3))


def test_bad_criterion():
    with pytest.raises(ValueError, match="`criterion` must be one of 'absolute', 'squared', got 'huber'"):
        LeaveOneOutRidge(criterion="huber").fit(*problem(20, 3))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(60, 10), (20, 50)])
def test_columns_as_they_are(shape, fit_intercept):
    X, y = problem(*shape)
    model = LeaveOneOutRidge(alphas=[0.5], scale_columns=False, fit_intercept=fit_intercept).fit(X, y)
    peer = Ridge(alpha=0.5, solver="svd", fit_intercept=fit_intercept).fit(X, y)
    np.testing.assert_allclose(model.predict(X), peer.predict(X), rtol=1e-9)
    np.testing.assert_allclose(model.weights_, peer.coef_, rtol=1e-7, atol=1e-9)
    if not fit_intercept:
        np.testing.assert_allclose(model.predict(np.zeros_like(X)), 0.0)
