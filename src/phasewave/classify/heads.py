"""What the classifiers of feature rows share: checks of labels, standardised columns, prediction, saving."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from phasewave.checks import fail

_ROWS = 4096

Self = TypeVar("Self", bound="RowClassifier")


class RowClassifier(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier of rows whose columns it standardises; its scores are one number a class.

    Subclasses list their learnt attributes in ``_learned`` and define `_fit` and `_scores`.

    Attributes
    ----------
    classes_ : ndarray
        The labels, increasing.
    mean_, scale_ : ndarray
        float32, of each column; a constant column has the scale infinity.
    """

    _learned: tuple[str, ...]

    def fit(self, X: Any, y: Any) -> RowClassifier:
        """Fit to rows X (n, p) of classes y (n,).

        Raises
        ------
        ValueError
            If there are fewer than two classes, or values are not finite.
        """
        X, y = validate_data(self, X, y, dtype=[np.float32, np.float64])
        labels, found = np.unique(y, return_inverse=True)
        if len(labels) < 2:
            raise ValueError(f"`y` must hold at least two classes, got 1 class: {labels[0]!r}")
        self.classes_ = labels
        self._fit(self._measure(X), found)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores (n, number of classes), float64; the largest is the class predicted."""
        check_is_fitted(self, "classes_")
        X = validate_data(self, X, dtype=[np.float32, np.float64], reset=False)
        blocks = [X[start : start + _ROWS] for start in range(0, len(X), _ROWS)]
        return np.concatenate([self._scores(self._standardised(block)) for block in blocks])

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each row."""
        return self.classes_[self.decision_function(X).argmax(1)]

    def state(self) -> dict[str, Any]:
        """Return what was learnt, as tensors and plain values."""
        check_is_fitted(self, "classes_")
        learned = {name: getattr(self, name) for name in ("mean_", "scale_", *self._learned)}
        return {
            name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
            for name, value in learned.items()
        }

    def restore(self: Self, state: Mapping[str, Any], classes: np.ndarray) -> Self:
        """Take up what `state` gave; predictions are then the same, bit for bit.

        Raises
        ------
        ValueError
            If something learnt is missing.
        """
        for name in ("mean_", "scale_", *self._learned):
            if name not in state:
                fail("state", f"be that of a {type(self).__name__}, with {name}", sorted(state))
            value = state[name]
            setattr(self, name, value.cpu().numpy() if isinstance(value, torch.Tensor) else value)
        self.classes_, self.n_features_in_ = np.asarray(classes), len(self.mean_)
        return self

    @abstractmethod
    def _fit(self, rows: np.ndarray, labels: np.ndarray) -> None:
        """Learn from standardised rows and labels 0 .. C - 1."""

    @abstractmethod
    def _scores(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores of standardised rows."""

    def _measure(self, X: np.ndarray) -> np.ndarray:
        mean = X.mean(0, dtype=np.float64)
        deviation = np.sqrt(np.mean(np.square(X - mean.astype(X.dtype)), 0, dtype=np.float64))
        constant = deviation <= 8 * np.finfo(X.dtype).eps * np.abs(mean)
        self.mean_ = mean.astype(np.float32)
        self.scale_ = np.where(constant, np.inf, deviation).astype(np.float32)
        return self._standardised(X)

    def _standardised(self, X: np.ndarray) -> np.ndarray:
        rows = X.astype(np.float32, copy=True)
        rows -= self.mean_
        rows /= self.scale_
        return rows
