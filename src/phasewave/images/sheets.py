"""Sheets of images: rows with names, glued in bands, every pixel drawn as a square."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from phasewave.images.dataset import to_bytes
from phasewave.images.image_batches import as_float
from phasewave.runs.figure_file import save_figure

INK, GREY = "#1b1f24", "#8a9199"
_DPI = 150
_GAP = 2  # drawn pixels between images
_BAND = 14  # between bands
_LEFT, _RIGHT, _TOP, _BOTTOM = 24, 24, 62, 24
_LETTER = 10.5  # pixels a letter of a row's name takes
_WIDTH = 1500  # pixels that a sheet is made to fill, about


@dataclass(frozen=True)
class Row:
    """Images side by side.

    Attributes
    ----------
    name : str
        What stands on the left; empty for nothing.
    images : torch.Tensor (n, C, H, W)
        uint8, or float of values in [0, 1].
    apart : tuple of int
        After which images, counted from 1, a wider gap comes.
    """

    name: str
    images: torch.Tensor
    apart: tuple[int, ...] = ()


def draw_sheet(
    path: str | os.PathLike[str],
    bands: Sequence[Sequence[Row]],
    *,
    title: str,
    note: str = "",
) -> None:
    """Draw bands of rows of images, one under the other.

    Parameters
    ----------
    path : path-like
        The picture's file; it appears whole or not at all.
    bands : sequence of sequence of Row
        The rows of a band touch.
    title, note : str
        What stands above; the note in grey under the title.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    rows = [row for band in bands for row in band]
    scale = sheet_scale(rows)
    mosaics = [[mosaic(row, scale) for row in band] for band in bands]
    letters = max(len(row.name) for row in rows)
    left = _LEFT + (round(letters * _LETTER) + 14 if letters else 0)
    top = _TOP + (26 if note else 0)
    width = left + max(picture.shape[1] for band in mosaics for picture in band) + _RIGHT
    width = max(width, _LEFT + _RIGHT + 11 * max(len(title), round(0.8 * len(note))))
    tall = sum(sum(picture.shape[0] + _GAP for picture in band) - _GAP for band in mosaics)
    height = top + tall + _BAND * (len(bands) - 1) + _BOTTOM
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    figure.text(_LEFT / width, 1 - 18 / height, title, va="top", fontsize=10, fontweight="bold", color=INK)
    if note:
        figure.text(_LEFT / width, 1 - 52 / height, note, va="top", fontsize=7.5, color=GREY)
    down = top
    for band, pictures in zip(bands, mosaics, strict=True):
        for row, picture in zip(band, pictures, strict=True):
            h, w = picture.shape[:2]
            place = (left / width, 1 - (down + h) / height, w / width, h / height)
            axes = figure.add_axes(place)
            axes.imshow(picture, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
            if row.name:
                middle = 1 - (down + h / 2) / height
                figure.text(
                    (left - 14) / width, middle, row.name, ha="right", va="center", fontsize=7.5, color=INK
                )
            down += h + _GAP
        down += _BAND - _GAP
    save_figure(figure, path)


def mosaic(row: Row, scale: int) -> np.ndarray:
    """Return a row as one picture, uint8 (h, w, 3), each pixel ``scale`` a side."""
    pixels = to_bytes(as_float(row.images).clamp(0, 1)).cpu().numpy()
    if pixels.shape[1] == 1:
        pixels = pixels.repeat(3, axis=1)
    pixels = pixels.repeat(scale, axis=2).repeat(scale, axis=3).transpose(0, 2, 3, 1)
    parts = []
    for number, picture in enumerate(pixels, start=1):
        gap = 0 if number == len(pixels) else _BAND if number in row.apart else _GAP
        parts += [picture, np.full((picture.shape[0], gap, 3), 255, np.uint8)]
    return np.concatenate(parts, axis=1)


def sheet_scale(rows: Sequence[Row]) -> int:
    """Return how many drawn pixels a side a pixel takes, so that a sheet is neither tiny nor huge."""
    widest = max(len(row.images) * row.images.shape[-1] for row in rows)
    return max(1, round(_WIDTH / max(1, widest)))
