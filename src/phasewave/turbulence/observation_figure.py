"""One picture of a filled or a denoised field: the fields side by side at one colour scale, curves below them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from phasewave.runs.figure_file import save_figure
from phasewave.turbulence.onepoint import skewness

_WIDTH, _MARGIN, _GAP, _CURVES, _LABELS = 13.0, 0.3, 0.12, 2.3, 0.85  # inches
_INK, _GREY = "#1b1f24", "#8a9199"
_STROKES: dict[str, dict[str, Any]] = {
    "observed": {"color": _GREY, "linewidth": 1.6},
    "noise": {"color": _GREY, "linewidth": 1.2, "linestyle": ":"},
    "truth": {"color": _INK, "linewidth": 2.0},
    "gaussian": {"color": "#3f8fd2", "linewidth": 1.3, "linestyle": (0, (4, 1.5))},
    "wiener": {"color": "#3f8fd2", "linewidth": 1.3, "linestyle": (0, (4, 1.5))},
    "residual": {"color": "#f3a14a", "linewidth": 1.3, "linestyle": "-."},
    "samples": {"color": "#d1432f", "linewidth": 1.6},
}
_SIGNED = LinearSegmentedColormap.from_list(
    "blue_white_red", ["#123a6b", "#4f93c9", "#f7f7f5", "#d9644a", "#6b1220"]
)


def draw_inpainting(
    observed: Tensor,
    mask: Tensor,
    gaussian: Tensor,
    samples: Tensor,
    metrics: dict[str, Any],
    path: str | Path,
    *,
    truth: Tensor | None = None,
) -> None:
    """Draw the observed field with its holes, the Gaussian model's fill, samples, and the truth if it is known.

    Outlines show where pixels were missing; curves compare the statistics of the missing region with those of the
    observed one.

    Parameters
    ----------
    observed : Tensor (H, W)
    mask : Tensor (H, W), bool
        True at the observed pixels.
    gaussian, samples : Tensor (n, H, W)
    metrics : dict
        Of ``inpainting_metrics``.
    path : str or Path
        The picture's file.
    truth : Tensor (H, W), optional
    """
    seen = mask.cpu().numpy()
    panels = [
        ("Observed", np.where(seen, _array(observed), np.nan)),
        ("Gaussian model", _array(gaussian[0])),
        ("Filled", _array(samples[0])),
    ]
    if truth is not None:
        panels.append(("Truth", _array(truth)))
    elif len(samples) > 1:
        panels.append(("Filled, second sample", _array(samples[1])))
    figure, axes = _page(panels, seen, _colours(observed[mask]))
    regions = metrics["regions"]
    names = [name for name in ("observed", "gaussian", "samples", "truth") if name in regions]
    separation = regions["observed"]["separation"]
    for key, place, title in (
        ("structure", axes[0], "Mean squared increment"),
        ("flatness", axes[1], "Flatness of increments"),
    ):
        for name in names:
            place.plot(separation, _values(regions[name][key]), label=_label(name), **_STROKES[name])
        place.set_xscale("log", base=2)
        _finish(place, title, "separation [pixels]")
    axes[0].set_yscale("log")
    low, high = np.quantile(_array(observed)[seen], [0.0005, 0.9995])
    edges = np.linspace(float(low), float(high), 41)
    fields = {"observed": (observed, seen), "gaussian": (gaussian, ~seen), "samples": (samples, ~seen)}
    if truth is not None:
        fields["truth"] = (truth, ~seen)
    for name, (field, region) in fields.items():
        values = _array(field)[..., region]
        axes[2].stairs(np.histogram(values, edges, density=True)[0], edges, **_STROKES[name])
    axes[2].set_yscale("log")
    _finish(axes[2], "Probability density", "value")
    _legend(figure, axes[0])
    save_figure(figure, path)


def draw_denoising(
    observed: Tensor,
    wiener: Tensor,
    samples: Tensor,
    metrics: dict[str, Any],
    path: str | Path,
    *,
    truth: Tensor | None = None,
) -> None:
    """Draw the observed field, the Wiener estimate, a sample, and the truth if it is known; spectra below.

    Parameters
    ----------
    observed, wiener : Tensor (H, W)
    samples : Tensor (n, H, W)
    metrics : dict
        Of ``denoising_metrics``.
    path : str or Path
        The picture's file.
    truth : Tensor (H, W), optional
    """
    panels = [
        ("Observed", _array(observed)),
        ("Wiener filter", _array(wiener)),
        ("Denoised", _array(samples[0])),
    ]
    if truth is not None:
        panels.append(("Truth", _array(truth)))
    elif len(samples) > 1:
        panels.append(("Denoised, second sample", _array(samples[1])))
    figure, axes = _page(panels, None, _colours(samples if truth is None else truth))
    spectrum = metrics["spectrum"]
    frequency = spectrum["frequency"]
    for name in ("observed", "noise", "wiener", "samples", "truth"):
        if name in spectrum:
            axes[0].plot(frequency, _values(spectrum[name]), label=_label(name), **_STROKES[name])
    axes[0].set(xscale="log", yscale="log")
    _finish(axes[0], "Power spectrum", "frequency [rad / pixel]")
    if "error" in spectrum:
        for name in ("observed", "wiener", "samples"):
            ratio = _values(spectrum["error"][name]) / _values(spectrum["truth"])
            axes[1].plot(frequency, ratio, **_STROKES[name])
        axes[1].set(xscale="log", yscale="log")
        _finish(axes[1], "Power of the error / truth", "frequency [rad / pixel]")
    else:
        ratio = _values(spectrum["residual"]) / _values(spectrum["noise"])
        axes[1].plot(frequency, ratio, **_STROKES["samples"])
        axes[1].axhline(1.0, color=_GREY, linewidth=1.0)
        axes[1].set(xscale="log", ylim=(0.0, None))
        _finish(axes[1], "Power taken away / noise", "frequency [rad / pixel]")
    fields = {"observed": observed, "wiener": wiener, "samples": samples}
    if truth is not None:
        fields["truth"] = truth
    steps = {name: np.diff(_array(field), axis=-1) for name, field in fields.items()}
    for name, step in steps.items():
        scaled = (step / step.std()).ravel()
        edges = np.linspace(-6.0, 6.0, 49)
        axes[2].stairs(np.histogram(scaled, edges, density=True)[0], edges, **_STROKES[name])
    axes[2].set_yscale("log")
    _finish(axes[2], "Density of the gradient", "value [standard deviations]")
    _legend(figure, axes[0])
    save_figure(figure, path)


def _page(
    panels: list[tuple[str, NDArray[np.float64]]],
    seen: NDArray[np.bool_] | None,
    colours: tuple[Any, Normalize],
) -> tuple[Figure, list[Axes]]:
    """Return a figure with the fields in its upper row, and the three axes of its lower row."""
    height, width = panels[0][1].shape
    wide = (_WIDTH - 2 * _MARGIN - _GAP * (len(panels) - 1)) / len(panels)
    high = min(wide * height / width, 6.0)
    total = high + _CURVES + 1.75
    figure = Figure(figsize=(_WIDTH, total), facecolor="white")

    def place(left: float, bottom: float, across: float, up: float) -> Axes:
        return figure.add_axes((left / _WIDTH, bottom / total, across / _WIDTH, up / total))

    for number, (title, image) in enumerate(panels):
        axes = place(_MARGIN + number * (wide + _GAP), _CURVES + 1.4, wide, high)
        axes.imshow(image, cmap=colours[0], norm=colours[1], interpolation="nearest")
        axes.set_facecolor("#c9ced3")
        if seen is not None and _compact(seen):
            axes.contour(~seen, levels=[0.5], colors=_INK, linewidths=0.5)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=_INK, pad=5)
    across = (_WIDTH - _MARGIN - 3 * _LABELS) / 3
    return figure, [place(_LABELS + i * (across + _LABELS), 0.55, across, _CURVES) for i in range(3)]


def _compact(seen: NDArray[np.bool_]) -> bool:
    """Return whether the gaps are regions whose outline can be drawn, not scattered pixels."""
    edges = np.abs(np.diff(seen.astype(int), axis=0)).sum() + np.abs(np.diff(seen.astype(int), axis=1)).sum()
    return bool(edges < 0.7 * (~seen).sum())


def _colours(values: Tensor) -> tuple[Any, Normalize]:
    array = _array(values).ravel()
    mean, deviation = float(array.mean()), float(array.std())
    if array.min() < 0 < array.max() and abs(mean) < 0.25 * deviation and abs(_skewness(values)) < 0.3:
        reach = float(np.quantile(np.abs(array), 0.995))
        return _SIGNED, Normalize(-reach, reach)
    low, high = np.quantile(array, [0.003, 0.997])
    return "inferno", Normalize(float(low), float(high))


def _skewness(values: Tensor) -> float:
    return float(skewness(values.reshape(1, -1)))


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    up = (_CURVES + 1.12) / figure.get_size_inches()[1]
    figure.legend(
        handles,
        labels,
        loc="center left",
        bbox_to_anchor=(0.5 / _WIDTH, up),
        ncols=len(labels),
        frameon=False,
        fontsize=9,
        labelcolor=_INK,
    )


def _label(name: str) -> str:
    return {"samples": "sample", "gaussian": "Gaussian model", "wiener": "Wiener filter"}.get(name, name)


def _finish(axes: Axes, title: str, abscissa: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=_INK, pad=5)
    axes.set_xlabel(abscissa, fontsize=8.5, color=_INK)
    axes.tick_params(which="both", labelsize=8, color=_GREY, labelcolor=_INK)
    axes.spines[["top", "right"]].set_visible(False)


def _array(x: Tensor) -> NDArray[np.float64]:
    return x.detach().cpu().double().numpy()


def _values(numbers: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if number is None or number <= 0 else number for number in numbers])
