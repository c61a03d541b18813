"""Inversion of scattering: fields whose coefficients are given ones, by gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from phasewave.checks import fail, grid_shape, integer
from phasewave.scattering.planar import Scattering2D
from phasewave.solve.lbfgs import LBFGS
from phasewave.solve.loop import Progress, minimize
from phasewave.solve.result import Result

Transform = Callable[[torch.Tensor], torch.Tensor]
"""A differentiable map of real fields (n, ...) to coefficients (n, ...), each field's from that field alone."""

_NOISE = 0.05  # of the start: share of what its smooth part leaves unexplained
_SMOOTH = 30  # evaluations of the linear order 0 alone
_INSIDE = 1e-3  # starts are kept off the bounds by this share of their distance: there, gradients vanish


def invert(
    transform: Transform,
    coefficients: torch.Tensor,
    *,
    shape: Sequence[int] | None = None,
    start: torch.Tensor | None = None,
    seed: int = 0,
    bounds: tuple[float, float] | None = None,
    tolerance: float = 1e-3,
    max_evaluations: int = 500,
    solver: LBFGS | None = None,
    chunk: int | None = 1,
    callback: Callable[[Progress], bool | None] | None = None,
) -> Result:
    r"""Find fields x with given scattering coefficients c = S x.

    .. math:: \min_x L(x) = \frac{\|S x - c\|^2}{\|c\|^2}, \quad \text{until } \sqrt{L} \le \text{tolerance}

    field by field, all in one batch of independent searches by L-BFGS. The moduli make local minima: from within
    about 10 % of the field it is found to the tolerance, from the default start the search mostly ends in a field
    whose coefficients are wrong by 1e-4 to 1e-2 (Notes); other seeds end elsewhere, and the smaller loss is the
    better field.

    Parameters
    ----------
    transform : torch.nn.Module or callable
        S: `Scattering2D`, or any differentiable map of fields (n, ...) to coefficients (n, ...).
    coefficients : torch.Tensor, shape (n, ...)
        c, of n fields. The search is on their device, in their (real) dtype.
    shape : sequence of int, optional
        Of a field. By default that of ``start``, or the transform's own attribute ``shape``.
    start : torch.Tensor, shape (n, ...), optional
        Where to begin. By default at the constant that explains most of the coefficients, for `Scattering2D` at
        the field of its order 0, plus weak white noise: strong noise ends in worse local minima.
    seed : int
        Of that noise; sample i of a seed is the same whatever n.
    bounds : pair of float, optional
        Least and largest value of a field. The search is then in v, with
        :math:`x = a + (b - a) (1 + \sin v) / 2`.
    tolerance : float
        Relative error of the coefficients at which a field has converged.
    max_evaluations : int
        Evaluations of S and its gradient allowed to each field.
    solver : LBFGS, optional
        ``LBFGS(history_size=50)`` by default.
    chunk : int, optional
        Fields evaluated at a time; None for all at once. With 1 a field does not depend, to the last bit, on those
        beside it.
    callback : callable, optional
        Called with a `phasewave.solve.loop.Progress` after every call of S; stops the work by returning True. With
        ``bounds``, its state's values are v.

    Returns
    -------
    Result
        ``value`` are the fields, ``losses`` the squared relative errors L.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, the coefficients do not have the shape that the transform gives, are not
        finite or all zero, or the fields' shape cannot be known.

    Notes
    -----
    Cost: a forward and a backward pass of the transform an evaluation. On eight grey faces of 32 x 32 pixels,
    L = 8 angles, with bounds and 200 evaluations, the mean PSNR was 29.3 dB for J = 2 and 23.2 dB for J = 3 at
    order 1, 31.0 and 28.1 dB at order 2 (20 to 40 dB face by face).

    Examples
    --------
    >>> import torch
    >>> from phasewave.scattering.inversion import invert
    >>> from phasewave.scattering.planar import Scattering2D
    >>> scattering = Scattering2D((16, 16), n_scales=1, n_angles=4, max_order=1, dtype=torch.float64)
    >>> generator = torch.Generator().manual_seed(1)
    >>> fields = torch.rand(1, 16, 16, generator=generator, dtype=torch.float64)
    >>> found = invert(scattering, scattering(fields), bounds=(0, 1), tolerance=0.02)
    >>> found.converged
    True
    >>> error = scattering(found.value) - scattering(fields)
    >>> float(error.norm() / scattering(fields).norm()) <= 0.02
    True
    """
    if not tolerance >= 0.0:
        fail("tolerance", "be a number >= 0", tolerance)
    if not isinstance(coefficients, torch.Tensor) or not coefficients.is_floating_point():
        got = coefficients.dtype if isinstance(coefficients, torch.Tensor) else type(coefficients).__name__
        raise TypeError(f"`coefficients` must be a real floating tensor, got {got}")
    if coefficients.ndim < 2 or not coefficients.numel():
        fail("coefficients", "have a shape (n, ...), none of the sizes 0", tuple(coefficients.shape))
    if start is not None and (start.ndim < 2 or len(start) != len(coefficients)):
        fail("start", f"have a shape ({len(coefficients)}, ...)", tuple(start.shape))
    sizes = _field_shape(transform, shape, start)
    distance = _Distance(transform, coefficients.detach(), sizes, bounds, chunk)
    x = distance.start(seed) if start is None else start.detach().to(coefficients)

    def told(progress: Progress) -> bool:
        distance.rows = [number for number, status in enumerate(progress.status) if status is None]
        return callback is not None and bool(callback(progress))

    result = minimize(
        distance,
        distance.free(x),
        solver=LBFGS(history_size=50) if solver is None else solver,
        tolerance=tolerance**2,
        max_evaluations=max_evaluations,
        callback=told,
    )
    return Result(
        value=distance.bound(result.value),
        status=result.status,
        n_steps=result.n_steps,
        n_evaluations=result.n_evaluations,
        losses=result.losses,
        history=result.history,
    )


class _Distance:
    """The objective: squared relative errors of the fields still searched, and their gradients."""

    def __init__(
        self,
        transform: Transform,
        coefficients: torch.Tensor,
        shape: tuple[int, ...],
        bounds: tuple[float, float] | None,
        chunk: int | None,
    ) -> None:
        self.transform, self.targets, self.shape = transform, coefficients, shape
        self.low, self.high = (-np.inf, np.inf) if bounds is None else bounds
        if bounds is not None and not -np.inf < self.low < self.high < np.inf:
            fail("bounds", "be two finite numbers, the second larger", bounds)
        self.bounded = bounds is not None
        self.chunk = len(coefficients) if chunk is None else integer("chunk", chunk, minimum=1)
        self.rows = list(range(len(coefficients)))
        self.scales = _squares(coefficients)
        if not bool(((self.scales > 0) & self.scales.isfinite()).all()):
            fail("coefficients", "be finite and not all zero for each field", self.scales.tolist())
        with torch.no_grad():
            self.of_constant = transform(torch.ones(1, *shape).to(coefficients))
        if self.of_constant.shape[1:] != coefficients.shape[1:]:
            wanted = (len(coefficients), *self.of_constant.shape[1:])
            fail("coefficients", f"have the shape {wanted} that `transform` gives", tuple(coefficients.shape))

    def __call__(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        losses, gradients = [], []
        for own, rows in zip(points.split(self.chunk), torch.tensor(self.rows).split(self.chunk), strict=True):
            with torch.enable_grad():
                variable = own.detach().clone().requires_grad_()
                error = self.transform(self.bound(variable)) - self.targets[rows]
                loss = _squares(error) / self.scales[rows]
                (gradient,) = torch.autograd.grad(loss.sum(), variable)
            losses.append(loss.detach())
            gradients.append(gradient)
        return torch.cat(losses), torch.cat(gradients)

    @torch.no_grad()
    def start(self, seed: int) -> torch.Tensor:
        """Return smooth fields plus noise, for the share of the coefficients that the smooth fields leave."""
        flat = self.of_constant.flatten()
        size = float(flat @ flat)
        levels = self.targets.flatten(1) @ flat / size if size > 0 else torch.zeros_like(self.scales)
        smooth = levels.to(self.targets).view(-1, *(1 for _ in self.shape)).expand(-1, *self.shape)
        if isinstance(self.transform, Scattering2D):
            smooth = self._of_order_0(self.transform, smooth)
        fields = []
        for number, (own, target) in enumerate(zip(smooth, self.targets, strict=True)):
            place = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)[0]
            generator = torch.Generator().manual_seed(int(place) % 2**63)
            noise = torch.randn(1, *self.shape, generator=generator, dtype=torch.float64).to(target)
            left = float((target - self.transform(own[None])[0]).norm())
            size = float(self.transform(noise).norm())
            fields.append(own + noise * (_NOISE * left / size if left > 0 < size else _NOISE))
        return torch.cat(fields)

    def _of_order_0(self, transform: Scattering2D, start: torch.Tensor) -> torch.Tensor:
        """Return the smooth fields of the order 0 of coefficients, by the same descent on it alone."""

        def order_0(x: torch.Tensor) -> torch.Tensor:
            pooled: torch.Tensor = transform.low(transform.extend(x))
            return pooled

        first = self.targets[:, 0]
        if not bool((first.flatten(1).abs().amax(1) > 0).all()):  # fields of mean 0 everywhere
            return start
        return invert(order_0, first, start=start, tolerance=1e-3, max_evaluations=_SMOOTH, chunk=self.chunk).value

    def free(self, x: torch.Tensor) -> torch.Tensor:
        """Return v, without bounds, of fields x."""
        if not self.bounded:
            return x
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return ((x - middle) / half).clamp(-1 + 2 * _INSIDE, 1 - 2 * _INSIDE).asin()

    def bound(self, v: torch.Tensor) -> torch.Tensor:
        """Return the fields x of v; of exact bounds, in spite of rounding."""
        if not self.bounded:
            return v
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return (middle + half * v.sin()).clamp(self.low, self.high)


def _field_shape(transform: Transform, shape: Sequence[int] | None, start: torch.Tensor | None) -> tuple[int, ...]:
    if shape is None:
        shape = getattr(transform, "shape", None) if start is None else start.shape[1:]
    if shape is None:
        raise ValueError("`shape` or `start` must be given for a transform without an attribute `shape`")
    sizes = grid_shape("shape", shape, n_axes=len(tuple(shape)), minimum=1)
    if start is not None and tuple(start.shape[1:]) != sizes:
        fail("start", f"be of fields {sizes}", tuple(start.shape[1:]))
    return sizes


def _squares(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).square().sum(1, dtype=torch.float64)
