"""The loss of the microcanonical sampler: how far the moments of a sample are from the target's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from phasewave.checks import fail, integer

Statistics = Callable[[torch.Tensor], torch.Tensor]
"""A differentiable map of fields (n, ...) to moments (n, n_moments), real or complex; a module, or a function."""

REST = "rest"
"""In a tolerance by class: every class that is not named."""

# A class whose target moments are below this share of their part of the whole has no scale of its own.
_ZERO = 1e-9


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
    kinds : sequence of str, optional
        The class of each moment; all of one class by default.
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
        kinds: Sequence[str] | None = None,
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
        self.kinds = ("moments",) * len(target) if kinds is None else tuple(kinds)
        if len(self.kinds) != len(target):
            fail("kinds", f"be {len(target)} names", len(self.kinds))
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
        return self.losses(moments)

    def losses(self, moments: torch.Tensor) -> torch.Tensor:
        """Return the losses (n,), float64, of moments (n, n_moments)."""
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

    def class_losses(self, moments: torch.Tensor) -> dict[str, torch.Tensor]:
        r"""Return the relative loss of each class of moments, for moments (n, n_moments).

        .. math:: L_k(x) = \sum_{i \in k} w_i\, |\phi_i(x) - t_i|^2 / D_k, \qquad
                  D_k = \sum_{i \in k} w_i\, |t_i|^2,

        but for a class whose target is zero, to rounding, D_k is its share of all: the number of its moments
        times the mean of w_i |t_i|^2 over all of them.

        Returns
        -------
        dict of str to torch.Tensor, shape (n,), float64
            In the order of the classes' first moments.
        """
        squares = self._squares(moments - self.target)
        return {
            kind: squares[..., rows].sum(-1, dtype=torch.float64) / divisor
            for kind, (rows, divisor) in self._classes().items()
        }

    def balanced(self, tolerance: Mapping[str, float]) -> tuple[MomentMatching, float]:
        r"""Return the loss that puts every class within its own tolerance, and its tolerance.

        .. math:: \sum_k L_k(x) / \tau_k \le 1 \;\Rightarrow\; L_k(x) \le \tau_k \text{ for every class } k

        The left side is, but for a constant factor, the loss of this class with the weights
        :math:`w_i / (\tau_k D_k)`.

        Parameters
        ----------
        tolerance : Mapping of str to float
            tau_k > 0 of each class; that of ``"rest"`` stands for every class that is not named.

        Returns
        -------
        MomentMatching
            With the new weights.
        float
            The relative loss of it at which the sum above is 1.

        Raises
        ------
        ValueError
            If a number is not positive, a class is unknown, or one has no number.
        """
        classes = self._classes()
        for name, value in tolerance.items():
            if name != REST and name not in classes:
                fail("tolerance", f"name classes among {', '.join(classes)} or {REST!r}", name)
            if not 0.0 < value < float("inf"):
                fail("tolerance", "be positive for every class", f"{name}={value}")
        missing = [kind for kind in classes if kind not in tolerance and REST not in tolerance]
        if missing:
            fail("tolerance", f"have a number for {', '.join(missing)} too, or for {REST!r}", dict(tolerance))
        weights = self.weights.to(torch.float64).clone()
        for kind, (rows, divisor) in classes.items():
            weights[rows] /= divisor * tolerance.get(kind, tolerance.get(REST, 1.0))
        scale = weights.mean()
        balanced = MomentMatching(
            self.statistics,
            self.target,
            weights=(weights / scale).to(self.weights.dtype),
            kinds=self.kinds,
            chunk=self.chunk,
        )
        return balanced, 1.0 / (balanced.scale * float(scale))

    def _classes(self) -> dict[str, tuple[torch.Tensor, float]]:
        """Return for each class its moments' numbers and what its loss is relative to."""
        target, share = self._squares(self.target), self.scale / len(self.target)
        numbers: dict[str, list[int]] = {}
        for number, kind in enumerate(self.kinds):
            numbers.setdefault(kind, []).append(number)
        classes = {}
        for kind, members in numbers.items():
            rows = torch.tensor(members, device=target.device)
            own = float(target[rows].sum(dtype=torch.float64))
            classes[kind] = (rows, own if own > _ZERO * share * len(rows) else share * len(rows))
        return classes

    def _squares(self, moments: torch.Tensor) -> torch.Tensor:
        """Return w_i |z_i|^2."""
        return _parts(moments).square().sum(-1) * self.weights

    def _square(self, moments: torch.Tensor) -> torch.Tensor:
        """Return sum_i w_i |z_i|^2 over the last axis, in float64."""
        return self._squares(moments).sum(-1, dtype=torch.float64)


def spread_weights(moments: torch.Tensor) -> torch.Tensor:
    r"""Return weights for the mean of the moments of several realisations, from their spread.

    .. math:: w_i \propto 1 / (s_i^2 + \operatorname{median}_j s_j^2), \qquad
              s_i^2 = \tfrac{1}{n-1} \sum_{r} |\phi_i(x_r) - \bar\phi_i|^2,

    so that a moment that differs much between realisations counts less, and none more than twice the median: a
    variance estimated from a few realisations may be small by chance.

    Parameters
    ----------
    moments : torch.Tensor, shape (n, n_moments)
        Real or complex, of n >= 2 realisations.

    Returns
    -------
    torch.Tensor, shape (n_moments,)
        Real, of mean 1; all 1 if the realisations do not differ.
    """
    square = _parts(moments - moments.mean(0)).square().sum((0, -1)) / (len(moments) - 1)
    middle = square.median()
    weights = 1.0 / (square + middle) if float(middle) > 0 else torch.ones_like(square)
    return weights / weights.mean()


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
