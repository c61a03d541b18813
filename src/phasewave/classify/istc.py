"""Sparse codes over a learnt dictionary as a layer: homotopy soft thresholding of the windows of maps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.solve.homotopy import istc
from phasewave.solve.sparse_problem import duality_gap

_PENALTY = 0.1  # at the start of a training
_MIX = 1e-6


@dataclass(frozen=True)
class SparsityReport:
    """How sparse and how near to the lasso's solution codes are.

    Attributes
    ----------
    penalty : float
        The last threshold, learnt; inputs have norm 1.
    active : float
        Share of the entries of the codes that are not 0.
    n_active : float
        Mean number of atoms used at a position.
    relative_gap : float
        Mean over positions of the duality gap of the lasso, over 1/2 |w|^2 = 1/2: a bound on how far its
        objective is above the least.
    residual : float
        Mean of |w - D z| with |w| = 1.
    coherence : float
        Largest |d_k . d_l| of two atoms.
    """

    penalty: float
    active: float
    n_active: float
    relative_gap: float
    residual: float
    coherence: float


class SparseCodes(nn.Module):
    r"""Project each window, normalise it, and code it sparsely by `phasewave.solve.homotopy.istc`.

    .. math::

        w = \frac{P x}{|P x|}, \quad
        z \approx \arg\min_{z \ge 0} \tfrac12 |w - D z|^2 + \lambda |z|_1

    with x the ``window`` x ``window`` positions about every ``stride``-th one, 0 outside of the maps. The
    projection P, the atoms of D (norm 1 by construction) and lambda are learnt; the codes depend on their window
    alone.

    Parameters
    ----------
    n_inputs : int
        Channels of the maps.
    dimension : int
        Of w.
    n_atoms : int
    n_steps : int
        K, steps of the homotopy.
    window : int
        Side of the windows, odd.
    stride : int
        From window to window.

    Raises
    ------
    TypeError, ValueError
        If a number is under 1, or the window even.

    Notes
    -----
    The iteration has no step size. Where atoms are far from orthogonal its convergence is not proven, only
    measured: `report`. Source: Zarka, Thiry, Angles and Mallat 2020.
    """

    def __init__(
        self, n_inputs: int, dimension: int, n_atoms: int, *, n_steps: int = 12, window: int = 3, stride: int = 2
    ) -> None:
        super().__init__()
        integer("dimension", dimension, minimum=1)
        integer("n_atoms", n_atoms, minimum=1)
        self.n_steps = integer("n_steps", n_steps, minimum=1)
        if integer("window", window, minimum=1) % 2 == 0:
            fail("window", "be odd", window)
        self.projection = nn.Conv2d(
            integer("n_inputs", n_inputs, minimum=1),
            dimension,
            window,
            stride=integer("stride", stride, minimum=1),
            padding=window // 2,
            bias=False,
        )
        self.directions = nn.Parameter(torch.empty(n_atoms, dimension))
        self.log_penalty = nn.Parameter(torch.empty(1))

    @torch.no_grad()
    def begin(self) -> None:
        """Set lambda to where trainings start."""
        self.log_penalty.fill_(math.log(_PENALTY))

    @property
    def dictionary(self) -> torch.Tensor:
        """D, (dimension, n_atoms), its columns of norm 1."""
        return nn.functional.normalize(self.directions, dim=1).T

    @property
    def penalty(self) -> torch.Tensor:
        """Lambda, a tensor without axes."""
        return self.log_penalty.exp()[0]

    def signals(self, maps: torch.Tensor) -> torch.Tensor:
        """Return w, (n, ceil(h / stride), ceil(w / stride), dimension), of maps (n, n_inputs, h, w)."""
        return nn.functional.normalize(self.projection(maps).movedim(1, -1), dim=-1, eps=_MIX)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the codes (n, n_atoms, ceil(h / stride), ceil(w / stride)) of maps (n, n_inputs, h, w)."""
        codes = istc(self.signals(maps), self.dictionary, self.penalty, n_steps=self.n_steps)
        return codes.movedim(-1, 1)

    @torch.no_grad()
    def report(self, maps: torch.Tensor) -> SparsityReport:
        """Measure sparsity and duality gap of the codes of maps (n, n_inputs, h, w)."""
        signals, dictionary = self.signals(maps), self.dictionary
        codes = istc(signals, dictionary, self.penalty, n_steps=self.n_steps)
        gap = duality_gap(codes, signals, dictionary, self.penalty, threshold="positive")
        active = (codes > 0).to(torch.float64)
        products = (dictionary.T @ dictionary).abs().fill_diagonal_(0.0)
        return SparsityReport(
            penalty=float(self.penalty),
            active=float(active.mean()),
            n_active=float(active.sum(-1).mean()),
            relative_gap=float(2 * gap.mean()),
            residual=float((signals - codes @ dictionary.T).norm(dim=-1).mean()),
            coherence=float(products.max()),
        )
