"""Several sets of moments as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.core.recompute import recomputed
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
    weights : sequence of float or torch.Tensor, optional
        Factor of each part's moments in the loss, one number or, shape ``(n_moments,)``, one a moment; 1 by
        default.
    chunk : int, optional
        Samples at a time; then the parts are computed again in the backward pass, one after another, so that the
        memory is that of the largest (which may have a ``chunk`` of its own). By default all at once.

    Raises
    ------
    TypeError
        If ``chunk`` is not an integer.
    ValueError
        If there are no parts, not as many weights, or the parts are for fields of different shapes.
    """

    def __init__(
        self,
        parts: Sequence[nn.Module],
        *,
        weights: Sequence[float | torch.Tensor] | None = None,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if not parts:
            fail("parts", "be one or more modules", tuple(parts))
        self.parts = nn.ModuleList(parts)
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)
        given = [1.0] * len(parts) if weights is None else list(weights)
        if len(given) != len(parts):
            fail("weights", f"be one for each of the {len(parts)} parts", len(given))
        for number, weight in enumerate(given):
            factor = torch.as_tensor(weight, dtype=torch.float64).sqrt()
            self.register_buffer(f"factor_{number}", factor, persistent=False)
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
        values = [self._values(part, x) for part in self.parts]
        scaled = [v * self._factor(number).to(v.real.dtype) for number, v in enumerate(values)]
        # Not `view_as_real`: its gradient would be a slice that may begin between the parts of a number.
        real = [torch.stack((v.real, v.imag), dim=-1).flatten(-2) if v.is_complex() else v for v in scaled]
        return torch.cat(real, dim=-1)

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

    def _values(self, part: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """Moments of a part, of some samples at a time."""
        n_axes = 3 if any(hasattr(part, "n_fields") for part in self.parts) else 2
        if self.chunk is None or x.ndim <= n_axes or x.numel() == 0:
            return cast(torch.Tensor, part(x) if self.chunk is None else recomputed(part, x))
        samples = x.flatten(0, -n_axes - 1)
        values = torch.cat([recomputed(part, piece) for piece in samples.split(self.chunk)])
        return values.unflatten(0, x.shape[:-n_axes])

    def _moments(self) -> list[Moments]:
        return cast(list[Moments], list(self.parts))

    def _of(self, parts: Sequence[Moments]) -> JointMoments:
        weights = [self._factor(number).square() for number in range(len(self.parts))]
        return JointMoments(cast(Sequence[nn.Module], parts), weights=weights, chunk=self.chunk)

    def _factor(self, number: int) -> torch.Tensor:
        """Square root of the weights of a part."""
        return self.get_buffer(f"factor_{number}")
