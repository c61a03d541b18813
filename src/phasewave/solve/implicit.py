"""Gradients of the solution of the lasso from its optimality on the support, whatever found it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from phasewave.checks import fail
from phasewave.solve.homotopy import Homotopy
from phasewave.solve.ista import FISTA, ISTA
from phasewave.solve.lasso import SparseResult, lasso
from phasewave.solve.sparse_problem import Dictionary, LinearMap, SparseProblem, Threshold

CHUNK = 1 << 24  # numbers in the matrices of one call of the Cholesky factorisation


class _Solution(torch.autograd.Function):
    """The identity on codes; backwards, the gradient meets the inverse of the Hessian on each support."""

    @staticmethod
    def forward(
        ctx: Any,
        slack: torch.Tensor,
        codes: torch.Tensor,
        matrix: torch.Tensor | None,
        dictionary: LinearMap,
    ) -> torch.Tensor:
        ctx.save_for_backward(codes, matrix)
        ctx.dictionary = dictionary
        return codes.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        codes, matrix = ctx.saved_tensors
        support = codes != 0.0
        gradient = gradient * support
        if matrix is None:
            return _by_conjugate_gradients(gradient, support, ctx.dictionary), None, None, None
        return _by_factorisation(gradient, support, matrix), None, None, None


def attach_gradient(
    codes: torch.Tensor,
    signals: torch.Tensor,
    dictionary: Dictionary,
    penalty: float | torch.Tensor,
    *,
    threshold: Threshold = "signed",
) -> torch.Tensor:
    r"""Return ``codes``, solutions of `lasso`, as a differentiable function of what they solve.

    On the support S, of signs s, a solution obeys M_S^T (w - M_S z_S) = lambda s, which differentiates to

        dz_S = (M_S^T M_S)^{-1} (d[M_S^T (w - M_S z_S)] at fixed z - s dlambda),

    and it stays 0 elsewhere, as long as no correlation outside of S has the size lambda. The error of the
    gradient is in proportion to that of the codes, and a wrong support makes a wrong gradient: solve to a
    relative gap of about 1e-6 or less.

    Parameters
    ----------
    codes : torch.Tensor, shape (..., p)
        z, close to the solution.
    signals, dictionary, penalty, threshold
        As given to `lasso`. Gradients also reach the tensors that the functions of a `LinearMap` are made of.

    Returns
    -------
    torch.Tensor, shape (..., p)
        The same numbers; differentiable once.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, dtype or shape.

    Notes
    -----
    The backward pass costs one Cholesky factorisation of the size of its support for each sample; for a
    `LinearMap`, conjugate gradients with two products a step. A support whose atoms are dependent to rounding
    is regularised at the level of rounding.
    """
    problem = SparseProblem.of(signals, dictionary, penalty, threshold)
    n_atoms = problem.dictionary.n_atoms
    if tuple(codes.shape) != (*signals.shape[:-1], n_atoms):
        fail("codes", f"have shape {(*signals.shape[:-1], n_atoms)}", tuple(codes.shape))
    rows = codes.detach().reshape(-1, n_atoms)
    slack = problem.dictionary.adjoint(problem.residual(rows)) - problem.penalty * rows.sign()
    matrix = dictionary.detach() if isinstance(dictionary, torch.Tensor) else None
    return _Solution.apply(slack, rows, matrix, problem.dictionary).reshape(codes.shape)


def lasso_with_gradient(
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
    """Return the result of `lasso`, its codes differentiable in signals, dictionary and penalty.

    Memory does not grow with the steps taken. Arguments and errors are those of `lasso`, what the gradient
    means stands at `attach_gradient`.
    """
    result = lasso(
        signals,
        dictionary,
        penalty,
        threshold=threshold,
        solver=solver,
        tolerance=tolerance,
        max_steps=max_steps,
        start=start,
        norm=norm,
    )
    codes = attach_gradient(result.codes, signals, dictionary, penalty, threshold=threshold)
    return replace(result, codes=codes)


def _by_factorisation(gradient: torch.Tensor, support: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Solve M_S^T M_S v = g on each support, supports padded to the largest of a chunk."""
    gram = matrix.mT @ matrix
    eps = torch.finfo(gram.dtype).eps
    answer = torch.zeros_like(gradient)
    sizes = support.sum(-1)
    widest = int(sizes.max()) if len(sizes) else 0
    if not widest:
        return answer
    # The positions of a support come first in the order, those that pad it after them.
    order = support.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[:, :widest]
    rank = torch.arange(widest, device=gram.device)
    for rows in torch.arange(len(sizes), device=gram.device).split(max(1, CHUNK // widest**2)):
        place = order[rows]
        real = rank < sizes[rows, None]
        blocks = gram[place[:, :, None], place[:, None, :]] * (real[:, :, None] & real[:, None, :])
        floor = 2.0 * widest * eps * blocks.diagonal(dim1=1, dim2=2).amax(-1, keepdim=True)
        blocks.diagonal(dim1=1, dim2=2).add_(torch.where(real, floor, 1.0))
        factor = torch.linalg.cholesky(blocks)
        values = gradient[rows].gather(1, place)[:, :, None]
        solved = torch.cholesky_solve(values, factor)[:, :, 0]
        answer[rows] = torch.zeros_like(gradient[rows]).scatter(1, place, solved * real)
    return answer


def _by_conjugate_gradients(gradient: torch.Tensor, support: torch.Tensor, dictionary: LinearMap) -> torch.Tensor:
    """Solve the same equations with products alone."""
    tiny = torch.finfo(gradient.dtype).tiny
    answer = torch.zeros_like(gradient)
    rest = direction = gradient
    square = rest.square().sum(-1, keepdim=True)
    goal = square * (4.0 * torch.finfo(gradient.dtype).eps) ** 2
    limit = 2 * int(support.sum(-1).max()) if gradient.numel() else 0
    for _ in range(limit):
        active = square > goal
        if not bool(active.any()):
            break
        image = dictionary.adjoint(dictionary.apply(direction)) * support
        curvature = (direction * image).sum(-1, keepdim=True)
        length = torch.where(active & (curvature > 0.0), square / curvature.clamp(min=tiny), 0.0)
        answer = answer + length * direction
        rest = rest - length * image
        fresh = rest.square().sum(-1, keepdim=True)
        direction = torch.where(active, rest + fresh / square.clamp(min=tiny) * direction, direction)
        square = torch.where(active, fresh, square)
    return answer
