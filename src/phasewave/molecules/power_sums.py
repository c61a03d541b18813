"""Integrals of powers of moduli."""

from __future__ import annotations

import torch
from torch import Tensor


def power_sums(squared: Tensor, weights: Tensor, powers: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    r"""Return :math:`\sum_u w(u)\, U(u)^q` for every power, and ``U``.

    Parameters
    ----------
    squared : torch.Tensor
        ``U^2``, positive, ``(n_lattices, rows, n)``.
    weights : torch.Tensor
        ``(n_lattices, n)``.
    powers : tuple of float
        The ``q``, positive.

    Returns
    -------
    sums : torch.Tensor
        ``(len(powers), n_lattices, rows)``.
    modulus : torch.Tensor
        ``U``, of the shape of ``squared``.
    """
    modulus = squared.sqrt()
    sums = []
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
        sums += [torch.mv(own, w) for own, w in zip(values, weights, strict=True)]
    return torch.stack(sums).view(len(powers), *squared.shape[:2]), modulus
