"""The figure of the study of separation by depth: data in, file out."""

from __future__ import annotations

import os
from collections.abc import Sequence

from phasewave.diagnostics.drawing import (
    GREY,
    INK,
    WARM,
    at,
    class_colours,
    finish,
    key,
    label,
    page,
    picture,
)
from phasewave.diagnostics.support_study import SupportStudy
from phasewave.runs.figure_file import save_figure


def draw_support(
    path: str | os.PathLike[str], study: SupportStudy, *, class_names: Sequence[str] = (), note: str = ""
) -> None:
    """Draw local support vectors, accuracies, distances and spectra by depth, and the hardest images.

    Parameters
    ----------
    path : path-like
    study : SupportStudy
    class_names : sequence of str
        Of the labels; by default their numbers.
    note : str

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    shown = min(len(study.images), 6)
    figure = page(5.9 if shown else 4.1, "Separation of classes by depth of scattering", note)
    names = list(study.depths)
    depths = list(study.depths.values())
    shades = ("#c9ced4", "#a8c4de", "#6f9fd0", "#3f6fb5", "#1f3f78")
    colours = [shades[k % len(shades)] for k in range(len(names))]
    support, right, within, spectrum = (at(figure, 0.75 + k * 3.1, 1.2, 2.4, 2.1) for k in range(4))
    for name, one, colour in zip(names, depths, colours, strict=True):
        orders = range(1, 1 + len(one.support.sizes))
        support.plot(
            orders, [100 * f for f in one.support.fractions], color=colour, marker="o", markersize=3.5, label=name
        )
        spectrum.plot(range(1, 1 + len(one.spectrum)), one.spectrum.cpu(), color=colour, linewidth=1.6, label=name)
    support.set_ylim(bottom=0)
    finish(support, r"Local support vectors $\Gamma^k$ [%]", x="order $k$")
    places = range(len(names))
    for k, (kind, colour, word) in enumerate(
        (("nearest_accuracy", "#e0a030", "nearest neighbour"), ("kernel_accuracy", WARM, "Gaussian SVM"))
    ):
        values = [100 * getattr(one, kind) for one in depths]
        right.bar([p + 0.38 * k - 0.19 for p in places], values, 0.36, color=colour, label=word)
        for p, v in zip(places, values, strict=True):
            right.text(p + 0.38 * k - 0.19, v + 1, f"{v:.0f}", ha="center", fontsize=7, color=INK)
    right.set_ylim(0, 122)
    right.set_yticks(range(0, 101, 25))
    right.set_xticks(places, [name.replace(" ", "\n", 1) for name in names])
    key(right, loc="upper left", ncols=2, columnspacing=0.9, handlelength=1.0, borderaxespad=0)
    finish(right, f"Accuracy on {study.n_test:,} test images [%]")
    within.bar(places, [one.relative_within for one in depths], 0.6, color=colours)
    within.set_xticks(places, [name.replace(" ", "\n", 1) for name in names])
    values = [one.relative_within for one in depths]
    within.set_ylim(max(0.0, min(values) - 0.6 * (1 - min(values)) - 0.02), 1.0)
    finish(within, "Distance within classes / of any two")
    for axes in (right, within):
        axes.tick_params(axis="x", labelsize=7.5, length=0)
    spectrum.set_xscale("log")
    spectrum.set_ylim(0, 1.02)
    key(spectrum, loc="lower right", borderaxespad=0, title="all panels", title_fontsize=8)
    finish(spectrum, "Cumulated variance within classes", x="axes")
    side = 1.66 / 2.4
    for k in range(shown):
        left = 0.75 + k * 1.99
        frame = class_colours([int(study.labels[k])])[0]
        picture(at(figure, left, 4.45, 2 * side * 0.62, 2 * side * 0.62), study.images[k], frame=frame)
        for j in range(study.nearest.shape[1]):
            small = side * 0.6
            x, y = left + 2 * side * 0.62 + 0.07 + (j % 2) * (small + 0.03), 4.45 + (j // 2) * (small + 0.03)
            frame = class_colours([int(study.nearest_labels[k, j])])[0]
            picture(at(figure, x, y, small, small), study.nearest[k, j], frame=frame)
        number = int(study.labels[k])
        word = class_names[number] if number < len(class_names) else f"class {number}"
        label(figure, left, 5.52, word, color=GREY, fontsize=8)
    if shown:
        words = (
            f"Images that their neighbours contradict the longest ({names[-1]}), each beside its four nearest; "
            "frames: classes"
        )
        label(figure, 0.75, 4.22, words, fontsize=9.5)
    save_figure(figure, path)
