"""Figure of the study of scale detection: data in, file out."""

from __future__ import annotations

import os

from matplotlib.axes import Axes

from phasewave.diagnostics.drawing import (
    COOL,
    FAINT,
    GREY,
    INK,
    WARM,
    at,
    finish,
    key,
    label,
    mark_plainly,
    page,
    picture,
    round_marks,
)
from phasewave.diagnostics.scale_detection import white_distances
from phasewave.diagnostics.scale_study import ScaleStudy
from phasewave.runs.figure_file import save_figure

_AVERAGING = ("#e6c07a", "#c98a1a")
_OCTAVES = ("#a9d0ec", "#6aaade", "#3a78bd", "#1f4585")


def draw_scales(path: str | os.PathLike[str], study: ScaleStudy, *, note: str = "") -> None:
    """Draw images of both classes, what each classifier calls close by distance, and what averaging does.

    Parameters
    ----------
    path : path-like
        The picture's file. PNG has 150 dots per inch. It appears whole or not at all.
    study : ScaleStudy
    note : str
        Below the title.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = page(6.6, "Who can tell the scale: are two white pixels near each other", note)
    side = 1.2
    for k, (images, word, colour) in enumerate(((study.close, "close", WARM), (study.far, "far", COOL))):
        distances = white_distances(images).tolist()
        for j, (image, distance) in enumerate(zip(images, distances, strict=True)):
            x = 0.75 + k * 5.95 + j * (side + 0.12)
            picture(at(figure, x, 1.1, side, side), image, frame=colour)
            label(figure, x + side / 2, 0.97, f"{word}: {distance:.1f} pixels", ha="center", color=colour)
    curves, bars = at(figure, 0.75, 3.1, 3.3, 2.85), at(figure, 5.75, 3.1, 2.3, 2.85)
    depth, stability = at(figure, 8.75, 3.1, 1.7, 2.85), at(figure, 11.05, 3.1, 1.6, 2.85)
    colours = _colours(list(study.readers))
    low, high = study.task.scale - study.task.gap / 2, study.task.scale + study.task.gap / 2
    curves.axvspan(low, high, color=FAINT, linewidth=0)
    for (name, one), colour in zip(study.readers.items(), colours, strict=True):
        known = ~one.called_close.isnan()
        curves.plot(
            study.distances[known],
            100 * one.called_close[known],
            color=colour,
            marker="o",
            markersize=3,
            label=name,
        )
    end = float(study.distances[-1]) + 1
    curves.plot(
        [0, study.task.scale, study.task.scale, end], [100, 100, 0, 0], color=INK, linewidth=2.5, alpha=0.25
    )
    curves.set_ylim(-4, 104)
    finish(curves, "Called close [%]; shade: the truth and its gap", x="distance of the pixels")
    names = list(study.readers)
    values = [100 * one.accuracy for one in study.readers.values()]
    bars.barh(range(len(names)), values, 0.66, color=colours)
    for row, value in enumerate(values):
        bars.text(value + 1, row, f"{value:.0f}", va="center", fontsize=8, color=INK)
    bars.set_yticks(range(len(names)), names)
    bars.set_ylim(len(names) - 0.4, -0.6)
    bars.set_xlim(40, 108)
    bars.axvline(50, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    finish(bars, "Accuracy [%]; dashes: chance")
    _averaging(depth, study)
    for values_of, colour, word in (
        (study.deformation, WARM, "$D_k$: shift"),
        (study.noise, COOL, "$G_k$: noise"),
        (tuple(d / g for d, g in zip(study.deformation, study.noise, strict=True)), INK, "$R_k = D_k / G_k$"),
    ):
        stability.plot(study.depths, values_of, color=colour, marker="o", markersize=3.5, label=word)
    start = study.deformation[2] / study.noise[2]
    guide = [start * (k / study.depths[2]) ** -2 for k in study.depths[2:]]
    stability.plot(study.depths[2:], guide, color=GREY, linestyle=(0, (1, 2)), linewidth=2, label="slope -2")
    stability.set_yscale("log")
    low, high = stability.get_ylim()
    stability.set_ylim(low, high * (high / low) ** 0.45)
    mark_plainly(stability.yaxis, round_marks(low, high))
    key(stability, loc="upper left", borderaxespad=0, fontsize=7.5)
    finish(stability, "Constant filters: stability", x="layers $k$")
    for axes in (depth, stability):
        axes.set_xscale("log")
        mark_plainly(axes.xaxis, study.depths)
    save_figure(figure, path)


def _averaging(axes: Axes, study: ScaleStudy) -> None:
    """The exact accuracy by depth, and what was found of the sample."""
    axes.plot(study.depths, [100 * one for one in study.averaging], color=INK, marker="o", markersize=3.5)
    measured = [name for name in study.readers if name.startswith("averaging")]
    for name, colour in zip(measured, _AVERAGING, strict=False):
        layers = int(name.split()[1])
        axes.plot(layers, 100 * study.readers[name].accuracy, "o", markersize=10, color=colour, zorder=0)
    axes.set_ylim(45, 104)
    finish(axes, "Averaging: every pair counted [%]\n(coloured: test images)", x="layers $k$")


def _colours(names: list[str]) -> list[str]:
    found, averaging, octaves = {"pixels": GREY, "CNN": WARM}, iter(_AVERAGING), iter(_OCTAVES)
    for name in names:
        if name.startswith("averaging"):
            found[name] = next(averaging)
        elif name.startswith("scattering"):
            found[name] = next(octaves)
    return [found[name] for name in names]
