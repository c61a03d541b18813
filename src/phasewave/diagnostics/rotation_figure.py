"""Figure of the study of rotations: data in, file out."""

from __future__ import annotations

import math
import os

from phasewave.diagnostics.drawing import (
    FAINT,
    GREY,
    INK,
    WIDTH,
    at,
    finish,
    label,
    mark_plainly,
    page,
    picture,
    representation_colours,
    round_marks,
)
from phasewave.diagnostics.rotation_study import RotationStudy
from phasewave.runs.figure_file import save_figure


def draw_rotation(path: str | os.PathLike[str], study: RotationStudy, *, note: str = "") -> None:
    """Draw turned images, and over the angle what it does to the representations.

    Parameters
    ----------
    path : path-like
        The picture's file. PNG has 150 dots per inch. It appears whole or not at all.
    study : RotationStudy
    note : str
        Below the title, such as which images these are.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    rows, columns = study.pictures.shape[:2]
    side, gap, top = 1.5, 0.12, 1.1
    below = top + rows * (side + gap) + 0.5
    figure = page(below + 3.4, "Stability to rotations", note)
    left = (WIDTH - columns * side - (columns - 1) * gap * 2) / 2
    degrees = [math.degrees(one) for one in study.angles]
    for column, head in enumerate(["image", *(f"{one:.3g}°" for one in degrees)]):
        x = left + column * (side + 2 * gap)
        label(figure, x + side / 2, top - 0.14, head, ha="center")
        for row in range(rows):
            picture(at(figure, x, top + row * (side + gap), side, side), study.pictures[row, column])
    panels = [at(figure, 0.75 + k * 3.12, below, 2.35, 2.45) for k in range(4)]
    names = list(study.plane)
    for name, colour in zip(names, representation_colours(names), strict=True):
        plane, sphere = study.plane[name], study.sphere[name]
        curves = (
            [one.change for one in plane],
            [one.relative for one in sphere],
            [one.gain for one in plane],
            [one.residual if one.residual is None or one.residual > 1e-4 else None for one in plane],
        )
        for axes, values in zip(panels, curves, strict=True):
            axes.plot(
                degrees,
                [float("nan") if v is None else v for v in values],
                color=colour,
                marker="o",
                markersize=3.5,
                linewidth=1.4,
                label=name,
            )
    panels[1].plot(degrees, study.isometry, color=GREY, linestyle=(0, (1, 2)), linewidth=3, zorder=0)
    for axes in (panels[2], panels[3]):
        axes.axhline(1, color=FAINT, linewidth=1, zorder=0)
    for axes in panels:
        axes.set_xscale("log")
        axes.set_yscale("log")
        mark_plainly(axes.xaxis, degrees)
        mark_plainly(axes.yaxis, round_marks(*axes.get_ylim()))
    finish(panels[0], "Change by a turn of the plane,\nof the distance of images", x="angle [degrees]")
    finish(panels[1], "The same by a turn in a random direction;\ndots: every isometry", x="angle [degrees]")
    finish(panels[2], "Turn of the plane: change / change of\nthe image (1: isometry)", x="angle [degrees]")
    finish(
        panels[3],
        "Share of the change that the derivative\nmisses (linear maps: 0, not shown)",
        x="angle [degrees]",
    )
    handles, words = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        words,
        loc="lower center",
        ncols=len(names),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        columnspacing=1.4,
        handlelength=1.6,
    )
    save_figure(figure, path)
