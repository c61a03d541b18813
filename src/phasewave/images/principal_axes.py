"""Principal axes of rows that come in batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from phasewave.checks import fail, integer


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """Mean and leading principal axes of n rows of p values.

    Attributes
    ----------
    mean : torch.Tensor (p,)
    axes : torch.Tensor (p, m)
        Orthonormal columns, of decreasing variance.
    variances : torch.Tensor (m,)
        Along the axes (sums over n, not n - 1).
    total : float
        The variance of all p values together.
    """

    mean: torch.Tensor
    axes: torch.Tensor
    variances: torch.Tensor
    total: float


def principal_axes(batches: Iterable[torch.Tensor], *, kept: int) -> PrincipalAxes:
    """Find the principal axes in one pass.

    The rows seen are held as count, mean and a factor R of at most ``kept`` rows with R^T R their scatter about
    the mean; a batch adds its own centred rows and one row for the shift between the two means, and the
    factor is cut again. Exact if the rows span at most ``kept`` dimensions, else up to what was cut.

    Parameters
    ----------
    batches : iterable of torch.Tensor (n_i, p)
        Floating; give float64 where the spectrum is wide.
    kept : int

    Raises
    ------
    ValueError
        If there are no rows.

    Notes
    -----
    Source: Ross et al. 2008. Cost per batch of b rows: ``p (kept + b)^2``; memory ``p (kept + b)``.
    """
    integer("kept", kept, minimum=1)
    count, total = 0, 0.0
    mean = factor = torch.zeros(0)
    for rows in batches:
        if not len(rows):
            continue
        here = rows.mean(0)
        stacked = rows - here
        if count == 0:
            mean = here
        else:
            weight = len(rows) / (count + len(rows))
            shift = here - mean
            stacked = torch.cat([stacked, (count * weight) ** 0.5 * shift[None]])
            mean = mean + weight * shift
        count += len(rows)
        total += float(stacked.square().sum())
        stacked = torch.cat([factor, stacked]) if len(factor) else stacked
        _, vectors = torch.linalg.eigh(stacked @ stacked.T)
        factor = vectors[:, -kept:].T @ stacked
    if count == 0:
        fail("batches", "hold rows", 0)
    values, vectors = torch.linalg.eigh(factor @ factor.T)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    real = values > values[0] * torch.finfo(values.dtype).eps * max(factor.shape)
    axes = factor.T @ (vectors[:, real] / values[real].sqrt())
    return PrincipalAxes(mean, axes, values[real] / count, total / count)
