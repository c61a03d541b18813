"""Missing regions of an observed field, filled so that its moments are those of the observed pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from phasewave.checks import fail, finite, integer, real_field
from phasewave.solve.lbfgs import LBFGS
from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.solve.loop import Plateau, Progress, minimize
from phasewave.solve.result import Status
from phasewave.turbulence.conditional_gaussian import ConditionalGaussian, check_mask
from phasewave.turbulence.energy import MomentMatching, Statistics
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.preconditioner import SpectralPreconditioner

_TOLERANCE = 3e-4
_NEARER = 0.1  # than a true field
_PROBES = ((1, 2), (2, 1))  # shifts of the mask: by 1 / (n + 1) of the sides


@dataclass(frozen=True)
class InpaintingResult:
    """Filled fields, and how they were reached.

    Attributes
    ----------
    samples : torch.Tensor, shape (n, H, W)
        In the units, dtype and device of the field; observed pixels are the field's, bit for bit.
    gaussian : torch.Tensor, shape (n, H, W)
        Where they started: samples of the Gaussian model given the observed pixels.
    mean : torch.Tensor, shape (H, W)
        The Gaussian model's conditional mean, the best linear prediction of the missing pixels.
    status : tuple of Status
        One for each sample.
    losses : torch.Tensor, shape (n,), float64 on the CPU
        Relative distance of each sample's moments to the target's (`MomentMatching`).
    tolerance : float
        The loss at which a sample has converged, as given or estimated.
    history : torch.Tensor, shape (n_steps + 1, n), float64 on the CPU
        Loss of each sample after every call of the moments; the first row is that of ``gaussian``.
    n_evaluations : tuple of int
        Evaluations of each sample.
    n_moments : int
        Real numbers that were matched.
    """

    samples: Tensor
    gaussian: Tensor
    mean: Tensor
    status: tuple[Status, ...]
    losses: Tensor
    tolerance: float
    history: Tensor
    n_evaluations: tuple[int, ...]
    n_moments: int

    @property
    def converged(self) -> bool:
        """Whether every sample has converged."""
        return all(status is Status.CONVERGED for status in self.status)


class Inpainter:
    r"""Fills the missing pixels of a field: the maximum-entropy model given the pixels that were observed.

    The free variables are the missing pixels alone. They start from the Gaussian model given the observed ones
    (`ConditionalGaussian`) and move by L-BFGS on

    .. math:: L(x) = \sum_i w_i |\phi_i(x) - t_i|^2 / \sum_i w_i |t_i|^2

    over the whole field x, observed and filled pixels together. The target t is estimated from the observed
    pixels by the masked moments (see ``Moments.masked``); training fields, if there are some, speak for the rest.

    Parameters
    ----------
    moments : torch.nn.Module or callable
        phi, a map of fields (n, H, W) to moments (n, n_moments), with a method ``masked(mask)`` unless there are
        training fields. If it has ``standardized(target)``, that is used.
    weights : torch.Tensor, shape (n_moments,), optional
        w >= 0; all one by default.
    tolerance : float, optional
        A sample has converged when its relative loss is at most this. By default a tenth of the loss that the true
        field can be expected to have (Notes): that is mostly the fluctuations of a few large scales, and behind
        as large a loss of the start hides that its small scales are Gaussian. Moments of part of a field cannot
        all be met, so by default a sample has also converged when its loss is under that of the true field and
        has stopped falling (`Plateau`).
    max_evaluations : int
        Evaluations of the moments allowed to each sample.
    solver : LBFGS, optional
        ``LBFGS(history_size=50)`` by default.
    chunk : int, optional
        Samples evaluated at a time; None for all at once. With 1, sample i of a seed is the same to the last bit
        whatever ``n_samples``.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range.

    Notes
    -----
    With V the variance that one independent pixel gives a moment, the moments of N pixels of which a share f is
    missing differ from those of the observed part by a variance V f / (N (1 - f)); when as large a share is taken
    from the observed pixels as well, these change by V f / (N (1 - f)^2). So the true
    field's loss is 1 - f times the mean loss between the moments masked once and masked twice, by the mask and by
    a shift of it (two shifts).

    With n training fields the target is 1 - f times the observed pixels' moments plus f times the training fields'
    mean, and the factor (1 - f)^2 (1 + f / n). Moments that cannot be masked have the training fields' mean as
    target, and (n + 1) / (n - 1) times the mean loss of the training fields as estimate. Where neither can be had
    the tolerance is 3e-4.
    """

    def __init__(
        self,
        moments: Statistics,
        *,
        weights: Tensor | None = None,
        tolerance: float | None = None,
        max_evaluations: int = 200,
        solver: LBFGS | None = None,
        chunk: int | None = 1,
    ) -> None:
        self.moments = moments
        self.weights = weights
        if tolerance is not None and not tolerance >= 0.0:
            fail("tolerance", "be a number >= 0", tolerance)
        self.tolerance = tolerance
        self.max_evaluations = integer("max_evaluations", max_evaluations, minimum=1)
        self.solver = LBFGS(history_size=50) if solver is None else solver
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)

    def sample(
        self,
        field: Tensor,
        mask: Tensor,
        *,
        n_samples: int = 4,
        seed: int | torch.Generator = 0,
        training: Tensor | None = None,
        callback: Callable[[Progress], bool | None] | None = None,
        on_goal: Callable[[float], None] | None = None,
        state: LBFGSState | None = None,
    ) -> InpaintingResult:
        """Fill the missing pixels of ``field`` in ``n_samples`` ways.

        Parameters
        ----------
        field : torch.Tensor, shape (H, W)
            Real; its missing pixels may hold anything, NaN too. The moments must be on its device, and of its
            dtype.
        mask : torch.Tensor, shape (H, W), bool
            True at the observed pixels.
        n_samples : int
            How many fills.
        seed : int or torch.Generator
            Fill i starts from noise that depends on (seed, i) alone.
        training : torch.Tensor, shape (n, H, W) or (H, W), optional
            Complete fields of the same process: what the missing region is expected to be like (Notes).
        callback : callable, optional
            Called with a `Progress` after every call of the moments; stops the work by returning True.
        on_goal : callable, optional
            Told the tolerance before the work begins.
        state : LBFGSState, optional
            Go on from here, with the same seed.

        Returns
        -------
        InpaintingResult
            Also when not all samples have converged: see its status.

        Raises
        ------
        TypeError
            If ``field`` is not a real tensor, ``mask`` not a boolean one, or the moments cannot be masked.
        ValueError
            If shapes differ, the mask is all True or all False, observed values are not finite or all the same,
            or the state is of other fields.
        """
        observed = _observed(field, mask)
        count = integer("n_samples", n_samples, minimum=1)
        root = seed if isinstance(seed, int) else int(torch.randint(2**62, (), generator=seed, device=seed.device))
        seen = observed[mask]
        mean, scale = seen.mean(), seen.std(correction=0)
        if not float(scale) > 0.0:
            fail("field", "vary over its observed pixels", "a constant")
        target = (observed - mean) / scale
        complete = None if training is None else (_training(training, field) - mean) / scale
        model = (GaussianModel(target, mask=mask) if complete is None else GaussianModel(complete)).smoothed()
        conditional = ConditionalGaussian(model, target, mask)
        start = conditional.sample(count, seed=root).to(field.dtype)
        preconditioner = SpectralPreconditioner(model, exponent=0.5)
        known = target.to(field.dtype)
        others = None if complete is None else complete.to(field.dtype)
        matching, tolerance = self._matching(start[:1], mask, others)
        if on_goal is not None:
            on_goal(tolerance)
        missing = ~mask

        def fields(variables: Tensor) -> Tensor:
            return torch.where(mask, known, self._each(preconditioner.fields, variables))

        def objective(variables: Tensor) -> tuple[Tensor, Tensor]:
            losses, gradient = matching.value_and_gradient(fields(variables))
            return losses, self._each(preconditioner.fields, gradient * missing)

        if state is not None and tuple(state.value.shape) != (count, *field.shape):
            fail("state", f"hold {count} fields of shape {tuple(field.shape)}", tuple(state.value.shape))
        result = minimize(
            objective,
            self._each(preconditioner.variables, start),
            solver=self.solver,
            tolerance=tolerance,
            max_evaluations=self.max_evaluations,
            callback=callback,
            state=state,
            plateau=Plateau(tolerance / _NEARER) if self.tolerance is None else None,
        )

        def finished(values: Tensor) -> Tensor:
            return torch.where(mask, field.detach(), (values.to(torch.float64) * scale + mean).to(field.dtype))

        return InpaintingResult(
            samples=finished(fields(result.value)),
            gaussian=finished(start),
            mean=finished(conditional.mean()),
            status=result.status,
            losses=result.losses,
            tolerance=tolerance,
            history=result.history,
            n_evaluations=result.n_evaluations,
            n_moments=matching.target.numel() * (2 if matching.target.is_complex() else 1),
        )

    def _matching(self, filled: Tensor, mask: Tensor, training: Tensor | None) -> tuple[MomentMatching, float]:
        """Return the loss, and the tolerance as given, or as a share of the loss to expect of the true field."""
        moments: Any = self.moments
        if hasattr(moments, "standardized"):
            moments = moments.standardized(filled)
        if not hasattr(moments, "masked") and training is None:
            raise TypeError(
                f"`moments` must have a method masked(mask), got {type(moments).__name__}, and no training"
            )
        with torch.no_grad():
            rows = None if training is None else torch.cat([moments(field[None]) for field in training])
            if not hasattr(moments, "masked") and rows is not None:
                matching = MomentMatching(moments, rows.mean(dim=0), weights=self.weights, chunk=self.chunk)
                spread = self._mean_loss(rows, matching.target)
                tolerance = spread * (len(rows) + 1) / (len(rows) - 1) if len(rows) > 1 else _TOLERANCE / _NEARER
            else:
                share = float(mask.to(torch.float64).mean())
                seen = moments.masked(mask)(filled)[0]
                target = seen if rows is None else share * seen + (1.0 - share) * rows.mean(dim=0)
                matching = MomentMatching(moments, target, weights=self.weights, chunk=self.chunk)
                factor = share if rows is None else share**2 * (1.0 + (1.0 - share) / len(rows))
                changes = self._changes(moments, filled, mask, seen) + target
                tolerance = factor * self._mean_loss(changes, target) if len(changes) else _TOLERANCE / _NEARER
        return matching, _NEARER * tolerance if self.tolerance is None else self.tolerance

    def _changes(self, moments: Any, filled: Tensor, mask: Tensor, seen: Tensor) -> Tensor:
        """Return by how much the observed pixels' moments change when as many again are masked: (k, n_moments)."""
        rows = []
        for over, down in _PROBES:
            twice = mask & mask.roll((mask.shape[0] // (over + 1), mask.shape[1] // (down + 1)), (0, 1))
            try:
                rows.append(moments.masked(twice)(filled)[0] - seen)
            except ValueError:  # a scale keeps too few pixels
                continue
        return torch.stack(rows) if rows else seen.new_zeros((0, *seen.shape))

    def _mean_loss(self, values: Tensor, target: Tensor) -> float:
        return float(MomentMatching(lambda _: values, target, weights=self.weights, chunk=None)(values).mean())

    def _each(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return a function of a batch, computed ``chunk`` samples at a time (FFTs round by the batch)."""
        parts = x.split(len(x) if self.chunk is None else self.chunk)
        return torch.cat([function(part.clone()) for part in parts])


def _observed(field: Tensor, mask: Tensor) -> Tensor:
    """Return the checked field in float64, its missing pixels zero."""
    real_field("field", field)
    if field.ndim != 2:
        fail("field", "have axes (H, W)", tuple(field.shape))
    check_mask(mask, field.shape)
    return finite("field", torch.where(mask, field.detach().to(torch.float64), 0.0))


def _training(training: Tensor, field: Tensor) -> Tensor:
    """Return the checked training fields (n, H, W) in float64."""
    real_field("training", training, tuple(field.shape))
    if training.ndim not in (2, 3) or training.numel() == 0:
        fail("training", "have axes (H, W) or (n, H, W)", tuple(training.shape))
    return finite("training", training.detach().to(torch.float64).reshape(-1, *field.shape))
