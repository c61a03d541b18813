"""Figures of the studies of deformations and of neural collapse: data in, file out."""

from __future__ import annotations

import os

import torch
from matplotlib.axes import Axes

from phasewave.diagnostics.collapse_study import CollapseStudy, Projection
from phasewave.diagnostics.deformation_study import DeformationStudy
from phasewave.diagnostics.drawing import (
    CLASSES,
    COOL,
    FAINT,
    GREY,
    INK,
    WARM,
    WIDTH,
    at,
    bare,
    class_colours,
    finish,
    key,
    label,
    mark_plainly,
    page,
    picture,
    representation_colours,
    round_marks,
)
from phasewave.runs.figure_file import save_figure


def draw_deformation(path: str | os.PathLike[str], study: DeformationStudy, *, note: str = "") -> None:
    """Draw images deformed at rising temperatures, and the stability of the representations.

    Parameters
    ----------
    path : path-like
        The picture's file. PNG has 150 dots per inch. It appears whole or not at all.
    study : DeformationStudy
    note : str
        Below the title, such as which images these are.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    rows, columns = study.pictures.shape[:2]
    side, gap, top = 1.75, 0.12, 1.1
    below = top + rows * (side + gap) + 0.55
    figure = page(below + 3.75, "Stability to smooth deformations", note)
    left = (WIDTH - columns * side - (columns - 1) * gap * 2) / 2
    heads = ["image"]
    for law in study.laws:
        heads.append(f"{_pixels(law.displacement)},  $T$ = {_power(law.temperature)}")
    for column in range(columns):
        x = left + column * (side + 2 * gap)
        label(figure, x + side / 2, top - 0.14, heads[column], ha="center")
        for row in range(rows):
            picture(at(figure, x, top + row * (side + gap), side, side), study.pictures[row, column])
    names = list(study.stability)
    strength = study.laws[study.reference].displacement
    bars = at(figure, 2.0, below, 4.0, 3.05)
    _dumbbells(bars, study)
    finish(
        bars, f"Change at a displacement of {_pixels(strength)}", x="squared change / squared distance of images"
    )
    displacements = [law.displacement for law in study.laws]
    for k, (kind, title) in enumerate(
        (("deformation", "$D_f$: by a deformation"), ("relative", "$R_f = D_f / G_f$: beside noise of its size"))
    ):
        axes = at(figure, 7.0 + k * 3.05, below, 2.45, 3.05)
        for name, colour in zip(names, representation_colours(names), strict=True):
            values = [getattr(one, kind) for one in study.stability[name]]
            axes.plot(
                displacements,
                [float("nan") if v is None else v for v in values],
                color=colour,
                marker="o",
                markersize=3.5,
                linewidth=1.4,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        mark_plainly(axes.xaxis, displacements)
        mark_plainly(axes.yaxis, round_marks(*axes.get_ylim()))
        if kind == "relative":
            axes.axhline(1, color=FAINT, linewidth=1, zorder=0)
        finish(axes, title, x="displacement [pixels]")
    save_figure(figure, path)


def _dumbbells(axes: Axes, study: DeformationStudy) -> None:
    names = list(study.stability)
    for row, (name, colour) in enumerate(zip(names, representation_colours(names), strict=True)):
        one = study.stability[name][study.reference]
        if one.deformation is None or one.noise is None or one.relative is None:
            continue
        axes.plot([one.deformation, one.noise], [row, row], color=colour, linewidth=1.6, zorder=1)
        axes.plot(
            one.noise, row, "o", markersize=8, markerfacecolor="white", markeredgecolor=colour, markeredgewidth=1.6
        )
        axes.plot(one.deformation, row, "o", markersize=6, color=colour)
        axes.text(
            1.02,
            row,
            f"$R_f$ = {one.relative:.2f}",
            transform=axes.get_yaxis_transform(),
            fontsize=8.5,
            color=INK,
            va="center",
            ha="right",
        )
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.35)
    mark_plainly(axes.xaxis, round_marks(low, high))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.9)
    axes.plot([], [], "o", color=GREY, markersize=6, label="$D_f$: deformation")
    axes.plot(
        [], [], "o", color=GREY, markerfacecolor="white", markersize=8, label="$G_f$: noise of the same size"
    )
    key(
        axes,
        loc="upper left",
        ncols=2,
        bbox_to_anchor=(0, 1.0),
        borderaxespad=0,
        handletextpad=0.2,
        columnspacing=1.0,
    )


def draw_collapse(path: str | os.PathLike[str], study: CollapseStudy, *, note: str = "") -> None:
    """Draw NC1 to NC4 over the epochs, and features of three classes on the plane of their means.

    Parameters
    ----------
    path : path-like
    study : CollapseStudy
    note : str

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = page(6.6 if study.projections else 3.6, "Neural collapse over a training", note)
    epochs = [one.epoch for one in study.epochs]
    measures = [one.collapse for one in study.epochs]
    weights = [one.weights for one in measures if one.weights is not None]
    panels = [at(figure, 0.7 + k * 2.5, 1.15, 1.95, 1.75) for k in range(5)]
    first, *rest = panels
    first.plot(epochs, [100 * (1 - one.train_accuracy) for one in study.epochs], color=INK, label="training")
    first.plot(epochs, [100 * (1 - one.test_accuracy) for one in study.epochs], color=GREY, label="test")
    first.set_ylim(bottom=0)
    key(first, loc="upper right", borderaxespad=0)
    finish(first, "Errors [%]", x="epoch")
    rest[0].plot(epochs, [one.variability for one in measures], color=WARM)
    rest[0].set_yscale("log")
    mark_plainly(rest[0].yaxis, round_marks(*rest[0].get_ylim()))
    finish(rest[0], "NC1: spread within classes", x="epoch")
    for kind, style, word in (("norm_variation", "-", "norms"), ("cosine_gap", (0, (4, 2)), "angles")):
        means = [getattr(one.means, kind) for one in measures]
        rest[1].plot(epochs, means, color=WARM, linestyle=style, label=f"{word} of means")
        if len(weights) == len(epochs):
            of_rows = [getattr(one, kind) for one in weights]
            rest[1].plot(epochs, of_rows, color=COOL, linestyle=style, label=f"{word} of weights")
    rest[1].set_ylim(0, 1.75 * rest[1].get_ylim()[1])
    key(rest[1], fontsize=7, handlelength=2.2, loc="upper right", borderaxespad=0)
    finish(rest[1], "NC2: distance from a simplex", x="epoch")
    rest[2].plot(epochs, [one.duality or 0.0 for one in measures], color=WARM)
    rest[2].set_ylim(bottom=0)
    finish(rest[2], "NC3: weights against means", x="epoch")
    rest[3].plot(epochs, [100 * (one.disagreement or 0.0) for one in measures], color=WARM)
    rest[3].set_ylim(bottom=0)
    finish(rest[3], "NC4: not the nearest mean [%]", x="epoch")
    for axes in panels:
        axes.set_xscale("log")
        mark_plainly(axes.xaxis, round_marks(1, epochs[-1]))
    side = 2.7
    total = len(study.projections) * (side + 0.4) - 0.4
    for k, one in enumerate(study.projections):
        axes = at(figure, (WIDTH - total - 2.2) / 2 + k * (side + 0.4), 3.75, side, side)
        _projection(axes, one)
    if study.projections:
        left, top = (WIDTH - total - 2.2) / 2 + total + 0.35, 4.5
        label(figure, left, top, "Features of three classes\non the plane of their means", va="top")
        label(
            figure,
            left,
            top + 0.55,
            "● class means\n→ rows of the classifier\n— the simplex",
            va="top",
            color=GREY,
        )
    save_figure(figure, path)


def _projection(axes: Axes, one: Projection) -> None:
    limit = 2.2
    corners = torch.tensor([[0.0, 1.0], [-0.866, -0.5], [0.866, -0.5], [0.0, 1.0]])
    axes.plot(corners[:, 0], corners[:, 1], color=FAINT, linewidth=1.2, zorder=0)
    colours = class_colours(one.labels.numpy())
    axes.scatter(one.points[:, 0], one.points[:, 1], s=7, c=colours, alpha=0.45, linewidths=0)
    for c in range(3):
        axes.annotate(
            "",
            xy=tuple(one.weights[c].tolist()),
            xytext=(0, 0),
            arrowprops={"arrowstyle": "-|>", "color": CLASSES[c], "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0},
        )
        axes.plot(*one.means[c].tolist(), "o", color=CLASSES[c], markeredgecolor="white", markersize=9)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit + 0.2, limit + 0.2)
    axes.set_aspect("equal")
    bare(axes)
    words = f"after epoch {one.epoch}" if one.epoch > 1 else "after the first epoch"
    axes.set_title(words, fontsize=9.5, color=INK)


def _pixels(value: float) -> str:
    return f"{value:.3g} pixel{'' if f'{value:.3g}' == '1' else 's'}"


def _power(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    return rf"${mantissa} \cdot 10^{{{int(exponent)}}}$"
