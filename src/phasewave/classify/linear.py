"""Linear classification by least squares, its penalty chosen by generalised cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phasewave.checks import fail
from phasewave.classify.heads import RowClassifier

_BLOCK = 2048


class LeastSquaresClassifier(RowClassifier):
    r"""Ridge regression of class indicators on standardised columns.

    Targets are 1 for a sample's own class and 0 for the others; the scores are affine,

    .. math::

        W = \arg\min_W |Y - \bar Y - X W|^2 + \lambda |W|^2, \quad
        \mathrm{GCV}(\lambda) = \frac{n |Y - \bar Y - X W|^2}{(n - 1 - \sum_i l_i / (l_i + \lambda))^2}

    with the eigenvalues :math:`l_i` of :math:`X^T X`, of which one decomposition serves all penalties.

    Parameters
    ----------
    penalties : sequence of float
        Candidates for lambda / n; the least GCV decides.

    Attributes
    ----------
    coefficients_ : ndarray (p, number of classes)
        float32, of standardised columns.
    intercepts_ : ndarray (number of classes,)
    penalty_ : float
        lambda / n.

    Notes
    -----
    Cost: n p min(n, p) for the products, and the cube of min(n, p) for the eigenvalues.
    """

    _learned = ("coefficients_", "intercepts_", "penalty_")

    def __init__(
        self, penalties: Sequence[float] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
    ) -> None:
        self.penalties = penalties

    def _fit(self, rows: np.ndarray, labels: np.ndarray) -> None:
        if not len(self.penalties) or not all(0 < value < np.inf for value in self.penalties):
            fail("penalties", "be positive numbers", self.penalties)
        n, p = rows.shape
        targets = np.eye(len(self.classes_))[labels]
        self.intercepts_ = targets.mean(0)
        targets -= self.intercepts_
        total = float(np.square(targets).sum())
        tall = n > p
        gram = np.zeros((p, p) if tall else (n, n))
        cross = np.zeros((p, targets.shape[1]))
        if tall:
            for start in range(0, n, _BLOCK):
                part = rows[start : start + _BLOCK]
                gram += part.T @ part
                cross += part.T.astype(np.float64) @ targets[start : start + _BLOCK]
        else:
            for start in range(0, p, _BLOCK):
                part = rows[:, start : start + _BLOCK]
                gram += part @ part.T
        values, vectors = np.linalg.eigh(gram)
        values = values.clip(min=0)
        seen = vectors.T @ (cross if tall else targets)
        weights = np.square(seen).sum(1)
        best = np.inf
        for share in self.penalties:
            penalty = share * n
            if tall:  # |Y|^2 - 2 tr W^T X^T Y + tr W^T X^T X W
                residual = total - float((weights * (values + 2 * penalty) / (values + penalty) ** 2).sum())
            else:
                residual = float((weights * (penalty / (values + penalty)) ** 2).sum())
            free = n - 1 - float((values / (values + penalty)).sum())
            score = n * max(residual, 0.0) / max(free, 1e-9) ** 2
            if score < best:
                best, self.penalty_ = score, float(share)
        solution = vectors @ (seen / (values + self.penalty_ * n)[:, None])
        if not tall:
            solution = rows.T.astype(np.float64) @ solution
        self.coefficients_ = solution.astype(np.float32)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = (rows @ self.coefficients_).astype(np.float64) + self.intercepts_
        return found
