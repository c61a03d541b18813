"""Images moved along displacement fields, by bilinear interpolation."""

from __future__ import annotations

import math

import torch

from phasewave.checks import fail, real_field


def deform(images: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    r"""Move images along displacement fields.

    .. math:: (\tau x)(s) = x(s - \tau(s))

    with bilinear interpolation between pixels; outside its borders an image goes on with its border pixels.

    Parameters
    ----------
    images : torch.Tensor (n, C, H, W)
        Real floating.
    displacement : torch.Tensor (n, 2, H, W) or (1, 2, H, W)
        In pixels, along axis ``H`` first.

    Returns
    -------
    torch.Tensor (n, C, H, W)
        Of the dtype of the images; linear in them and differentiable. A displacement of whole pixels moves
        pixels unchanged.

    Raises
    ------
    TypeError
        If a tensor is not real floating.
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Cost: four reads a pixel. Positions are worked out in the dtype of the displacement.
    """
    real_field("images", images)
    real_field("displacement", displacement)
    if images.ndim != 4:
        fail("images", "have the shape (n, C, H, W)", tuple(images.shape))
    n, n_channels, height, width = images.shape
    if displacement.ndim != 4 or len(displacement) not in (1, n) or displacement.shape[1:] != (2, height, width):
        fail("displacement", f"have the shape ({n} or 1, 2, {height}, {width})", tuple(displacement.shape))
    sizes = (height, width)
    low, weight = [], []
    for axis, size in enumerate(sizes):
        pixels = torch.arange(size, dtype=displacement.dtype, device=displacement.device)
        pixels = pixels[:, None] if axis == 0 else pixels
        position = (pixels - displacement[:, axis]).clamp(0, size - 1)
        first = position.floor().clamp(max=max(0, size - 2))
        low.append(first.long())
        weight.append((position - first).to(images.dtype))
    flat = images.flatten(2)

    def read(row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        index = (row * width + column).flatten(1)[:, None].expand(n, n_channels, -1)
        return flat.gather(2, index).view_as(images)

    (row, column), (down, across) = low, (w[:, None] for w in weight)
    next_row, next_column = (row + 1).clamp(max=height - 1), (column + 1).clamp(max=width - 1)
    # (1 - w) a + w b, not a + w (b - a): a whole step gives b to the last bit.
    upper = (1 - across) * read(row, column) + across * read(row, next_column)
    lower = (1 - across) * read(next_row, column) + across * read(next_row, next_column)
    return (1 - down) * upper + down * lower


def rotate_images(images: torch.Tensor, angle: float) -> torch.Tensor:
    r"""Rotate images about their centre, by bilinear interpolation.

    .. math:: (R_\theta x)(s) = x(c + r_{-\theta} (s - c)), \quad
        r_\theta = \begin{pmatrix} \cos\theta & -\sin\theta \\ \sin\theta & \cos\theta \end{pmatrix}

    with ``s`` = (row, column). Seen with the rows going down, a positive angle turns an image counter-clockwise,
    as ``torch.rot90`` does over its last axes.

    Parameters
    ----------
    images : torch.Tensor (n, C, H, W)
        Real floating.
    angle : float
        In radians.

    Returns
    -------
    torch.Tensor (n, C, H, W)
        Outside its borders an image goes on with its border pixels: keep what counts within the inscribed disc.

    Raises
    ------
    TypeError
        If the images are not real floating.
    ValueError
        If the shape is wrong or the angle is not finite.
    """
    real_field("images", images)
    if images.ndim != 4:
        fail("images", "have the shape (n, C, H, W)", tuple(images.shape))
    if not math.isfinite(angle):
        fail("angle", "be finite", angle)
    height, width = images.shape[-2:]
    row = torch.arange(height, dtype=torch.float64)[:, None] - (height - 1) / 2
    column = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    source = (cos * row + sin * column, -sin * row + cos * column)
    displacement = torch.stack([(row - source[0]), (column - source[1])])
    return deform(images, displacement[None].to(images.device))
