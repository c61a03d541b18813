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
        values = power_of(modulus, squared, q)
        sums += [torch.mv(own, w) for own, w in zip(values, weights, strict=True)]
    return torch.stack(sums).view(len(powers), *squared.shape[:2]), modulus


def power_of(modulus: Tensor, squared: Tensor, q: float) -> Tensor:
    """Return ``U^q`` of a modulus and its square."""
    if q == 0.5:
        return modulus.sqrt()
    if q == 1:
        return modulus
    if q == 2:
        return squared
    if q == 3:
        return modulus * squared
    return squared.pow(q / 2)
