"""The loss of the microcanonical sampler: how far the moments of a sample are from the target's."""

from __future__ import annotations

from collections.abc import Callable

import torch

from phasewave.checks import fail, integer

Statistics = Callable[[torch.Tensor], torch.Tensor]
"""A differentiable map of fields (n, ...) to moments (n, n_moments), real or complex; a module, or a function."""


class MomentMatching:
    r"""Relative squared distance of moments to those of a target, and its gradient, sample by sample.

    .. math:: L(x) = \frac{\sum_i w_i\, |\phi_i(x) - t_i|^2}{\sum_i w_i\, |t_i|^2}

    Parameters
    ----------
    statistics : torch.nn.Module or callable
        phi: maps fields (n, ...) to moments (n, n_moments), real or complex, differentiably; each sample's
        moments must depend on that sample alone.
    target : torch.Tensor, shape (n_moments,)
        t, the moments to reach.
    weights : torch.Tensor, shape (n_moments,), optional
        w >= 0; all one by default.
    chunk : int, optional
        Samples evaluated at a time: it bounds the memory. With 1, the default, losses and gradients of a
        sample do not depend, to the last bit, on the samples beside it; None evaluates all at once.

    Raises
    ------
    TypeError
        If ``target`` or ``weights`` is not a tensor of numbers, or ``chunk`` not an integer.
    ValueError
        If a shape is wrong, values are not finite, a weight is negative, or every (weighted) target moment
        is zero.

    Notes
    -----
    Sums of squares are accumulated in float64. Cost: forward and backward of ``statistics``.
    """

    def __init__(
        self,
        statistics: Statistics,
        target: torch.Tensor,
        *,
        weights: torch.Tensor | None = None,
        chunk: int | None = 1,
    ) -> None:
        if not callable(statistics):
            raise TypeError(f"`statistics` must be a module or a function, got {type(statistics).__name__}")
        self.statistics = statistics
        self.target = _moments("target", target)
        self.weights = torch.ones_like(_parts(self.target)[..., 0]) if weights is None else weights
        if _moments("weights", self.weights).shape != target.shape or self.weights.is_complex():
            fail("weights", f"be real, of shape {tuple(target.shape)}", tuple(self.weights.shape))
        if bool((self.weights < 0).any()):
            fail("weights", "be >= 0", float(self.weights.min()))
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)
        scale = float(self._square(self.target))
        if not 0.0 < scale < float("inf"):
            fail("target", "hold finite moments, one at least of non-zero weight and value", scale)
        self.scale = scale

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the losses (n,), float64, of fields (n, ...), differentiable.

        Raises
        ------
        ValueError
            If the statistics do not return one row of ``n_moments`` for each sample.
        """
        moments = self.statistics(x)
        if moments.shape != (x.shape[0], *self.target.shape):
            fail("statistics", f"return moments {(x.shape[0], *self.target.shape)}", tuple(moments.shape))
        return self._square(moments - self.target) / self.scale

    def value_and_gradient(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses and their gradients: an objective for ``phasewave.solve``.

        Parameters
        ----------
        x : torch.Tensor, shape (n, ...)
            Fields.

        Returns
        -------
        losses : torch.Tensor, shape (n,), float64
        gradient : torch.Tensor, of the shape and dtype of ``x``
        """
        losses, gradients = [], []
        for fields in x.detach().split(max(1, len(x)) if self.chunk is None else self.chunk):
            with torch.enable_grad():
                variable = fields.clone().requires_grad_()
                loss = self(variable)
                (gradient,) = torch.autograd.grad(loss.sum(), variable)
            losses.append(loss.detach())
            gradients.append(gradient)
        return torch.cat(losses), torch.cat(gradients)

    def _square(self, moments: torch.Tensor) -> torch.Tensor:
        """Return sum_i w_i |z_i|^2 over the last axis, in float64."""
        squares = _parts(moments).square().sum(-1)
        return (squares * self.weights).sum(-1, dtype=torch.float64)


def _parts(moments: torch.Tensor) -> torch.Tensor:
    """Return real and imaginary parts along a new last axis."""
    return torch.view_as_real(moments) if moments.is_complex() else moments[..., None]


def _moments(name: str, values: torch.Tensor) -> torch.Tensor:
    if not isinstance(values, torch.Tensor) or not (values.is_floating_point() or values.is_complex()):
        kind = values.dtype if isinstance(values, torch.Tensor) else type(values).__name__
        raise TypeError(f"`{name}` must be a real or complex tensor, got {kind}")
    if values.ndim != 1:
        fail(name, "have one axis (n_moments,)", tuple(values.shape))
    return values.detach()
