"""Brightness and contrast of an image, apart from what it shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

_FLAT = 1e-3  # least contrast: one quarter of a step of 8 bits


@dataclass(frozen=True)
class ImageStatistics:
    """Brightness of each colour and contrast of images.

    Attributes
    ----------
    brightness : torch.Tensor
        ``(n, C)``: mean over the pixels.
    contrast : torch.Tensor
        ``(n, 1)``: root mean square, over pixels and colours, of what is left without the brightness; at least
        1e-3, which flat images have.
    """

    brightness: torch.Tensor
    contrast: torch.Tensor

    @staticmethod
    def of(values: torch.Tensor) -> ImageStatistics:
        """The statistics whose `values` these are, ``(n, C + 1)``."""
        return ImageStatistics(values[:, :-1], values[:, -1:].exp())

    def values(self) -> torch.Tensor:
        """Brightness and logarithm of the contrast, ``(n, C + 1)``."""
        return torch.cat([self.brightness, self.contrast.log()], 1)

    def applied(self, x: torch.Tensor) -> torch.Tensor:
        """Images of these statistics from images of brightness 0 and contrast 1, ``(n, C, H, W)``."""
        return x * self.contrast[..., None, None] + self.brightness[..., None, None]


def normalised(images: torch.Tensor) -> tuple[torch.Tensor, ImageStatistics]:
    """Return images of brightness 0 and contrast 1, and the statistics that take them back.

    Parameters
    ----------
    images : torch.Tensor
        ``(n, C, H, W)``, floating.
    """
    brightness = images.mean((-2, -1))
    centred = images - brightness[..., None, None]
    contrast = (centred.square().mean((1, 2, 3)) + _FLAT**2).sqrt()[:, None]
    return centred / contrast[..., None, None], ImageStatistics(brightness, contrast)
