"""The microcanonical sampler: noise moved until its moments are those of a target field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from phasewave.checks import fail, grid_shape, integer
from phasewave.solve.lbfgs import LBFGS
from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.solve.loop import Plateau, Progress, minimize
from phasewave.solve.result import Status
from phasewave.turbulence.energy import Statistics
from phasewave.turbulence.matching import set_goal
from phasewave.turbulence.preconditioner import SpectralPreconditioner
from phasewave.turbulence.start import GaussianStart
from phasewave.turbulence.targets import standard_target

MASKING_FACTOR = 2.0
"""Times the loss that gaps make of a Gaussian field: that of a sample that cannot come nearer to their target."""


@dataclass(frozen=True)
class SamplerResult:
    """Samples, and how they were reached.

    Attributes
    ----------
    samples : torch.Tensor, shape (n, H, W), or (n, C, H, W) of several fields
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
    class_losses : dict of str to torch.Tensor, shape (n,), float64 on the CPU
        Relative loss of each class of moments (`MomentMatching.class_losses`).
    tolerance : float
        The loss at which a sample has converged: the sampler's own, or what its numbers by class come to.
    plateau_loss : float or None
        Of a target with gaps or borders: the loss below which a sample whose loss has stopped falling has
        converged too (``masking_factor``); None for a complete, periodic target.
    sample_moments : torch.Tensor, shape (n, n_moments), on the CPU
        Moments of the samples, standardised as they were matched.
    target_moments : torch.Tensor, shape (n_moments,), on the CPU
        Those of the target; their mean if it is an ensemble.
    realisation_losses : torch.Tensor or None, shape (m,), float64 on the CPU
        Loss of each realisation of an ensemble: what distinguishes a real field from their mean.
    """

    samples: torch.Tensor
    status: tuple[Status, ...]
    losses: torch.Tensor
    history: torch.Tensor
    n_evaluations: tuple[int, ...]
    n_moments: int
    class_losses: dict[str, torch.Tensor]
    tolerance: float
    plateau_loss: float | None
    sample_moments: torch.Tensor
    target_moments: torch.Tensor
    realisation_losses: torch.Tensor | None

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
        phi: any differentiable map of fields (n, H, W) to moments (n, n_moments), real or complex. If it has
        the methods of `phasewave.turbulence.interface.Moments`, they are used: ``standardized`` by the target,
        ``resized`` for samples of another size, ``masked`` for a target with gaps.
    weights : torch.Tensor, shape (n_moments,), optional
        w >= 0; all one by default. An ensemble's own weights (`spread_weights`) multiply them.
    tolerance : float, or Mapping of str to float
        A sample has converged when its relative loss is at most this. Numbers by class of moments, such as
        ``{"S11": 1e-5, "rest": 1e-3}``, weight the classes so that each is within its own when the sample has
        converged (`MomentMatching.balanced`).
    max_evaluations : int
        Evaluations of the moments allowed to each sample.
    solver : LBFGS, optional
        ``LBFGS(history_size=50)`` by default.
    chunk : int, optional
        Samples evaluated at a time; None for all at once. With 1, sample i of a seed is the same to the last
        bit whatever ``n_samples``.
    masking_factor : float
        Of a target with gaps, or not periodic. Moments estimated from a part of a field contradict each other a
        little, and many of them cannot be met together to any tolerance. So a sample has also converged when 20
        evaluations lowered its loss by less than 5 % and it is at most this many times the loss that the gaps make
        of Gaussian fields (`set_goal`). With 0 only the tolerance counts.
    exponent : float
        Of `SpectralPreconditioner`: 1 for moments of equal weights, 1/2 for those of `scale_weights`.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range.

    Examples
    --------
    >>> from phasewave.turbulence.gaussian import GaussianModel
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
        tolerance: float | Mapping[str, float] = 1e-5,
        max_evaluations: int = 500,
        solver: LBFGS | None = None,
        chunk: int | None = 1,
        masking_factor: float = MASKING_FACTOR,
        exponent: float = 1.0,
    ) -> None:
        self.moments = moments
        self.weights = weights
        if not isinstance(tolerance, Mapping) and not tolerance >= 0.0:
            fail("tolerance", "be a number >= 0", tolerance)
        self.tolerance = tolerance
        self.max_evaluations = integer("max_evaluations", max_evaluations, minimum=1)
        self.solver = LBFGS(history_size=50) if solver is None else solver
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)
        if not masking_factor >= 0.0:
            fail("masking_factor", "be a number >= 0", masking_factor)
        self.masking_factor = masking_factor
        if not exponent >= 0.0:
            fail("exponent", "be >= 0", exponent)
        self.exponent = exponent

    def sample(
        self,
        field: torch.Tensor,
        *,
        n_samples: int = 4,
        seed: int | torch.Generator = 0,
        shape: Sequence[int] | None = None,
        channels: bool = False,
        mask: torch.Tensor | None = None,
        periodic: bool = True,
        first_sample: int = 0,
        callback: Callable[[Progress], bool | None] | None = None,
        state: LBFGSState | None = None,
    ) -> SamplerResult:
        """Draw ``n_samples`` fields with the moments of ``field``.

        Parameters
        ----------
        field : torch.Tensor, shape (H, W) or (m, H, W)
            The target, real, or an ensemble of m realisations of one process: their moments are averaged, and
            weighted by their spread. With ``channels``, (C, H, W) or (m, C, H, W): C fields of one sky. The
            moments must be on its device, and of its dtype.
        n_samples : int
            How many.
        seed : int or torch.Generator
            Sample i starts from noise that depends on (seed, i) alone.
        shape : pair of int, optional
            Size of the samples; that of the field by default. The pixel keeps its size: a larger sample is a
            larger domain. Moments that are not for any size must have ``resized``.
        channels : bool
            Whether the axis -3 of ``field`` counts fields of one sky, which are sampled together.
        mask : torch.Tensor, optional
            Boolean, (H, W), True where ``field`` is observed; what it holds elsewhere does not matter, NaN
            included. The moments must have ``masked``.
        periodic : bool
            Whether the field is periodic. If not, it is padded, and the padding masked; the samples are
            periodic all the same. The moments must have ``masked`` and ``resized``.
        first_sample : int
            Number of the first sample: those from it on are drawn, to go on with an ensemble, or to share it
            out.
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
            If ``field`` is not a real tensor, the mask not boolean, or the moments lack a method needed.
        ValueError
            If ``field`` has the wrong axes, values that are not finite where it is observed, or does not vary;
            if the mask leaves a scale too few pixels, or the state is of other fields.
        """
        target = standard_target(field, channels=channels, mask=mask, periodic=periodic)
        sizes = target.shape if shape is None else grid_shape("shape", shape, n_axes=2)
        count = integer("n_samples", n_samples, minimum=1)
        first = integer("first_sample", first_sample, minimum=0)
        goal = set_goal(
            self.moments,
            target,
            sizes,
            weights=self.weights,
            tolerance=self.tolerance,
            chunk=self.chunk,
        )
        matching = goal.matching
        plateau = None if goal.masking_loss is None else Plateau(self.masking_factor * goal.masking_loss)
        start = GaussianStart(target, sizes)
        preconditioner = SpectralPreconditioner(start.model, exponent=self.exponent)

        def objective(variables: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            values, gradient = matching.value_and_gradient(self._each(preconditioner.fields, variables))
            return values, self._each(preconditioner.fields, gradient)

        variables = None
        if state is None:
            noise = start.noise(count, seed=seed, first=first).to(field.device)
            whole = self._each(lambda part: preconditioner.variables(start.colour(part)), noise)
            variables = whole.to(field.dtype)
        elif tuple(state.value.shape) != (count, *target.batch, *sizes):
            fail("state", f"hold {count} fields of shape {(*target.batch, *sizes)}", tuple(state.value.shape))
        result = minimize(
            objective,
            variables,
            solver=self.solver,
            tolerance=goal.tolerance,
            max_evaluations=self.max_evaluations,
            plateau=plateau,
            callback=callback,
            state=state,
        )
        with torch.no_grad():
            standard = self._each(preconditioner.fields, result.value)
            moments = self._each(matching.statistics, standard)
        samples = target.units(self._each(preconditioner.fields, result.value.to(torch.float64)))
        return SamplerResult(
            samples=samples.to(field.dtype),
            status=result.status,
            losses=result.losses,
            history=result.history,
            n_evaluations=result.n_evaluations,
            n_moments=matching.target.numel() * (2 if matching.target.is_complex() else 1),
            class_losses={kind: loss.cpu() for kind, loss in matching.class_losses(moments).items()},
            tolerance=goal.tolerance,
            plateau_loss=None if plateau is None else plateau.loss,
            sample_moments=moments.cpu(),
            target_moments=matching.target.cpu(),
            realisation_losses=goal.realisation_losses,
        )

    def _each(self, function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Return a function of a batch, computed ``chunk`` samples at a time (FFTs round by the batch)."""
        parts = x.split(len(x) if self.chunk is None else self.chunk)
        return torch.cat([function(part.clone()) for part in parts])
