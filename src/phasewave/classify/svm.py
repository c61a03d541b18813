"""Support vector machine with a Gaussian kernel, kept as its support vectors."""

from __future__ import annotations

import numpy as np
from sklearn.svm import SVC

from phasewave.checks import fail
from phasewave.classify.heads import RowClassifier

_MARGIN = 1e-3


class GaussianSVM(RowClassifier):
    r"""One-against-one support vector machines with the kernel exp(-gamma |x - x'|^2 / p) of standardised columns.

    Scores are the votes of the pairs, with the sum of the margins, squashed below half a vote, to settle ties.

    Parameters
    ----------
    penalty : float
        C.
    gamma : float
        Of the kernel, over the number of columns p.

    Attributes
    ----------
    vectors_ : ndarray (m, p)
        float32 support vectors, standardised, class by class.
    counts_ : ndarray (number of classes,)
        Of them in each class.
    duals_ : ndarray (number of classes - 1, m)
    offsets_ : ndarray
        Of the pairs (0, 1), (0, 2), ...

    Notes
    -----
    Cost: n^2 p to n^3, as scikit-learn's SVC: minutes for 10,000 images on one core.
    """

    _learned = ("vectors_", "counts_", "duals_", "offsets_")

    def __init__(self, penalty: float = 10.0, gamma: float = 0.3) -> None:
        self.penalty = penalty
        self.gamma = gamma

    def _fit(self, rows: np.ndarray, labels: np.ndarray) -> None:
        for name in ("penalty", "gamma"):
            if not 0 < getattr(self, name) < np.inf:
                fail(name, "be a number > 0", getattr(self, name))
        machine = SVC(C=self.penalty, gamma=self.gamma / rows.shape[1], cache_size=1000).fit(rows, labels)
        self.vectors_ = machine.support_vectors_.astype(np.float32)
        self.counts_ = machine.n_support_.astype(np.int64)
        # scikit-learn turns the signs of two classes round; here class i of the pair (i, j) is the positive one.
        sign = -1.0 if len(self.classes_) == 2 else 1.0
        self.duals_, self.offsets_ = sign * machine.dual_coef_, sign * machine.intercept_

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        squares = np.square(rows).sum(1)[:, None] + np.square(self.vectors_).sum(1)
        squares = (squares - 2 * rows @ self.vectors_.T).clip(min=0)
        kernel = np.exp(squares.astype(np.float64) * (-self.gamma / rows.shape[1]))
        n_classes = len(self.classes_)
        ends = np.concatenate([[0], np.cumsum(self.counts_)])
        spans = [slice(ends[i], ends[i + 1]) for i in range(n_classes)]
        votes, margins = np.zeros((len(rows), n_classes)), np.zeros((len(rows), n_classes))
        pair = 0
        for i in range(n_classes):
            for j in range(i + 1, n_classes):
                value = kernel[:, spans[i]] @ self.duals_[j - 1, spans[i]]
                value += kernel[:, spans[j]] @ self.duals_[i, spans[j]] + self.offsets_[pair]
                votes[:, i] += value > 0
                votes[:, j] += value <= 0
                margins[:, i] += value
                margins[:, j] -= value
                pair += 1
        scores: np.ndarray = votes + margins / (2 * (np.abs(margins) + 1)) * (1 - _MARGIN)
        return scores
