"""Squared distances between representations: the scale to which changes of them are compared."""

from __future__ import annotations

import torch

from phasewave.checks import fail


def squared_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distance of each row of ``a`` from that of ``b``, both ``(n, p)``: ``(n,)``, float64."""
    return (a.double() - b.double()).square().sum(1)


def pair_distances(rows: torch.Tensor) -> tuple[float, float]:
    r"""Mean and median over pairs of rows of the squared distance.

    .. math:: \langle \|y_a - y_b\|^2 \rangle_{a \ne b} = \frac{2}{n - 1} \sum_a \|y_a - \bar y\|^2

    Parameters
    ----------
    rows : torch.Tensor (n, p)
        At least 2.

    Returns
    -------
    tuple of float
        Mean and median.

    Raises
    ------
    ValueError
        If there are fewer than 2 rows.

    Notes
    -----
    Cost: the median looks at all ``n (n - 1) / 2`` pairs, in float64.
    """
    if rows.ndim != 2 or len(rows) < 2:
        fail("rows", "have the shape (n >= 2, p)", tuple(rows.shape))
    y = rows.double()
    mean = 2 * (y - y.mean(0)).square().sum() / (len(y) - 1)
    return float(mean), float(torch.nn.functional.pdist(y).square().median())


def quotient(numerator: float, denominator: float) -> float | None:
    """Return the quotient, None where the denominator is zero."""
    return numerator / denominator if denominator else None
