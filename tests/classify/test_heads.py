"""The classifiers of rows against direct computations, and what they refuse."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from phasewave.classify.affine import AffineClassifier
from phasewave.classify.linear import LeastSquaresClassifier
from phasewave.classify.logistic import LogisticClassifier
from phasewave.classify.svm import GaussianSVM

HEADS = [LeastSquaresClassifier(), LogisticClassifier(), AffineClassifier(), GaussianSVM()]


def clouds(n, p, n_classes=3, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centres = generator.standard_normal((n_classes, p))
    rows = 3.0 + centres[labels] + generator.standard_normal((n, p))
    return rows.astype(np.float32), labels


def standardised(rows):
    rows = rows.astype(np.float64)
    return (rows - rows.mean(0)) / rows.std(0)


@pytest.mark.parametrize(("n", "p"), [(60, 9), (24, 40)], ids=["tall", "wide"])
def test_the_linear_solution_and_its_penalty_are_those_of_the_formulas(n, p):
    rows, labels = clouds(n, p)
    X = standardised(rows)
    Y = np.eye(3)[labels]
    Y = Y - Y.mean(0)
    model = LeastSquaresClassifier().fit(rows, labels)
    scores = []
    for share in model.penalties:
        hat = X @ np.linalg.solve(X.T @ X + share * n * np.eye(p), X.T)
        scores.append(n * np.square(Y - hat @ Y).sum() / (n - 1 - np.trace(hat)) ** 2)
    best = model.penalties[int(np.argmin(scores))]
    assert model.penalty_ == best
    W = np.linalg.solve(X.T @ X + best * n * np.eye(p), X.T @ Y)
    np.testing.assert_allclose(model.coefficients_, W, atol=2e-6)
    np.testing.assert_allclose(model.decision_function(rows), X @ W + 1 / 3, atol=2e-5)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(("n", "p"), [(80, 7), (24, 40)], ids=["tall", "wide"])
def test_the_logistic_solution_is_the_one_without_gradient(n, p, n_classes):
    rows, labels = clouds(n, p, n_classes)
    X = standardised(rows)
    model = LogisticClassifier(0.02, tolerance=1e-5).fit(rows, labels)

    def slopes(W, b):
        scores = X @ W + b
        shares = np.exp(scores - scores.max(1, keepdims=True))
        wrong = (shares / shares.sum(1, keepdims=True) - np.eye(n_classes)[labels]) / n
        return X.T @ wrong + 0.02 * W, wrong.sum(0)

    W, b = model.coefficients_.astype(np.float64), model.intercepts_
    assert W.shape == (p, n_classes)
    for slope, start in zip(slopes(W, b), slopes(0 * W, 0 * b + np.arange(n_classes)), strict=True):
        assert np.abs(slope).max() < 3e-5 < 1e-2 < np.abs(start).max()
    np.testing.assert_allclose(W.sum(1), 0, atol=1e-6)
    np.testing.assert_allclose(model.decision_function(rows), X @ W + b, atol=1e-5)


def test_the_logistic_probabilities_are_those_of_scikit_learn_at_any_size_of_the_penalty():
    rows, labels = clouds(90, 5)
    X = standardised(rows)
    norms = []
    for penalty in (1.0, 0.1, 1e-3):
        model = LogisticClassifier(penalty, tolerance=1e-5).fit(rows, labels)
        scores = np.exp(model.decision_function(rows))
        other = LogisticRegression(C=1 / (90 * penalty), tol=1e-8, max_iter=1000).fit(X, labels)
        np.testing.assert_allclose(scores / scores.sum(1, keepdims=True), other.predict_proba(X), atol=2e-3)
        norms.append(np.linalg.norm(model.coefficients_))
    assert norms == sorted(norms)


def test_a_logistic_descent_that_is_too_short_is_told():
    rows, labels = clouds(90, 5)
    with pytest.warns(ConvergenceWarning, match="1 iteration"):
        LogisticClassifier(1e-4, max_steps=1).fit(rows, labels)


def test_the_affine_scores_are_the_distances_to_the_spaces():
    rows, labels = clouds(90, 12)
    model = AffineClassifier(dimensions=(3,)).fit(rows, labels)
    X = standardised(rows)
    for label in range(3):
        own = X[labels == label]
        basis = np.linalg.svd(own - own.mean(0), full_matrices=False)[2][:3]
        centred = X - own.mean(0)
        inside = np.square(centred @ basis.T).sum(1)
        distance = (np.square(centred).sum(1) - inside) / 12
        np.testing.assert_allclose(model.decision_function(rows)[:, label], -distance, rtol=1e-3, atol=1e-3)


def test_affine_spaces_tell_apart_what_means_cannot():
    generator = np.random.default_rng(1)
    labels = np.arange(200) % 2
    rows = 0.1 * generator.standard_normal((200, 6))
    active = (np.arange(6) < 3) == (labels == 0)[
        :, None
    ]  # class 0 varies along axes 0 to 2, class 1 along the others
    rows += active * generator.standard_normal((200, 6))
    model = AffineClassifier(dimensions=(0, 3)).fit(rows[:100], labels[:100])
    assert model.dimension_ == 3
    assert (model.predict(rows[100:]) == labels[100:]).mean() > 0.95
    means = AffineClassifier(dimensions=(0,)).fit(rows[:100], labels[:100])
    assert (means.predict(rows[100:]) == labels[100:]).mean() < 0.75


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_svm_kept_as_support_vectors_is_that_of_scikit_learn(n_classes):
    rows, labels = clouds(150, 6, n_classes)
    model = GaussianSVM().fit(rows[:100], labels[:100])
    X = ((rows - model.mean_) / model.scale_).astype(np.float32)
    machine = SVC(C=10.0, gamma=0.3 / 6, decision_function_shape="ovo").fit(X[:100], labels[:100])
    assert (model.predict(rows) == machine.predict(X)).mean() >= 0.99  # ties of the votes are settled otherwise
    if n_classes == 2:
        assert (model.predict(rows) == machine.predict(X)).all()
    assert len(model.vectors_) == model.counts_.sum() == len(machine.support_)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_a_head_restored_from_its_state_says_the_same(head):
    rows, labels = clouds(60, 8)
    head.fit(rows, labels + 5)
    state = head.state()
    assert all(isinstance(value, torch.Tensor | int | float) for value in state.values())
    again = type(head)(**head.get_params()).restore(state, head.classes_)
    np.testing.assert_array_equal(again.decision_function(rows), head.decision_function(rows))
    assert set(again.predict(rows)) <= {5, 6, 7}
    with pytest.raises(ValueError, match="with mean_"):
        type(head)().restore({}, head.classes_)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_constant_columns_do_nothing_and_bad_rows_are_refused(head):
    rows, labels = clouds(60, 8)
    head.fit(rows, labels)
    padded = np.concatenate([rows, np.full((60, 1), 7.1, np.float32)], axis=1)
    other = type(head)().fit(padded, labels)
    assert (other.predict(padded) == labels).mean() > 0.8
    shifted = padded.copy()
    shifted[:, -1] = -50
    np.testing.assert_array_equal(other.predict(shifted), other.predict(padded))
    with pytest.raises(ValueError, match="at least two classes"):
        type(head)().fit(rows, np.zeros(60, dtype=int))
    with pytest.raises(ValueError, match="features"):
        head.predict(rows[:, :3])
    with pytest.raises(ValueError, match="NaN"):
        type(head)().fit(np.where(rows > 4, np.nan, rows), labels)


def test_parameters_out_of_range_are_refused():
    rows, labels = clouds(30, 4)
    with pytest.raises(ValueError, match="`penalties` must"):
        LeastSquaresClassifier(penalties=(0.0,)).fit(rows, labels)
    with pytest.raises(ValueError, match="`penalty` must"):
        GaussianSVM(penalty=0).fit(rows, labels)
    with pytest.raises(ValueError, match="`penalty` must"):
        LogisticClassifier(penalty=-1.0).fit(rows, labels)
    with pytest.raises(ValueError, match="`tolerance` must"):
        LogisticClassifier(tolerance=0.0).fit(rows, labels)
    with pytest.raises(ValueError, match="`max_steps` must"):
        LogisticClassifier(max_steps=0).fit(rows, labels)
    with pytest.raises(ValueError, match="`dimensions` must"):
        AffineClassifier(dimensions=(-1,)).fit(rows, labels)
