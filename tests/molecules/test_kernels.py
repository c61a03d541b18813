import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern
from sklearn.kernel_ridge import KernelRidge

from phasewave.molecules.kernels import NystroemRidge


def problem(n_rows=150, n_columns=5):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_columns))
    X = (X - X.mean(0)) / X.std(0)
    y = np.cos(X[:, 0]) + X[:, 1] * X[:, 2]
    return X, y - y.mean()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"degree": 2}, {"kernel": "poly", "degree": 2, "gamma": 1 / 5}),
        ({"degree": 3, "scale": 2.0}, {"kernel": "poly", "degree": 3, "gamma": 2 / 5}),
        ({"kernel": "gaussian", "scale": 1.5}, {"kernel": "rbf", "gamma": 1.5**2 / 10}),
        ({"kernel": "matern", "scale": 1.5}, {"kernel": Matern(length_scale=5**0.5 / 1.5, nu=1.5)}),
    ],
)
def test_all_references_are_kernel_ridge_regression(ours, theirs):
    X, y = problem()
    model = NystroemRidge(**ours, n_references=None, alphas=[0.1], fit_intercept=False).fit(X[:100], y[:100])
    mean, scale = X[:100].mean(0), X[:100].std(0)
    peer = KernelRidge(alpha=0.1, **theirs).fit((X[:100] - mean) / scale, y[:100])
    np.testing.assert_allclose(model.predict(X), peer.predict((X - mean) / scale), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("references", ["random", "farthest", "leverage"])
def test_enough_references_span_a_polynomial_kernel(references):
    X, y = problem()  # degree 2 in 5 columns: 21 dimensions
    full = NystroemRidge(n_references=None, alphas=[1e-3]).fit(X, y)
    part = NystroemRidge(n_references=40, references=references, alphas=[1e-3]).fit(X, y)
    assert len(set(part.reference_rows_.tolist())) == 40
    np.testing.assert_allclose(part.references_, ((X - X.mean(0)) / X.std(0))[part.reference_rows_], atol=1e-13)
    np.testing.assert_allclose(part.predict(X), full.predict(X), atol=1e-6)


def test_repeated_rows_are_no_harm():
    X, y = problem()
    model = NystroemRidge(n_references=None).fit(np.concatenate([X, X]), np.concatenate([y, y]))
    assert np.isfinite(model.dual_weights_).all()
    assert np.abs(model.predict(X) - y).mean() < 0.2


def test_the_choice_depends_on_the_seed_alone():
    X, y = problem()
    first, again, other = (NystroemRidge(n_references=20, seed=seed).fit(X, y) for seed in (1, 1, 2))
    assert first.reference_rows_.tolist() == again.reference_rows_.tolist() != other.reference_rows_.tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel": "cubic"}, "`kernel` must be one of 'polynomial', 'gaussian', 'matern'"),
        ({"references": "all"}, "`references` must be one of 'random', 'farthest', 'leverage'"),
        ({"scale": 0.0}, "`scale` must be a finite number > 0, got 0.0"),
        ({"n_references": 0}, "`n_references` must be an integer >= 1, got 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        NystroemRidge(**settings).fit(*problem())
