"""From a set of moments and a target to the loss that the sampler minimises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from phasewave.checks import fail
from phasewave.turbulence.energy import MomentMatching, Statistics, spread_weights
from phasewave.turbulence.start import GaussianStart
from phasewave.turbulence.targets import StandardTarget

# Gaussian fields that tell what a mask does to the moments.
_SURROGATES = 3


@dataclass(frozen=True)
class Goal:
    """What samples have to reach.

    Attributes
    ----------
    matching : MomentMatching
        The loss.
    tolerance : float
        At which a sample has converged.
    masking_loss : float or None
        Loss that gaps and padding make of a Gaussian field; None for a field without them.
    realisation_losses : torch.Tensor or None, shape (m,)
        Losses of the realisations of an ensemble; None for a single field.
    """

    matching: MomentMatching
    tolerance: float
    masking_loss: float | None
    realisation_losses: torch.Tensor | None


def set_goal(
    moments: Statistics,
    target: StandardTarget,
    shape: tuple[int, ...],
    *,
    weights: torch.Tensor | None = None,
    tolerance: float | Mapping[str, float],
    chunk: int | None = 1,
) -> Goal:
    r"""Measure a target, and return the loss of samples of a size.

    Moments estimated from a part of a field contradict each other a little, each having seen pixels of its own:
    no field has them all, and the loss of any field ends at some level above zero. It is of the order of the loss
    that the mask M makes of a complete field: the mean over Gaussian fields g of the target's spectrum of

    .. math:: L_M(g) = \sum_i w_i |\phi_i^M(g) - \phi_i(g)|^2 / \sum_i w_i |t_i|^2,

    over the number of realisations: `Goal.masking_loss`. For intermittent fields it is two to three times that.

    Parameters
    ----------
    moments : torch.nn.Module or callable
        As `phasewave.turbulence.interface.Moments`, or any function of fields; without a method ``resized`` it
        is taken to be right for every size, without ``standardized`` to need none.
    target : StandardTarget
    shape : pair of int
        Of the samples.
    weights : torch.Tensor, shape (n_moments,), optional
        One by default.
    tolerance : float, or Mapping of str to float
        Of the loss, or of each class of moments (`MomentMatching.balanced`).
    chunk : int, optional
        Samples evaluated at a time.

    Raises
    ------
    TypeError
        If the target has gaps or padding, and the moments no method ``masked``.
    ValueError
        If the moments do not return one row a field, or are too large for a size or a mask.
    """
    measured: Any = _sized(moments, tuple(target.fields.shape[-2:]))
    if target.mask is not None:
        if not hasattr(measured, "masked"):
            raise TypeError(
                "`moments` must have a method `masked` for a field with gaps or borders, "
                f"and {_name(moments)} has none"
            )
        measured = measured.masked(target.mask)
    fields = target.fields
    if hasattr(measured, "standardized"):
        measured = measured.standardized(fields[0] if len(fields) == 1 else fields)
    with torch.no_grad():
        rows = [measured(field[None]) for field in fields]
    for row in rows:
        if row.ndim != 2 or row.shape[0] != 1:
            fail("moments", "map fields (n, H, W) to moments (n, n_moments)", tuple(row.shape))
    values = torch.cat(rows)
    # A mask belongs to its grid: `resized` leaves it behind.
    whole = measured if target.mask is None else measured.resized(tuple(fields.shape[-2:]))
    matching = MomentMatching(
        _sized(whole, shape),
        values.mean(0),
        weights=_weights(values, weights),
        kinds=_kinds(moments, values.shape[-1]),
        chunk=chunk,
    )
    if isinstance(tolerance, Mapping):
        matching, limit = matching.balanced(tolerance)
    else:
        limit = tolerance
    masking_loss = None if target.mask is None else _masking_loss(matching, measured, whole, target)
    return Goal(
        matching,
        limit,
        masking_loss,
        matching.losses(values).cpu() if len(values) > 1 else None,
    )


def _masking_loss(matching: MomentMatching, masked: Any, whole: Any, target: StandardTarget) -> float:
    """Return the mean loss between the moments of Gaussian fields that are masked and that are not."""
    start = GaussianStart(target, tuple(target.fields.shape[-2:]))
    noise = start.noise(_SURROGATES, seed=0).to(target.fields.device)
    with torch.no_grad():
        surrogates = start.colour(noise).to(target.fields.dtype)
        changes = torch.cat([masked(field[None]) - whole(field[None]) for field in surrogates])
        return float(matching.losses(matching.target + changes).mean()) / len(target.fields)


def _sized(moments: Any, shape: tuple[int, ...]) -> Any:
    """Return the moments for fields of a size."""
    if not hasattr(moments, "resized") or tuple(moments.shape) == tuple(shape):
        return moments
    return moments.resized(shape)


def _weights(values: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor | None:
    """Return the user's weights times those of the spread between realisations."""
    if len(values) == 1:
        return weights
    spread = spread_weights(values)
    return spread if weights is None else spread * weights.to(spread)


def _kinds(moments: Any, n_moments: int) -> list[str] | None:
    """Return the class of each moment, as far as a table tells."""
    table = getattr(moments, "table", None)
    return [row.kind for row in table] if table is not None and len(table) == n_moments else None


def _name(moments: Any) -> str:
    return getattr(moments, "__name__", type(moments).__name__)
