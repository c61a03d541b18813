"""What the regressors share: reading rows in blocks, standardising columns, predicting, saving without pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import h5py
import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from phasewave.checks import fail

BLOCK_ROWS = 2048

Self = TypeVar("Self", bound="EnergyRegressor")


def row_blocks(X: Any, rows: int = BLOCK_ROWS) -> Iterator[np.ndarray]:
    """Yield the rows of an array, memory map or HDF5 dataset as float64 blocks of at most ``rows`` rows."""
    for start in range(0, X.shape[0], rows):
        yield np.asarray(X[start : start + rows], dtype=np.float64)


@dataclass(frozen=True)
class Standardisation:
    """Means and standard deviations (float64) of the columns that vary.

    Attributes
    ----------
    columns : ndarray
        int64 indices of the columns kept: those whose deviation exceeds 8 roundings of their mean in the
        dtype of the data. The others are constant, or constant up to noise that division would blow up.
    mean, scale : ndarray
        float64, one value for each column kept.
    """

    columns: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, X: Any) -> Standardisation:
        """Measure the columns in one pass over the rows.

        Raises
        ------
        ValueError
            If a column holds NaN or infinity; the message names the first.
        """
        n_rows, mean, squares = 0, np.zeros(X.shape[1]), np.zeros(X.shape[1])
        first = np.asarray(X[0], dtype=np.float64)  # subtracted, so that constant columns are exactly 0
        for block in row_blocks(X):
            n_block = block.shape[0]
            block = block - first
            block_mean = block.mean(axis=0)
            step = block_mean - mean
            squares += ((block - block_mean) ** 2).sum(axis=0)
            squares += step**2 * (n_rows * n_block / (n_rows + n_block))
            mean += step * (n_block / (n_rows + n_block))
            n_rows += n_block
        bad = np.flatnonzero(~np.isfinite(squares))
        if bad.size:
            fail("X", "be finite", f"NaN or infinite values in column {bad[0]}")
        scale, mean = np.sqrt(squares / n_rows), mean + first
        rounding = np.finfo(X.dtype).eps if np.issubdtype(X.dtype, np.floating) else np.finfo(np.float64).eps
        columns = np.flatnonzero(scale > 8 * rounding * np.abs(mean))
        return cls(columns, mean[columns], scale[columns])

    def apply(self, block: np.ndarray) -> np.ndarray:
        """Return ``(block - mean) / scale`` of the columns kept, float64."""
        return (block[:, self.columns] - self.mean) / self.scale


class EnergyRegressor(RegressorMixin, BaseEstimator):
    """A scikit-learn regressor whose prediction is one differentiable float64 function of a tensor.

    Subclasses list their learned attributes in ``_learned`` and define `energies`; `predict` calls it, so the
    two cannot differ.
    """

    _learned: tuple[str, ...]
    _transient: tuple[str, ...] = ()  # parameters of one run (callbacks, paths) that a saved model forgets

    def energies(self, X: torch.Tensor) -> torch.Tensor:
        """Return the predictions (n,) of rows (n, n_features), float64 and differentiable."""
        raise NotImplementedError

    def predict(self, X: Any) -> np.ndarray:
        """Predict rows of features.

        Parameters
        ----------
        X : array (n, n_features)
            Any array-like, memory map or HDF5 dataset; read in blocks.

        Returns
        -------
        ndarray (n,)
            float64, the units of the training targets.

        Raises
        ------
        ValueError
            If the number of columns is not that of the fit, or a value is not finite.
        """
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        return np.concatenate([self._predict_block(block) for block in row_blocks(X)])

    def _predict_block(self, block: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.energies(torch.from_numpy(np.ascontiguousarray(block))).numpy()

    def _rows(self, X: Any, *, reset: bool) -> Any:
        """Return ``X`` checked: an array, or the HDF5 dataset itself (its values are seen block by block)."""
        if not isinstance(X, h5py.Dataset):
            return validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
        if X.ndim != 2 or not np.issubdtype(X.dtype, np.floating) or X.shape[0] == 0:
            fail("X", "be a dataset of real rows (n, n_features)", (X.shape, X.dtype))
        if reset:
            self.n_features_in_ = X.shape[1]
        elif X.shape[1] != self.n_features_in_:
            fail("X", f"have the {self.n_features_in_} columns of the fit", X.shape)
        return X

    def _training(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """Return checked rows and float64 targets."""
        if isinstance(X, h5py.Dataset):
            X, y = self._rows(X, reset=True), check_array(y, ensure_2d=False, dtype=np.float64)
            if y.shape != X.shape[:1]:
                fail("y", f"have one target per row, shape {X.shape[:1]}", y.shape)
        else:
            X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True)
        if X.shape[0] < 2:
            raise ValueError(f"`X` must have at least 2 rows to fit, got 1 sample (n_samples = {X.shape[0]})")
        return X, np.asarray(y, dtype=np.float64)

    def state(self) -> dict[str, Any]:
        """Return what was learned as a dict of tensors and plain values (for ``save_checkpoint``)."""
        check_is_fitted(self)
        return {name: _plain(getattr(self, name)) for name in ("n_features_in_", *self._learned)}

    @classmethod
    def from_state(cls: type[Self], settings: Mapping[str, Any], state: Mapping[str, Any]) -> Self:
        """Return a fitted regressor from its constructor's parameters and `state`.

        Its predictions are the same, bit for bit.

        Raises
        ------
        ValueError
            If something learned is missing from ``state``.
        """
        model = cls(**settings)
        for name in ("n_features_in_", *model._learned):
            if name not in state:
                fail("state", f"be that of a {cls.__name__}, with {name}", sorted(state))
            setattr(model, name, _learned(state[name]))
        return model

    def _standardised(self, X: torch.Tensor) -> torch.Tensor:
        """Return standardised float64 rows from the attributes columns_, mean_ and scale_."""
        kept = X.to(torch.float64)[:, as_tensor(self.columns_, X)]
        return (kept - as_tensor(self.mean_, X)) / as_tensor(self.scale_, X)

    def _learn_standardisation(self, X: Any) -> Standardisation:
        standardisation = Standardisation.of(X)
        self.columns_ = standardisation.columns
        self.mean_ = standardisation.mean
        self.scale_ = standardisation.scale
        return standardisation


def as_tensor(array: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """Return a learned array as a tensor on the device of ``like`` (no copy on the CPU)."""
    return torch.from_numpy(array).to(like.device)


def _plain(value: Any) -> Any:
    """Return learned values as tensors and plain values."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _learned(value: Any) -> Any:
    """Undo `_plain`."""
    if isinstance(value, torch.Tensor):
        return value.cpu().numpy()
    if isinstance(value, Mapping):
        return {key: _learned(part) for key, part in value.items()}
    return [_learned(part) for part in value] if isinstance(value, list) else value
