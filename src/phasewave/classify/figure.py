"""The picture of a classification: confusion of classes, accuracy by class, images that were taken for others."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phasewave.classify.features import pixels
from phasewave.runs.figure_file import save_figure

INK, GREY, BAR = "#1b1f24", "#8a9199", "#3b6ea8"
_SHOWN = 20
_COLUMNS = 5
_MOST_NAMES = 26
_MOST_NUMBERS = 12


def draw_classification(
    path: str | os.PathLike[str],
    metrics: dict[str, Any],
    images: torch.Tensor,
    truth: np.ndarray,
    scores: np.ndarray,
    class_names: tuple[str, ...],
    *,
    title: str,
) -> None:
    """Draw them side by side; of the images, those are shown that were wrong by the largest margin.

    Parameters
    ----------
    path : path-like
        The picture's file; it appears whole or not at all.
    metrics : dict
        What `phasewave.classify.evaluation.measures` gave.
    images : torch.Tensor (n, C, H, W)
        uint8, or float of values in [0, 1].
    truth : ndarray (n,)
        Positions of the true classes.
    scores : ndarray (n, number of classes)
    class_names : tuple of str
    title : str

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = Figure(figsize=(14.5, 5.6), dpi=150, facecolor="white")
    figure.text(0.02, 0.965, title, va="top", fontsize=12, fontweight="bold", color=INK)
    grid = figure.add_gridspec(1, 3, width_ratios=(1.15, 0.6, 1.25), left=0.075, right=0.985, top=0.84, bottom=0.2)
    _confusion(figure.add_subplot(grid[0]), np.asarray(metrics["confusion"]), class_names)
    _by_class(figure.add_subplot(grid[1]), metrics, class_names)
    _mistakes(figure, grid[2], images, truth, scores, class_names)
    save_figure(figure, path)


def _names(class_names: tuple[str, ...]) -> tuple[list[int], list[str]]:
    step = -(-len(class_names) // _MOST_NAMES)
    at = list(range(0, len(class_names), step))
    return at, [name if len(name) <= 12 else name[:11] + "…" for name in (class_names[i] for i in at)]


def _confusion(axes: Axes, table: np.ndarray, class_names: tuple[str, ...]) -> None:
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    at, names = _names(class_names)
    long = max(map(len, names)) > 2
    axes.set_xticks(at, names, rotation=60 if long else 0, ha="right" if long else "center", fontsize=7.5)
    axes.set_yticks(at, names, fontsize=7.5)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted", fontsize=9, color=INK)
    axes.set_ylabel("true class", fontsize=9, color=INK)
    axes.set_title("share of each true class, %", fontsize=10, color=INK)
    if len(class_names) <= _MOST_NUMBERS:
        for i, j in np.ndindex(*shares.shape):
            if table[i, j]:
                colour = "white" if shares[i, j] > 0.55 else INK
                text = f"{100 * shares[i, j]:.0f}" if shares[i, j] >= 0.005 else "<1"
                axes.text(j, i, text, ha="center", va="center", fontsize=7, color=colour)


def _by_class(axes: Axes, metrics: dict[str, Any], class_names: tuple[str, ...]) -> None:
    values = [metrics["by_class"][name] or 0.0 for name in class_names]
    axes.barh(range(len(values)), [100 * value for value in values], color=BAR, height=0.72)
    axes.axvline(100 * metrics["accuracy"], color=INK, linewidth=1, linestyle=(0, (4, 3)))
    at, names = _names(class_names)
    axes.set_yticks(at, names, fontsize=7.5)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("images recognised, %", fontsize=9, color=INK)
    note = f"{100 * metrics['accuracy']:.1f} ± {100 * metrics['accuracy_error']:.1f} % of {metrics['n']:,}"
    axes.set_title(note, fontsize=10, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _mistakes(
    figure: Figure, place: Any, images: torch.Tensor, truth: np.ndarray, scores: np.ndarray, names: tuple[str, ...]
) -> None:
    predicted = scores.argmax(1)
    wrong = np.flatnonzero(predicted != truth)
    margin = scores[wrong, predicted[wrong]] - scores[wrong, truth[wrong]]
    shown = wrong[np.argsort(-margin, kind="stable")][:_SHOWN]
    frame = figure.add_subplot(place)
    frame.axis("off")
    frame.set_title(f"the worst of {len(wrong):,} mistakes: true → predicted", fontsize=10, color=INK, pad=18)
    if not len(shown):
        frame.text(0.5, 0.5, "none", ha="center", color=GREY, transform=frame.transAxes)
        return
    grid = place.subgridspec(_SHOWN // _COLUMNS, _COLUMNS, hspace=0.42, wspace=0.12)
    for number, index in enumerate(shown):
        axes = figure.add_subplot(grid[number // _COLUMNS, number % _COLUMNS])
        picture = pixels(images[int(index)]).movedim(0, -1).clamp(0, 1).numpy()
        grey = picture.shape[-1] == 1
        axes.imshow(picture[..., 0] if grey else picture, cmap="gray" if grey else None, vmin=0, vmax=1)
        axes.axis("off")
        words = f"{names[truth[index]][:10]} → {names[predicted[index]][:10]}"
        axes.set_title(words, fontsize=6.5, color=INK, pad=2)
