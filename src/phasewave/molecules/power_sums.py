"""Integrals of powers of moduli."""

from __future__ import annotations

import torch
from torch import Tensor


def power_sums(squared: Tensor, weights: Tensor, powers: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    r"""Return :math:`\sum_u w(u)\, U(u)^q` for every power, and ``U``.

    Parameters
    ----------
    squared : torch.Tensor
        ``U^2``, positive: rows of values at the nodes, of any shape that makes ``(rows, n)``.
    weights : torch.Tensor
        ``(n,)``.
    powers : tuple of float
        The ``q``, positive.

    Returns
    -------
    sums : torch.Tensor
        ``(rows, len(powers))``.
    modulus : torch.Tensor
        ``U``, ``(rows, n)``.
    """
    squared = squared.view(-1, len(weights))
    modulus = squared.sqrt()
    rows = []
    for q in powers:
        if q == 0.5:
            values = modulus.sqrt()
        elif q == 1:
            values = modulus
        elif q == 2:
            values = squared
        elif q == 3:
            values = modulus * squared
        else:
            values = squared.pow(q / 2)
        rows.append(torch.mv(values, weights))
    return torch.stack(rows, -1), modulus
