"""The lower half of the picture: curves of the report with their key, and the table of distances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, ScalarFormatter
from numpy.typing import NDArray

INK, GREY, FAINT = "#1b1f24", "#8a9199", "#d9dde1"
WIDTH, MARGIN = 13.0, 0.25  # inches, as all lengths here
_COLOURS = {"target": INK, "gaussian": "#7a8aa0", "samples": "#d1432f", "reference": "#5aa7d6"}
_LABELS = {
    "target": "target",
    "gaussian": "Gaussian model",
    "samples": "samples",
    "reference": "other real fields",
}
_ROWS = (
    ("spectrum_error", "spectrum"),
    ("wasserstein", "one-point $W_1/\\sigma$"),
    ("flatness_error", "flatness"),
    ("bispectrum_z", "bispectrum $z$"),
    ("minkowski_error", "Minkowski"),
    ("cross_correlation", "max. correlation"),
)


def inch_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return axes at a place given in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def draw_legend(figure: Figure, metrics: dict[str, Any], *, middle: float) -> None:
    """Write the key of all curves on one line, in their own colours and strokes."""
    handles: list[Artist] = []
    for name in ("target", "samples", "gaussian", "reference"):
        if name not in metrics["curves"]["flatness"]:
            continue
        if name == "reference" and len(metrics["curves"]["flatness"][name]) > 1:
            handles.append(Patch(color=_COLOURS[name], alpha=0.35, linewidth=0, label=_LABELS[name]))
        else:
            handles.append(Line2D([], [], label=_LABELS[name], **_stroke(name)))
    figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(MARGIN / WIDTH, middle / figure.get_size_inches()[1]),
        borderpad=0,
        borderaxespad=0,
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=2.4,
        columnspacing=2.2,
    )


def _stroke(name: str) -> dict[str, Any]:
    style: Any = (0, (4, 1.5)) if name == "gaussian" else "-"
    return {"color": _COLOURS[name], "linewidth": 2.0 if name == "target" else 1.2, "linestyle": style}


def draw_curves(figure: Figure, metrics: dict[str, Any], *, bottom: float, height: float) -> None:
    """Draw spectrum, one-point density, flatness, Euler characteristic, and the table beside them."""
    first, gap, table = 0.68, 0.5, 2.9
    width = (WIDTH - first - 4 * gap - table - MARGIN) / 4
    spectrum, one_point, flat, euler = (
        inch_axes(figure, first + i * (width + gap), bottom, width, height) for i in range(4)
    )
    curves = metrics["curves"]
    _plot(spectrum, curves["spectrum"]["frequency"], curves["spectrum"], positive=True)
    spectrum.set(xscale="log", yscale="log")
    _finish(spectrum, "Power spectrum", "frequency [rad / pixel]")
    spectrum.yaxis.set_major_locator(LogLocator(numticks=6))
    spectrum.yaxis.set_minor_locator(NullLocator())
    spectrum.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    spectrum.xaxis.set_major_formatter("{x:g}")
    spectrum.xaxis.set_minor_locator(NullLocator())

    _plot(one_point, curves["one_point"]["level"], curves["one_point"], positive=True)
    one_point.set(yscale="log", xlim=(-5, 5))
    one_point.yaxis.set_minor_locator(NullLocator())
    _finish(one_point, "Probability density", "value [standard deviations]")

    flat.axhline(3, color=FAINT, linewidth=1, zorder=0)
    _plot(flat, curves["flatness"]["separation"], curves["flatness"])
    flat.set_xscale("log", base=2)
    _finish(flat, "Flatness of increments", "separation [pixels]")
    flat.xaxis.set_major_locator(FixedLocator(curves["flatness"]["separation"]))
    flat.xaxis.set_major_formatter(ScalarFormatter())
    flat.xaxis.set_minor_locator(NullLocator())

    euler.axhline(0, color=FAINT, linewidth=1, zorder=0)
    _plot(euler, curves["minkowski"]["level"], curves["minkowski"]["euler"], factor=1000)
    _finish(euler, "Euler number / 1000 pixels", "threshold [standard deviations]")
    _draw_table(inch_axes(figure, WIDTH - MARGIN - table, bottom, table, height), metrics)


def _array(values: Iterable[Any]) -> NDArray[np.float64]:
    return np.array([[np.nan if v is None else v for v in row] for row in values], dtype=float)


def _plot(
    axes: Axes, abscissa: list[float], curves: dict[str, Any], *, positive: bool = False, factor: float = 1.0
) -> None:
    """Draw the curves of all groups: a band for other real fields, thin lines for samples, a thick target."""
    x = np.array(abscissa, dtype=float)
    for name in ("reference", "gaussian", "samples", "target"):
        if name not in curves:
            continue
        rows = factor * _array(curves[name])
        if positive:
            rows = np.where(rows > 0, rows, np.nan)
        if name == "reference" and len(rows) > 1:
            seen = ~np.isnan(rows).all(0)
            axes.fill_between(
                x[seen],
                np.nanmin(rows[:, seen], 0),
                np.nanmax(rows[:, seen], 0),
                color=_COLOURS[name],
                alpha=0.35,
                linewidth=0,
            )
        else:
            shown = {"samples": 8}.get(name, 1)
            axes.plot(x, rows[:shown].T, **_stroke(name))


def _finish(axes: Axes, title: str, abscissa: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=INK, pad=6)
    axes.set_xlabel(abscissa, fontsize=8.5, color=INK, labelpad=2)
    axes.tick_params(labelsize=8, length=2.5, color=GREY, labelcolor=INK)
    axes.tick_params(which="minor", length=1.5, color=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)


def _draw_table(axes: Axes, metrics: dict[str, Any]) -> None:
    """Write the distances to the target, one column a group; the names carry the curves' colours."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    groups = [name for name in ("samples", "gaussian", "reference") if metrics.get(name) is not None]
    axes.set_title("Distance to the target", loc="left", fontsize=9.5, fontweight="bold", color=INK, pad=6)
    heads = {"samples": "samples", "gaussian": "Gaussian", "reference": "real"}
    columns = np.array([0.57, 0.82, 1.0])[: len(groups)]
    for x, name in zip(columns, groups, strict=True):
        axes.text(
            x, 0.94, heads[name], ha="right", va="center", fontsize=8.5, color=_COLOURS[name], fontweight="bold"
        )
    rows = [
        (
            label + (" *" if metrics["definitions"][key]["in_loss"] else ""),
            [metrics[g][key]["mean"] for g in groups],
        )
        for key, label in _ROWS
    ]
    test = metrics.get("two_sample")
    if test is not None:
        accuracies = [None if test[name] is None else test[name]["accuracy"] for name in groups]
        rows.append(("two-sample test", accuracies))
    for row, (label, values) in enumerate(rows):
        y = 0.81 - 0.69 * row / (len(rows) - 0.5)
        axes.text(0, y, label, ha="left", va="center", fontsize=8.5, color=INK)
        for x, value in zip(columns, values, strict=True):
            text = "–" if value is None else f"{value:.2f}" if value >= 1 else f"{value:.3f}".lstrip("0")
            axes.text(x, y, text, ha="right", va="center", fontsize=8.5, color=INK)
    if any(entry["in_loss"] for entry in metrics["definitions"].values()):
        axes.text(0, 0.02, "* in the loss of the samples", ha="left", va="center", fontsize=8, color=GREY)
