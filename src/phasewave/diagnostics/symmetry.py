"""Symmetries: the error of equivariance of any layer, the projection on maps that commute with a group."""

from __future__ import annotations

from collections.abc import Callable

import torch

from phasewave.checks import fail


def group_average(matrix: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    r"""Project a matrix on those that commute with a finite group: :math:`\frac{1}{|G|} \sum_g L_g^T M R_g`.

    Parameters
    ----------
    matrix : torch.Tensor (m, n)
        M.
    left, right : torch.Tensor (|G|, m, m), (|G|, n, n)
        Orthogonal matrices of the group's elements, in one order, on outputs and inputs.

    Returns
    -------
    torch.Tensor (m, n)
        P with L_g P = P R_g for all g; M itself where M commutes already.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Cost: |G| m n (m + n). Over all permutations P is lambda I + gamma 1 1^T / n, over shifts circulant.
    """
    sizes = (len(left), matrix.shape[0], matrix.shape[0]), (len(left), matrix.shape[1], matrix.shape[1])
    if matrix.ndim != 2 or (tuple(left.shape), tuple(right.shape)) != sizes or len(left) == 0:
        fail("left and right", "fit the matrix and have one matrix an element", (left.shape, right.shape))
    return (left.mT @ matrix @ right).mean(0)


def equivariance_error(
    layer: Callable[[torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    act: Callable[[torch.Tensor], torch.Tensor],
    act_on_outputs: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> float:
    r"""Relative error of equivariance, :math:`\|f(g x) - g' f(x)\| / \|f(x)\|`.

    Parameters
    ----------
    layer : callable
        f.
    x : torch.Tensor
        Inputs.
    act, act_on_outputs : callable
        g on inputs and g' on outputs; without g' the error is that of invariance.

    Returns
    -------
    float
        Rounding (1e-7 in float32, 1e-16 in float64) for a layer that commutes with g.

    Raises
    ------
    ValueError
        If the outputs have different shapes, or are 0.

    Notes
    -----
    Cost: two passes.
    """
    with torch.no_grad():
        plain = layer(x)
        found, expected = layer(act(x)), plain if act_on_outputs is None else act_on_outputs(plain)
    if found.shape != expected.shape:
        fail("act_on_outputs", f"give the shape {tuple(found.shape)}", tuple(expected.shape))
    size = float(plain.norm())
    if not size > 0:
        fail("layer", "have outputs that are not all 0", size)
    return float((found - expected).norm()) / size
