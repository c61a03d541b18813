"""The lasso as a batch of independent problems: dictionaries, thresholds, objective, duality gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch

from phasewave.checks import choice, fail, integer, real_dtype

Threshold = Literal["signed", "positive"]
THRESHOLDS = ("signed", "positive")
SAFETY = 1.05  # on the square of a norm found by power iteration, which comes from below


@dataclass(frozen=True, eq=False)
class LinearMap:
    """A dictionary given by what it does, for those that are no explicit matrix (convolutional ones, say).

    Parameters
    ----------
    apply : callable
        Codes (n, p) to signals (n, d), linear, row by row.
    adjoint : callable
        Signals (n, d) to codes (n, p): the transpose of ``apply``, not its inverse.
    n_atoms : int
        p.

    Raises
    ------
    TypeError, ValueError
        If ``n_atoms`` is not a positive integer.
    """

    apply: Callable[[torch.Tensor], torch.Tensor]
    adjoint: Callable[[torch.Tensor], torch.Tensor]
    n_atoms: int

    def __post_init__(self) -> None:
        integer("n_atoms", self.n_atoms, minimum=1)

    @classmethod
    def dense(cls, matrix: torch.Tensor) -> LinearMap:
        """Return the map of a matrix (d, p), whose columns are the atoms."""
        return cls(lambda codes: codes @ matrix.mT, lambda signals: signals @ matrix, matrix.shape[-1])


Dictionary = torch.Tensor | LinearMap


def shrink(x: torch.Tensor, level: torch.Tensor | float, threshold: Threshold = "signed") -> torch.Tensor:
    r"""Return the soft threshold of ``x``: the proximal map of ``level`` times the l1 norm.

    ``signed``: sign(x) max(\|x\| - level, 0); ``positive``: max(x - level, 0), the constraint z >= 0 included.
    """
    if threshold == "positive":
        return torch.relu(x - level)
    bound = torch.as_tensor(level, dtype=x.dtype, device=x.device)
    return x - torch.clamp(x, -bound, bound)


@dataclass(frozen=True, eq=False)
class SparseProblem:
    r"""n problems: minimise 1/2 \|w - M z\|^2 + lambda \|z\|_1 over z, or over z >= 0.

    Attributes
    ----------
    signals : torch.Tensor, shape (n, d)
        The w, one a row.
    dictionary : LinearMap
        M.
    penalty : torch.Tensor, shape (n, 1)
        lambda of each sample.
    threshold : {"signed", "positive"}
        Whether codes have a sign.
    """

    signals: torch.Tensor
    dictionary: LinearMap
    penalty: torch.Tensor
    threshold: Threshold

    @classmethod
    def of(
        cls,
        signals: torch.Tensor,
        dictionary: Dictionary,
        penalty: float | torch.Tensor,
        threshold: Threshold = "signed",
    ) -> SparseProblem:
        """Return the problems of signals (..., d), checked for types and shapes (values of tensors are not read).

        Raises
        ------
        TypeError, ValueError
            If something has a wrong type, dtype or shape, or a penalty that is a number is negative.
        """
        choice("threshold", threshold, THRESHOLDS)
        if not isinstance(signals, torch.Tensor):
            raise TypeError(f"`signals` must be a torch.Tensor, got {type(signals).__name__}")
        real_dtype("signals.dtype", signals.dtype)
        if signals.ndim < 1 or signals.shape[-1] < 1:
            fail("signals", "have shape (..., d), d >= 1", tuple(signals.shape))
        if isinstance(dictionary, torch.Tensor):
            if dictionary.dtype != signals.dtype:
                raise TypeError(f"`dictionary` must be of dtype {signals.dtype}, got {dictionary.dtype}")
            if dictionary.ndim != 2 or dictionary.shape[0] != signals.shape[-1] or dictionary.shape[1] < 1:
                fail("dictionary", f"have shape ({signals.shape[-1]}, p), p >= 1", tuple(dictionary.shape))
            dictionary = LinearMap.dense(dictionary)
        elif not isinstance(dictionary, LinearMap):
            raise TypeError(f"`dictionary` must be a tensor or a LinearMap, got {type(dictionary).__name__}")
        if not isinstance(penalty, torch.Tensor):
            if not 0.0 <= penalty < float("inf"):
                fail("penalty", "be a number >= 0", penalty)
            penalty = torch.tensor(float(penalty), dtype=signals.dtype, device=signals.device)
        batch = signals.shape[:-1]
        try:
            penalty = penalty.to(signals.dtype).expand(batch)
        except RuntimeError:
            fail("penalty", f"be a number or broadcast to the samples {tuple(batch)}", tuple(penalty.shape))
        rows = signals.numel() // signals.shape[-1]
        return cls(signals.reshape(rows, signals.shape[-1]), dictionary, penalty.reshape(rows, 1), threshold)

    def select(self, index: torch.Tensor) -> SparseProblem:
        """Return the problems of some samples."""
        return replace(self, signals=self.signals[index], penalty=self.penalty[index])

    def at(self, penalty: torch.Tensor) -> SparseProblem:
        """Return the same problems with other penalties (n, 1)."""
        return replace(self, penalty=penalty)

    def residual(self, codes: torch.Tensor) -> torch.Tensor:
        """Return w - M z, shape (n, d)."""
        return self.signals - self.dictionary.apply(codes)

    def objective(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the objective of each sample, shape (n,)."""
        squares = 0.5 * self.residual(codes).square().sum(-1)
        return squares + self.penalty[:, 0] * codes.abs().sum(-1)

    def peak(self, correlation: torch.Tensor) -> torch.Tensor:
        """Return the largest (absolute, when signed) correlation of each sample, at least 0, shape (n, 1)."""
        if self.threshold == "signed":
            return torch.maximum(correlation.amax(-1, keepdim=True), -correlation.amin(-1, keepdim=True))
        return correlation.amax(-1, keepdim=True).clamp(min=0.0)

    def gap(self, codes: torch.Tensor, residual: torch.Tensor, correlation: torch.Tensor) -> torch.Tensor:
        r"""Return the duality gap of each sample, shape (n,), given r = w - M z and c = M^T r.

        The dual is to maximise 1/2 \|w\|^2 - 1/2 \|w - t\|^2 over t with \|M^T t\|_inf <= lambda (M^T t <= lambda
        when positive). Its point is t = a r, a the best number that keeps it feasible; the gap is written as a
        sum of terms that are not negative,

            1/2 (1 - a)^2 \|r\|^2 + sum_i (lambda \|z_i\| - a c_i z_i),

        so that it loses no digits near the solution. With lambda = 0 it goes to 0 only where w = M z can hold.
        """
        energy = residual.square().sum(-1, keepdim=True)
        peak = self.peak(correlation)
        bound = torch.where(peak > 0.0, self.penalty / peak.clamp(min=torch.finfo(peak.dtype).tiny), torch.inf)
        best = (self.signals * residual).sum(-1, keepdim=True) / energy.clamp(min=torch.finfo(peak.dtype).tiny)
        share = torch.minimum(best.clamp(min=0.0), bound)
        terms = self.penalty * codes.abs() - share * (correlation * codes)
        return 0.5 * ((1.0 - share).square() * energy)[:, 0] + terms.clamp(min=0.0).sum(-1)

    def relative_gap(self, codes: torch.Tensor, residual: torch.Tensor, correlation: torch.Tensor) -> torch.Tensor:
        r"""Return the gap over the objective 1/2 \|w\|^2 of z = 0, shape (n,); 0 for w = 0 and z = 0."""
        scale = 0.5 * self.signals.square().sum(-1)
        return self.gap(codes, residual, correlation) / scale.clamp(min=torch.finfo(scale.dtype).tiny)


def objective(
    codes: torch.Tensor, signals: torch.Tensor, dictionary: Dictionary, penalty: float | torch.Tensor
) -> torch.Tensor:
    r"""Return 1/2 \|w - M z\|^2 + lambda \|z\|_1 of codes (..., p) for signals (..., d), shape (...).

    Raises
    ------
    TypeError, ValueError
        As `lasso`.
    """
    problem = SparseProblem.of(signals, dictionary, penalty)
    return problem.objective(_rows(codes, problem)).reshape(signals.shape[:-1])


def duality_gap(
    codes: torch.Tensor,
    signals: torch.Tensor,
    dictionary: Dictionary,
    penalty: float | torch.Tensor,
    *,
    threshold: Threshold = "signed",
) -> torch.Tensor:
    """Return a bound on how far the objective of codes (..., p) lies above the least one, shape (...).

    Raises
    ------
    TypeError, ValueError
        As `lasso`.
    """
    problem = SparseProblem.of(signals, dictionary, penalty, threshold)
    rows = _rows(codes, problem)
    residual = problem.residual(rows)
    return problem.gap(rows, residual, problem.dictionary.adjoint(residual)).reshape(signals.shape[:-1])


def largest_penalty(
    signals: torch.Tensor, dictionary: Dictionary, *, threshold: Threshold = "signed"
) -> torch.Tensor:
    r"""Return the least lambda of each sample for which its code is 0: \|M^T w\|_inf, or max(M^T w, 0).

    Raises
    ------
    TypeError, ValueError
        As `lasso`.
    """
    problem = SparseProblem.of(signals, dictionary, 0.0, threshold)
    return problem.peak(problem.dictionary.adjoint(problem.signals)).reshape(signals.shape[:-1])


@torch.no_grad()
def spectral_norm(
    dictionary: Dictionary, start: torch.Tensor | None = None, *, n_steps: int = 100
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return \|M\|_2, from below, by power iteration on M^T M, and the vector (p,) to start the next one from.

    Cost: 2 ``n_steps`` + 1 products with one vector, no transfer to the host. From a start taken from a
    slightly different dictionary (the last step of its training) two or three steps are enough.

    Parameters
    ----------
    dictionary : torch.Tensor, shape (d, p), or LinearMap
        M.
    start : torch.Tensor, shape (p,), optional
        Start; a fixed pseudo-random vector by default. A `LinearMap` has no dtype and no device, it needs one.
    n_steps : int
        Steps of the iteration.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    integer("n_steps", n_steps, minimum=1)
    if isinstance(dictionary, torch.Tensor):
        if dictionary.ndim != 2:
            fail("dictionary", "have shape (d, p)", tuple(dictionary.shape))
        start = random_start(dictionary.shape[1], dictionary) if start is None else start
        dictionary = LinearMap.dense(dictionary)
    if start is None or start.shape != (dictionary.n_atoms,):
        got = None if start is None else tuple(start.shape)
        fail("start", f"be a vector ({dictionary.n_atoms},)", got)
    vector = start.detach()[None]
    for _ in range(n_steps):
        image = dictionary.adjoint(dictionary.apply(vector))
        size = image.norm()
        vector = torch.where(size > 0.0, image / size.clamp(min=torch.finfo(size.dtype).tiny), vector)
    norm = dictionary.apply(vector).norm() / vector.norm().clamp(min=torch.finfo(vector.dtype).tiny)
    return norm, vector[0]


def random_start(n_atoms: int, like: torch.Tensor) -> torch.Tensor:
    """Return the unit vector (n_atoms,), always the same, from which power iterations start."""
    vector = torch.randn(n_atoms, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (vector / vector.norm()).to(like)


def step_size(problem: SparseProblem, norm: float | torch.Tensor | None) -> torch.Tensor:
    r"""Return 1 / \|M\|^2 given the norm, or 1 / (1.05 \|M\|^2) with a norm found by power iteration; 0-d.

    Steps below 4/3 of 1 / \|M\|^2 are still stable with momentum, so the estimate may come short by 14 % more.
    """
    if norm is None:
        start = random_start(problem.dictionary.n_atoms, problem.signals)
        square = SAFETY * spectral_norm(problem.dictionary, start)[0].square()
    elif isinstance(norm, torch.Tensor):
        square = norm.to(problem.signals).square()
    else:
        if not 0.0 < norm < float("inf"):
            fail("norm", "be a number > 0", norm)
        square = torch.tensor(float(norm) ** 2).to(problem.signals)
    return torch.where(square > 0.0, 1.0 / square.clamp(min=torch.finfo(square.dtype).tiny), 1.0)


def _rows(codes: torch.Tensor, problem: SparseProblem) -> torch.Tensor:
    """Return codes (..., p) as rows (n, p), checked."""
    n_rows, n_atoms = problem.signals.shape[0], problem.dictionary.n_atoms
    if codes.shape[-1:] != (n_atoms,) or codes.numel() != n_rows * n_atoms:
        fail("codes", f"have shape (..., {n_atoms}), one for each of {n_rows} signals", tuple(codes.shape))
    return codes.reshape(n_rows, n_atoms)
