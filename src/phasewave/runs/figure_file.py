"""Figures as files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from phasewave.runs.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure at 150 dots an inch; the suffix says how, PNG without one.

    Raises
    ------
    OSError
        If the file cannot be written; what was there before is untouched.
    """
    with replacing(path) as stream:
        figure.savefig(stream, dpi=_DPI, format=Path(path).suffix.removeprefix(".") or "png")
