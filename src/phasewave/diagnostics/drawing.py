"""What the figures of the diagnostics share: colours, axes in inches, images, axes without clutter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

INK, GREY, FAINT = "#1b1f24", "#8a9199", "#d9dde1"
WARM, COOL = "#d1432f", "#3f6fb5"
WIDTH, MARGIN = 13.0, 0.35  # inches, as all lengths here
CLASSES = (
    "#d1432f",
    "#3f6fb5",
    "#e0a030",
    "#3f9a78",
    "#8a5aa8",
    "#5aa7d6",
    "#b5566f",
    "#7c8a3a",
    "#a5714a",
    "#5d6b7a",
)
_OCTAVES = ("#8fc1e3", "#4a8fcb", "#28508f")
_DPI = 150


def page(height: float, title: str, note: str = "") -> Figure:
    """Return a white page of a height with a title, and a note below it."""
    figure = Figure(figsize=(WIDTH, height), dpi=_DPI, facecolor="white")
    words: dict[str, Any] = {"va": "top", "ha": "left"}
    figure.text(MARGIN / WIDTH, 1 - 0.16 / height, title, fontsize=12, fontweight="bold", color=INK, **words)
    figure.text(MARGIN / WIDTH, 1 - 0.44 / height, note, fontsize=9, color=GREY, **words)
    return figure


def at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return axes at a place given in inches from the left and from the top."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def label(figure: Figure, left: float, top: float, text: str, **words: Any) -> None:
    """Write words at a place given in inches from the left and from the top."""
    across, down = figure.get_size_inches()
    style = {"fontsize": 9, "color": INK, "va": "center", "ha": "left", **words}
    figure.text(left / across, 1 - top / down, text, **style)


def picture(axes: Axes, image: torch.Tensor, *, frame: str | None = None) -> None:
    """Show an image (C, H, W) in [0, 1], grey or colour, without ticks."""
    pixels = image.detach().clamp(0, 1).permute(1, 2, 0).numpy()
    if pixels.shape[-1] == 3:
        axes.imshow(pixels, interpolation="nearest")
    else:
        axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    bare(axes, frame)


def bare(axes: Axes, frame: str | None = None) -> None:
    """Take ticks away; draw the frame in a colour, or none."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(frame is not None)
        if frame is not None:
            spine.set_color(frame)
            spine.set_linewidth(2.0)


def finish(axes: Axes, title: str, *, x: str = "", y: str = "") -> None:
    """Give axes their title and names, without the frame's upper and right side."""
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", pad=7)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK, which="both", length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)


def key(axes: Axes, **words: Any) -> None:
    """Write the key of the curves, without a frame."""
    axes.legend(**{"frameon": False, "fontsize": 8, "labelcolor": INK, "handlelength": 1.8, **words})


def class_colours(labels: Sequence[int] | np.ndarray) -> list[str]:
    """Return the colour of each label."""
    return [CLASSES[int(one) % len(CLASSES)] for one in labels]


def representation_colours(names: Sequence[str]) -> list[str]:
    """Return the colour of each representation, the same in all figures."""
    fixed = {"identity": GREY, "random CNN": "#e0a030", "trained CNN": WARM, "invariant scattering": "#3f9a78"}
    octaves = [name for name in names if name.startswith("scattering")]
    fixed |= dict(zip(octaves, _OCTAVES, strict=False))
    return [fixed.get(name, INK) for name in names]


def round_marks(low: float, high: float) -> list[float]:
    """Return 1, 2 or 3, and 5 times powers of ten within bounds: few of them on a long axis."""
    steps = (1, 2, 5) if high / low < 30 else (1, 3) if high / low < 1000 else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    marks = [step * 10.0**k for k in range(first, last + 1) for step in steps]
    return [mark for mark in marks if low <= mark <= high]


def mark_plainly(axis: Axis, ticks: Sequence[float]) -> None:
    """Mark a logarithmic axis at given numbers, written plainly."""
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.3g}"))
