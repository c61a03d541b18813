"""Pictures of a generator: reconstructions, new images with their neighbours, ways between images, animations."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from PIL import Image

from phasewave.images.image_batches import as_float
from phasewave.images.metrics import psnr
from phasewave.images.neighbours import nearest_images
from phasewave.images.sheets import Row, draw_sheet, mosaic
from phasewave.runs.atomic import replacing

_COLUMNS = 16
_SHOWN = 48  # images of a sheet
_FRAME_MS = 70
_SIDE = 128  # drawn pixels along the longer side of an animated image, about


def draw_reconstructions(
    path: str | os.PathLike[str], originals: torch.Tensor, reconstructions: torch.Tensor, *, title: str
) -> None:
    """Draw originals over their reconstructions.

    Parameters
    ----------
    path : path-like
    originals, reconstructions : torch.Tensor (n, C, H, W)
        The first 48 are drawn.
    title : str

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    shown, made = originals[:_SHOWN], reconstructions[:_SHOWN]
    bands = [
        [Row("original", a), Row("reconstruction", b)]
        for a, b in zip(shown.split(columns(shown)), made.split(columns(made)), strict=True)
    ]
    note = f"{len(shown):,} images, mean PSNR {float(psnr(made, shown).mean()):.1f} dB"
    draw_sheet(path, bands, title=title, note=note)


def draw_generated(
    path: str | os.PathLike[str],
    images: torch.Tensor,
    *,
    title: str,
    training: torch.Tensor | None = None,
) -> None:
    """Draw new images, with the nearest training image under each where those are given.

    Parameters
    ----------
    path : path-like
    images : torch.Tensor (n, C, H, W)
        The first 48 are drawn.
    title : str
    training : torch.Tensor (m, C, H, W), optional

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    shown = images[:_SHOWN]
    width = columns(shown)
    if training is None:
        draw_sheet(path, [[Row("", part) for part in shown.split(width)]], title=title)
        return
    found = as_float(training[nearest_images(shown, training)[1]])
    bands = [
        [Row("new", a), Row("nearest training", b)]
        for a, b in zip(shown.split(width), found.split(width), strict=True)
    ]
    note = "under each new image the training image nearest to it in pixels, at equal brightness and contrast"
    draw_sheet(path, bands, title=title, note=note)


def draw_interpolations(
    path: str | os.PathLike[str], ways: torch.Tensor, ends: tuple[torch.Tensor, torch.Tensor] | None, *, title: str
) -> None:
    """Draw strips of images from one to another, between the originals where there are such.

    Parameters
    ----------
    path : path-like
    ways : torch.Tensor (n, steps, C, H, W)
    ends : pair of torch.Tensor (n, C, H, W), or None
        The originals.
    title : str

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    bands = []
    for number, way in enumerate(ways.cpu()):
        if ends is None:
            bands.append([Row("", way)])
            continue
        first, last = (as_float(end[number : number + 1]).cpu() for end in ends)
        bands.append([Row("", torch.cat([first, way, last]), apart=(1, len(way) + 1))])
    note = "" if ends is None else "left and right, apart: the originals"
    draw_sheet(path, bands, title=title, note=note)


def write_animation(path: str | os.PathLike[str], ways: torch.Tensor, *, frame_ms: int = _FRAME_MS) -> None:
    """Write strips as an animated GIF or WebP that goes to and fro for ever, all strips side by side.

    Each pixel is drawn as a square. The values are kept: but for GIFs in colour, whose frames have 256 colours
    each.

    Parameters
    ----------
    path : path-like
        The suffix says which: .gif or .webp.
    ways : torch.Tensor (n, steps, C, H, W)
    frame_ms : int
        Milliseconds a frame; the ends stay eight times as long.

    Raises
    ------
    ValueError
        If the suffix is another one.
    OSError
        If the file cannot be written.
    """
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in ("gif", "webp"):
        raise ValueError(f"an animation must be named .gif or .webp, got {os.fspath(path)!r}")
    scale = max(1, round(_SIDE / max(ways.shape[-2:])))
    frames = [Image.fromarray(mosaic(Row("", images), scale)) for images in ways.unbind(1)]
    if ways.shape[2] == 1:
        frames = [frame.convert("L") for frame in frames]
    times = [8 * frame_ms, *[frame_ms] * (len(frames) - 2), 8 * frame_ms]
    frames, times = frames + frames[-2:0:-1], times + times[-2:0:-1]
    lossless = {"lossless": True} if kind == "webp" else {}
    with replacing(path) as stream:
        frames[0].save(
            stream,
            format=kind.upper(),
            save_all=True,
            append_images=frames[1:],
            duration=times,
            loop=0,
            **lossless,
        )


def draw_overview(
    path: str | os.PathLike[str],
    originals: torch.Tensor,
    reconstructions: torch.Tensor,
    generated: torch.Tensor,
    ways: torch.Tensor,
    *,
    title: str,
    note: str,
) -> None:
    """Draw what a generator does on one page: test images and their reconstructions, new images, ways between.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    width = min(columns(originals), len(originals))
    bands = [
        [Row("test image", originals[:width]), Row("reconstruction", reconstructions[:width])],
        [
            Row("new, from noise" if start == 0 else "", generated[start : start + width])
            for start in range(0, min(len(generated), 4 * width), width)
        ],
        [Row("from one to another" if number == 0 else "", way) for number, way in enumerate(ways)],
    ]
    draw_sheet(path, bands, title=title, note=note)


def columns(images: torch.Tensor) -> int:
    """Return how many images a row holds."""
    return max(1, min(_COLUMNS, 16 * 64 // images.shape[-1], len(images)))
