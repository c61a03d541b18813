"""Integrals of powers of moduli."""

from __future__ import annotations

import torch
from torch import Tensor


def power_sums(squared: Tensor, weights: Tensor, powers: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    r"""Return :math:`\sum_u w(u)\, U(u)^q` for every power, and ``U``.

    Parameters
    ----------
    squared : torch.Tensor
        ``(..., n)``, ``U^2``, positive.
    weights : torch.Tensor
        ``(n,)``.
    powers : tuple of float
        The ``q``, positive.

    Returns
    -------
    sums : torch.Tensor
        float64 ``(..., len(powers))``.
    modulus : torch.Tensor
        ``U``, of the shape of ``squared``.
    """
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
        rows.append(torch.mv(values.reshape(-1, len(weights)), weights))
    return torch.stack(rows, -1).double().view(*squared.shape[:-1], len(powers)), modulus
