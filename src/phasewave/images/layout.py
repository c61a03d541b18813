"""How pictures become images of one size and one colour: crop, antialiased resize, grey or colour."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from phasewave import checks
from phasewave.images.dataset import MIN_SIZE

Color = Literal["keep", "grey", "rgb"]
Crop = Literal["center", "stretch"]
_MODES = {"grey": "L", "rgb": "RGB"}


@dataclass(frozen=True)
class Layout:
    """What every image is to look like.

    Parameters
    ----------
    size : pair of int or None
        Height and width, each >= 16; None keeps the pictures' own.
    color : {"keep", "grey", "rgb"}
        "grey" is Pillow's L, .299 R + .587 G + .114 B (ITU-R 601-2); "rgb" repeats grey three times.
    crop : {"center", "stretch"} or int
        How a picture of another shape is made to fit: "center" keeps the largest part in the middle that has the
        ratio of ``size``; "stretch" keeps all and changes the ratio; an integer first cuts out that many pixels
        square in the middle (of CelebA, 108 to 178 are usual), then goes on as "center".
    """

    size: tuple[int, int] | None = None
    color: Color = "keep"
    crop: Crop | int = "center"

    @staticmethod
    def of(size: int | Sequence[int] | None, color: Color, crop: Crop | int) -> Layout:
        """Return the layout that the arguments of `read_images` ask for.

        Raises
        ------
        TypeError, ValueError
            If one is out of range.
        """
        sides = (size, size) if isinstance(size, int) else size
        shape = None if sides is None else checks.plane_shape("size", sides, minimum=MIN_SIZE)
        checks.choice("color", color, get_args(Color))
        if isinstance(crop, str):
            checks.choice("crop", crop, get_args(Crop))
        else:
            checks.integer("crop", crop, minimum=MIN_SIZE)
        return Layout(shape, color, crop)

    def fit(self, picture: Image.Image, name: str | os.PathLike[str]) -> np.ndarray:
        """Return a grey or colour picture, cropped, resized and converted, as uint8 (C, H, W).

        Resizing averages over the pixels that a new pixel covers (Pillow's Lanczos filter of support 3, widened
        when it reduces), so that nothing is aliased.

        Parameters
        ----------
        picture : PIL.Image.Image
            Of mode L or RGB.
        name : str or path-like
            How messages name it.

        Raises
        ------
        ValueError
            If it is smaller than 16 pixels a side in the end, or than the cut.
        """
        mode = _MODES.get(self.color, picture.mode)
        if picture.mode != mode:
            picture = picture.convert(mode)
        box = self._box(picture.width, picture.height, name)
        height, width = self.size or (box[3] - box[1], box[2] - box[0])
        if min(height, width) < MIN_SIZE:
            raise ValueError(
                f"{name}: images must be {MIN_SIZE} pixels or more a side, this one is {height}x{width} (height x "
                "width): leave it out, or ask for a `size` to enlarge all"
            )
        whole = box == (0, 0, picture.width, picture.height)
        if (height, width) != (box[3] - box[1], box[2] - box[0]):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS, box=None if whole else box)
        elif not whole:
            picture = picture.crop(box)
        pixels = np.asarray(picture, dtype=np.uint8)
        return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def _box(self, width: int, height: int, name: str | os.PathLike[str]) -> tuple[int, int, int, int]:
        left, top, wide, high = 0, 0, width, height
        if isinstance(self.crop, int):
            if self.crop > min(width, height):
                raise ValueError(
                    f"{name}: `crop` must fit into every picture, got {self.crop} for one of {height}x{width} "
                    "(height x width): ask for a smaller one, or leave the picture out"
                )
            left, top, wide, high = (width - self.crop) // 2, (height - self.crop) // 2, self.crop, self.crop
        if self.size is not None and self.crop != "stretch":
            ratio = self.size[1] / self.size[0]
            new_wide, new_high = min(wide, max(1, round(high * ratio))), min(high, max(1, round(wide / ratio)))
            left, top = left + (wide - new_wide) // 2, top + (high - new_high) // 2
            wide, high = new_wide, new_high
        return left, top, left + wide, top + high
