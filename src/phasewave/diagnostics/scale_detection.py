"""A task that only spatial averaging solves: are two bright pixels near each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from phasewave.checks import fail, integer


@dataclass(frozen=True)
class ScaleDetection:
    r"""Images of two white pixels, classed by their distance.

    .. math:: y = \mathrm{sign}(\xi - \|p - q\|), \quad
        \|p - q\| < \xi - \tfrac{g}{2} \;\text{(close)} \;\text{or}\; \ge \xi + \tfrac{g}{2} \;\text{(far)}

    in the Euclidean norm, without wrapping around the borders; pairs within the gap are left out.

    Parameters
    ----------
    size : int
        ``d``, pixels of a side, at least 2.
    scale : float
        :math:`\xi`, in pixels.
    gap : float
        ``g``, in pixels, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range, or no pair is close, or none far.

    Notes
    -----
    Source: Tomasini, Petrini, Cagnetta & Wyart 2022.

    Examples
    --------
    >>> ScaleDetection().counts()
    (180846, 296178, 523776)
    >>> images, labels = ScaleDetection().sample(4)
    >>> images.shape, images.sum().item()
    (torch.Size([4, 1, 32, 32]), 8.0)
    """

    size: int = 32
    scale: float = 14.0
    gap: float = 2.0

    def __post_init__(self) -> None:
        integer("size", self.size, minimum=2)
        if not (math.isfinite(self.scale) and self.scale > 0):
            fail("scale", "be finite and > 0", self.scale)
        if not (math.isfinite(self.gap) and self.gap >= 0):
            fail("gap", "be finite and >= 0", self.gap)
        close, far, _ = self.counts()
        if not close or not far:
            fail("scale and gap", "leave both close and far pairs", f"{close} close and {far} far")

    def counts(self) -> tuple[int, int, int]:
        """Numbers of close, of far and of all pairs of pixels; 180846, 296178 and 523776 by default."""
        _, pairs, close, far = self.offsets()
        return int(pairs[close].sum()), int(pairs[far].sum()), int(pairs.sum())

    def sample(self, n_samples: int, *, seed: int = 0, balanced: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw images.

        Parameters
        ----------
        n_samples : int
            At least 0.
        seed : int
            At least 0.
        balanced : bool
            Classes are equally likely; otherwise all pairs outside the gap are.

        Returns
        -------
        tuple of torch.Tensor
            Images ``(n, 1, d, d)``, float32, of zeros and two ones, uniform over the pairs of a class; and labels
            ``(n,)``, int64: 1 close (y = +1), 0 far (y = -1).

        Raises
        ------
        TypeError, ValueError
            If a number is out of range.

        Notes
        -----
        Cost: ``2 d^2`` offsets are listed, not the ``d^4 / 2`` pairs.
        """
        n = integer("n_samples", n_samples, minimum=0)
        generator = torch.Generator().manual_seed(integer("seed", seed, minimum=0))
        offsets, pairs, close, far = self.offsets()
        weight = pairs.double() * (close | far)
        if balanced:
            for members in (close, far):
                weight[members] /= weight[members].sum()
        images = torch.zeros(n, 1, self.size, self.size)
        if n == 0:
            return images, torch.zeros(0, dtype=torch.int64)
        drawn = torch.multinomial(weight, n, replacement=True, generator=generator)
        offset = offsets[drawn]
        room = self.size - offset.abs()  # places that leave both pixels inside
        place = (torch.rand(n, 2, generator=generator, dtype=torch.float64) * room).floor().long()
        first = place + (-offset).clamp_min(0)
        second = first + offset
        sample = torch.arange(n)
        images[sample, 0, first[:, 0], first[:, 1]] = 1
        images[sample, 0, second[:, 0], second[:, 1]] = 1
        return images, close[drawn].long()

    def offsets(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """List what may lie between two pixels, of ``p - q`` and ``q - p`` the one.

        Returns
        -------
        tuple of torch.Tensor (m, 2), (m,), (m,), (m,)
            Offsets ``q - p``; how many pairs have each; which are close; which are far.
        """
        line = torch.arange(-self.size + 1, self.size)
        offsets = torch.cartesian_prod(line, line)
        offsets = offsets[len(offsets) // 2 + 1 :]  # those after (0, 0): of q - p and p - q the one
        pairs = (self.size - offsets.abs()).prod(1)
        distance = offsets.double().norm(dim=1)
        return offsets, pairs, distance < self.scale - self.gap / 2, distance >= self.scale + self.gap / 2


def white_distances(images: torch.Tensor) -> torch.Tensor:
    """Distance of the two white pixels of each image ``(n, 1, H, W)``: ``(n,)``, float64."""
    where = images[:, 0].nonzero()
    if len(where) != 2 * len(images):
        fail("images", "have two white pixels each", f"{len(where)} in {len(images)} images")
    pixels = where[:, 1:].double().view(-1, 2, 2)
    return (pixels[:, 1] - pixels[:, 0]).norm(dim=1)


def averaging_accuracy(task: ScaleDetection, n_layers: int) -> float:
    r"""Share of pairs that the energy after averaging tells at the best threshold, both classes of equal weight.

    .. math:: \|x * g_k\|^2 = 2 A(0) + 2 A(q - p), \quad A = g_k * \check g_k, \quad
        g_k = (3^{-2} 1_{\{-1, 0, 1\}^2})^{*k}

    the energy that `constant_filters` leave of two pixels at ``p`` and ``q``, on a grid without borders, is a
    function of their offset alone: all pairs are counted, none is drawn.

    Parameters
    ----------
    task : ScaleDetection
    n_layers : int
        ``k``, at least 1.

    Returns
    -------
    float
        Between 1/2 and 1. Layers that do not reach from one pixel to the other, ``2 k`` along an axis, leave pairs
        that none can tell.

    Raises
    ------
    TypeError, ValueError
        If the number is out of range.
    """
    layers = integer("n_layers", n_layers, minimum=1)
    line = np.ones(1)
    for _ in range(2 * layers):
        line = np.convolve(line, np.full(3, 1 / 3))
    reach = torch.zeros(max(task.size, 2 * layers + 1), dtype=torch.float64)
    reach[: 2 * layers + 1] = torch.from_numpy(line[2 * layers :].copy())
    offsets, pairs, close, far = task.offsets()
    overlap = reach[offsets[:, 0].abs()] * reach[offsets[:, 1].abs()]
    number = pairs.double()
    values, place = overlap.unique(return_inverse=True)
    shares = []
    for members in (close, far):
        weight = number * members
        shares.append(torch.zeros_like(values).index_add_(0, place, weight / weight.sum()))
    called_far = [torch.cat([share.new_zeros(1), share.cumsum(0)]) for share in shares]
    return min(1.0, float((1 + called_far[1] - called_far[0]).max() / 2))


def constant_filters(n_layers: int, *, n_axes: int = 2) -> nn.Sequential:
    r"""Network whose layers average 3 neighbours along each axis and rectify: it solves the task by pooling.

    .. math:: x_k = \rho(x_{k-1} * 3^{-D} 1_{\{-1, 0, 1\}^D}), \quad \rho(u) = \max(u, 0)

    on a periodic grid of ``D`` axes. After ``k`` layers the squared change by a shift of one pixel falls as
    :math:`D_k \sim k^{-1}`, and that by white noise, which the first rectifier turns into a level everywhere,
    grows as :math:`G_k \sim k^{D/2}`: :math:`R_k \sim k^{-1 - D/2}`, that is :math:`k^{-3/2}` along one axis and
    :math:`k^{-2}` in the plane, where few layers of a small image show about -3/2.

    Parameters
    ----------
    n_layers : int
        At least 1; slices ``net[:k]`` are the networks of fewer layers.
    n_axes : {1, 2}
        ``D``; inputs ``(..., H)`` or ``(..., H, W)``.

    Returns
    -------
    torch.nn.Sequential
        One module a layer, without parameters.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.

    Notes
    -----
    Source: Tomasini, Petrini, Cagnetta & Wyart 2022.
    """
    axes = integer("n_axes", n_axes, minimum=1, maximum=2)
    return nn.Sequential(*(_RectifiedAverage(axes) for _ in range(integer("n_layers", n_layers, minimum=1))))


class _RectifiedAverage(nn.Module):
    def __init__(self, n_axes: int) -> None:
        super().__init__()
        self.n_axes = n_axes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for axis in range(-self.n_axes, 0):
            x = (x.roll(1, axis) + x + x.roll(-1, axis)) / 3
        return x.relu()
