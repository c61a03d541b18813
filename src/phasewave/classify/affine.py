"""Classification by the nearest affine space: principal axes of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.utils.extmath import randomized_svd

from phasewave.checks import fail, integer
from phasewave.classify.heads import RowClassifier


class AffineClassifier(RowClassifier):
    r"""Each class is its mean plus its first d principal axes; a sample belongs to the nearest of these spaces.

    .. math::

        \hat y(x) = \arg\min_c |x - \mu_c|^2 - |V_c^T (x - \mu_c)|^2

    d, the same for all classes, is that of the least error on a held-out fifth; the axes are then those of all
    samples. Scores are minus the distances squared, over the number of columns.

    Parameters
    ----------
    dimensions : sequence of int
        Candidates for d; those that a class has too few samples for are left out.
    seed : int
        Of the held-out samples and the randomised decomposition.

    Attributes
    ----------
    means_ : ndarray (number of classes, p)
    axes_ : ndarray (number of classes, d, p)
    dimension_ : int

    Notes
    -----
    Source: Bruna and Mallat 2013. Cost: about 10 n p d.
    """

    _learned = ("means_", "axes_", "dimension_")

    def __init__(self, dimensions: Sequence[int] = (0, 1, 2, 4, 8, 16, 32, 64, 100), seed: int = 0) -> None:
        self.dimensions = dimensions
        self.seed = seed

    def _fit(self, rows: np.ndarray, labels: np.ndarray) -> None:
        if not len(self.dimensions):
            fail("dimensions", "be integers >= 0", self.dimensions)
        for value in self.dimensions:
            integer("dimensions", value, minimum=0)
        generator = np.random.default_rng(self.seed)
        held = np.zeros(len(rows), dtype=bool)
        for label in range(len(self.classes_)):
            own = np.flatnonzero(labels == label)
            held[generator.permutation(own)[: len(own) // 5]] = True
        fewest = min(int((labels[~held] == label).sum()) for label in range(len(self.classes_)))
        candidates = sorted({value for value in self.dimensions if value < min(fewest, rows.shape[1])} or {0})
        self.dimension_ = candidates[0]
        if held.any() and len(candidates) > 1:
            means, axes = self._spaces(rows[~held], labels[~held], candidates[-1])
            errors = [
                int((_scores(rows[held], means, axes[:, :d]).argmax(1) != labels[held]).sum()) for d in candidates
            ]
            self.dimension_ = candidates[int(np.argmin(errors))]
        self.means_, self.axes_ = self._spaces(rows, labels, self.dimension_)

    def _spaces(self, rows: np.ndarray, labels: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
        means = np.stack([rows[labels == label].mean(0) for label in range(len(self.classes_))])
        axes = np.zeros((len(means), dimension, rows.shape[1]), dtype=np.float32)
        for label in range(len(means) if dimension else 0):
            centred = rows[labels == label] - means[label]
            axes[label] = randomized_svd(centred, dimension, n_iter=3, random_state=self.seed)[2]
        return means, axes

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        return _scores(rows, self.means_, self.axes_)


def _scores(rows: np.ndarray, means: np.ndarray, axes: np.ndarray) -> np.ndarray:
    scores = np.empty((len(rows), len(means)))
    for label, (mean, basis) in enumerate(zip(means, axes, strict=True)):
        centred = rows - mean
        inside = np.square(centred @ basis.T).sum(1, dtype=np.float64)
        scores[:, label] = (inside - np.square(centred).sum(1, dtype=np.float64)) / rows.shape[1]
    return scores
