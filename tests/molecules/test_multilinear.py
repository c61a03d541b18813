from itertools import combinations_with_replacement

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from phasewave.molecules.multilinear import MultilinearRidge
from phasewave.molecules.products import Columns, Screen, _forward, product
from phasewave.molecules.ridge import LeaveOneOutRidge


def used_products(model, bag=0):
    """Return the sets of columns of the products in a bag."""
    one = len(model.columns_) + model.rotation_.shape[1]
    terms = model.bags_[bag]["terms"]
    return [tuple(int(i) for i in term if i < one) for term in terms]


def test_planted_pairs_are_found_and_explain_everything():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 40))
    planted = [(0, 1), (2, 3), (5, 5), (7, 30), (12, 13), (38, 39)]
    y = X[:, 0] - 2 * X[:, 4] + sum((k + 1) * X[:, i] * X[:, j] for k, (i, j) in enumerate(planted))
    model = MultilinearRidge(n_terms=32).fit(X[:500], y[:500])
    assert set(planted) <= set(used_products(model))
    assert np.abs(model.predict(X[500:]) - y[500:]).mean() < 1e-4
    assert np.abs(LeaveOneOutRidge().fit(X[:500], y[:500]).predict(X[500:]) - y[500:]).mean() > 3


def test_planted_triple_is_found_through_its_pair():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2000, 12)) + 1.0  # shifted: a product of raw columns has its pairs in it
    y = X[:, 1] * X[:, 4] * X[:, 7]
    model = MultilinearRidge(order=3, n_terms=64).fit(X, y)
    assert (1, 4, 7) in used_products(model)
    assert np.abs(model.predict(X) - y).mean() < 1e-3 * y.std()


def test_no_product_is_taken_twice():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 8))
    model = MultilinearRidge(order=3, n_terms=90, n_bags=2).fit(X, np.sin(X).prod(axis=1) + X[:, 0] ** 3)
    for bag in range(2):
        terms = used_products(model, bag)
        assert len(set(terms)) == len(terms)
        assert terms == [tuple(sorted(term)) for term in terms]
    assert not np.array_equal(model.bags_[0]["path"], model.bags_[1]["path"])


@pytest.mark.parametrize("order", [2, 3])
def test_all_products_of_few_columns_are_polynomial_ridge(order):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 4))
    y = X[:, 0] * X[:, 1] + X[:, 2] + 0.1 * rng.normal(size=200)
    model = MultilinearRidge(order=order, n_terms=1000, alphas=[2.0]).fit(X, y)
    Z = (X - X.mean(0)) / X.std(0)
    products = [
        Z[:, list(term)].prod(axis=1)
        for degree in range(1, order + 1)
        for term in combinations_with_replacement(range(4), degree)
    ]
    P = np.stack(products, axis=1)
    P = (P - P.mean(0)) / P.std(0)
    np.testing.assert_allclose(model.predict(X), Ridge(alpha=2.0, solver="svd").fit(P, y).predict(P), rtol=1e-8)


def test_products_of_components_do_not_depend_on_the_basis_of_the_columns():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(300, 6)) @ np.diag([5.0, 4, 3, 2, 1, 0.5])
    X = (X - X.mean(0)) / X.std(0)
    y = X[:, 0] * X[:, 1]
    model = MultilinearRidge(components=6, n_terms=500).fit(X, y)
    assert model.rotation_.shape == (6, 6)
    assert np.abs(model.predict(X) - y).max() < 1e-3


def test_screening_returns_the_largest_correlations():
    rng = np.random.default_rng(5)
    blocks = [np.concatenate([rng.normal(size=(7, n)), np.ones((1, n))]) for n in (40, 60)]
    columns = Columns(blocks)
    residual = rng.normal(size=100)
    found, inner = Screen(columns, np.arange(7), 2).best(residual, 5, set())
    pairs = np.array(list(combinations_with_replacement(range(7), 2)))
    values = np.concatenate([product(block, pairs) for block in blocks], axis=1)
    centred = values - values.mean(axis=1, keepdims=True)
    score = (centred @ residual) ** 2 / (centred**2).sum(axis=1)
    best = np.argsort(-score)[:5]
    assert found.tolist() == pairs[best].tolist()
    np.testing.assert_allclose(inner, (centred @ residual)[best], rtol=1e-4)


def test_forward_selection_is_orthogonal_least_squares():
    rng = np.random.default_rng(6)
    F, y = rng.normal(size=(50, 12)) @ rng.normal(size=(12, 12)), rng.normal(size=50)
    expected: list[int] = []
    for _ in range(5):  # by brute force: the variable that lowers the squared error most
        errors = {
            j: np.linalg.lstsq(F[:, [*expected, j]], y, rcond=None)[1][0] for j in range(12) if j not in expected
        }
        expected.append(min(errors, key=errors.__getitem__))
    assert _forward(F.T @ F, F.T @ y, 5, floor=1e-12).tolist() == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"order": 4}, "`order` must be an integer between 2 and 3, got 4"),
        ({"n_terms": 0}, "`n_terms` must be an integer >= 1, got 0"),
        ({"validation_fraction": 1.0}, "`validation_fraction` must lie between 0 and 1, got 1.0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        MultilinearRidge(**settings).fit(np.eye(5), np.arange(5.0))
