"""Pictures of how a generator was trained and what it learnt: losses, dictionary, laws of the codes."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from phasewave.images.sheets import GREY, INK, Row, draw_sheet
from phasewave.runs.figure_file import save_figure

FAINT = "#d9dde1"
COOL, WARM = "#3f6fb5", "#d4552f"
_ATOMS = 128
_COLUMNS = 16


def draw_training(
    path: str | os.PathLike[str],
    decoder: list[list[float]],
    prior: list[list[float]],
    epochs: list[dict[str, Any]],
    *,
    linear_psnr: float | None = None,
) -> None:
    """Draw losses, PSNR and sparsity by epoch.

    Parameters
    ----------
    path : path-like
    decoder, prior : list of [float, float]
        Training and validation loss of each epoch.
    epochs : list of dict
        ``stage``, ``epoch``, ``psnr`` and ``active`` (validation images, end of the epoch) of the decoder.
    linear_psnr : float, optional
        Of the linear decoder.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = Figure(figsize=(13, 3.6), dpi=150, facecolor="white")
    panels = figure.subplots(1, 4)
    _losses(panels[0], decoder, "Loss of the dictionary")
    own = [entry for entry in epochs if entry["stage"] == "decoder"]
    at = [entry["epoch"] for entry in own]
    panels[1].plot(at, [entry["psnr"] for entry in own], color=COOL, linewidth=1.6, marker="o", markersize=3)
    if linear_psnr is not None:
        panels[1].axhline(linear_psnr, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0)
        words = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": 8, "color": GREY}
        panels[1].annotate("linear decoder", (at[0] if at else 1, linear_psnr), **words)
    _finish(panels[1], "PSNR, validation [dB]")
    panels[2].plot(
        at, [100 * entry["active"] for entry in own], color=COOL, linewidth=1.6, marker="o", markersize=3
    )
    panels[2].set_ylim(bottom=0)
    _finish(panels[2], "Active patterns [%]")
    _losses(panels[3], prior, "Loss of the prior")
    figure.tight_layout(w_pad=2.0)
    save_figure(figure, path)


def draw_dictionary(
    path: str | os.PathLike[str], atoms: torch.Tensor, use: torch.Tensor, *, title: str = "Dictionary"
) -> None:
    """Draw the patterns as images, the most used first, each at its own contrast around grey.

    Parameters
    ----------
    path : path-like
    atoms : torch.Tensor (n, C, h, w)
        The first 128 by use are drawn.
    use : torch.Tensor (n,)
        Share of the sum of coefficients that each has.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    order = use.argsort(descending=True)[:_ATOMS].cpu()
    shown = atoms.cpu()[order]
    largest = shown.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    shown = 0.5 + 0.5 * shown / largest
    rows = [Row("", part) for part in shown.split(min(_COLUMNS, len(shown)))]
    size = " x ".join(map(str, atoms.shape[-2:]))
    note = f"{len(atoms)} patterns of {size} pixels at each node, most used first, each at its own contrast"
    draw_sheet(path, [rows], title=title, note=note)


def draw_codes(path: str | os.PathLike[str], codes: torch.Tensor, noise: torch.Tensor) -> None:
    """Draw how near to Gaussian noise codes are, before and after the map of the prior.

    Parameters
    ----------
    path : path-like
    codes : torch.Tensor (n, d)
        Of images that were not learnt from.
    noise : torch.Tensor (n, d)
        What the prior makes of them.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = Figure(figsize=(13, 3.8), dpi=150, facecolor="white")
    panels = figure.subplots(1, 3)
    parts = (("code", codes.double().cpu(), WARM), ("after the prior's map", noise.double().cpu(), COOL))
    edges = np.linspace(-5, 5, 81)
    normal = np.exp(-(edges**2) / 2) / math.sqrt(2 * math.pi)
    panels[0].plot(edges, normal, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label="N(0, 1)")
    for name, values, colour in parts:
        density = np.histogram(values.numpy().ravel(), edges, density=True)[0]
        panels[0].stairs(density, edges, color=colour, linewidth=1.5, label=name)
    panels[0].set(yscale="log", ylim=(1e-5, 1))
    panels[0].legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper right")
    _finish(panels[0], "Density of all entries", "value")

    d = codes.shape[1]
    norms = [values.square().sum(1) / d for _, values, _ in parts]
    most = float(max(norm.quantile(0.995) for norm in norms))
    bins = np.linspace(0, max(most, 2.0), max(16, min(60, round(2 * len(codes) ** 0.5))))
    for (_, _, colour), norm in zip(parts, norms, strict=True):
        panels[1].stairs(np.histogram(norm.numpy(), bins, density=True)[0], bins, color=colour, linewidth=1.5)
    width = math.sqrt(2 / d)
    around = np.linspace(max(0.0, 1 - 5 * width), 1 + 5 * width, 200)
    law = np.exp(-((around - 1) ** 2) / (2 * width**2)) / (width * math.sqrt(2 * math.pi))
    panels[1].plot(around, law, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    _finish(panels[1], "Density of |w|² / d", "value (dashed: white noise)")

    for _, values, colour in parts:
        centred = values - values.mean(0)
        kurtosis = (centred**4).mean(0) / centred.square().mean(0).square().clamp_min(1e-24)
        panels[2].plot(kurtosis.numpy(), ".", color=colour, markersize=3)
    panels[2].axhline(3, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    _finish(panels[2], "Kurtosis of each entry", "entry, by falling variance of what it stands for")
    figure.tight_layout(w_pad=2.0)
    save_figure(figure, path)


def _losses(axes: Axes, history: list[list[float]], title: str) -> None:
    epochs = range(1, len(history) + 1)
    for column, name, colour in ((0, "training", GREY), (1, "validation", COOL)):
        axes.plot(epochs, [row[column] for row in history], color=colour, linewidth=1.6, label=name)
    if history:
        best = min(range(len(history)), key=lambda k: history[k][1])
        axes.plot(best + 1, history[best][1], "o", color=COOL, markersize=5)
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    _finish(axes, title)


def _finish(axes: Axes, title: str, abscissa: str = "epoch") -> None:
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=INK, pad=6)
    axes.set_xlabel(abscissa, fontsize=8.5, color=INK, labelpad=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(which="both", labelsize=8, length=3, color=GREY, labelcolor=INK)
    if abscissa == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
