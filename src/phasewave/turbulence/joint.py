"""Several sets of moments as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from phasewave.checks import fail


class JointMoments(nn.Module):
    """Moments of several modules side by side, real and imaginary parts in turn.

    Parameters
    ----------
    parts : sequence of torch.nn.Module
        Each maps fields ``(..., H, W)`` to moments ``(..., n)``, real or complex, and has a method
        ``standardized(target)``.
    weights : sequence of float, optional
        Factor of each part's moments in the loss; 1 by default.

    Raises
    ------
    ValueError
        If there are no parts, or not as many weights.
    """

    def __init__(self, parts: Sequence[nn.Module], *, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not parts:
            fail("parts", "be one or more modules", tuple(parts))
        self.parts = nn.ModuleList(parts)
        self.weights = tuple(1.0 for _ in parts) if weights is None else tuple(weights)
        if len(self.weights) != len(parts):
            fail("weights", f"be {len(parts)} numbers", self.weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields ``(..., H, W)``: real, shape ``(..., n)``."""
        values = [part(x) for part in self.parts]
        real = [torch.view_as_real(v).flatten(-2) if v.is_complex() else v for v in values]
        scaled = [w**0.5 * v for w, v in zip(self.weights, real, strict=True)]
        return torch.cat(scaled, dim=-1)

    def standardized(self, target: torch.Tensor) -> JointMoments:
        """The same moments, each part standardised by the target."""
        parts = [part.standardized(target) for part in self.parts]  # type: ignore[operator]
        return JointMoments(parts, weights=self.weights)
