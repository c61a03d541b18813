"""Linear classification by the likelihood of the classes: multinomial logistic regression."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from phasewave.checks import fail, integer
from phasewave.classify.heads import RowClassifier


class LogisticClassifier(RowClassifier):
    r"""Multinomial logistic regression on standardised columns, with a penalty on the squared coefficients.

    .. math::

        W, b = \arg\min_{W, b} \frac1n \sum_i \log \sum_c e^{s_c(x_i) - s_{y_i}(x_i)} + \frac\lambda2 |W|^2,
        \quad s(x) = W^T x + b

    This is convex: the solution is the one at which the gradient is 0 (b up to a number common to all classes).

    Parameters
    ----------
    penalty : float
        Lambda, for losses averaged over samples: the same for any number of them.
    tolerance : float
        Largest entry of the gradient at which the descent (L-BFGS) ends.
    max_steps : int
        Of the descent; scikit-learn warns where they were too few.

    Attributes
    ----------
    coefficients_ : ndarray (p, number of classes)
        float32, of standardised columns; they sum to 0 over the classes.
    intercepts_ : ndarray (number of classes,)

    Notes
    -----
    Cost: 4 n p (number of classes) a step, in hundreds of steps. Scores are log-probabilities but for a number
    common to all classes.
    """

    _learned = ("coefficients_", "intercepts_")

    def __init__(self, penalty: float = 3e-3, tolerance: float = 1e-4, max_steps: int = 1000) -> None:
        self.penalty = penalty
        self.tolerance = tolerance
        self.max_steps = max_steps

    def _fit(self, rows: np.ndarray, labels: np.ndarray) -> None:
        for name in ("penalty", "tolerance"):
            if not 0 < getattr(self, name) < np.inf:
                fail(name, "be a number > 0", getattr(self, name))
        integer("max_steps", self.max_steps, minimum=1)
        two = len(self.classes_) == 2
        # scikit-learn describes two classes by the difference w of their coefficients: |W|^2 is then |w|^2 / 2.
        weight = (2 if two else 1) / (self.penalty * len(rows))
        found = LogisticRegression(C=weight, tol=self.tolerance, max_iter=self.max_steps).fit(rows, labels)
        coefficients, intercepts = found.coef_.astype(np.float64), found.intercept_.astype(np.float64)
        if two:
            coefficients, intercepts = (
                np.concatenate([-value, value]) / 2 for value in (coefficients, intercepts)
            )
        self.coefficients_ = (coefficients - coefficients.mean(0)).T.astype(np.float32)
        self.intercepts_ = intercepts - intercepts.mean()

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = (rows @ self.coefficients_).astype(np.float64) + self.intercepts_
        return found
