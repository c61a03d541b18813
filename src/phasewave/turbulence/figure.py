"""One picture of a synthesis: the fields side by side at one colour scale, then the curves that judge them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator, ScalarFormatter
from numpy.typing import NDArray
from torch import Tensor

from phasewave import checks

_INK, _GREY, _FAINT = "#1b1f24", "#8a9199", "#d9dde1"
_COLOURS = {"target": _INK, "gaussian": "#7a8aa0", "samples": "#d1432f", "reference": "#5aa7d6"}
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
_WIDTH, _CURVES = 13.0, 2.1  # inches, and below
_MARGIN, _GAP, _BAR = 0.25, 0.1, 0.52
_DIVERGING = LinearSegmentedColormap.from_list(
    "ember_ice",
    [
        "#e8fbff",
        "#8fd3ee",
        "#3f8fd2",
        "#3554a8",
        "#28285a",
        "#16151f",
        "#4d1c2f",
        "#93263a",
        "#d4552f",
        "#f3a14a",
        "#fff3c4",
    ],
)


def draw_synthesis(
    target: Tensor,
    gaussian: Tensor | None,
    samples: Tensor,
    metrics: dict[str, Any],
    path: str | Path,
) -> None:
    """Draw target, Gaussian model and samples, and below them the curves and figures of the report.

    All fields share the target's colour scale: diverging about its mean for a field of both signs without
    skewness, else sequential. One row shows the target, the Gaussian model's first sample if there is one,
    and as many samples as there is room for: four square fields in all, or more slim ones.

    Parameters
    ----------
    target : Tensor (H, W), real
    gaussian : Tensor (m, H, W) or (H, W), or None
    samples : Tensor (n, H, W) or (H, W), real
    metrics : dict
        The report of ``phasewave.turbulence.report.compare`` for the same fields.
    path : str or Path
        The picture's file; its ending gives the format. PNG has 150 dots per inch.

    Raises
    ------
    ValueError
        If a tensor has the wrong number of axes, or ``metrics`` is not such a report.
    """
    if not {"curves", "target", "samples", "definitions"} <= set(metrics):
        checks.fail("metrics", "be the report that `compare` returns", sorted(metrics))
    panels, height = _fit(_panels(target, gaussian, samples, metrics))
    below = 0.46 + _CURVES + 0.6
    total = 0.34 + height + 0.3 + below
    figure = Figure(figsize=(_WIDTH, total), dpi=150, facecolor="white")
    _draw_fields(figure, panels, height=height, top=total - 0.34, skewness=metrics["target"]["skewness"])
    _draw_legend(figure, metrics, middle=below - 0.11)
    _draw_curves(figure, metrics, bottom=0.46)
    figure.savefig(path, dpi=150)


@dataclass(frozen=True)
class _Panel:
    title: str
    image: NDArray[np.float64]
    kurtoses: tuple[str, str, str]

    @property
    def aspect(self) -> float:
        return self.image.shape[1] / self.image.shape[0]

    def caption(self, width: float) -> str:
        """Return the kurtoses in the words that a panel so many inches wide has room for."""
        own, gradient, laplacian = self.kurtoses
        if width >= 2.7:
            return f"kurtosis {own},  of gradient {gradient},  of Laplacian {laplacian}"
        return f"kurtosis {own}\nof gradient {gradient}" if width >= 1.1 else ""


def _panels(target: Tensor, gaussian: Tensor | None, samples: Tensor, metrics: dict[str, Any]) -> list[_Panel]:
    def kurtoses(figures: dict[str, Any], index: int | None) -> tuple[str, str, str]:
        names = ("kurtosis", "gradient_kurtosis", "laplacian_kurtosis")
        values = [figures[name] if index is None else figures[name]["values"][index] for name in names]
        own, gradient, laplacian = ("-" if value is None else f"{value:.2f}" for value in values)
        return own, gradient, laplacian

    panels = [_Panel("Target", _images("target", target)[0], kurtoses(metrics["target"], None))]
    if gaussian is not None and metrics.get("gaussian") is not None:
        image = _images("gaussian", gaussian)[0]
        panels.append(_Panel("Gaussian model", image, kurtoses(metrics["gaussian"], 0)))
    drawn = _images("samples", samples)
    for i, image in enumerate(drawn):
        title = "Sample" if len(drawn) == 1 else f"Sample {i + 1}"
        panels.append(_Panel(title, image, kurtoses(metrics["samples"], i)))
    return panels


def _fit(panels: list[_Panel]) -> tuple[list[_Panel], float]:
    """Return the panels that one row has room for (four, or more if they are slim) and its height."""

    def height(count: int) -> float:
        room = _WIDTH - 2 * _MARGIN - _BAR - _GAP * (count - 1)
        return min(room / sum(panel.aspect for panel in panels[:count]), 4.8)

    count = min(4, len(panels))
    while count < len(panels) and height(count + 1) >= 3.2:
        count += 1
    return panels[:count], height(count)


def _images(name: str, x: Tensor) -> NDArray[np.float64]:
    checks.real_field(name, x)
    if x.ndim not in (2, 3) or x.numel() == 0:
        checks.fail(name, "have axes (H, W) or (n, H, W)", tuple(x.shape))
    return x.detach().to("cpu", torch.float64).reshape(-1, *x.shape[-2:]).numpy()


def _colours(target: NDArray[np.float64], skewness: float) -> tuple[Colormap | str, Normalize]:
    """Return the colour map and its range: symmetric about the mean, or between two quantiles."""
    mean, deviation = float(target.mean()), float(target.std())
    if target.min() < 0 < target.max() and abs(mean) < 0.25 * deviation and abs(skewness) < 0.3:
        reach = float(np.quantile(np.abs(target - mean), 0.998))
        return _DIVERGING, Normalize(mean - reach, mean + reach)
    low, high = np.quantile(target, [0.002, 0.998])
    return "inferno", Normalize(float(low), float(high))


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return axes at a place given in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _draw_fields(
    figure: Figure, panels: list[_Panel], *, height: float, top: float, skewness: float | None
) -> None:
    colour_map, norm = _colours(panels[0].image, skewness or 0.0)
    widths = [height * panel.aspect for panel in panels]
    left = _MARGIN
    for panel, width in zip(panels, widths, strict=True):
        axes = _axes(figure, left, top - height, width, height)
        axes.imshow(panel.image, cmap=colour_map, norm=norm, aspect="auto", interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(panel.title, loc="left", fontsize=11, fontweight="bold", color=_INK, pad=5)
        axes.annotate(
            panel.caption(width),
            (0, 0),
            xytext=(0, -5),
            xycoords="axes fraction",
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=_GREY,
        )
        left += width + _GAP
    bar = _axes(figure, left, top - height, 0.1, height)
    scale = figure.colorbar(ScalarMappable(norm, colour_map), cax=bar)
    scale.outline.set_visible(False)
    scale.locator = MaxNLocator(5)
    scale.update_ticks()
    bar.tick_params(labelsize=8, length=2, color=_GREY, labelcolor=_INK)


def _draw_legend(figure: Figure, metrics: dict[str, Any], *, middle: float) -> None:
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
        bbox_to_anchor=(_MARGIN / _WIDTH, middle / figure.get_size_inches()[1]),
        borderpad=0,
        borderaxespad=0,
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        labelcolor=_INK,
        handlelength=2.4,
        columnspacing=2.2,
    )


def _stroke(name: str) -> dict[str, Any]:
    style: Any = (0, (4, 1.5)) if name == "gaussian" else "-"
    return {"color": _COLOURS[name], "linewidth": 2.0 if name == "target" else 1.2, "linestyle": style}


def _draw_curves(figure: Figure, metrics: dict[str, Any], *, bottom: float) -> None:
    first, gap, table = 0.68, 0.5, 2.9
    width = (_WIDTH - first - 4 * gap - table - _MARGIN) / 4
    spectrum, one_point, flat, euler = (
        _axes(figure, first + i * (width + gap), bottom, width, _CURVES) for i in range(4)
    )
    curves = metrics["curves"]
    _plot(spectrum, curves["spectrum"]["frequency"], curves["spectrum"], positive=True)
    spectrum.set(xscale="log", yscale="log")
    _finish(spectrum, "Power spectrum", "frequency [rad / pixel]")
    spectrum.yaxis.set_major_locator(LogLocator(numticks=6))
    spectrum.yaxis.set_minor_locator(NullLocator())

    _plot(one_point, curves["one_point"]["level"], curves["one_point"], positive=True)
    one_point.set(yscale="log", xlim=(-5, 5))
    one_point.yaxis.set_minor_locator(NullLocator())
    _finish(one_point, "Probability density", "value [standard deviations]")

    flat.axhline(3, color=_FAINT, linewidth=1, zorder=0)
    _plot(flat, curves["flatness"]["separation"], curves["flatness"])
    flat.set_xscale("log", base=2)
    _finish(flat, "Flatness of increments", "separation [pixels]")
    flat.xaxis.set_major_locator(FixedLocator(curves["flatness"]["separation"]))
    flat.xaxis.set_major_formatter(ScalarFormatter())
    flat.xaxis.set_minor_locator(NullLocator())

    euler.axhline(0, color=_FAINT, linewidth=1, zorder=0)
    _plot(euler, curves["minkowski"]["level"], curves["minkowski"]["euler"], factor=1000)
    _finish(euler, "Euler number / 1000 pixels", "threshold [standard deviations]")
    _draw_table(_axes(figure, _WIDTH - _MARGIN - table, bottom, table, _CURVES), metrics)


def _array(values: Iterable[Any]) -> NDArray[np.float64]:
    return np.array([[np.nan if v is None else v for v in row] for row in values], dtype=float)


def _plot(
    axes: Axes, abscissa: list[float], curves: dict[str, Any], *, positive: bool = False, factor: float = 1.0
) -> None:
    """Draw the group's curves: a band for other real fields, thin lines for samples, a thick target."""
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
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=_INK, pad=6)
    axes.set_xlabel(abscissa, fontsize=8.5, color=_INK, labelpad=2)
    axes.tick_params(labelsize=8, length=2.5, color=_GREY, labelcolor=_INK)
    axes.tick_params(which="minor", length=1.5, color=_GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)


def _draw_table(axes: Axes, metrics: dict[str, Any]) -> None:
    """Write the distances to the target, one column a group; the names carry the curves' colours."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    groups = [name for name in ("samples", "gaussian", "reference") if metrics.get(name) is not None]
    axes.set_title("Distance to the target", loc="left", fontsize=9.5, fontweight="bold", color=_INK, pad=6)
    heads = {"samples": "samples", "gaussian": "Gaussian", "reference": "real"}
    columns = np.array([0.57, 0.82, 1.0])[: len(groups)]
    for x, name in zip(columns, groups, strict=True):
        axes.text(
            x, 0.94, heads[name], ha="right", va="center", fontsize=8.5, color=_COLOURS[name], fontweight="bold"
        )
    for row, (key, label) in enumerate(_ROWS):
        y = 0.81 - 0.125 * row
        star = " *" if metrics["definitions"][key]["in_loss"] else ""
        axes.text(0, y, label + star, ha="left", va="center", fontsize=8.5, color=_INK)
        for x, name in zip(columns, groups, strict=True):
            value = metrics[name][key]["mean"]
            text = "-" if value is None else f"{value:.2f}" if value >= 1 else f"{value:.3f}".lstrip("0")
            axes.text(x, y, text, ha="right", va="center", fontsize=8.5, color=_INK)
