"""The microcanonical sampler: noise moved until its moments are those of a target field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from phasewave.checks import fail, finite, integer, real_field
from phasewave.solve.lbfgs import LBFGS
from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.solve.loop import Progress, minimize
from phasewave.solve.result import Status
from phasewave.turbulence.energy import MomentMatching, Statistics
from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.preconditioner import SpectralPreconditioner


@dataclass(frozen=True)
class SamplerResult:
    """Samples, and how they were reached.

    Attributes
    ----------
    samples : torch.Tensor, shape (n, H, W)
        In the units, dtype and device of the field.
    status : tuple of Status
        One for each sample.
    losses : torch.Tensor, shape (n,), float64 on the CPU
        Relative distance of each sample's moments to the target's (`MomentMatching`).
    history : torch.Tensor, shape (n_steps + 1, n), float64 on the CPU
        Loss of each sample after every call of the statistics.
    n_evaluations : tuple of int
        Evaluations of each sample.
    n_moments : int
        Real numbers that were matched; more than the field has pixels can copy it.
    """

    samples: torch.Tensor
    status: tuple[Status, ...]
    losses: torch.Tensor
    history: torch.Tensor
    n_evaluations: tuple[int, ...]
    n_moments: int

    @property
    def converged(self) -> bool:
        """Whether every sample has converged."""
        return all(status is Status.CONVERGED for status in self.status)


class MaxEntropySampler:
    r"""Draws fields whose moments are those of a target: microcanonical gradient descent.

    The maximum-entropy distribution of given moments is sampled by moving Gaussian noise of the target's
    mean and smoothed spectrum until its moments match (Bruna and Mallat 2019, arXiv:1801.02013): L-BFGS on

    .. math:: L(x) = \sum_i w_i |\phi_i(x) - \phi_i(target)|^2 / \sum_i w_i |\phi_i(target)|^2,

    in variables in which all scales converge alike (`SpectralPreconditioner`). Moments are taken of fields
    in units of the target's standard deviation about its mean.

    Parameters
    ----------
    moments : torch.nn.Module or callable
        phi: any differentiable map of fields (n, H, W) to moments (n, n_moments), real or complex. If it has a
        method ``standardized(target)``, as `PhaseHarmonicMoments`, that gives the moments that are matched.
    weights : torch.Tensor, shape (n_moments,), optional
        w >= 0; all one by default.
    tolerance : float
        A sample has converged when its relative loss is at most this.
    max_evaluations : int
        Evaluations of the moments allowed to each sample.
    solver : LBFGS, optional
        ``LBFGS(history_size=50)`` by default.
    chunk : int, optional
        Samples evaluated at a time; None for all at once. With 1, sample i of a seed is the same to the last
        bit whatever ``n_samples``.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range.

    Examples
    --------
    >>> field = GaussianModel(torch.randn(32, 32).cumsum(0)).sample(1, seed=1)[0]
    >>> sampler = MaxEntropySampler(lambda x: torch.fft.rfft2(x).abs().square().flatten(-2))
    >>> sampler.sample(field, n_samples=2, seed=0).samples.shape
    torch.Size([2, 32, 32])
    """

    def __init__(
        self,
        moments: Statistics,
        *,
        weights: torch.Tensor | None = None,
        tolerance: float = 1e-5,
        max_evaluations: int = 500,
        solver: LBFGS | None = None,
        chunk: int | None = 1,
    ) -> None:
        self.moments = moments
        self.weights = weights
        if not tolerance >= 0.0:
            fail("tolerance", "be a number >= 0", tolerance)
        self.tolerance = tolerance
        self.max_evaluations = integer("max_evaluations", max_evaluations, minimum=1)
        self.solver = LBFGS(history_size=50) if solver is None else solver
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)

    def sample(
        self,
        field: torch.Tensor,
        *,
        n_samples: int = 4,
        seed: int | torch.Generator = 0,
        callback: Callable[[Progress], bool | None] | None = None,
        state: LBFGSState | None = None,
    ) -> SamplerResult:
        """Draw ``n_samples`` fields with the moments of ``field``.

        Parameters
        ----------
        field : torch.Tensor, shape (H, W)
            The target, real; the moments must be on its device, and of its dtype.
        n_samples : int
            How many.
        seed : int or torch.Generator
            Sample i starts from noise that depends on (seed, i) alone.
        callback : callable, optional
            Called with a `Progress` after every call of the moments; stops the work by returning True. Its
            ``state`` can be stored, and given as ``state`` to go on.
        state : LBFGSState, optional
            Go on from here; ``seed`` is then not used.

        Returns
        -------
        SamplerResult
            Also when not all samples have converged: see its status.

        Raises
        ------
        TypeError
            If ``field`` is not a real tensor.
        ValueError
            If ``field`` is not one finite field, does not vary, or the state is of other fields.
        """
        real_field("field", field)
        if field.ndim != 2:
            fail("field", "have axes (H, W)", tuple(field.shape))
        finite("field", field)
        count = integer("n_samples", n_samples, minimum=1)
        exact = field.detach().to(torch.float64)
        mean, scale = exact.mean(), exact.std(correction=0)
        if not float(scale) > 0.0:
            fail("field", "vary over space", "a constant field")
        target = ((exact - mean) / scale).to(field.dtype)
        model = GaussianModel(target).smoothed()
        preconditioner = SpectralPreconditioner(model)
        matching = self.matching(target)

        def objective(variables: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            losses, gradient = matching.value_and_gradient(self._each(preconditioner.fields, variables))
            return losses, self._each(preconditioner.fields, gradient)

        start = None
        if state is None:
            noise = white_noise(count, field.shape, seed=seed).to(field.device)
            start = self._each(lambda part: preconditioner.variables(model.colour(part)), noise).to(field.dtype)
        elif tuple(state.value.shape) != (count, *field.shape):
            fail("state", f"hold {count} fields of shape {tuple(field.shape)}", tuple(state.value.shape))
        result = minimize(
            objective,
            start,
            solver=self.solver,
            tolerance=self.tolerance,
            max_evaluations=self.max_evaluations,
            callback=callback,
            state=state,
        )
        samples = self._each(preconditioner.fields, result.value.to(torch.float64)) * scale + mean
        return SamplerResult(
            samples=samples.to(field.dtype),
            status=result.status,
            losses=result.losses,
            history=result.history,
            n_evaluations=result.n_evaluations,
            n_moments=matching.target.numel() * (2 if matching.target.is_complex() else 1),
        )

    def _each(self, function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Return a function of a batch, computed ``chunk`` samples at a time (FFTs round by the batch)."""
        parts = x.split(len(x) if self.chunk is None else self.chunk)
        return torch.cat([function(part.clone()) for part in parts])

    def matching(self, target: torch.Tensor) -> MomentMatching:
        """Return the loss for a target (H, W) of zero mean and unit variance."""
        standardized = getattr(self.moments, "standardized", None)
        moments = self.moments if standardized is None else standardized(target)
        with torch.no_grad():
            values = moments(target[None])
        if values.ndim != 2 or values.shape[0] != 1:
            fail("moments", "map fields (n, H, W) to moments (n, n_moments)", tuple(values.shape))
        return MomentMatching(moments, values[0], weights=self.weights, chunk=self.chunk)
