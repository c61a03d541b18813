r"""The embedded images: ten glyphs, bent, turned and lit, drawn by the package in a few seconds.

Each glyph of matplotlib's DejaVu fonts is drawn once, large, as a signed distance d to its outline. An image
samples it through a random smooth map (rotation, scale, shear, shift and a smooth displacement u),

.. math:: s(x) = d(A x + b + u(x)) + t,

with a random thickness t. The glyph is a relief whose height h rises smoothly (smoothstep) over a bevel at its
edge, lit from a random direction l with normal :math:`n \propto (-\nabla h, 1)`:

.. math:: I = (1 - c) B + c F (a + (1 - a) \max(0, n \cdot l)),

where c(s) is the coverage, F the glyph's brightness with a gradient, and B a dim background with a gradient and
the glyph's soft shadow. Images are computed at twice their size and averaged, so nothing is aliased.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional

from phasewave import checks
from phasewave.images.dataset import MIN_SIZE, ImageSet, to_bytes

GLYPHS = "aBgR58&\N{BLACK HEART SUIT}\N{BLACK STAR}\N{BLACK CLUB SUIT}"
N_IMAGES = 4_000
_SANS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
_ALL = (*_SANS, "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSansMono.ttf")
_MASTER = 192  # pixels of a glyph drawn once
_BATCH = 250
_KNOTS = 5  # a side, of the smooth displacement


def glyph_images(n_images: int = N_IMAGES, *, size: int | tuple[int, int] = 32, seed: int = 0) -> ImageSet:
    """Draw the embedded images: grey, ten classes, three splits (15 % test, 5 % validation).

    Parameters
    ----------
    n_images : int
        How many, >= 20; about 800 a second on one core at size 32.
    size : int or pair of int
        Height and width, each >= 16.
    seed : int
        Which images.

    Returns
    -------
    ImageSet
        Classes are in random order and of about equal number; images are independent, so the last ones are for
        testing, those before them for validation.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.
    """
    checks.integer("n_images", n_images, minimum=20)
    checks.integer("seed", seed, minimum=0, maximum=2**32 - 1)
    shape = checks.plane_shape("size", (size, size) if isinstance(size, int) else size, minimum=MIN_SIZE)
    generator = torch.Generator().manual_seed(seed)
    masters = _masters()
    labels = torch.randint(len(GLYPHS), (n_images,), generator=generator)
    parts = [_draw(masters, chunk, shape, generator) for chunk in labels.split(_BATCH)]
    n_test, n_val = round(0.15 * n_images), round(0.05 * n_images)
    at = np.arange(n_images, dtype=np.int64)
    cuts = np.split(at, [n_images - n_test - n_val, n_images - n_test])
    return ImageSet(
        torch.cat(parts),
        labels,
        dict(zip(("train", "val", "test"), cuts, strict=True)),
        f"glyphs of DejaVu fonts, bent and lit (phasewave's own, seed {seed})",
        tuple(GLYPHS),
    )


@dataclass(frozen=True)
class _Masters:
    """Signed distances, (k, 1, m, m), in half-widths of the plane, inside positive; and those of each class."""

    distances: Tensor
    of_class: tuple[Tensor, ...]


@cache
def _masters() -> _Masters:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    distances: list[Tensor] = []
    of_class: list[Tensor] = []
    for glyph in GLYPHS:
        start = len(distances)
        for file in _ALL if glyph.isascii() else _SANS:
            distances.append(_signed_distance(glyph, folder / file))
        of_class.append(torch.arange(start, len(distances)))
    return _Masters(torch.stack(distances)[:, None], tuple(of_class))


def _signed_distance(glyph: str, font: Path) -> Tensor:
    canvas = Image.new("L", (2 * _MASTER, 2 * _MASTER))
    face = ImageFont.truetype(str(font), _MASTER)
    ImageDraw.Draw(canvas).text((_MASTER // 2, _MASTER // 4), glyph, fill=255, font=face)
    left, top, right, bottom = canvas.getbbox() or (0, 0, 1, 1)
    scale = 0.74 * _MASTER / max(right - left, bottom - top)
    cut = canvas.crop((left, top, right, bottom))
    cut = cut.resize((round((right - left) * scale), round((bottom - top) * scale)), Image.Resampling.LANCZOS)
    page = Image.new("L", (_MASTER, _MASTER))
    page.paste(cut, ((_MASTER - cut.width) // 2, (_MASTER - cut.height) // 2))
    inside = np.asarray(page) > 127
    signed = distance_transform_edt(inside) - distance_transform_edt(~inside)
    return torch.from_numpy((signed - np.where(inside, 0.5, -0.5)) * (2 / _MASTER)).to(torch.float32)


def _draw(masters: _Masters, labels: Tensor, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    n, (height, width) = len(labels), (2 * shape[0], 2 * shape[1])

    def uniform(low: float, high: float, *axes: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *(axes or (1, 1)), generator=generator)

    pick = uniform(0, 1).flatten()
    which = torch.stack(
        [
            of[min(int(p * len(of)), len(of) - 1)]
            for p, of in zip(pick, (masters.of_class[k] for k in labels), strict=True)
        ]
    )
    grid = _map(uniform, height, width)
    s = functional.grid_sample(
        masters.distances[which], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]
    s = s + uniform(0.0, 0.055)  # thickness
    bevel = uniform(0.12, 0.26)
    rise = (s / bevel + 0.25).clamp(0, 1)
    relief = bevel * rise**2 * (3 - 2 * rise) * uniform(0.5, 0.9)
    angle = uniform(0, 2 * math.pi)
    steep = uniform(0.6, 0.9)
    dy, dx = _slope(relief)
    light = (-dx * angle.cos() - dy * angle.sin()) * (1 - steep**2).sqrt() + steep
    shade = (light / (1 + dx**2 + dy**2).sqrt()).clamp(min=0)
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)
    tilt = uniform(0, 2 * math.pi)
    ramp = x * tilt.cos() + y * tilt.sin()
    front = uniform(0.85, 1.1) + 0.12 * ramp
    lean = uniform(0, 2 * math.pi)
    back = uniform(0.08, 0.30) + uniform(0.04, 0.14) * (x * lean.cos() + y * lean.sin())
    blur = uniform(0.03, 0.06)
    cover = torch.sigmoid(2 * s / blur)
    shadow = _shadow(cover, angle)
    image = (1 - cover) * back * (1 - 0.55 * shadow) + cover * front * (0.45 + 0.55 * shade)
    return to_bytes(image.view(n, 1, shape[0], 2, shape[1], 2).mean((3, 5)))


def _map(uniform: Callable[..., Tensor], height: int, width: int) -> Tensor:
    """Return where each pixel looks in the master, (n, height, width, 2) as (x, y) in [-1, 1]."""
    turn, shear = uniform(-0.12, 0.12), uniform(-0.08, 0.08)
    zoom, stretch = uniform(0.94, 1.1), uniform(0.94, 1.06)
    y = torch.linspace(-1, 1, height)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width).expand(height, width)
    short = min(height, width)
    y, x = y * (height / short), x * (width / short)
    right = turn.cos() * x + turn.sin() * y
    down = turn.cos() * y - turn.sin() * x
    knots = uniform(-0.06, 0.06, 2, _KNOTS, _KNOTS)
    bend = functional.interpolate(knots, (height, width), mode="bicubic", align_corners=True)
    across = (right + shear * down) * zoom * stretch + uniform(-0.05, 0.05) + bend[:, 0]
    along = down * zoom / stretch + uniform(-0.05, 0.05) + bend[:, 1]
    return torch.stack((across, along), dim=-1)


def _slope(height: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives along y and x of maps (n, H, W) on the plane of half-width 1."""
    padded = functional.pad(height[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    step = min(height.shape[-2:]) / 4
    return (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * step, (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * step


def _shadow(cover: Tensor, angle: Tensor) -> Tensor:
    """Return a blurred copy of the coverage, shifted away from the light."""
    n, height, width = cover.shape
    coarse = functional.adaptive_avg_pool2d(cover[:, None], 12)
    move = torch.zeros(n, 2, 3)
    move[:, 0, 0] = move[:, 1, 1] = 1
    move[:, 0, 2], move[:, 1, 2] = 0.14 * angle.flatten().cos(), 0.14 * angle.flatten().sin()
    grid = functional.affine_grid(move, [n, 1, height, width], align_corners=False)
    return functional.grid_sample(coarse, grid, padding_mode="border", align_corners=False)[:, 0]
