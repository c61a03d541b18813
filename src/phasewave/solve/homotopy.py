"""Penalties that decrease geometrically: homotopy over a proximal solver, and the ISTC network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from phasewave.checks import fail, integer
from phasewave.solve.ista import FISTA, ISTA
from phasewave.solve.sparse_problem import SparseProblem, Threshold, shrink


@dataclass(frozen=True)
class Homotopy:
    r"""A solver run at penalties that fall geometrically from the one at which codes are 0.

    Stage k of K = ``n_stages`` has the penalty lambda_max (lambda / lambda_max)^{k/K}, sample by sample, and
    starts from the codes of the stage before; the last has lambda itself. Codes stay sparse all the way.

    Parameters
    ----------
    solver : FISTA or ISTA
        What is run at each penalty.
    n_stages : int
        K.
    tolerance : float
        Relative gap at which a stage before the last is left.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    solver: FISTA | ISTA = field(default_factory=FISTA)
    n_stages: int = 6
    tolerance: float = 1e-2

    def __post_init__(self) -> None:
        integer("n_stages", self.n_stages, minimum=1)
        if not self.tolerance > 0.0:
            fail("tolerance", "be a number > 0", self.tolerance)

    def penalties(self, problem: SparseProblem) -> list[torch.Tensor]:
        """Return the penalties (n, 1) of the stages."""
        largest = problem.peak(problem.dictionary.adjoint(problem.signals))
        return geometric(largest, problem.penalty, self.n_stages)


def geometric(start: torch.Tensor, end: torch.Tensor, n_steps: int) -> list[torch.Tensor]:
    """Return ``n_steps`` levels from below ``start`` to ``end`` in equal ratios; all ``end`` where it is larger.

    A ratio of 0 (``end`` = 0) has no equal steps: the levels are then 0 at once.
    """
    start = torch.maximum(start, end)
    tiny = torch.finfo(start.dtype).tiny
    ratio = torch.where(start > 0.0, end / start.clamp(min=tiny), 1.0)
    # The last is `end` itself: it must not depend on the start, nor be rounded.
    return [start * ratio.clamp(min=tiny) ** (k / n_steps) * (ratio > 0.0) for k in range(1, n_steps)] + [end]


def istc_iterates(
    signals: torch.Tensor,
    dictionary: torch.Tensor,
    penalty: float | torch.Tensor,
    *,
    analysis: torch.Tensor | None = None,
    n_steps: int = 12,
    start: float | torch.Tensor | None = None,
    threshold: Threshold = "positive",
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the codes (..., p) and the threshold (...) of each step of `istc`, with its arguments and errors."""
    integer("n_steps", n_steps, minimum=1)
    problem = SparseProblem.of(signals, dictionary, penalty, threshold)
    if not isinstance(dictionary, torch.Tensor):
        raise TypeError(f"`dictionary` must be a torch.Tensor, got {type(dictionary).__name__}")
    analysis = dictionary if analysis is None else analysis
    if analysis.shape != dictionary.shape:
        fail("analysis", f"have the shape {tuple(dictionary.shape)} of the dictionary", tuple(analysis.shape))
    if start is None:
        largest = problem.peak(problem.signals @ analysis)
    else:
        largest = SparseProblem.of(signals, dictionary, start, threshold).penalty
    batch = signals.shape[:-1]
    return _iterates(problem, analysis, geometric(largest, problem.penalty, n_steps), batch)


def _iterates(
    problem: SparseProblem, analysis: torch.Tensor, levels: list[torch.Tensor], batch: torch.Size
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the iterates of checked arguments."""
    codes = problem.signals.new_zeros(problem.signals.shape[0], problem.dictionary.n_atoms)
    for index, level in enumerate(levels):
        residual = problem.signals if index == 0 else problem.residual(codes)
        codes = shrink(codes + residual @ analysis, level, problem.threshold)
        yield codes.reshape(*batch, codes.shape[1]), level.reshape(batch)


def istc(
    signals: torch.Tensor,
    dictionary: torch.Tensor,
    penalty: float | torch.Tensor,
    *,
    analysis: torch.Tensor | None = None,
    n_steps: int = 12,
    start: float | torch.Tensor | None = None,
    threshold: Threshold = "positive",
) -> torch.Tensor:
    r"""Return sparse codes by iterated soft thresholding with continuation: a network of ``n_steps`` layers.

        z_0 = 0,  z_n = T_{lambda_n}(z_{n-1} + W^T (w - D z_{n-1})),
        lambda_n = lambda_max (lambda / lambda_max)^{n/K},  n = 1 .. K,

    T the soft threshold. It has no step size: it is made for dictionaries whose atoms are nearly orthogonal.
    Let the columns obey w_k . d_k = 1, mu = max_{k != l} \|w_k . d_l\|, and g = (lambda_max / lambda)^{1/K}. For
    any code a of s coefficients (not negative ones when positive) with 2 g mu s < 1, and as long as
    lambda_n >= \|W^T (w - D a)\|_inf / (1 - 2 g mu s),

        supp z_n lies in supp a,  and  \|z_n - a\|_inf <= 2 lambda_n.

    Outside of that condition nothing is known, and \|D\|^2 > 2 lets the iteration grow: use `unrolled` there.

    Parameters
    ----------
    signals : torch.Tensor, shape (..., d)
        w.
    dictionary : torch.Tensor, shape (d, p)
        D, one atom a column.
    penalty : float or torch.Tensor of shape (...)
        The last threshold lambda.
    analysis : torch.Tensor, shape (d, p), optional
        W; D by default.
    n_steps : int
        K.
    start : float or torch.Tensor of shape (...), optional
        lambda_max; by default \|W^T w\|_inf of each sample (the largest W^T w when positive). Where it is below
        the penalty, every step has the penalty.
    threshold : {"positive", "signed"}
        Whether codes have a sign.

    Returns
    -------
    torch.Tensor, shape (..., p)
        The codes; gradients flow to all four tensors.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type, dtype, shape or range; the values of tensors are not looked at.

    References
    ----------
    Zarka, Thiry, Angles and Mallat, Deep network classification by scattering and homotopy dictionary
    learning, ICLR 2020.
    """
    iterates = istc_iterates(
        signals,
        dictionary,
        penalty,
        analysis=analysis,
        n_steps=n_steps,
        start=start,
        threshold=threshold,
    )
    return deque(iterates, maxlen=1).pop()[0]
