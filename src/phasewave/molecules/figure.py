"""Pictures of a model's errors: parity, their distribution, by heavy atoms, calibration; the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from phasewave.molecules.known_curves import OtherCurve
from phasewave.molecules.report import shown_unit
from phasewave.runs.figure_file import save_figure

INK, GREY, FAINT = "#1b1f24", "#8a9199", "#d9dde1"
BASELINE, MODEL = "#9aa7b8", "#d1432f"
_OTHERS = ("#3f6ea8", "#4f9a6b", "#b07b2c", "#7d5ba6")
_WIDTH, _HEIGHT = 13.0, 4.1  # inches
_SHOWN = 20_000  # points of a parity plot


def draw_errors(
    path: str | Path,
    y: np.ndarray,
    predicted: np.ndarray,
    baseline: np.ndarray,
    report: dict[str, Any],
    *,
    title: str,
    quantity: str,
) -> None:
    """Draw predictions against known values, the errors' distribution, errors by heavy atoms, and calibration.

    The composition baseline is grey in all of them.

    Parameters
    ----------
    path : str or Path
        The picture's file; PNG has 150 dots per inch. It appears whole or not at all.
    y, predicted, baseline : ndarray (n,)
        In the unit of the report.
    report : dict
        What `phasewave.molecules.report.error_report` made of them.
    title, quantity : str
        What stands above, and the name of the quantity.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=150, facecolor="white")
    calibrated = report["calibration"] is not None
    n_panels = 4 if calibrated else 3
    left, gap, bottom, height = 0.72, 0.68, 0.55, 2.55
    width = (_WIDTH - left - gap * (n_panels - 1) - 0.25) / n_panels
    panels = [
        figure.add_axes(((left + i * (width + gap)) / _WIDTH, bottom / _HEIGHT, width / _WIDTH, height / _HEIGHT))
        for i in range(n_panels)
    ]
    figure.text(left / _WIDTH, 1 - 0.14 / _HEIGHT, title, va="top", fontsize=11, fontweight="bold", color=INK)
    _draw_key(figure, left / _WIDTH, 1 - 0.58 / _HEIGHT, report)
    _parity(panels[0], y, predicted, baseline, report["unit"], quantity)
    _distribution(panels[1], predicted - y, baseline - y, report["unit"])
    _by_heavy_atoms(panels[2], report)
    if calibrated:
        _calibration(panels[3], report["calibration"])
    save_figure(figure, path)


def draw_learning_curve(
    path: str | Path,
    points: list[dict[str, Any]],
    *,
    unit: str,
    title: str,
    label: str,
    beside: Sequence[OtherCurve] = (),
) -> None:
    """Draw the error against the number of training molecules: mean over draws, each draw, and the baseline.

    Parameters
    ----------
    path : str or Path
    points : list of dict
        ``n_train``, ``draw``, ``mae``, ``baseline_mae``, in ``unit``.
    unit : str
    title, label : str
        What stands above, and what the model is called.
    beside : sequence of OtherCurve
        Drawn thinner; those of another unit are not.
    """
    name, size = shown_unit(unit)
    others = [other for other in beside if other.unit == unit]
    rows_of_names = (len(others) + 3) // 2
    figure = Figure(figsize=(6.4, 4.6), dpi=150, facecolor="white")
    axes = figure.add_axes((0.12, 0.12, 0.83, 0.72 - 0.045 * max(0, rows_of_names - 2)))
    figure.text(0.12, 0.955, title, va="top", fontsize=11, fontweight="bold", color=INK)
    sizes = np.array(sorted({point["n_train"] for point in points}))
    keys = (("baseline_mae", BASELINE, "composition alone", "s"), ("mae", MODEL, label, "o"))
    for key, colour, words, marker in keys:
        rows = [np.array([p[key] for p in points if p["n_train"] == n]) / size for n in sizes]
        means = np.array([row.mean() for row in rows])
        axes.plot(sizes, means, color=colour, linewidth=1.6, marker=marker, markersize=5, label=words, zorder=3)
        for n, row in zip(sizes, rows, strict=True):
            axes.plot(np.full(len(row), n), row, "o", color=colour, alpha=0.35, markersize=3, zorder=2)
        for n, mean in zip(sizes, means, strict=True) if key == "mae" else ():
            axes.annotate(
                f"{mean:.3g}",
                (n, mean),
                xytext=(0, -13),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=colour,
            )
    for other, colour in zip(others, cycle(_OTHERS)):
        axes.plot(
            other.sizes,
            np.array(other.errors) / size,
            "D-",
            color=colour,
            linewidth=1,
            markersize=4,
            label=other.label,
        )
    axes.set(xscale="log", yscale="log")
    axes.margins(x=0.08, y=0.16)
    _plain_ticks(axes)
    axes.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
    place: Any = {"loc": "upper right", "bbox_to_anchor": (0.95, 0.953), "bbox_transform": figure.transFigure}
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, ncols=2, borderpad=0, borderaxespad=0, **place)
    _finish(axes, f"Mean absolute error [{name}]" if name else "Mean absolute error", "training molecules")
    save_figure(figure, path)


def _parity(
    axes: Axes, y: np.ndarray, predicted: np.ndarray, baseline: np.ndarray, unit: str, quantity: str
) -> None:
    """Draw predictions against known values, with the line where they are equal."""
    stride = max(1, len(y) // _SHOWN)
    low, high = float(min(y.min(), predicted.min())), float(max(y.max(), predicted.max()))
    room = 0.04 * (high - low or 1.0)
    low, high = low - room, high + room
    axes.plot((low, high), (low, high), color=FAINT, linewidth=1, zorder=0)
    few = len(y) // stride < 300
    marks: dict[str, Any] = {"linewidth": 0, "marker": "o", "markeredgewidth": 0, "rasterized": True}
    axes.plot(y[::stride], baseline[::stride], color=BASELINE, alpha=0.7, markersize=4 if few else 1.6, **marks)
    axes.plot(y[::stride], predicted[::stride], color=MODEL, alpha=0.8, markersize=4 if few else 1.6, **marks)
    axes.set(xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(_ticks())
    _finish(axes, f"Predicted against known{_in(unit)}", quantity)


def _distribution(axes: Axes, errors: np.ndarray, plain: np.ndarray, unit: str) -> None:
    """Draw the shares of absolute errors over equal steps of their logarithm."""
    name, size = shown_unit(unit)
    both = [np.abs(values) / size for values in (plain, errors)]
    positive = np.concatenate(both)
    positive = positive[positive > 0]
    if not len(positive):
        positive = np.array([1.0])
    low = float(np.quantile(positive, 0.004))
    high = float(positive.max())
    n_bins = int(np.clip(2 * len(errors) ** 0.5, 12, 48))
    edges = np.geomspace(low, max(high, 2 * low) * 1.01, n_bins + 1)
    for values, colour, alpha in zip(both, (BASELINE, MODEL), (0.5, 0.6), strict=True):
        shares = np.histogram(values, edges)[0] / len(values) * 100
        axes.stairs(shares, edges, fill=True, color=colour, alpha=alpha, linewidth=0)
        axes.stairs(shares, edges, color=colour, linewidth=1.2)
        axes.axvline(float(values.mean()), color=colour, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_locator(_ticks())
    _finish(axes, "Share of molecules [%]", f"absolute error [{name}], dashed: mean" if name else "absolute error")


def _by_heavy_atoms(axes: Axes, report: dict[str, Any]) -> None:
    """Draw the mean absolute error for each number of heavy atoms."""
    name, size = shown_unit(report["unit"])
    groups = report["by_heavy_atoms"]
    numbers = np.array([group["heavy_atoms"] for group in groups])
    plain, own = (np.array([group[key]["mae"] for group in groups]) / size for key in ("baseline", "model"))
    axes.vlines(numbers, own, plain, color=FAINT, linewidth=3, zorder=1)
    for values, colour in ((plain, BASELINE), (own, MODEL)):
        axes.plot(numbers, values, "o", color=colour, markersize=7, markeredgewidth=0, zorder=2)
    positive = np.concatenate([plain, own])
    positive = positive[positive > 0]
    if len(positive) and plain.mean() > 6 * own.mean():
        axes.set_yscale("log")
        axes.set_ylim(0.6 * positive.min(), 1.9 * positive.max())
        _plain_ticks(axes, x=False)
    else:
        axes.set_ylim(0, 1.15 * max(positive, default=1.0))
        axes.yaxis.set_major_locator(_ticks())
    axes.set_xlim(numbers[0] - 0.6, numbers[-1] + 0.6)
    step = max(1, len(numbers) // 10)
    axes.set_xticks(numbers[::step])
    for number, group, top in zip(numbers, groups, np.maximum(plain, own), strict=True):
        words = f"{group['n']:,}" if group["n"] < 10_000 else f"{group['n'] / 1000:.0f}k"
        axes.annotate(
            words, (number, top), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7, color=GREY
        )
    _finish(
        axes, f"Mean absolute error [{name}]" if name else "Mean absolute error", "heavy atoms (above: molecules)"
    )


def _calibration(axes: Axes, found: dict[str, Any]) -> None:
    """Draw the share of errors within central intervals against what a normal law gives."""
    axes.plot((0, 100), (0, 100), color=FAINT, linewidth=1, zorder=0)
    expected, observed = (np.array([0.0, *found[key], 1.0]) * 100 for key in ("expected", "observed"))
    axes.fill_between(expected, expected, observed, color=MODEL, alpha=0.15, linewidth=0)
    axes.plot(expected, observed, color=MODEL, linewidth=1.6)
    axes.set(xlim=(0, 100), ylim=(0, 100))
    words = f"{found['within_one']:.0%} within 1 σ\n{found['within_two']:.0%} within 2 σ"
    axes.annotate(words, (0.05, 0.95), xycoords="axes fraction", va="top", fontsize=8.5, color=INK)
    _finish(axes, "Errors within interval [%]", "expected of the predicted σ [%]")


def _draw_key(figure: Figure, left: float, middle: float, report: dict[str, Any]) -> None:
    name, size = shown_unit(report["unit"])
    handles = []
    for key, colour, words in (("model", MODEL, "model"), ("baseline", BASELINE, "composition alone")):
        label = f"{words}: mean absolute error {report[key]['mae'] / size:.3g} {name}"
        handles.append(Line2D([], [], color=colour, marker="o", linewidth=0, markersize=6, label=label))
    figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(left, middle),
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        borderpad=0,
        borderaxespad=0,
        handletextpad=0.3,
        columnspacing=2.0,
    )


def _plain_ticks(axes: Axes, *, x: bool = True) -> None:
    """Write 1, 2 and 5 in each decade of the ordinate, and numbers as they are."""
    plain = FuncFormatter(lambda value, _: f"{value:,.10g}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    for axis in (axes.xaxis, axes.yaxis) if x else (axes.yaxis,):
        axis.set_major_formatter(plain)
        axis.set_minor_formatter(NullFormatter())
        axis.set_minor_locator(NullLocator())


def _ticks() -> MaxNLocator:
    return MaxNLocator(5, steps=[1, 2, 5, 10])


def _in(unit: str) -> str:
    return f" [{unit}]" if unit else ""


def _finish(axes: Axes, title: str, abscissa: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=INK, pad=6)
    axes.set_xlabel(abscissa, fontsize=8.5, color=INK, labelpad=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(which="both", labelsize=8, length=3, color=GREY, labelcolor=INK)
