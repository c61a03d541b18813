"""Vortex statistics of a vorticity field: the Okubo-Weiss criterion, its skewness, coherent cores."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from phasewave import checks
from phasewave.turbulence.onepoint import skewness


def okubo_weiss(vorticity: Tensor) -> Tensor:
    r"""Return the Okubo-Weiss field: squared strain less squared vorticity, negative inside vortices.

    .. math:: Q = (\partial_1 v_1 - \partial_2 v_2)^2 + (\partial_1 v_2 + \partial_2 v_1)^2 - w^2, \qquad
              v = (\partial_2 \psi, -\partial_1 \psi), \quad \Delta \psi = -w,

    the stream function psi and the derivatives by FFT (periodic), the mean vorticity removed.

    Parameters
    ----------
    vorticity : Tensor (..., H, W), real
        w, with square pixels.

    Returns
    -------
    Tensor (..., H, W), float64, in squared units of the vorticity
    """
    checks.real_field("vorticity", vorticity)
    height, width = vorticity.shape[-2:]
    w = vorticity.detach().to(torch.float64)
    w = w - w.mean((-2, -1), keepdim=True)
    rows = 2 * math.pi * torch.fft.fftfreq(height, dtype=torch.float64, device=w.device)[:, None]
    columns = 2 * math.pi * torch.fft.rfftfreq(width, dtype=torch.float64, device=w.device)
    square = rows.square() + columns.square()
    square[0, 0] = 1.0
    stream = torch.fft.rfft2(w) / square
    size = (height, width)
    cross = torch.fft.irfft2(-rows * columns * stream, s=size)
    shear = torch.fft.irfft2((rows.square() - columns.square()) * stream, s=size)
    return (2 * cross).square() + shear.square() - w.square()


def q_skewness(vorticity: Tensor) -> Tensor:
    """Return the skewness of the Okubo-Weiss field: (..., H, W) -> (...), float64.

    The more negative, the more of the vorticity is rolled up in coherent vortices.
    """
    return skewness(okubo_weiss(vorticity))


def vortex_cores(vorticity: Tensor, *, min_area: int = 16) -> Tensor:
    r"""Return the number of coherent, round vortex cores per 128 x 128 pixels.

    A core is a region of sides-connected pixels (on the torus) with Q < -sigma_Q / 2 which has

    - at least ``min_area`` pixels and max |w - mean| > 1.5 sigma_w in it,
    - axis ratio > .5: (b / a)^2 is the ratio of the eigenvalues of the covariance of its pixel centres,
    - solidity > .85: its pixels over the pixel centres inside the convex hull of the mid-sides of its pixels.

    Parameters
    ----------
    vorticity : Tensor (..., H, W), real
    min_area : int >= 1

    Returns
    -------
    Tensor (...), float64, on the CPU

    Notes
    -----
    Regions are looped over in Python: some 0.1 s for a field of 256 x 256 pixels.
    """
    checks.integer("min_area", min_area, minimum=1)
    criterion = okubo_weiss(vorticity)
    fields = vorticity.detach().to("cpu", torch.float64)
    shape = fields.shape[-2:]
    pairs = zip(fields.reshape(-1, *shape).numpy(), criterion.cpu().reshape(-1, *shape).numpy(), strict=True)
    counts = torch.tensor([_count_cores(w, q, min_area) for w, q in pairs], dtype=torch.float64)
    return counts.reshape(fields.shape[:-2]) * (128**2 / (shape[0] * shape[1]))


def _count_cores(w: NDArray[np.float64], q: NDArray[np.float64], min_area: int) -> int:
    strength = np.abs(w - w.mean())
    peak = 1.5 * w.std()
    return sum(
        region.sum() >= min_area and strength[rows, columns][region].max() > peak and _is_round(region)
        for region, rows, columns in _torus_regions(q < -q.std() / 2)
    )


def _torus_regions(
    mask: NDArray[np.bool_],
) -> list[tuple[NDArray[np.bool_], NDArray[np.intp], NDArray[np.intp]]]:
    """Return each connected region once: its mask in its bounding box, and open-mesh pixel indices.

    Labels are made on 2 x 2 copies of the mask. Of the whole copies of a region exactly one begins in rows
    1..H and columns 1..W of that sheet; a region that winds around the torus has none and is left out.
    """
    height, width = mask.shape
    labels, _ = ndimage.label(np.tile(mask, (2, 2)))
    regions = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        begins = 1 <= rows.start <= height and 1 <= columns.start <= width
        if begins and rows.stop < 2 * height and columns.stop < 2 * width:
            mesh = np.ix_(
                np.arange(rows.start, rows.stop) % height, np.arange(columns.start, columns.stop) % width
            )
            regions.append((labels[rows, columns] == number, mesh[0], mesh[1]))
    return regions


def _is_round(region: NDArray[np.bool_]) -> bool:
    centres = np.argwhere(region).astype(float)
    small, large = np.linalg.eigvalsh(np.cov(centres.T, bias=True))
    if not small > 0.25 * large:
        return False
    sides = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5)])
    try:
        hull = ConvexHull((centres[:, None] + sides).reshape(-1, 2))
    except QhullError:
        return False
    box = np.argwhere(np.ones_like(region))
    inside = (box @ hull.equations[:, :2].T + hull.equations[:, 2] <= 1e-9).all(1).sum()
    return bool(len(centres) > 0.85 * inside)
