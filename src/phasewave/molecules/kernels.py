"""Kernel ridge regression on a subset of references (Nystroem), its penalty chosen by leave-one-out errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import scipy.linalg
import torch

from phasewave.checks import choice, fail, integer
from phasewave.molecules.regressor import EnergyRegressor, as_tensor, row_blocks
from phasewave.molecules.ridge import DEFAULT_ALPHAS, Criterion, solve_ridge

Kernel = Literal["polynomial", "gaussian", "matern"]
Choice = Literal["random", "farthest", "leverage"]

# eigenvalues of the references' kernel matrix below this share of the largest are rounding: left out
_RANK_TOLERANCE = 1e-12
_PILOT_REFERENCES = 500


class NystroemRidge(EnergyRegressor):
    """Kernel ridge regression whose kernel is seen through a subset of the training rows.

    With references R among the training rows, ``K_RR = V diag(l) V^T``, every row has the features
    ``z(x) = diag(l)^-1/2 V^T k(R, x)`` (eigenvalues below 1e-12 of the largest left out), on which
    `solve_ridge` is run. With all rows as references this is kernel ridge regression itself.
    On p standardised columns, u the distance of two rows over ``sqrt(p)``, the kernels are

    - polynomial: ``(1 + scale x.x' / p)^degree``, all products of up to ``degree`` columns;
    - gaussian: ``exp(-scale^2 u^2 / 2)``;
    - matern: ``(1 + a) exp(-a)``, ``a = sqrt(3) scale u``: once differentiable, for rougher functions.

    Parameters
    ----------
    kernel : {"polynomial", "gaussian", "matern"}
    degree : int
        Of the polynomial, 1 to 4.
    scale : float
        Weight of higher degrees, or inverse length.
    n_references : int, optional
        All rows if None, or if there are fewer.
    references : {"random", "farthest", "leverage"}
        Uniformly; each the farthest from those before (n p M operations, and outliers first); or in proportion
        to the leverage that 500 random references show, which favours rows unlike the others.
    alphas, criterion
        See `LeaveOneOutRidge`.
    fit_intercept : bool
        Whether an unpenalised intercept is fitted.
    seed : int
        Of the choice of references.

    Attributes
    ----------
    references_ : ndarray (M, p)
        Standardised rows; ``reference_rows_`` says which of the training rows they are.
    dual_weights_ : ndarray (M,)
        The prediction is ``k(x, references_) @ dual_weights_ + intercept_``.
    alpha_, alphas_, errors_, columns_, mean_, scale_
        See `LeaveOneOutRidge`.

    Notes
    -----
    Cost n M (p + M) twice and 20 M^3; memory M^2 and one block.
    """

    _learned = (
        "columns_",
        "mean_",
        "scale_",
        "references_",
        "reference_rows_",
        "dual_weights_",
        "intercept_",
        "alpha_",
        "alphas_",
        "errors_",
    )

    def __init__(
        self,
        *,
        kernel: Kernel = "polynomial",
        degree: int = 2,
        scale: float = 1.0,
        n_references: int | None = 2000,
        references: Choice = "random",
        alphas: Sequence[float] | None = None,
        criterion: Criterion = "absolute",
        fit_intercept: bool = True,
        seed: int = 0,
    ) -> None:
        self.kernel = kernel
        self.degree = degree
        self.scale = scale
        self.n_references = n_references
        self.references = references
        self.alphas = alphas
        self.criterion = criterion
        self.fit_intercept = fit_intercept
        self.seed = seed

    def fit(self, X: Any, y: Any) -> NystroemRidge:
        """Fit to rows (n, n_features), an array, memory map or HDF5 dataset read in blocks, and targets (n,).

        Raises
        ------
        ValueError
            If the data are not finite or do not fit together, or a parameter is out of range.
        """
        choice("kernel", self.kernel, get_args(Kernel))
        choice("references", self.references, get_args(Choice))
        integer("degree", self.degree, minimum=1, maximum=4)
        if not 0 < self.scale < np.inf:
            fail("scale", "be a finite number > 0", self.scale)
        X, y = self._training(X, y)
        standardisation = self._learn_standardisation(X)
        n_rows = X.shape[0]
        wanted = n_rows
        if self.n_references is not None:
            wanted = min(n_rows, integer("n_references", self.n_references, minimum=1))

        def rows() -> Iterator[np.ndarray]:
            return (standardisation.apply(block) for block in row_blocks(X))

        self.reference_rows_ = self._choose(rows, n_rows, wanted)
        self.references_ = _take(rows, self.reference_rows_)
        whitening = self._whitening(self.references_)
        solution = solve_ridge(
            lambda: (self._block_kernel(block, self.references_) @ whitening for block in rows()),
            y,
            alphas=DEFAULT_ALPHAS if self.alphas is None else self.alphas,
            criterion=self.criterion,
            fit_intercept=self.fit_intercept,
        )
        self.dual_weights_, self.intercept_ = whitening @ solution.weights, solution.intercept
        self.alpha_, self.alphas_, self.errors_ = solution.alpha, solution.alphas, solution.errors
        return self

    def energies(self, X: torch.Tensor) -> torch.Tensor:
        """Return the predictions (n,) of rows (n, n_features), float64 and differentiable."""
        kernel = self._kernel(self._standardised(X), as_tensor(self.references_, X))
        return kernel @ as_tensor(self.dual_weights_, X) + self.intercept_

    def _kernel(self, rows: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
        n_columns = max(1, rows.shape[1])
        products = rows @ references.T
        if self.kernel == "polynomial":
            return (1.0 + products * (self.scale / n_columns)) ** self.degree
        squares = (rows**2).sum(1)[:, None] + (references**2).sum(1) - 2.0 * products
        squares = squares * (self.scale**2 / n_columns)
        if self.kernel == "gaussian":
            return torch.exp(-0.5 * squares)
        a = torch.sqrt(3.0 * squares.clamp_min(1e-24))  # at a reference the slope is 0, not 0 / 0
        return (1.0 + a) * torch.exp(-a)

    def _block_kernel(self, rows: np.ndarray, references: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self._kernel(torch.from_numpy(rows), torch.from_numpy(references)).numpy()

    def _whitening(self, references: np.ndarray) -> np.ndarray:
        values, vectors = scipy.linalg.eigh(
            self._block_kernel(references, references), overwrite_a=True, check_finite=False, driver="evd"
        )
        kept = values > _RANK_TOLERANCE * values[-1]
        return vectors[:, kept] / np.sqrt(values[kept])

    def _choose(self, rows: Any, n_rows: int, wanted: int) -> np.ndarray:
        """Return the sorted indices of the references."""
        generator = np.random.default_rng(self.seed)
        if wanted == n_rows:
            return np.arange(n_rows)
        if self.references == "farthest":
            return _farthest(rows, n_rows, wanted, first=int(generator.integers(n_rows)))
        if self.references == "random":
            return np.sort(generator.choice(n_rows, wanted, replace=False))
        pilot = np.sort(generator.choice(n_rows, min(n_rows, _PILOT_REFERENCES), replace=False))
        references = _take(rows, pilot)
        whitening = self._whitening(references)
        features = np.concatenate([self._block_kernel(block, references) @ whitening for block in rows()])
        gram = features.T @ features
        ridge = np.trace(gram) / len(gram) * 1e-6
        inverse = scipy.linalg.inv(gram + ridge * np.eye(len(gram)))
        leverage = np.maximum(((features @ inverse) * features).sum(axis=1), 1e-12)
        return np.sort(generator.choice(n_rows, wanted, replace=False, p=leverage / leverage.sum()))


def _take(rows: Any, index: np.ndarray) -> np.ndarray:
    """Return the rows of a sorted index, C-contiguous."""
    found, start = [], 0
    for block in rows():
        low, high = np.searchsorted(index, (start, start + len(block)))
        found.append(block[index[low:high] - start])
        start += len(block)
    return np.ascontiguousarray(np.concatenate(found))


def _farthest(rows: Any, n_rows: int, wanted: int, *, first: int) -> np.ndarray:
    """Return the sorted indices of rows each of which was the farthest from those chosen before."""
    data = np.concatenate([block.astype(np.float32) for block in rows()])
    norms = np.einsum("ij,ij->i", data, data)
    distance = np.full(n_rows, np.inf, dtype=np.float32)
    chosen = [first]
    while len(chosen) < wanted:
        new = chosen[-1]
        np.minimum(distance, norms + norms[new] - 2.0 * (data @ data[new]), out=distance)
        distance[chosen] = -np.inf
        chosen.append(int(distance.argmax()))
    return np.sort(np.array(chosen))
