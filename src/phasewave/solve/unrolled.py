"""A fixed number of steps of a sparse solver, through which gradients flow: a network."""

from __future__ import annotations

import torch

from phasewave.checks import integer
from phasewave.solve.homotopy import Homotopy
from phasewave.solve.ista import FISTA, ISTA, SparseState
from phasewave.solve.sparse_problem import Dictionary, SparseProblem, Threshold, step_size


def unrolled(
    signals: torch.Tensor,
    dictionary: Dictionary,
    penalty: float | torch.Tensor,
    *,
    n_steps: int,
    solver: FISTA | ISTA | Homotopy | None = None,
    threshold: Threshold = "signed",
    norm: float | torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Return codes (..., p) after ``n_steps`` steps from 0, differentiable in all three tensors.

    With `Homotopy` the steps are shared out over its stages (as many a stage as go into it evenly, what is
    left over to the last), whose tolerance is not looked at; ``Homotopy(n_stages=n_steps)`` is a new penalty
    at every step, and momentum runs on from one to the next.

    Parameters
    ----------
    signals : torch.Tensor, shape (..., d)
        w.
    dictionary : torch.Tensor, shape (d, p), or LinearMap
        M; gradients also reach the tensors that the functions of a `LinearMap` are made of.
    penalty : float or torch.Tensor that broadcasts to (...)
        lambda >= 0.
    n_steps : int
        Steps, >= 1 and at least the stages of a `Homotopy`.
    solver : FISTA, ISTA or Homotopy, optional
        ``FISTA()`` by default.
    threshold : {"signed", "positive"}
        Whether codes have a sign or are >= 0.
    norm : float or 0-d torch.Tensor, optional
        \|M\|_2. A tensor that requires gradients is part of the network; the norm found here by power
        iteration, when none is given, is taken for a constant.

    Returns
    -------
    torch.Tensor, shape (..., p)

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, dtype, shape or range; the values of tensors are not looked at, so that
        nothing waits for the device.

    Notes
    -----
    Gradients take about 6 tensors (n, p) of memory a step.
    """
    problem = SparseProblem.of(signals, dictionary, penalty, threshold)
    method = FISTA() if solver is None else solver
    step = step_size(problem, norm)
    if isinstance(method, Homotopy):
        integer("n_steps", n_steps, minimum=method.n_stages)
        levels = method.penalties(problem)
        method = method.solver
    else:
        integer("n_steps", n_steps, minimum=1)
        levels = [problem.penalty]
    codes = problem.signals.new_zeros(problem.signals.shape[0], problem.dictionary.n_atoms)
    state = SparseState.at(problem, codes, step)
    share = n_steps // len(levels)
    for index in range(n_steps):
        level = levels[min(index // share, len(levels) - 1)]
        state = method.step(problem.at(level), state, step)
    return state.codes.reshape(*signals.shape[:-1], problem.dictionary.n_atoms)
