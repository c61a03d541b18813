"""One picture of a synthesis: the fields side by side at one colour scale, then the curves that judge them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from phasewave import checks
from phasewave.runs.figure_file import save_figure
from phasewave.turbulence.curves import GREY, INK, MARGIN, WIDTH, draw_curves, draw_legend, inch_axes

_GAP, _BAR = 0.1, 0.52  # inches: between fields, and for the colour bar
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
    *,
    name: str = "Sample",
) -> None:
    """Draw target, Gaussian model and samples, and below them the curves and figures of the report.

    All fields share the size of a pixel and the target's colours: diverging about its mean for a field of both
    signs without skewness, else sequential. One row shows the target, the Gaussian model's first sample if there
    is one, and as many samples as there is room for: four fields in all, or more slim ones.

    Parameters
    ----------
    target : Tensor (H, W), real
    gaussian : Tensor (m, H, W) or (H, W), or None
    samples : Tensor (n, H, W) or (H, W), real
    metrics : dict
        The report of ``phasewave.turbulence.report.compare`` for the same fields.
    path : str or Path
        The picture's file; its ending gives the format. PNG has 150 dots per inch. It appears whole or not at
        all.
    name : str
        What a sample is called above its picture; of several, a number is added.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If a tensor has the wrong number of axes, or ``metrics`` is not such a report.
    """
    if not {"curves", "target", "samples", "definitions"} <= set(metrics):
        checks.fail("metrics", "be the report that `compare` returns", sorted(metrics))
    panels, pixel = _fit(_panels(target, gaussian, samples, metrics, name))
    title, below = 0.34, 3.46
    height = pixel * max(panel.image.shape[0] for panel in panels)
    figure = Figure(figsize=(WIDTH, title + height + below), dpi=150, facecolor="white")
    _draw_fields(figure, panels, pixel=pixel, bottom=below, skewness=metrics["target"]["skewness"])
    draw_legend(figure, metrics, middle=below - 0.41)
    draw_curves(figure, metrics, bottom=0.46, height=2.1)
    save_figure(figure, path)


@dataclass(frozen=True)
class _Panel:
    title: str
    image: NDArray[np.float64]
    kurtoses: tuple[str, str, str]

    def caption(self, width: float) -> str:
        """Return the kurtoses in the words that a panel so many inches wide has room for."""
        own, gradient, laplacian = self.kurtoses
        words = [f"kurtosis {own}", f"of gradient {gradient}", f"of Laplacian {laplacian}"]
        return ",  ".join(words[: sum(width >= least for least in (0.9, 1.9, 2.7))])


def _panels(
    target: Tensor, gaussian: Tensor | None, samples: Tensor, metrics: dict[str, Any], name: str
) -> list[_Panel]:
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
        title = name if len(drawn) == 1 else f"{name} {i + 1}"
        panels.append(_Panel(title, image, kurtoses(metrics["samples"], i)))
    return panels


def _fit(panels: list[_Panel]) -> tuple[list[_Panel], float]:
    """Return the panels that one row has room for (four, or more if they are slim) and the inches of a pixel."""

    def tallest(count: int) -> int:
        return max(panel.image.shape[0] for panel in panels[:count])

    def pixel(count: int) -> float:
        room = WIDTH - 2 * MARGIN - _BAR - _GAP * (count - 1)
        return min(room / sum(panel.image.shape[1] for panel in panels[:count]), 6.0 / tallest(count))

    count = min(4, len(panels))
    while count < len(panels) and pixel(count + 1) * tallest(count + 1) >= 3.2:
        count += 1
    return panels[:count], pixel(count)


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


def _draw_fields(
    figure: Figure, panels: list[_Panel], *, pixel: float, bottom: float, skewness: float | None
) -> None:
    colour_map, norm = _colours(panels[0].image, skewness or 0.0)
    tallest = pixel * max(panel.image.shape[0] for panel in panels)
    left = MARGIN
    for panel in panels:
        height, width = (pixel * n for n in panel.image.shape)
        axes = inch_axes(figure, left, bottom + tallest - height, width, height)
        axes.imshow(panel.image, cmap=colour_map, norm=norm, aspect="auto", interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(panel.title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=5)
        axes.annotate(
            panel.caption(width),
            (0, 0),
            xytext=(0, -5),
            xycoords="axes fraction",
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=GREY,
        )
        left += width + _GAP
    bar = inch_axes(figure, left, bottom, 0.1, tallest)
    scale = figure.colorbar(ScalarMappable(norm, colour_map), cax=bar)
    scale.outline.set_visible(False)
    scale.locator = MaxNLocator(5)
    scale.update_ticks()
    bar.tick_params(labelsize=8, length=2, color=GREY, labelcolor=INK)
