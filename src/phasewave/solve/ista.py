"""Proximal gradient steps for the lasso, plain (ISTA) and with momentum and restarts (FISTA)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from phasewave.solve.sparse_problem import SparseProblem, shrink


@dataclass(frozen=True, eq=False)
class SparseState:
    """Where a batch of lasso problems stands.

    Attributes
    ----------
    codes : torch.Tensor, shape (n, p)
        z.
    residual : torch.Tensor, shape (n, d)
        w - M z.
    correlation : torch.Tensor, shape (n, p)
        M^T (w - M z), minus the gradient of the smooth part.
    point, last_point : torch.Tensor, shape (n, p)
        z + step M^T (w - M z) of this iterate and of the one before. It is affine in z, so the gradient at an
        extrapolated point is an extrapolation of two gradients: the gap at z costs no product of its own.
    change : torch.Tensor, shape (n, p)
        z minus the z before.
    momentum : torch.Tensor, shape (n, 1)
        t of Beck and Teboulle, 1 at a start and after a restart.
    """

    codes: torch.Tensor
    residual: torch.Tensor
    correlation: torch.Tensor
    point: torch.Tensor
    last_point: torch.Tensor
    change: torch.Tensor
    momentum: torch.Tensor

    @classmethod
    def at(cls, problem: SparseProblem, codes: torch.Tensor, step: torch.Tensor) -> SparseState:
        """Return the state of a start from ``codes``."""
        residual = problem.residual(codes)
        correlation = problem.dictionary.adjoint(residual)
        point = torch.addcmul(codes, correlation, step)
        ones = codes.new_ones(codes.shape[0], 1)
        return cls(codes, residual, correlation, point, point, torch.zeros_like(codes), ones)

    def select(self, index: torch.Tensor) -> SparseState:
        """Return the state of some samples."""
        return SparseState(
            self.codes[index],
            self.residual[index],
            self.correlation[index],
            self.point[index],
            self.last_point[index],
            self.change[index],
            self.momentum[index],
        )

    def moved(
        self,
        problem: SparseProblem,
        codes: torch.Tensor,
        change: torch.Tensor,
        step: torch.Tensor,
        momentum: torch.Tensor,
    ) -> SparseState:
        """Return the state at new codes."""
        residual = problem.residual(codes)
        correlation = problem.dictionary.adjoint(residual)
        point = torch.addcmul(codes, correlation, step)
        return SparseState(codes, residual, correlation, point, self.point, change, momentum)


@dataclass(frozen=True)
class ISTA:
    r"""Iterated soft thresholding: z <- T_{step lambda}(z + step M^T (w - M z)), step <= 1 / \|M\|^2.

    Notes
    -----
    The objective falls at every step, like 1/k; two products with the dictionary a step.

    References
    ----------
    Daubechies, Defrise and De Mol, Comm. Pure Appl. Math. 57, 1413, 2004.
    """

    def step(self, problem: SparseProblem, state: SparseState, step: torch.Tensor) -> SparseState:
        """Return the next state; no argument is changed, and gradients flow through."""
        codes = shrink(state.point, step * problem.penalty, problem.threshold)
        return state.moved(problem, codes, codes - state.codes, step, state.momentum)


@dataclass(frozen=True)
class FISTA:
    r"""ISTA from a point extrapolated along the last change, with a restart whenever that points uphill.

        y = z + b (z - z'),  z <- T_{step lambda}(y + step M^T (w - M y)),
        b = (t' - 1) / t,  t = (1 + sqrt(1 + 4 t'^2)) / 2

    for each sample with its own t. It is set back to 1 (no momentum in the next step) when
    <y - z_new, z_new - z> > 0.

    Parameters
    ----------
    restart : bool
        Whether to restart: the objective then falls linearly once the support is found, instead of like 1/k^2.

    Notes
    -----
    Two products with the dictionary a step, as ISTA.

    References
    ----------
    Beck and Teboulle, SIAM J. Imaging Sci. 2, 183, 2009; O'Donoghue and Candes, Found. Comput. Math. 15, 715,
    2015 (the gradient scheme).
    """

    restart: bool = True

    def step(self, problem: SparseProblem, state: SparseState, step: torch.Tensor) -> SparseState:
        """Return the next state; no argument is changed, and gradients flow through."""
        momentum = 0.5 * (1.0 + (1.0 + 4.0 * state.momentum.square()).sqrt())
        share = (state.momentum - 1.0) / momentum
        start = torch.lerp(state.last_point, state.point, 1.0 + share)
        codes = shrink(start, step * problem.penalty, problem.threshold)
        change = codes - state.codes
        if self.restart:
            with torch.no_grad():
                along = share * torch.linalg.vecdot(state.change, change)[:, None]
                length = torch.linalg.vector_norm(change, dim=-1, keepdim=True)
                momentum = torch.where(along > length.square(), 1.0, momentum)
        return state.moved(problem, codes, change, step, momentum)
