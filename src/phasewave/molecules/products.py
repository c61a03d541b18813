"""Products of columns: their values, moments, and the greedy choice of those that explain a residual."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg

_SCREENED_PER_TERM = 5
_PARENTS = 1500  # at most so many products are extended to one degree more
_SAMPLE_ROWS = 12_000
_EXPONENTS = 10  # penalties from 1e-10 to 1e10
_TINY = 1e-6  # share of its variance that a product must keep beside the terms already chosen


@dataclass(frozen=True)
class Columns:
    """Standardised columns of all rows in memory, block by block, transposed, the last row being ones.

    A product of up to ``order`` columns is an index row of length ``order``, padded with the index of the ones.

    Attributes
    ----------
    blocks : list of ndarray (p + 1, b)
        float64.
    """

    blocks: list[np.ndarray]

    @property
    def one(self) -> int:
        """Index of the column of ones, which is the number of the others."""
        return len(self.blocks[0]) - 1

    @property
    def n_rows(self) -> int:
        """Rows of all blocks together."""
        return sum(block.shape[1] for block in self.blocks)

    def split(self, y: np.ndarray) -> list[np.ndarray]:
        """Return a vector over rows cut like the blocks."""
        return np.split(y, np.cumsum([block.shape[1] for block in self.blocks])[:-1])

    def values(self, terms: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the values (n_terms, b) of products, block by block."""
        return (product(block, terms) for block in self.blocks)

    def moments(self, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the means and standard deviations of products."""
        total, squares = np.zeros(len(terms)), np.zeros(len(terms))
        for values in self.values(terms):
            total += values.sum(axis=1)
        mean = total / self.n_rows
        for values in self.values(terms):
            squares += ((values - mean[:, None]) ** 2).sum(axis=1)
        return mean, np.sqrt(squares / self.n_rows)


def product(block: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Return products (n_terms, b) of the rows of ``block``: one index row of ``terms`` each."""
    values = block[terms[:, 0]]
    for index in terms.T[1:]:
        used = np.flatnonzero(index < len(block) - 1)
        if len(used) == len(index):
            values *= block[index]
        elif len(used):
            values[used] *= block[index[used]]
    return values


class GrowingRidge:
    """A ridge problem to which terms are added, its penalty and error from rows held out.

    Terms are standardised on the training rows. Adding m terms to M costs 2 n M m operations, a solution M^3 / 3.
    """

    def __init__(
        self, columns: Columns, y: np.ndarray, held_out: Columns, y_out: np.ndarray, *, absolute: bool
    ) -> None:
        self.columns, self.held_out, self.y_out, self.absolute = columns, held_out, y_out, absolute
        self.offset = float(y.mean())
        self.y = y - self.offset
        self.alpha = 0.0
        self.terms = np.zeros((0, 1), dtype=np.int64)
        self.mean, self.scale = np.zeros((0, 1)), np.zeros((0, 1))
        self.gram, self.moment = np.zeros((0, 0)), np.zeros(0)
        self.values_out = np.zeros((0, len(y_out)))
        self.weights = np.zeros(0)

    def add(self, terms: np.ndarray) -> float:
        """Add terms and solve; return the error on the rows held out."""
        old = len(self.terms)
        mean, scale = (part[:, None] for part in self.columns.moments(terms))
        scale[scale == 0] = 1.0
        self.terms = np.concatenate([self.terms, terms]) if old else terms
        self.mean, self.scale = np.concatenate([self.mean, mean]), np.concatenate([self.scale, scale])
        cross, moment = np.zeros((len(self.terms), len(terms))), np.zeros(len(terms))
        for values, y in zip(self.columns.values(self.terms), self.columns.split(self.y), strict=True):
            values -= self.mean
            values /= self.scale
            cross += values @ values[old:].T
            moment += values[old:] @ y
        gram = np.empty((len(self.terms), len(self.terms)))
        gram[:old, :old] = self.gram
        gram[:, old:] = cross
        gram[old:, :old] = cross[:old].T
        self.gram, self.moment = gram, np.concatenate([self.moment, moment])
        new_out = np.concatenate(list(self.held_out.values(terms)), axis=1)
        self.values_out = np.concatenate([self.values_out, (new_out - mean) / scale])
        tried: dict[int, tuple[float, np.ndarray]] = {}  # by the exponent of alpha
        grid = list(range(-5, 5)) if not old else [round(math.log10(self.alpha)) + step for step in (-1, 0, 1)]
        while grid:
            tried.update({k: self._attempt(10.0**k) for k in grid})
            best = min(tried, key=lambda k: (tried[k][0], -k))
            # terms that explain more want less shrinkage: follow a minimum beyond the grid
            beyond = {min(tried): best - 1, max(tried): best + 1}.get(best)
            grid = [] if beyond is None or abs(beyond) > _EXPONENTS else [beyond]
        error, self.weights = tried[best]
        self.alpha = 10.0**best
        return error

    def _attempt(self, alpha: float) -> tuple[float, np.ndarray]:
        """Return the error on the rows held out, and the weights, at one penalty."""
        weights = self._weights(alpha)
        residual = self.y_out - self.offset - weights @ self.values_out
        return float(np.abs(residual).mean() if self.absolute else np.sqrt((residual**2).mean())), weights

    def residual(self) -> np.ndarray:
        """Return the residuals of the training rows."""
        fitted = [self.weights @ ((values - self.mean) / self.scale) for values in self.columns.values(self.terms)]
        return self.y - np.concatenate(fitted)

    def _weights(self, alpha: float) -> np.ndarray:
        if not len(self.terms):
            return np.zeros(0)
        gram = self.gram.copy()
        # the second summand keeps the factorisation above rounding
        gram[np.diag_indices_from(gram)] += alpha + 1e-14 * np.trace(gram)
        factor = scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        return scipy.linalg.cho_solve(factor, self.moment, check_finite=False)


class Screen:
    """Correlations of a residual with every product of a parent (a column or a chosen product) and a column.

    With T the parents and A the columns, ``T diag(r) A^T`` holds the inner products of the residual with all
    of them: one matrix product. Means and norms of the products, ``T A^T`` and ``T^2 (A^2)^T``, are kept.
    """

    def __init__(self, columns: Columns, basis: np.ndarray, order: int) -> None:
        self.columns, self.basis, self.order = columns, basis, order
        one = columns.one
        self.parents = np.full((len(basis), order), one)
        self.parents[:, 0] = basis
        self.means, self.squares = self._moments(self.parents)

    def extend(self, terms: np.ndarray) -> None:
        """Add new chosen terms of less than the full order to the parents."""
        degree = (terms < self.columns.one).sum(axis=1)
        new = terms[(degree > 1) & (degree < self.order)][: max(0, _PARENTS - len(self.parents))]
        if len(new):
            means, squares = self._moments(new)
            self.parents = np.concatenate([self.parents, new])
            self.means = np.concatenate([self.means, means])
            self.squares = np.concatenate([self.squares, squares])

    def best(self, residual: np.ndarray, count: int, known: set[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Return the ``count`` products most correlated with the residual, and their inner products with it."""
        inner = np.zeros_like(self.means)
        for block, r in zip(self.columns.blocks, self.columns.split(residual), strict=True):
            parents = product(block, self.parents).astype(np.float32)
            inner += (parents * r.astype(np.float32)) @ block[self.basis].astype(np.float32).T
        inner -= residual.sum() * self.means
        variance = self.squares - self.columns.n_rows * self.means**2
        enough = variance > _TINY * np.maximum(self.squares, 1e-300)
        score = np.where(enough, inner**2 / np.where(enough, variance, 1.0), -1.0)
        wanted = min(score.size, self.order * count + len(known))
        ranked = np.argpartition(score.ravel(), score.size - wanted)[score.size - wanted :]
        ranked = ranked[np.argsort(-score.ravel()[ranked], kind="stable")]
        ranked = ranked[score.ravel()[ranked] > 0]
        parent, column = np.unravel_index(ranked, score.shape)
        terms = self.parents[parent]
        terms = np.sort(np.concatenate([terms, self.basis[column][:, None]], axis=1), axis=1)[:, : self.order]
        _, first = np.unique(terms, axis=0, return_index=True)
        first = np.sort(first)
        new = [i for i in first.tolist() if terms[i].tobytes() not in known][:count]
        return terms[new], inner.ravel()[ranked][new]

    def _moments(self, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        means = np.zeros((len(parents), len(self.basis)))
        squares = np.zeros_like(means)
        for block in self.columns.blocks:
            values = product(block, parents).astype(np.float32)
            basis = block[self.basis].astype(np.float32)
            means += values @ basis.T
            squares += (values**2) @ (basis**2).T
        return means / self.columns.n_rows, squares


def choose_terms(
    screen: Screen,
    residual: np.ndarray,
    chosen: np.ndarray,
    count: int,
    *,
    alpha: float,
    known: set[bytes],
    generator: np.random.Generator,
) -> np.ndarray:
    """Return the next ``count`` products: orthogonal forward selection among those that correlate best.

    The products screened are made orthogonal (in the ridge sense, with ``alpha``) to the terms chosen before,
    on at most 12,000 random rows; then one after the other the product is taken that lowers the penalised
    squared error most, and the rest made orthogonal to it.
    """
    columns = screen.columns
    candidates, inner = screen.best(residual, _SCREENED_PER_TERM * count, known)
    if len(candidates) <= 1:
        return candidates
    n_rows = columns.n_rows
    size = min(n_rows, max(_SAMPLE_ROWS, 2 * (len(chosen) + len(candidates))))
    sample = np.sort(generator.choice(n_rows, size, replace=False))
    starts = np.cumsum([0, *(block.shape[1] for block in columns.blocks)])
    everything = np.concatenate([chosen, candidates])
    values = np.concatenate(
        [
            product(np.ascontiguousarray(block[:, sample[(sample >= a) & (sample < b)] - a]), everything)
            for a, b, block in zip(starts[:-1], starts[1:], columns.blocks, strict=True)
        ],
        axis=1,
    )
    values -= values.mean(axis=1, keepdims=True)
    spread = np.sqrt((values**2).mean(axis=1, keepdims=True))
    scale = np.where(spread > 0, spread, 1.0)
    values /= scale
    old, new = values[: len(chosen)], values[len(chosen) :]
    gram = new @ new.T
    penalty = alpha * size / n_rows
    if len(old):
        cross = old @ new.T
        own = old @ old.T
        own[np.diag_indices_from(own)] += penalty + 1e-9 * size
        factor = scipy.linalg.cholesky(own, lower=True, overwrite_a=True, check_finite=False)
        solved = scipy.linalg.solve_triangular(factor, cross, lower=True, overwrite_b=True, check_finite=False)
        gram -= solved.T @ solved
    gram[np.diag_indices_from(gram)] += penalty
    moment = inner * (size / n_rows) / scale[len(chosen) :, 0]
    order = _forward(gram, moment, min(count, len(candidates)), floor=_TINY * size)
    return candidates[order]


def _forward(gram: np.ndarray, moment: np.ndarray, count: int, *, floor: float) -> np.ndarray:
    """Return the order in which forward selection takes ``count`` variables (a pivoted Cholesky)."""
    left, moment = gram.diagonal().copy(), moment.copy()
    rows = np.zeros((count, len(moment)))
    taken = np.zeros(len(moment), dtype=bool)
    order = []
    for k in range(count):
        score = np.where(taken | (left <= floor), -1.0, moment**2 / np.maximum(left, floor))
        best = int(score.argmax())
        if score[best] <= 0:
            break
        row = (gram[best] - rows[:k, best] @ rows[:k]) / np.sqrt(left[best])
        moment -= row * (moment[best] / np.sqrt(left[best]))
        left -= row**2
        rows[k] = row
        taken[best] = True
        order.append(best)
    return np.array(order, dtype=np.int64)
