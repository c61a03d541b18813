"""Several sets of moments as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import nn

from phasewave.checks import fail
from phasewave.turbulence.interface import MomentRow, Moments


@dataclass(frozen=True)
class Component:
    """The real or the imaginary part of a complex moment.

    Attributes
    ----------
    row : MomentRow
        The moment.
    part : {"real", "imaginary"}
        Which part.
    """

    row: MomentRow
    part: Literal["real", "imaginary"]

    @property
    def kind(self) -> str:
        """The moment's class."""
        return self.row.kind


class JointMoments(nn.Module):
    """Moments of several modules side by side, real and imaginary parts in turn.

    Parameters
    ----------
    parts : sequence of torch.nn.Module
        Each maps fields ``(..., H, W)`` to moments ``(..., n)``, real or complex, and has a method
        ``standardized(target)``. What else it must have to be resized, masked and listed in the table is said in
        `phasewave.turbulence.interface`.
    weights : sequence of float, optional
        Factor of each part's moments in the loss; 1 by default.

    Raises
    ------
    ValueError
        If there are no parts, not as many weights, or the parts are for fields of different shapes.
    """

    def __init__(self, parts: Sequence[nn.Module], *, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not parts:
            fail("parts", "be one or more modules", tuple(parts))
        self.parts = nn.ModuleList(parts)
        self.weights = tuple(1.0 for _ in parts) if weights is None else tuple(weights)
        if len(self.weights) != len(parts):
            fail("weights", f"be {len(parts)} numbers", self.weights)
        shapes = [tuple(cast(Moments, part).shape) for part in parts if hasattr(part, "shape")]
        if len(set(shapes)) > 1:
            fail("parts", "be for fields of one shape", shapes)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the fields."""
        return self._moments()[0].shape

    @property
    def table(self) -> tuple[MomentRow, ...]:
        """What each moment is: the rows of the parts in turn, those of complex moments as two `Component`."""
        rows: list[MomentRow] = []
        for part in self._moments():
            if part.is_complex:
                rows += [Component(row, half) for row in part.table for half in ("real", "imaginary")]
            else:
                rows += part.table
        return tuple(rows)

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return sum(part.n_moments * (2 if part.is_complex else 1) for part in self._moments())

    @property
    def is_complex(self) -> bool:
        """False: complex moments are two real ones."""
        return False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields ``(..., H, W)``: real, shape ``(..., n_moments)``."""
        values = [part(x) for part in self.parts]
        real = [torch.view_as_real(v).flatten(-2) if v.is_complex() else v for v in values]
        scaled = [w**0.5 * v for w, v in zip(self.weights, real, strict=True)]
        return torch.cat(scaled, dim=-1)

    def standardized(self, target: torch.Tensor) -> JointMoments:
        """The same moments, each part standardised by the target."""
        return self._of([part.standardized(target) for part in self._moments()])

    def resized(self, shape: Sequence[int]) -> JointMoments:
        """The same moments of fields of another size: each part resized.

        Raises
        ------
        TypeError, ValueError
            As the parts.
        """
        return self._of([part.resized(shape) for part in self._moments()])

    def masked(self, mask: torch.Tensor) -> JointMoments:
        """Estimates of the same moments from fields known where ``mask`` is True: each part masked.

        Raises
        ------
        TypeError, ValueError
            As the parts.
        """
        return self._of([part.masked(mask) for part in self._moments()])

    def _moments(self) -> list[Moments]:
        return cast(list[Moments], list(self.parts))

    def _of(self, parts: Sequence[Moments]) -> JointMoments:
        return JointMoments(cast(Sequence[nn.Module], parts), weights=self.weights)
