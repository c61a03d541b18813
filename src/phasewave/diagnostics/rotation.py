"""Stability of a representation to rotations by a given angle, in a random direction of the space of inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from phasewave.checks import fail, finite, integer, real_field
from phasewave.diagnostics.distances import pair_distances, quotient, squared_distances
from phasewave.diagnostics.draws import white_draws
from phasewave.diagnostics.representations import Representation, represent


@dataclass(frozen=True)
class RotationStability:
    r"""How much a representation changes when its input is turned.

    Attributes
    ----------
    angle : float
        In radians.
    stability : float
        :math:`S_f = \langle \|f(x) - f(R_\theta x)\|^2 \rangle`.
    standard_error : float
        Of `stability`, from its spread over inputs and draws.
    median : float
        Median in place of the mean.
    relative : float or None
        `stability` over the mean squared distance between two representations; None where that is zero.
    """

    angle: float
    stability: float
    standard_error: float
    median: float
    relative: float | None


def sphere_points(n: int, dimension: int, *, seed: int = 0) -> torch.Tensor:
    """Draw points uniformly on the unit sphere of a space.

    Parameters
    ----------
    n : int
        At least 0.
    dimension : int
        Of the space, at least 2.
    seed : int
        At least 0.

    Returns
    -------
    torch.Tensor (n, dimension), float64

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.
    """
    white = white_draws(n, (integer("dimension", dimension, minimum=2),), seed=seed)
    return white / white.norm(dim=1, keepdim=True)


def rotate_on_sphere(x: torch.Tensor, angle: float, *, seed: int = 0, first: int = 0) -> torch.Tensor:
    r"""Turn each input by an angle, in the plane of itself and a random direction.

    .. math:: R_\theta x = \cos\theta \, x + \sin\theta \, \|x\| \, t, \quad \|t\| = 1, \; \langle t, x \rangle = 0

    Parameters
    ----------
    x : torch.Tensor (n, ...)
        Real floating, each of at least 2 values.
    angle : float
        In radians.
    seed : int
        Of the directions, uniform among those orthogonal to ``x``; at least 0.
    first : int
        Number of the first direction: that of number i depends on ``(seed, i)`` alone.

    Returns
    -------
    torch.Tensor (n, ...)
        Of the norms of ``x``.

    Raises
    ------
    TypeError
        If the inputs are not real floating.
    ValueError
        If their shape is wrong or the angle is not finite.
    """
    real_field("x", x)
    if x.ndim < 2 or math.prod(x.shape[1:]) < 2:
        fail("x", "have the shape (n, ...) with at least 2 values each", tuple(x.shape))
    if not math.isfinite(angle):
        fail("angle", "be finite", angle)
    point = x.flatten(1).double()
    norm = point.norm(dim=1, keepdim=True)
    unit = point / norm.clamp_min(torch.finfo(torch.float64).tiny)
    tangent = white_draws(len(x), point.shape[1:], seed=seed, first=first, stream=1).to(point.device)
    for _ in range(2):  # the second pass takes away what rounding left of the first
        tangent = tangent - (tangent * unit).sum(1, keepdim=True) * unit
    tangent = tangent / tangent.norm(dim=1, keepdim=True)
    return (math.cos(angle) * point + math.sin(angle) * norm * tangent).to(x.dtype).view_as(x)


def rotation_stability(
    function: Representation,
    x: torch.Tensor,
    angle: float,
    *,
    n_draws: int = 1,
    seed: int = 0,
    batch_size: int = 256,
) -> RotationStability:
    r"""Measure stability to rotations of the inputs on their sphere.

    .. math:: S_f(\theta) = \langle \|f(x) - f(R_\theta x)\|^2 \rangle

    with the :math:`R_\theta` of `rotate_on_sphere`. For ``x`` uniform on the unit sphere of ``d`` dimensions and
    ``f`` one coordinate, :math:`S_f = \frac{2}{d} (1 - \cos\theta)`;
    for every isometry :math:`2 (1 - \cos\theta)`. For rotations of an
    image's plane see `rotate_images`, and `weak_linearisation`.

    Parameters
    ----------
    function : callable
        ``f``, of ``(n, ...)`` to ``(n, ...)``; a module is used in its evaluation mode.
    x : torch.Tensor (n, ...)
        At least 2 inputs, real floating.
    angle : float
        In radians.
    n_draws : int
        Rotations of each input.
    seed : int
        At least 0; with it the figures do not depend on the batch size.
    batch_size : int
        Inputs at a time.

    Returns
    -------
    RotationStability

    Raises
    ------
    TypeError
        If the inputs are not real floating.
    ValueError
        If a shape or an option is out of range, or values are not finite.

    Notes
    -----
    Source: the talks on relative stability, after Petrini et al. 2021. Cost: ``1 + n_draws`` passes, and all pairs
    of inputs.

    Examples
    --------
    >>> points = sphere_points(8, 3)
    >>> round(rotation_stability(torch.nn.Identity(), points, torch.pi / 3).stability, 6)
    1.0
    """
    draws = integer("n_draws", n_draws, minimum=1)
    finite("x", real_field("x", x))
    reference = represent(function, x, batch_size=batch_size)
    finite("function's values", reference)
    mean, _ = pair_distances(reference)
    changes = []
    for draw in range(draws):
        turned = rotate_on_sphere(x, angle, seed=seed, first=draw * len(x))
        changes.append(squared_distances(represent(function, turned, batch_size=batch_size), reference))
    change = torch.cat(changes)
    return RotationStability(
        angle=float(angle),
        stability=float(change.mean()),
        standard_error=float(change.std() / math.sqrt(len(change))),
        median=float(change.median()),
        relative=quotient(float(change.mean()), mean),
    )
