"""What counts as a set of images here, and its reading in batches."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from phasewave.checks import fail

BATCH_SIZE = 250
"""Images worked on at a time."""
_LARGEST = 4.0  # beyond this a float image is plainly one of 0 to 255


def check_images(
    name: str, images: torch.Tensor, *, like: torch.Tensor | None = None, minimum: int = 1
) -> torch.Tensor:
    """Return ``images`` if it is a set of grey or colour images.

    Parameters
    ----------
    name : str
        Of the argument, for the messages.
    images : torch.Tensor
        ``(n, C, H, W)``, C = 1 or 3; float of values in [0, 1] (a little over- and undershoot is let pass),
        or uint8.
    like : torch.Tensor, optional
        Images whose channels and size it must share.
    minimum : int
        The least number of images.

    Raises
    ------
    TypeError
        If it is not a tensor of uint8, float32 or float64.
    ValueError
        If shape, number or values are wrong.
    """
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"`{name}` must be a torch.Tensor, got {type(images).__name__}")
    if images.dtype not in (torch.uint8, torch.float32, torch.float64):
        raise TypeError(f"`{name}` must be of dtype uint8, float32 or float64, got {images.dtype}")
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        fail(name, "have the shape (n, C, H, W) with C = 1 or 3", tuple(images.shape))
    if len(images) < minimum:
        fail(name, f"hold at least {minimum} images", len(images))
    if like is not None and images.shape[1:] != like.shape[1:]:
        fail(name, f"be images of shape {tuple(like.shape[1:])} as the others", tuple(images.shape[1:]))
    if images.is_floating_point() and images.numel():
        largest = max(float(part.abs().amax()) for part in images.split(BATCH_SIZE))
        if not largest <= _LARGEST:
            fail(name, "be finite, of values in [0, 1]", f"a largest magnitude of {largest:g}")
    return images


def as_float(images: torch.Tensor) -> torch.Tensor:
    """Return images as floats in [0, 1]: uint8 over 255 in float32, floats as they are."""
    return images.float() / 255 if images.dtype is torch.uint8 else images


def float_batches(images: torch.Tensor, *, batch_size: int = BATCH_SIZE) -> Iterator[torch.Tensor]:
    """Yield consecutive batches of images as floats."""
    for part in images.split(batch_size):
        yield as_float(part)


def draw(images: torch.Tensor, number: int, *, seed: int) -> torch.Tensor:
    """Return ``number`` of the images (all, if there are no more), drawn without repetition, in their order."""
    if number >= len(images):
        return images
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images[order[:number].sort().values.to(images.device)]


def described(shape: tuple[int, ...]) -> str:
    """Return a shape (C, H, W) in words."""
    n_channels, height, width = shape
    return f"{'grey' if n_channels == 1 else 'colour'} images of {height} x {width}"
