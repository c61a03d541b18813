"""Moments of single fields, for several fields of one sky."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from phasewave.checks import fail, real_field
from phasewave.turbulence.interface import MomentRow, Moments


@dataclass(frozen=True)
class FieldMoment:
    """One moment of one of the fields.

    Attributes
    ----------
    field : int
        Which field.
    row : MomentRow
        What it is: the row of the single field's table.
    """

    field: int
    row: MomentRow

    @property
    def kind(self) -> str:
        """Name of its class, that of the row."""
        return self.row.kind


class EachField(nn.Module):
    """One set of moments for each of several fields, side by side, standardised field by field.

    Fields may have different units. With `CrossMoments` beside it, joined by `JointMoments`, it describes several
    fields of one sky.

    Parameters
    ----------
    parts : sequence of torch.nn.Module
        A set of moments (`phasewave.turbulence.interface.Moments`) for each field, all of one shape and all real
        or all complex: ``EachField([moments] * 2)``.

    Attributes
    ----------
    table : tuple of FieldMoment
        What each moment is, field after field.

    Raises
    ------
    TypeError
        If a part is not a module with a table.
    ValueError
        If there is none, or their shapes differ.
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        if not parts:
            fail("parts", "be one or more sets of moments", tuple(parts))
        for part in parts:
            if not isinstance(part, nn.Module) or not hasattr(part, "table"):
                raise TypeError(f"`parts` must be sets of moments, got {type(part).__name__}")
        self.parts = nn.ModuleList(parts)
        shapes = [part.shape for part in self._sets()]
        if any(shape != shapes[0] for shape in shapes):
            fail("parts", "be of one shape", shapes)
        self.shape: tuple[int, int] = shapes[0]
        self.table: tuple[FieldMoment, ...] = tuple(
            FieldMoment(number, row) for number, part in enumerate(self._sets()) for row in part.table
        )

    @property
    def n_fields(self) -> int:
        """Number of fields: axis -3 of what the module takes."""
        return len(self.parts)

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return len(self.table)

    @property
    def is_complex(self) -> bool:
        """Whether the moments are complex numbers."""
        return self._sets()[0].is_complex

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields ``(..., n_fields, H, W)``: shape ``(..., n_moments)``, of the parts' type.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not a real tensor of this shape and of the parts' dtype.
        """
        fields = self._fields("x", x)
        return torch.cat([part(field) for part, field in zip(self._sets(), fields, strict=True)], dim=-1)

    def standardized(self, target: torch.Tensor) -> EachField:
        """The same moments, each field's set standardised by that field of a target ``(..., n_fields, H, W)``."""
        fields = self._fields("target", target)
        return _joined(part.standardized(field) for part, field in zip(self._sets(), fields, strict=True))

    def resized(self, shape: Sequence[int]) -> EachField:
        """The same moments and standardisation for fields of another size."""
        return _joined(part.resized(shape) for part in self._sets())

    def masked(self, mask: torch.Tensor) -> EachField:
        """Estimates of the same moments where a mask ``(H, W)`` is True in all fields."""
        return _joined(part.masked(mask) for part in self._sets())

    def _sets(self) -> list[Moments]:
        return [cast(Moments, part) for part in self.parts]

    def _fields(self, name: str, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        real_field(name, x, (self.n_fields, *self.shape))
        return x.unbind(dim=-3)


def _joined(parts: Iterable[Moments]) -> EachField:
    return EachField([cast(nn.Module, part) for part in parts])
