"""Ridge regression with the penalty chosen by exact leave-one-out errors from one eigendecomposition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import scipy.linalg
import torch

from phasewave.checks import choice, fail
from phasewave.molecules.regressor import EnergyRegressor, as_tensor, row_blocks

Criterion = Literal["absolute", "squared"]
Blocks = Callable[[], Iterator[np.ndarray]]

DEFAULT_ALPHAS = tuple(10.0 ** (k / 2) for k in range(-12, 9))
_LEFT_OUT_ROWS = 20_000
_WIDENINGS = 6


@dataclass(frozen=True)
class RidgeSolution:
    """The minimiser of ``|y - F w - b|^2 + alpha |w|^2``, and how ``alpha`` was chosen.

    Attributes
    ----------
    weights : ndarray (p,)
    intercept : float
    alpha : float
    alphas, errors : ndarray
        Every penalty tried, ascending, and its leave-one-out error (mean absolute or root mean square).
    """

    weights: np.ndarray
    intercept: float
    alpha: float
    alphas: np.ndarray
    errors: np.ndarray


def solve_ridge(
    blocks: Blocks,
    y: np.ndarray,
    *,
    alphas: Sequence[float] = DEFAULT_ALPHAS,
    criterion: Criterion = "absolute",
    fit_intercept: bool = True,
) -> RidgeSolution:
    """Solve a ridge problem whose rows come in blocks, with ``alpha`` chosen by leave-one-out errors.

    With ``F^T F = V diag(s) V^T`` (columns centred), the leave-one-out residual of row i is
    ``r_i / (1 - h_i)``, ``h_i = 1/n + sum_k (F V)_ik^2 / (s_k + alpha)``: exact for every alpha from one
    decomposition. With fewer rows than columns the n x n matrix ``F F^T`` is decomposed instead. When the best
    ``alpha`` lies at an end of the grid, the grid is widened there, down to the rounding of the eigenvalues.

    Parameters
    ----------
    blocks : callable
        Returns a new iterator over float64 blocks (rows, p) of F, always the same; called 2 to 8 times.
    y : ndarray (n,)
    alphas : sequence of float
        Penalties > 0 to begin with; a single one is taken as it is.
    criterion : {"absolute", "squared"}
        The error minimised.
    fit_intercept : bool
        Whether an unpenalised intercept is fitted.

    Notes
    -----
    Cost n p^2 (twice) + 9 p^3, memory p^2 + one block (n p + n^2 where n < p). Leave-one-out errors are those
    of at most 20,000 rows, evenly spaced.
    """
    grid = _checked_alphas(alphas)
    choice("criterion", criterion, get_args(Criterion))
    offset = float(y.mean()) if fit_intercept else 0.0
    target = y - offset
    mean = np.zeros(next(blocks()).shape[1])
    if fit_intercept:
        for block in blocks():
            mean += block.sum(axis=0)
        mean /= len(y)
    n_columns = len(mean)
    if n_columns == 0:
        return RidgeSolution(mean, offset, grid[0], np.array(grid[:1]), np.array([np.abs(target).mean()]))
    solver = (_Dual if len(y) < n_columns else _Primal)(blocks, target, mean, fit_intercept)
    floor = float(np.finfo(np.float64).eps * n_columns * solver.values[-1])
    ceiling = 1e3 * float(solver.values[-1])

    found: dict[float, float] = {}
    new = grid
    for _ in range(_WIDENINGS + 1):
        if len(new) > 1 or found:
            residuals = np.abs(solver.left_out_residuals(np.array(new)))
            errors = residuals.mean(axis=0) if criterion == "absolute" else np.sqrt((residuals**2).mean(axis=0))
        else:
            errors = np.array([np.nan])
        found.update(zip(new, errors.tolist(), strict=True))
        tried = sorted(found)
        # among penalties of equal error (a perfect fit, a constant target) the largest
        alpha = max(tried, key=lambda a: (-found[a], a)) if len(tried) > 1 else tried[0]
        new = []
        if len(tried) > 1 and alpha == tried[0] and alpha > floor:
            new = [alpha * 10.0 ** (-k / 2) for k in range(1, 5)]
        elif len(tried) > 1 and alpha == tried[-1] and alpha < ceiling:
            new = [alpha * 10.0 ** (k / 2) for k in range(1, 5)]
        if not new:
            break
    weights = solver.weights(alpha)
    return RidgeSolution(
        weights, offset - float(mean @ weights), alpha, np.array(tried), np.array([found[a] for a in tried])
    )


class _Primal:
    """Eigenvectors of ``F^T F``: p x p."""

    def __init__(self, blocks: Blocks, y: np.ndarray, mean: np.ndarray, fit_intercept: bool) -> None:
        self.blocks, self.y, self.mean = blocks, y, mean
        self.constant = 1.0 / len(y) if fit_intercept else 0.0
        gram, moment = np.zeros((len(mean), len(mean))), np.zeros(len(mean))
        start = 0
        for block in blocks():
            centred = block - mean
            gram += centred.T @ centred
            moment += centred.T @ y[start : start + len(block)]
            start += len(block)
        self.values, self.vectors = scipy.linalg.eigh(gram, overwrite_a=True, check_finite=False, driver="evd")
        np.maximum(self.values, 0.0, out=self.values)
        self.rotated = self.vectors.T @ moment

    def weights(self, alpha: float) -> np.ndarray:
        return self.vectors @ (self.rotated / (self.values + alpha))

    def left_out_residuals(self, alphas: np.ndarray) -> np.ndarray:
        shrink = 1.0 / (self.values[:, None] + alphas)
        stride = max(1, len(self.y) // _LEFT_OUT_ROWS)
        found, start = [], 0
        for block in self.blocks():
            y = self.y[start : start + len(block)][::stride]
            start += len(block)
            rotated = (block[::stride] - self.mean) @ self.vectors
            residual = y[:, None] - rotated @ (self.rotated[:, None] * shrink)
            free = 1.0 - self.constant - rotated**2 @ shrink
            found.append(residual / np.maximum(free, 1e-10))
        return np.concatenate(found)


class _Dual:
    """Eigenvectors of ``F F^T``: n x n."""

    def __init__(self, blocks: Blocks, y: np.ndarray, mean: np.ndarray, fit_intercept: bool) -> None:
        self.rows = np.concatenate(list(blocks())) - mean
        self.values, self.vectors = scipy.linalg.eigh(
            self.rows @ self.rows.T, overwrite_a=True, check_finite=False, driver="evd"
        )
        np.maximum(self.values, 0.0, out=self.values)
        if fit_intercept:  # the constant vector is an eigenvector of value 0 that the intercept already fits
            constant = np.full(len(y), len(y) ** -0.5)
            null = self.values <= np.finfo(np.float64).eps * len(y) * self.values[-1]
            vectors = self.vectors[:, null]
            vectors = vectors - np.outer(constant, constant @ vectors)
            left, size, _ = np.linalg.svd(vectors, full_matrices=False)
            others = left[:, size > 0.5]
            self.vectors = np.concatenate([others, self.vectors[:, ~null]], axis=1)
            self.values = np.concatenate([np.zeros(others.shape[1]), self.values[~null]])
            if not len(self.values):
                self.values, self.vectors = np.zeros(1), np.zeros((len(y), 1))
        self.rotated = self.vectors.T @ y

    def weights(self, alpha: float) -> np.ndarray:
        return self.rows.T @ (self.vectors @ (self.rotated / (self.values + alpha)))

    def left_out_residuals(self, alphas: np.ndarray) -> np.ndarray:
        shrink = alphas / (self.values[:, None] + alphas)
        residual = self.vectors @ (self.rotated[:, None] * shrink)
        return residual / np.maximum(self.vectors**2 @ shrink, 1e-300)


class LeaveOneOutRidge(EnergyRegressor):
    """Ridge regression, its penalty chosen by exact leave-one-out errors; by default on standardised columns.

    Minimises ``sum_i (y_i - b - w . (x_i - mean) / scale)^2 + alpha |w|^2``; see `solve_ridge`.

    Parameters
    ----------
    alphas : sequence of float, optional
        Penalties to begin with (default: 1e-6 to 1e4 in half decades). A single one is taken as it is.
    criterion : {"absolute", "squared"}
        The leave-one-out error minimised.
    scale_columns : bool
        Whether columns are divided by their deviations. Off for features whose lengths mean something, as those of
        `EnvironmentKernel`: then ``scale_`` is 1.
    fit_intercept : bool
        Whether there is a constant ``b``. Off where energies of parts must add up: then columns are not centred
        either, ``mean_`` and ``b`` are 0.

    Attributes
    ----------
    alpha_ : float
        The penalty chosen.
    alphas_, errors_ : ndarray
        Penalties tried and their leave-one-out errors, in the units of y.
    weights_, intercept_ : ndarray, float
        Of the columns as they are fitted, ``(x - mean_) / scale_``.
    columns_, mean_, scale_ : ndarray
        The columns kept (those that vary), their means and deviations.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> model = LeaveOneOutRidge().fit(X, X @ [1.0, 2.0, 3.0] + 5.0)
    >>> float(np.abs(model.predict(X[:1]) - X[:1] @ [1.0, 2.0, 3.0] - 5.0).max()) < 1e-5
    True
    """

    _learned = (
        "columns_",
        "mean_",
        "scale_",
        "weights_",
        "intercept_",
        "alpha_",
        "alphas_",
        "errors_",
    )

    def __init__(
        self,
        *,
        alphas: Sequence[float] | None = None,
        criterion: Criterion = "absolute",
        scale_columns: bool = True,
        fit_intercept: bool = True,
    ) -> None:
        self.alphas = alphas
        self.criterion = criterion
        self.scale_columns = scale_columns
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any) -> LeaveOneOutRidge:
        """Fit to rows (n, n_features), an array, memory map or HDF5 dataset read in blocks, and targets (n,).

        Raises
        ------
        ValueError
            If the data are not finite or do not fit together, or a penalty is not positive.
        """
        X, y = self._training(X, y)
        standardisation = self._learn_standardisation(X)
        if not self.scale_columns:
            standardisation = replace(standardisation, scale=np.ones_like(standardisation.scale))
        if not self.fit_intercept:
            standardisation = replace(standardisation, mean=np.zeros_like(standardisation.mean))
        self.mean_, self.scale_ = standardisation.mean, standardisation.scale
        solution = solve_ridge(
            lambda: (standardisation.apply(block) for block in row_blocks(X)),
            y,
            alphas=DEFAULT_ALPHAS if self.alphas is None else self.alphas,
            criterion=self.criterion,
            fit_intercept=self.fit_intercept,
        )
        self.weights_, self.intercept_ = solution.weights, solution.intercept
        self.alpha_, self.alphas_, self.errors_ = solution.alpha, solution.alphas, solution.errors
        return self

    def energies(self, X: torch.Tensor) -> torch.Tensor:
        """Return the predictions (n,) of rows (n, n_features), float64 and differentiable."""
        return self._standardised(X) @ as_tensor(self.weights_, X) + self.intercept_


def _checked_alphas(alphas: Sequence[float]) -> list[float]:
    grid = sorted({float(alpha) for alpha in alphas})
    if not grid or not all(0 < alpha < np.inf for alpha in grid):
        fail("alphas", "be one or more finite numbers > 0", alphas)
    return grid
