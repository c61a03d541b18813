"""Figures of the affine-spline view and of filters: data in, file out."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

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
    finish,
    key,
    label,
    page,
    picture,
)
from phasewave.diagnostics.filter_study import FilterStudy
from phasewave.diagnostics.filters import laplacian_basis
from phasewave.diagnostics.partition import PartitionSlice
from phasewave.diagnostics.spline_study import SplineStudy
from phasewave.runs.figure_file import save_figure

_TEMPLATES = 10


def draw_splines(
    path: str | os.PathLike[str], study: SplineStudy, *, class_names: Sequence[str] = (), note: str = ""
) -> None:
    """Draw slices of a partition, templates of three images, and distances of regions.

    Parameters
    ----------
    path : path-like
    study : SplineStudy
    class_names : sequence of str
        Of the labels; by default their numbers.
    note : str

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = page(9.9, "Networks as affine splines", note)
    side, gap = 3.95, 0.22
    for k, one in enumerate(study.slices[:3]):
        axes = at(figure, 0.35 + k * (side + gap), 1.15, side, side)
        _slice(axes, one, study)
        words = "by the first layer" if k == 0 else f"by {k + 1} layers"
        axes.set_title(f"{words}: {one.n_regions} regions", fontsize=9.5, color=INK, loc="left", pad=5)
    label(
        figure,
        0.35,
        0.78,
        "A perceptron's regions on the plane through three images; hue: the class it sees there",
        fontsize=9.5,
    )
    n_classes = min(study.templates.shape[1], _TEMPLATES)
    small = min(0.82, (WIDTH - 4.9) / (n_classes + 1.3))
    top = 5.95
    label(
        figure,
        0.35,
        5.45,
        "Templates $A_c$ of a CNN on the region of each image: what would raise the score of class $c$",
        fontsize=9.5,
    )
    for row in range(3):
        y = top + row * (small + 0.34)
        own = int(study.labels[row])
        picture(at(figure, 0.35, y, small, small), study.images[row], frame=CLASSES[own % len(CLASSES)])
        limit = float(study.templates[row].abs().flatten().quantile(0.995)) or 1.0
        for c in range(n_classes):
            axes = at(figure, 0.35 + 1.25 * small + c * (small + 0.05), y, small, small)
            template = study.templates[row, c].mean(0).numpy()
            axes.imshow(template, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
            bare(axes, CLASSES[own % len(CLASSES)] if c == own else None)
            if row == 0:
                label(
                    figure,
                    0.35 + 1.25 * small + (c + 0.5) * (small + 0.05),
                    y - 0.13,
                    _name(c, class_names),
                    ha="center",
                    color=GREY,
                )
    _matrix(at(figure, 9.75, 5.8, 2.0, 2.0), study)
    axes = at(figure, 9.75, 8.45, 2.0, 0.95)
    layers = np.arange(1, 1 + len(study.within))
    axes.plot(layers, study.within, color=COOL, marker="o", markersize=4, label="one class")
    axes.plot(layers, study.among, color=WARM, marker="o", markersize=4, label="two classes")
    axes.set_xticks(layers)
    axes.set_ylim(bottom=0)
    key(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    finish(axes, "Mean distance by layer", x="layer")
    save_figure(figure, path)


def _slice(axes: Axes, one: PartitionSlice, study: SplineStudy) -> None:
    """Regions in shades of the class decided there, with their borders, and the three images at their places."""
    regions, decisions = one.regions.cpu().numpy(), study.decisions.cpu().numpy()
    shade = np.random.default_rng(0).uniform(0.25, 0.75, one.n_regions)[regions]
    hues = np.array([to_rgb(colour) for colour in CLASSES])[decisions % len(CLASSES)]
    pixels = 1 - (1 - hues) * shade[..., None]
    lines = one.borders().cpu().numpy()
    pixels[lines] = pixels[lines] * 0.35
    extent = float(one.axis[-1])
    # Rows are s, columns t: s goes down.
    axes.imshow(pixels, extent=(-extent, extent, extent, -extent), interpolation="bilinear")
    size = 0.075 * 2 * extent
    for image, (s, t), own in zip(study.images, study.corners.tolist(), study.labels.tolist(), strict=True):
        inset = axes.inset_axes((t - size, s - size, 2 * size, 2 * size), transform=axes.transData)
        picture(inset, image, frame=CLASSES[own % len(CLASSES)])
    bare(axes)


def _matrix(axes: Axes, study: SplineStudy) -> None:
    distances = study.distances.numpy()
    high = float(np.quantile(distances, 0.99)) or 1.0
    drawn = axes.imshow(distances, cmap="magma", vmin=0, vmax=high, interpolation="nearest")
    bar = axes.inset_axes((1.05, 0.0, 0.06, 1.0))
    axes.figure.colorbar(drawn, cax=bar)
    bar.tick_params(labelsize=8, length=2)
    bar.spines[:].set_visible(False)
    for edge in torch.nonzero(study.distance_labels.diff()).flatten().tolist():
        axes.axhline(edge + 0.5, color="white", linewidth=0.5, alpha=0.7)
        axes.axvline(edge + 0.5, color="white", linewidth=0.5, alpha=0.7)
    bare(axes)
    title = "Distance of regions of test images,\nlast layer of the CNN; lines: classes"
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", pad=5)


def draw_filters(path: str | os.PathLike[str], study: FilterStudy, *, note: str = "") -> None:
    """Draw the Laplacian spectra of convolutions, and angular spectra over scattering, random and trained.

    Parameters
    ----------
    path : path-like
    study : FilterStudy
    note : str

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    figure = page(7.5, "Filters before and after training", note)
    label(figure, 0.75, 0.95, "Energy of 3 x 3 filters on the eigenvectors of the grid's Laplacian", fontsize=9.5)
    n_layers = len(study.laplacian["random"])
    width, gap, top, height = 3.2, 0.75, 1.4, 1.75
    values, vectors = laplacian_basis(3)
    for k in range(n_layers):
        axes = at(figure, 0.75 + k * (width + gap), top, width, height)
        for j, (name, colour) in enumerate((("random", FAINT), ("trained", WARM))):
            spectrum = study.laplacian[name][k]
            eigenvalues, energy = spectrum.by_eigenvalue()
            share = energy / energy.sum().clamp_min(1e-300)
            degrees = torch.tensor(
                [float((spectrum.eigenvalues.round(decimals=9) == v).sum()) for v in eigenvalues]
            )
            places = np.arange(len(eigenvalues)) + 0.38 * j - 0.19
            axes.bar(
                places,
                (100 * share / degrees).numpy(),
                0.36,
                color=colour,
                edgecolor=GREY if j == 0 else colour,
                linewidth=0.6,
                label=name,
            )
        rough = [study.laplacian[name][k].roughness or 0.0 for name in ("random", "trained")]
        axes.axhline(100 / 9, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        axes.set_xticks(range(len(eigenvalues)), [f"{v:g}" for v in eigenvalues])
        finish(axes, f"Layer {k + 1}: mean eigenvalue {rough[0]:.2f} $\\to$ {rough[1]:.2f}")
        axes.tick_params(axis="x", length=0)
        if k == 0:
            key(axes)
            axes.set_ylabel("share of an eigenvector [%]", fontsize=9, color=INK)
        _modes(axes, values, vectors)
    label(
        figure,
        0.75,
        4.4,
        "Energy of a layer learned over scattering coefficients, by the frequency along the angles",
        fontsize=9.5,
    )
    n_angles = len(study.angular["random"].first)
    frequencies = np.arange(n_angles) - n_angles // 2
    axes = at(figure, 0.75, 4.95, 3.2, 1.9)
    for j, (name, colour) in enumerate((("random", FAINT), ("trained", WARM))):
        shifted = np.roll(_share(study.angular[name].first), n_angles // 2)
        axes.bar(
            frequencies + 0.38 * j - 0.19,
            100 * shifted,
            0.36,
            color=colour,
            edgecolor=GREY if j == 0 else colour,
            linewidth=0.6,
            label=name,
        )
    axes.set_xticks(frequencies)
    key(axes)
    finish(axes, r"$\Omega_1$: order 1 [%]", x=r"frequency of $\theta_1$")
    shares = {
        name: 100 * np.roll(_share(one.second), (n_angles // 2,) * 2, (0, 1))
        for name, one in study.angular.items()
    }
    high = max(float(one.max()) for one in shares.values()) or 1.0
    drawn = None
    for k, (name, table) in enumerate(shares.items()):
        axes = at(figure, 4.95 + k * 2.75, 4.95, 1.9, 1.9)
        edge = (frequencies[0] - 0.5, frequencies[-1] + 0.5)
        drawn = axes.imshow(table, cmap="magma", vmin=0, vmax=high, origin="lower", extent=(*edge, *edge))
        axes.set_xticks(frequencies[::2])
        axes.set_yticks(frequencies[::2])
        finish(axes, rf"$\Omega_2$: order 2, {name} [%]", x=r"frequency of $\theta_2$", y=r"of $\theta_1$")
        axes.spines[:].set_visible(False)
    if drawn is not None:
        bar = at(figure, 9.85, 4.95, 0.12, 1.9)
        figure.colorbar(drawn, cax=bar)
        bar.tick_params(labelsize=8, length=2)
        bar.spines[:].set_visible(False)
    words = (
        "Random weights spread\nevenly over frequencies.\nLow ones: weights that\nvary slowly with the angle;\n"
        "the antidiagonal: weights\nof the difference\n$\\theta_2 - \\theta_1$ alone."
    )
    label(figure, 10.55, 5.15, words, color=GREY, va="top")
    save_figure(figure, path)


def _modes(axes: Axes, values: torch.Tensor, vectors: torch.Tensor) -> None:
    """Show one eigenvector of each eigenvalue below the axis."""
    rounded = values.round(decimals=9)
    distinct = rounded.unique()
    low, high = axes.get_xlim()
    for place, value in enumerate(distinct.tolist()):
        vector = vectors[int((rounded == value).nonzero()[0, 0])]
        middle = (place - low) / (high - low)
        inset = axes.inset_axes((middle - 0.05, -0.36, 0.1, 0.1 * 3.2 / 1.75))
        limit = float(vector.abs().max())
        inset.imshow(vector.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
        bare(inset)


def _share(energy: torch.Tensor) -> np.ndarray:
    total = float(energy.sum())
    return np.asarray(energy / total if total > 0 else energy)


def _name(number: int, class_names: Sequence[str]) -> str:
    return class_names[number] if number < len(class_names) else str(number)
