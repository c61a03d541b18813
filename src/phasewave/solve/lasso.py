"""The driver of the sparse solvers: every sample goes on until its duality gap is small enough."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from phasewave.checks import fail, finite, integer
from phasewave.solve.homotopy import Homotopy
from phasewave.solve.ista import FISTA, ISTA, SparseState
from phasewave.solve.result import Status
from phasewave.solve.sparse_problem import Dictionary, SparseProblem, Threshold, step_size

CHECK_EVERY = 10  # steps between looks at the gaps, each of which waits for the device
PATIENCE = 200  # steps, at least, without a smaller gap before a sample has stalled

_ENDS = (Status.CONVERGED, Status.STALLED, Status.MAX_EVALUATIONS)


@dataclass(frozen=True)
class SparseResult:
    """Sparse codes of a batch of signals, and how good each is.

    Attributes
    ----------
    codes : torch.Tensor, shape (..., p)
        z.
    status : tuple of Status
        One for each sample, in the order of ``codes.reshape(-1, p)``: converged (the gap is small enough),
        stalled (it does not get smaller: the rounding of the dtype), or all steps used up.
    n_steps : torch.Tensor of int64, shape (...)
        Steps of each sample.
    gaps : torch.Tensor, shape (...)
        Duality gap of ``codes`` over the objective of z = 0: a bound on the relative suboptimality.
    """

    codes: torch.Tensor
    status: tuple[Status, ...]
    n_steps: torch.Tensor
    gaps: torch.Tensor

    @property
    def converged(self) -> bool:
        """Whether every sample has converged."""
        return all(status is Status.CONVERGED for status in self.status)

    @property
    def support_sizes(self) -> torch.Tensor:
        """Coefficients of each code that are not 0, int64, shape (...)."""
        return (self.codes != 0.0).sum(-1)


@torch.no_grad()
def lasso(
    signals: torch.Tensor,
    dictionary: Dictionary,
    penalty: float | torch.Tensor,
    *,
    threshold: Threshold = "signed",
    solver: FISTA | ISTA | Homotopy | None = None,
    tolerance: float = 1e-5,
    max_steps: int = 10_000,
    start: torch.Tensor | None = None,
    norm: float | torch.Tensor | None = None,
) -> SparseResult:
    r"""Minimise 1/2 \|w - M z\|^2 + lambda \|z\|_1 over z, or over z >= 0, for each signal w.

    Samples are independent problems: each has its own momentum and restarts, is looked at every 10 of its own
    steps, and leaves the batch when it has ended. A sample's codes do not depend on the batch but for the
    rounding of matrix products. No gradient flows through; see `lasso_with_gradient` and `unrolled`.

    Parameters
    ----------
    signals : torch.Tensor, shape (..., d)
        w, float32 or float64, on any device; any leading axes.
    dictionary : torch.Tensor, shape (d, p), or LinearMap
        M, of the dtype and on the device of the signals.
    penalty : float or torch.Tensor that broadcasts to (...)
        lambda >= 0. With 0 the gap closes only for signals in the span of the dictionary.
    threshold : {"signed", "positive"}
        Whether codes have a sign or are >= 0.
    solver : FISTA, ISTA or Homotopy, optional
        ``FISTA()`` by default.
    tolerance : float
        Relative duality gap at which a sample has converged. The rounding of float32 keeps it above about 1e-6.
    max_steps : int
        Steps allowed to each sample, rounded up to a multiple of 10.
    start : torch.Tensor, shape (..., p), optional
        Codes to start from; 0 by default. `Homotopy` starts its first stage there.
    norm : float or 0-d torch.Tensor, optional
        A bound on \|M\|_2 when known; otherwise found by 100 steps of power iteration.

    Returns
    -------
    SparseResult

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, dtype, shape or range, or a value is NaN or infinite.

    Notes
    -----
    A step costs two products with the dictionary, 4 n d p operations. Memory: about 8 tensors (n, p).
    """
    problem = SparseProblem.of(signals, dictionary, penalty, threshold)
    finite("signals", signals)
    if isinstance(dictionary, torch.Tensor):
        finite("dictionary", dictionary)
    finite("penalty", problem.penalty)
    if bool((problem.penalty < 0.0).any()):
        fail("penalty", "be >= 0", float(problem.penalty.min()))
    if not tolerance >= 0.0:
        fail("tolerance", "be a number >= 0", tolerance)
    limit = -(-integer("max_steps", max_steps, minimum=1) // CHECK_EVERY) * CHECK_EVERY
    codes = _start(start, problem, signals)
    step = step_size(problem, norm)
    used = torch.zeros(codes.shape[0], dtype=torch.int64, device=codes.device)
    method = FISTA() if solver is None else solver
    if isinstance(method, Homotopy):
        for level in method.penalties(problem)[:-1]:
            eased = problem.at(level)
            codes, used, _, _ = _solved(method.solver, eased, codes, used, step, method.tolerance, limit)
        method = method.solver
    codes, used, gaps, ends = _solved(method, problem, codes, used, step, tolerance, limit)
    batch = signals.shape[:-1]
    return SparseResult(
        codes=codes.reshape(*batch, codes.shape[-1]),
        status=tuple(_ENDS[index] for index in ends.tolist()),
        n_steps=used.reshape(batch),
        gaps=gaps.reshape(batch),
    )


def _start(start: torch.Tensor | None, problem: SparseProblem, signals: torch.Tensor) -> torch.Tensor:
    """Return the codes (n, p) to start from."""
    n_atoms = problem.dictionary.n_atoms
    if start is None:
        return problem.signals.new_zeros(problem.signals.shape[0], n_atoms)
    shape = (*signals.shape[:-1], n_atoms)
    if tuple(start.shape) != shape:
        fail("start", f"have shape {shape}", tuple(start.shape))
    codes = finite("start", start).to(signals).reshape(-1, n_atoms)
    return codes.clamp(min=0.0) if problem.threshold == "positive" else codes


def _solved(
    solver: FISTA | ISTA,
    problem: SparseProblem,
    start: torch.Tensor,
    n_before: torch.Tensor,
    step: torch.Tensor,
    tolerance: float,
    limit: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return codes, steps, relative gaps and the number in `_ENDS` of each sample."""
    codes, used = start.clone(), n_before.clone()
    gaps = problem.signals.new_zeros(start.shape[0])
    ends = torch.zeros_like(used)
    if not start.shape[0]:
        return codes, used, gaps, ends
    active = torch.arange(start.shape[0], device=start.device)
    state = SparseState.at(problem, start, step)
    least = torch.full_like(gaps, torch.inf)
    least_at = torch.zeros_like(used)
    count = 0
    while True:
        gap = problem.relative_gap(state.codes, state.residual, state.correlation)
        least_at = torch.where(gap < least, count, least_at)
        least = torch.minimum(gap, least)
        stalled = count - least_at >= max(PATIENCE, count // 2)
        spent = used[active] + count >= limit
        ended = (gap <= tolerance) | stalled | spent
        if bool(ended.any()):
            out = active[ended]
            codes[out], gaps[out] = state.codes[ended], gap[ended]
            used[out] += count
            ends[out] = torch.where(gap <= tolerance, 0, torch.where(stalled, 1, 2))[ended]
            rest = torch.nonzero(~ended)[:, 0]
            if not len(rest):
                return codes, used, gaps, ends
            active, problem, state = active[rest], problem.select(rest), state.select(rest)
            least, least_at = least[rest], least_at[rest]
        for _ in range(CHECK_EVERY):
            state = solver.step(problem, state, step)
        count += CHECK_EVERY
