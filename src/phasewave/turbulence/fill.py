"""Fields with gaps, filled as smoothly as a spectrum says: no jump at the borders of what was observed."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from phasewave.checks import fail, real_field
from phasewave.core.grids import angular_frequencies
from phasewave.turbulence.masks import gap_depth, observed_mask

SMOOTHNESS = 4.0
"""Exponent of the spectrum by default: the fill has the least mean squared Laplacian."""
SHIFT = 10.0
"""Shift of the preconditioner, in units of the precision of a wave as long as the deepest gap."""
ITERATIONS = 1000
"""Iterations allowed."""


class Fill(nn.Module):
    r"""Replaces the pixels that are not observed by those that make a field most probable.

    .. math:: \min_{x_m} \sum_\omega |X(\omega)|^2 / S(\omega) \quad\Longleftrightarrow\quad
        Q_{mm} x_m = -Q_{mo} x_o, \qquad Q = F^{-1} S^{-1} F,

    the conditional mean, given the observed pixels, of a Gaussian field of spectrum ``S``. The default
    :math:`S = |\omega|^{-4}` gives the smoothest fill (biharmonic, free of assumptions on the field's mean).
    Values in gaps have no influence at all; the map is linear in the observed ones, and differentiable.

    Parameters
    ----------
    mask : torch.Tensor
        Boolean, shape ``(H, W)``, True where fields are observed.
    power : torch.Tensor, optional
        ``S`` in the order of ``fft2``, shape ``(H, W)``, even; powers under 1e-10 of the largest are raised to
        it, and that of the zero frequency is taken to be infinite: the mean is free.
    tolerance : float
        Residual, in the norm of the preconditioner and relative to the right-hand side, at which it is solved.

    Raises
    ------
    TypeError, ValueError
        If the mask is not a boolean tensor of two axes with a True value, the power of another shape or not
        positive anywhere, or the tolerance not in (0, 1).

    Notes
    -----
    Conjugate gradients in float64, field by field; four FFTs an iteration, 20 to 150 iterations. The
    preconditioner :math:`1/(S^{-1} + \epsilon)` on the gaps ends at waves longer than the deepest of them, which
    the observed pixels rule.
    """

    mask: torch.Tensor
    precision: torch.Tensor
    preconditioner: torch.Tensor

    def __init__(self, mask: torch.Tensor, *, power: torch.Tensor | None = None, tolerance: float = 1e-5) -> None:
        super().__init__()
        observed = observed_mask(mask, mask.shape if isinstance(mask, torch.Tensor) else ())
        if observed.ndim != 2:
            fail("mask", "have axes (H, W)", tuple(observed.shape))
        if not 0 < tolerance < 1:
            fail("tolerance", "lie between 0 and 1", tolerance)
        self.shape, self.tolerance = (observed.shape[0], observed.shape[1]), tolerance
        depth = float(gap_depth(observed).max())
        omega = torch.hypot(*angular_frequencies(self.shape, real=True))
        if power is None:
            precision = omega**SMOOTHNESS
        else:
            half = real_field("power", power, self.shape).to("cpu", torch.float64)[:, : self.shape[1] // 2 + 1]
            if power.ndim != 2 or not float(half.max()) > 0:
                fail("power", f"be positive, of shape {self.shape}", tuple(power.shape))
            precision = half.clamp(min=1e-10 * float(half.max())).reciprocal()
            precision[0, 0] = 0
        longest = precision[(omega > 0) & (omega <= max(1 / max(depth, 1), float(omega[0, 1])))]
        shifted = (precision + SHIFT * float(longest.mean())).reciprocal()
        self.register_buffer("mask", observed.clone(), persistent=False)
        for name, values in (("precision", precision), ("preconditioner", shifted)):
            self.register_buffer(name, values.to(observed.device), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Fill fields.

        Parameters
        ----------
        x : torch.Tensor
            Real, shape ``(..., H, W)``; any values in the gaps, NaN too.

        Returns
        -------
        torch.Tensor
            Of the same shape and dtype; the observed pixels as they were, bit for bit.
        """
        real_field("x", x, self.shape)
        return cast(torch.Tensor, _Fill.apply(x, self))

    def solved(self, b: torch.Tensor) -> torch.Tensor:
        """``z``, zero at the observed pixels, with ``Q_mm z = b_m``, for one field in float64."""
        z, residual = torch.zeros_like(b), torch.where(self.mask, 0.0, b)
        direction = scaled = self._in_gaps(residual, self.preconditioner)
        square = (residual * scaled).sum()
        goal = self.tolerance**2 * float(square)
        for _ in range(ITERATIONS):
            if not float(square) > goal:
                break
            image = self._in_gaps(direction, self.precision)
            step = square / (direction * image).sum()
            z, residual = z + step * direction, residual - step * image
            scaled = self._in_gaps(residual, self.preconditioner)
            before, square = square, (residual * scaled).sum()
            direction = scaled + square / before * direction
        return z

    def precise(self, x: torch.Tensor) -> torch.Tensor:
        """``Q x`` of a field."""
        return torch.fft.irfft2(torch.fft.rfft2(x) * self.precision, s=self.shape)

    def _in_gaps(self, x: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
        filtered = torch.fft.irfft2(torch.fft.rfft2(x) * response, s=self.shape)
        return torch.where(self.mask, 0.0, filtered)


class _Fill(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, fill: Fill) -> torch.Tensor:
        ctx.fill = fill
        filled = x.clone(memory_format=torch.contiguous_format)
        for field in filled.view(-1, *fill.shape):
            observed = torch.where(fill.mask, field, 0.0).to(torch.float64)
            field.copy_(torch.where(fill.mask, field, fill.solved(-fill.precise(observed)).to(x.dtype)))
        return filled

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return cast(torch.Tensor, _Spread.apply(gradient, ctx.fill)), None


class _Spread(torch.autograd.Function):
    """The adjoint of `_Fill`."""

    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, fill: Fill) -> torch.Tensor:
        ctx.fill = fill
        spread = gradient.clone(memory_format=torch.contiguous_format)
        for field in spread.view(-1, *fill.shape):
            missing = fill.precise(fill.solved(field.to(torch.float64)))
            field.copy_(torch.where(fill.mask, field - missing.to(gradient.dtype), 0.0))
        return spread

    @staticmethod
    def backward(ctx: Any, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        return cast(torch.Tensor, _Fill.apply(x, ctx.fill)), None
