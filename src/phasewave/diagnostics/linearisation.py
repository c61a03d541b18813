"""Does a representation linearise a transformation: is its change bounded, and is it that of a linear map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from phasewave.checks import fail, finite, integer, real_field
from phasewave.diagnostics.distances import quotient, squared_distances
from phasewave.diagnostics.representations import Representation, represent


@dataclass(frozen=True)
class WeakLinearisation:
    r"""Change of a representation when images are transformed, beside its derivative.

    Attributes
    ----------
    gain : float or None
        Root mean square of the change of the representation over that of the images. None where the
        denominator is zero, here and below.
    largest_gain : float or None
        The largest over images of :math:`\|f(Lx) - f(x)\| / \|Lx - x\|`; bounded by the Lipschitz constant.
    residual : float or None
        Root mean square of what the derivative misses over that of the change of the representation.
    residual_median : float or None
        Median over images of the ratio.
    """

    gain: float | None
    largest_gain: float | None
    residual: float | None
    residual_median: float | None


def weak_linearisation(
    function: Representation, images: torch.Tensor, moved: torch.Tensor, *, batch_size: int = 64
) -> WeakLinearisation:
    r"""Measure how far a representation linearises a transformation of images.

    .. math:: \frac{\|f(Lx) - f(x)\|}{\|Lx - x\|}, \qquad
        \frac{\|f(Lx) - f(x) - J_f(x)\,(Lx - x)\|}{\|f(Lx) - f(x)\|}

    A bounded first ratio is the weak differentiability in ``L`` that makes a linear classifier able to undo a
    transformation; the second says how much of the change is linear in that of the image.

    Parameters
    ----------
    function : callable
        ``f``, of ``(n, ...)`` to ``(n, ...)``, differentiable twice by autograd (its derivative is taken through
        the gradient of the gradient), each output of its own input; a module is used in its evaluation mode.
    images, moved : torch.Tensor (n, ...)
        ``x`` and ``Lx``, for example from `rotate_images` or `deform`.
    batch_size : int
        Images at a time.

    Returns
    -------
    WeakLinearisation

    Raises
    ------
    TypeError
        If the images are not real floating, or of two dtypes.
    ValueError
        If their shapes differ, there are none, or values are not finite.
    RuntimeError
        If autograd cannot differentiate the function.

    Notes
    -----
    The first ratio is at most 1 for a contraction and 1 for an isometry; the second is zero for an affine map.
    Source: Mallat 2012; Oyallon 2017. Cost: two passes and the double of a backward pass.

    Examples
    --------
    >>> images = torch.rand(4, 1, 16, 16)
    >>> found = weak_linearisation(torch.nn.AvgPool2d(2), images, images.roll(1, -1))
    >>> found.residual < 1e-5
    True
    """
    step = integer("batch_size", batch_size, minimum=1)
    _check_alike({"images": images, "moved": moved})
    before = represent(function, images, batch_size=step)
    after = represent(function, moved, batch_size=step)
    finite("function's values", before)
    parts = zip(images.split(step), moved.split(step), strict=True)
    tangent = torch.cat([_derivative(function, x, y - x) for x, y in parts])
    change = squared_distances(after, before)
    missed = squared_distances(after.double() - before.double(), tangent)
    distance = squared_distances(moved.flatten(1), images.flatten(1))
    gains = (change / distance)[distance > 0]
    residuals = (missed / change)[change > 0]
    return WeakLinearisation(
        gain=_root(quotient(float(change.sum()), float(distance.sum()))),
        largest_gain=_root(float(gains.max()) if len(gains) else None),
        residual=_root(quotient(float(missed.sum()), float(change.sum()))),
        residual_median=_root(float(residuals.median()) if len(residuals) else None),
    )


def orbit_curvature(
    function: Representation,
    start: torch.Tensor,
    middle: torch.Tensor,
    end: torch.Tensor,
    *,
    batch_size: int = 256,
) -> float | None:
    r"""Bend of a representation along a path of transformed images.

    .. math:: \left( \frac{\langle \|f(L_\epsilon x) - \frac12 (f(x) + f(L_{2\epsilon} x))\|^2 \rangle}
        {\langle \|\frac12 (f(L_{2\epsilon} x) - f(x))\|^2 \rangle} \right)^{1/2}

    Zero where the representation is linear in the transformation's parameter, as it should be for a linear
    classifier to undo it, whether or not it is linear in the pixels. Of a wave of frequency ``w``, in pixels,
    translated by ``e`` it is ``tan(w e / 2)``.

    Parameters
    ----------
    function : callable
        ``f``, of ``(n, ...)`` to ``(n, ...)``; a module is used in its evaluation mode.
    start, middle, end : torch.Tensor (n, ...)
        Images at equal steps of the parameter.
    batch_size : int
        Images at a time.

    Returns
    -------
    float or None
        None if the representation does not change from start to end.

    Raises
    ------
    TypeError
        If the images are not real floating, or not of one dtype.
    ValueError
        If their shapes differ, there are none, or values are not finite.

    Notes
    -----
    Cost: three passes.
    """
    _check_alike({"start": start, "middle": middle, "end": end})
    first, halfway, last = (represent(function, x, batch_size=batch_size).double() for x in (start, middle, end))
    finite("function's values", first)
    bend = squared_distances(halfway, (first + last) / 2)
    return _root(quotient(float(bend.sum()), float(squared_distances(last, first).sum()) / 4))


def _derivative(function: Representation, x: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """The derivative of ``function`` at ``x`` along ``direction``, as rows."""

    def rows(y: torch.Tensor) -> torch.Tensor:
        value = function(y)
        return (torch.view_as_real(value) if value.is_complex() else value).reshape(len(y), -1)

    modules = list(function.modules()) if isinstance(function, nn.Module) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        with torch.enable_grad():
            _, tangent = torch.autograd.functional.jvp(rows, x.detach(), direction.detach())
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
    return tangent.detach()


def _check_alike(images: dict[str, torch.Tensor]) -> None:
    (name, first), *others = images.items()
    for key, x in images.items():
        finite(key, real_field(key, x))
    if first.ndim < 2 or len(first) < 1:
        fail(name, "have the shape (n >= 1, ...)", tuple(first.shape))
    for key, x in others:
        if x.shape != first.shape:
            fail(key, f"have the shape {tuple(first.shape)} of `{name}`", tuple(x.shape))
        real_field(key, x, dtype=first.dtype)


def _root(squared: float | None) -> float | None:
    return None if squared is None else squared**0.5
