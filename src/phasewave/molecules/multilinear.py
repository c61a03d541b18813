"""Bilinear and trilinear regression: ridge on products of columns chosen greedily, as many as validation wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement
from math import comb
from typing import Any

import h5py
import numpy as np
import scipy.linalg
import torch

from phasewave.checks import fail, integer
from phasewave.molecules.products import Columns, GrowingRidge, Screen, choose_terms
from phasewave.molecules.regressor import BLOCK_ROWS, EnergyRegressor, Standardisation, as_tensor, row_blocks
from phasewave.molecules.ridge import DEFAULT_ALPHAS, Criterion, solve_ridge

_BLOCKS = 20  # at least so many blocks of rows, some of which are held out
_GROWTH = 0.25  # each step adds this share of the terms there are
_SMALLEST_STEP = 16
_PATIENCE = 3  # steps without a better validation error before the search ends


class MultilinearRidge(EnergyRegressor):
    """Ridge regression on products of up to ``order`` standardised columns, chosen by greedy least squares.

    ``E(x) = b + sum_t w_t (prod_{i in t} x_i - mean_t) / scale_t``. All single columns are in; products are
    added in steps (a quarter more each time) by orthogonal forward selection: those that correlate best with
    the residual are found by one matrix product for all pairs, made orthogonal to the terms chosen, and taken
    one by one. Triples extend pairs already chosen. The number of terms is the one with the least error on
    rows held out; the ridge is then fitted to all rows, its penalty by leave-one-out errors. Bags differ in
    the rows held out, and are averaged.

    Parameters
    ----------
    order : {2, 3}
    n_terms : int
        At most so many products beside the single columns. When all products of the columns are not more, all
        are taken and nothing is held out.
    n_bags : int
    components : int, optional
        Make products not of the columns but of their so many leading principal components.
    validation_fraction : float
        Share of the rows held out to choose the number of terms.
    alphas, criterion
        See `LeaveOneOutRidge`; ``criterion`` also judges the rows held out.
    seed : int
        Of the rows held out.

    Attributes
    ----------
    bags_ : list of dict
        For each bag ``terms`` (n_terms, order) of indices into the columns kept (then the components, then 1),
        ``weights``, ``intercept``, ``alpha`` and ``path``: rows (number of terms, validation error).
    columns_, mean_, scale_ : ndarray
        The columns kept, their means and deviations.
    rotation_ : ndarray (p, components)
        From standardised columns to components of unit variance; (p, 0) without components.

    Notes
    -----
    All rows are held in memory as float64. With M terms of p columns at the end: cost about n p^2 a step (four
    steps to double M), n M^2 and 9 M^3 once a bag.

    References
    ----------
    M. Hirn, S. Mallat, N. Poilvert, Wavelet scattering regression of quantum chemical energies (2017);
    M. Eickenberg et al., Solid harmonic wavelet scattering for predictions of molecule properties (2018).
    """

    _learned = ("columns_", "mean_", "scale_", "rotation_", "bags_")

    def __init__(
        self,
        *,
        order: int = 2,
        n_terms: int = 2000,
        n_bags: int = 1,
        components: int | None = None,
        validation_fraction: float = 0.1,
        alphas: Sequence[float] | None = None,
        criterion: Criterion = "absolute",
        seed: int = 0,
    ) -> None:
        self.order = order
        self.n_terms = n_terms
        self.n_bags = n_bags
        self.components = components
        self.validation_fraction = validation_fraction
        self.alphas = alphas
        self.criterion = criterion
        self.seed = seed

    def fit(self, X: Any, y: Any) -> MultilinearRidge:
        """Fit to rows (n, n_features), an array, memory map or HDF5 dataset, and targets (n,).

        Raises
        ------
        ValueError
            If the data are not finite or do not fit together, or a parameter is out of range.
        """
        integer("order", self.order, minimum=2, maximum=3)
        integer("n_terms", self.n_terms, minimum=1)
        integer("n_bags", self.n_bags, minimum=1)
        if not 0 < self.validation_fraction < 1:
            fail("validation_fraction", "lie between 0 and 1", self.validation_fraction)
        X, y = self._training(X, y)
        X = X[:] if isinstance(X, h5py.Dataset) else X
        standardisation = self._learn_standardisation(X)
        self.rotation_ = self._components(X, standardisation)
        order = np.random.default_rng(self.seed).permutation(len(y))
        parts = np.array_split(order, max(min(_BLOCKS, len(y)), -(-len(y) // BLOCK_ROWS)))
        blocks = [self._extended(standardisation.apply(np.asarray(X[part], np.float64))) for part in parts]
        targets = [y[part] for part in parts]
        self.bags_ = []
        for bag in range(self.n_bags):
            terms, path = self._search(blocks, targets, np.random.default_rng([self.seed, bag]))
            self.bags_.append({"terms": terms, "path": path, **self._solve(Columns(blocks), targets, terms)})
        return self

    def energies(self, X: torch.Tensor) -> torch.Tensor:
        """Return the predictions (n,) of rows (n, n_features), float64 and differentiable."""
        rows = self._standardised(X)
        one = torch.ones_like(rows[:, :1], dtype=torch.float64) if rows.shape[1] else rows.new_ones(len(rows), 1)
        columns = torch.cat([rows, rows @ as_tensor(self.rotation_, X), one], dim=1).T
        total = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
        for bag in self.bags_:
            terms = as_tensor(bag["terms"], X)
            values = columns[terms[:, 0]]
            for index in terms.T[1:]:
                values = values * columns[index]
            total = total + (as_tensor(bag["weights"], X) @ values + bag["intercept"])
        return total / len(self.bags_)

    def _components(self, X: Any, standardisation: Standardisation) -> np.ndarray:
        """Return the map from standardised columns to components of unit variance."""
        n_columns = len(standardisation.columns)
        if self.components is None:
            return np.zeros((n_columns, 0))
        count = min(integer("components", self.components, minimum=1), n_columns)
        covariance = np.zeros((n_columns, n_columns))
        for block in row_blocks(X):
            rows = standardisation.apply(block)
            covariance += rows.T @ rows
        values, vectors = scipy.linalg.eigh(covariance / X.shape[0])
        values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
        kept = values > 1e-12 * max(1, n_columns)
        return np.ascontiguousarray(vectors[:, kept] / np.sqrt(values[kept]))

    def _extended(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of columns, components and ones: (p + components + 1, b)."""
        return np.ascontiguousarray(
            np.concatenate([rows, rows @ self.rotation_, np.ones((len(rows), 1))], axis=1).T
        )

    def _search(
        self, blocks: list[np.ndarray], targets: list[np.ndarray], generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the terms, and the path: rows (number of terms, error on the blocks held out)."""
        n_columns, one = len(self.columns_), len(blocks[0]) - 1
        basis = np.arange(n_columns, one) if one > n_columns else np.arange(n_columns)
        terms = np.full((n_columns, self.order), one)
        terms[:, 0] = np.arange(n_columns)
        if comb(len(basis) + self.order, self.order) <= self.n_terms:
            return _all_products(terms, basis, one), np.zeros((0, 2))
        n_out = min(max(1, round(self.validation_fraction * len(blocks))), len(blocks) - 1)
        out = set(generator.choice(len(blocks), n_out, replace=False).tolist())
        inside = [i for i in range(len(blocks)) if i not in out]
        train = GrowingRidge(
            Columns([blocks[i] for i in inside]),
            np.concatenate([targets[i] for i in inside]),
            Columns([blocks[i] for i in sorted(out)]),
            np.concatenate([targets[i] for i in sorted(out)]),
            absolute=self.criterion == "absolute",
        )
        error = train.add(terms)
        path, best, waited = [(len(terms), error)], error, 0
        if len(basis) == 0:
            return terms, np.array(path)
        screen = Screen(train.columns, basis, self.order)
        while waited < _PATIENCE and len(train.terms) - len(terms) < self.n_terms:
            count = max(_SMALLEST_STEP, int(_GROWTH * len(train.terms)))
            new = choose_terms(
                screen,
                train.residual(),
                train.terms,
                min(count, self.n_terms - (len(train.terms) - len(terms))),
                alpha=train.alpha,
                known={term.tobytes() for term in train.terms},
                generator=generator,
            )
            if not len(new):
                break
            error = train.add(new)
            screen.extend(new)
            path.append((len(train.terms), error))
            waited = 0 if error < best else waited + 1
            best = min(best, error)
        wanted = min(path, key=lambda step: step[1])[0]
        return np.ascontiguousarray(train.terms[:wanted]), np.array(path)

    def _solve(self, columns: Columns, targets: list[np.ndarray], terms: np.ndarray) -> dict[str, Any]:
        """Return weights of the products themselves, intercept and penalty, fitted to all rows."""
        mean, scale = columns.moments(terms)
        kept = scale > 0
        mean, scale, used = mean[kept, None], scale[kept, None], terms[kept]

        def rows() -> Iterator[np.ndarray]:
            return (((values - mean) / scale).T for values in columns.values(used))

        alphas = DEFAULT_ALPHAS if self.alphas is None else self.alphas
        solution = solve_ridge(rows, np.concatenate(targets), alphas=alphas, criterion=self.criterion)
        weights = np.zeros(len(terms))
        weights[kept] = solution.weights / scale[:, 0]
        intercept = solution.intercept - float(weights[kept] @ mean[:, 0])
        return {"weights": weights, "intercept": intercept, "alpha": solution.alpha}


def _all_products(linear: np.ndarray, basis: np.ndarray, one: int) -> np.ndarray:
    """Return the single columns and all products of up to ``order`` columns of the basis, each once."""
    order = linear.shape[1]
    found = [tuple(term) for term in linear.tolist()]
    for degree in range(1, order + 1):
        padding = (one,) * (order - degree)
        found += [(*term, *padding) for term in combinations_with_replacement(basis.tolist(), degree)]
    terms = np.array(list(dict.fromkeys(found)), dtype=np.int64).reshape(-1, order)
    # components are sums of the single columns: alone they add nothing
    alone = (terms < one).sum(axis=1) == 1
    return terms[~alone | (terms[:, 0] < len(linear))]
