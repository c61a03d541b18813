"""The scattering encoder: an image to a white code, by rectified wavelets, averages and principal components."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.core.rectified import RectifiedWavelets
from phasewave.images.contrast import ImageStatistics, normalised
from phasewave.images.image_batches import check_images, float_batches
from phasewave.images.network_parts import image_shape
from phasewave.images.principal_axes import PrincipalAxes, principal_axes
from phasewave.scattering.planar import Scattering2D

_SPARE = 128  # axes kept beside those of the code while they are being found
_FLOOR = 1e-6  # of the largest variance


class ScatteringEncoder(nn.Module):
    r"""Codes of images: nearly white noise, from which most of an image can be had back.

    .. math::
        \bar x = \frac{x - \mu(x)}{s(x)}, \qquad
        w = L\, U \bar x = \Lambda^{-1/2} V_d^T\, \big(\mathrm{avg}(U \bar x) - m\big)

    with ``U`` the rectified wavelets of `phasewave.core.rectified.RectifiedWavelets`, ``avg`` the means over
    blocks of ``average x average`` pixels (of scales whose samples lie closer than that; the others are as they
    are), and ``V_d``, :math:`\Lambda` the leading principal axes and variances of the averages of the training
    images, shrunk. The brightness of each colour :math:`\mu` and the contrast ``s`` of an image are kept beside
    ``w`` as further entries of its code: the code of one image has ``code_dim + C + 1`` entries, all of mean 0 and
    variance 1 over the training images.

    Parameters
    ----------
    size : int or (int, int)
        Height and width, each at least 16.
    n_channels : int
        1 (grey) or 3 (colour).
    code_dim : int
        Dimension ``d`` of ``w``.
    n_scales : int, optional
        Octaves ``J`` of the wavelets; by default 3 at about 32 pixels a side, one more for each doubling.
    n_angles, n_phases : int
        Orientations, and phases of the rectifier.
    average : int, optional
        Pixels a side of the blocks, a power of two; by default 2 at about 32 pixels a
        side, twice that for each doubling. Larger
        blocks make more Gaussian codes, smaller ones keep more of the image.
    order : int
        1, or 2 to add the scattering coefficients of order 2, averaged over ``2^J`` pixels.

    Attributes
    ----------
    mean_, axes_ : torch.Tensor
        The mean ``m`` and the rows :math:`\Lambda^{-1/2} V_d^T`, once fitted.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost of a fit: one pass over the images, batch by batch, of ``p (d + 628)^2`` operations a batch of 500, ``p``
    the number of averages (9,232 at 32 x 32); principal axes in float64. Shrinkage: oracle approximating (Chen
    et al. 2010); variances of less than 1e-6 of the largest are raised to that.

    References
    ----------
    Angles, Mallat, "Generative networks as inverse problems with scattering transforms", ICLR 2018.
    """

    mean_: torch.Tensor
    axes_: torch.Tensor
    statistics_: torch.Tensor

    def __init__(
        self,
        size: int | tuple[int, int],
        *,
        n_channels: int = 1,
        code_dim: int = 256,
        n_scales: int | None = None,
        n_angles: int = 4,
        n_phases: int = 4,
        average: int | None = None,
        order: int = 1,
    ) -> None:
        super().__init__()
        self.n_channels, self.size = image_shape(size, n_channels)
        octaves = round(math.log2(min(self.size) / 32))
        self.code_dim = integer("code_dim", code_dim, minimum=1)
        self.n_scales = max(1, 3 + octaves) if n_scales is None else n_scales
        self.average = 2 ** max(0, 1 + octaves) if average is None else integer("average", average, minimum=1)
        if self.average & (self.average - 1):
            fail("average", "be a power of two", average)
        self.n_angles, self.n_phases = n_angles, n_phases
        self.order = integer("order", order, minimum=1, maximum=2)
        self.rectified = RectifiedWavelets(self.size, n_scales=self.n_scales, n_angles=n_angles, n_phases=n_phases)
        self.second = None
        if order == 2:
            self.second = Scattering2D(self.size, n_scales=max(2, self.n_scales), n_angles=n_angles)
            of_order_2 = [path.order == 2 for path in self.second.table]
            self.register_buffer("_order_2", torch.tensor(of_order_2), persistent=False)
        for name in ("mean_", "axes_", "statistics_"):
            self.register_buffer(name, torch.zeros(0))

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters, as plain values."""
        return {
            "size": list(self.size),
            "n_channels": self.n_channels,
            "code_dim": self.code_dim,
            "n_scales": self.n_scales,
            "n_angles": self.n_angles,
            "n_phases": self.n_phases,
            "average": self.average,
            "order": self.order,
        }

    @property
    def n_entries(self) -> int:
        """Entries of the code of an image: ``code_dim``, one brightness a colour, one contrast."""
        return self.code_dim + self.n_channels + 1

    @property
    def blocks(self) -> tuple[int, ...]:
        """Samples a side of the blocks that are averaged, scale by scale, then 1 for the low-pass."""
        return (*(max(1, self.average >> j) for j in range(self.n_scales)), 1)

    def fit(self, images: torch.Tensor, *, mirror: bool = False) -> ScatteringEncoder:
        """Find mean, axes and variances.

        Parameters
        ----------
        images : torch.Tensor
            ``(n, C, H, W)``, uint8, or float in [0, 1].
        mirror : bool
            Take each image also with left and right exchanged.

        Returns
        -------
        ScatteringEncoder
            Itself.

        Raises
        ------
        TypeError, ValueError
            If these are no such images, or there are too few of them for ``code_dim``.
        """
        self._check(images)
        n = len(images) * (2 if mirror else 1)
        if n <= self.code_dim:
            fail(
                "images",
                f"hold more than `code_dim` = {self.code_dim} images (got {n}, counting mirrored ones): lower "
                "`code_dim` or give more",
                len(images),
            )
        statistics: list[torch.Tensor] = []

        def rows() -> Iterator[torch.Tensor]:
            for batch in float_batches(images):
                x, own = normalised(batch.float())
                statistics.append(own.values())
                yield self.averages(x).double()
                if mirror:
                    yield self.averages(x.flip(-1)).double()

        with torch.no_grad():
            found = principal_axes(rows(), kept=self.code_dim + _SPARE)
        if len(found.variances) < self.code_dim:
            fail("images", f"vary in `code_dim` = {self.code_dim} directions", len(found.variances))
        variances = shrunk(found, n)[: self.code_dim]
        variances = variances.clamp_min(_FLOOR * float(variances[0]))
        self.mean_ = found.mean.float()
        self.axes_ = (found.axes[:, : self.code_dim] / variances.sqrt()).T.float().contiguous()
        every = torch.cat(statistics).double()
        self.statistics_ = torch.stack([every.mean(0), every.std(0).clamp_min(1e-6)]).float()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the codes of images.

        Parameters
        ----------
        images : torch.Tensor
            ``(n, C, H, W)``, float in [0, 1]; differentiable with respect to them.

        Returns
        -------
        torch.Tensor
            ``(n, code_dim + C + 1)``: ``w``, then brightness of each colour and the logarithm of the contrast.
        """
        x, own = normalised(images)
        return torch.cat([self.white(x), self.standardised(own)], 1)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return the codes of any number of images, batch by batch, without gradients.

        Raises
        ------
        TypeError, ValueError
            If these are no images of the encoder's shape, or it is not fitted.
        """
        self._fitted()
        self._check(images)
        with torch.no_grad():
            parts = [self.forward(batch.float().to(self.mean_.device)) for batch in float_batches(images)]
        return torch.cat(parts)

    def white(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``w`` of images of brightness 0 and contrast 1, ``(n, C, H, W)``."""
        return (self.averages(x) - self.mean_) @ self.axes_.T

    def averages(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``avg(U x)``, ``(n, p)``: scale by scale, colours first within each."""
        parts = []
        for level, block in zip(self.rectified(x), self.blocks, strict=True):
            parts.append(averaged(level, block).flatten(1))
        if self.second is not None:
            parts.append(self.second(x)[:, :, self._order_2].flatten(1))
        return torch.cat(parts, 1)

    def rows(self) -> list[torch.Tensor]:
        """Return the axes as functions on the averages of each scale, ``(d, C K_j, h, w)``; the low-pass last."""
        self._fitted()
        return self._by_scale(self.axes_)

    def averages_of_entries(self) -> list[torch.Tensor]:
        r"""Return what each entry of a code adds to the averages of each scale, shaped as `rows`.

        These are the columns of :math:`\Lambda^{1/2} V_d`, the pseudo-inverse of the axes.
        """
        self._fitted()
        return self._by_scale(self.axes_ / self.axes_.square().sum(1, keepdim=True))

    def _by_scale(self, matrix: torch.Tensor) -> list[torch.Tensor]:
        parts, start = [], 0
        for n, grid, block in zip(self.rectified.n_channels, self.rectified.grids, self.blocks, strict=True):
            h, w = (-(-side // block) for side in grid)
            stop = start + self.n_channels * n * h * w
            parts.append(matrix[:, start:stop].reshape(self.code_dim, self.n_channels * n, h, w))
            start = stop
        return parts

    def standardised(self, statistics: ImageStatistics) -> torch.Tensor:
        """Return brightness and log-contrast as entries of a code, ``(n, C + 1)``."""
        return (statistics.values() - self.statistics_[0]) / self.statistics_[1]

    def statistics(self, codes: torch.Tensor) -> ImageStatistics:
        """Return the brightness and contrast that codes state."""
        return ImageStatistics.of(codes[:, self.code_dim :] * self.statistics_[1] + self.statistics_[0])

    def _check(self, images: torch.Tensor) -> None:
        check_images("images", images)
        wanted = (self.n_channels, *self.size)
        if images.shape[1:] != wanted:
            fail("images", f"have the shape (n, {', '.join(map(str, wanted))})", tuple(images.shape))

    def _fitted(self) -> None:
        if not len(self.axes_):
            raise ValueError("the encoder is not fitted: call `fit` with training images, or load a model")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("mean_", "axes_", "statistics_"):
            if prefix + name in state_dict:  # of the size that the file has: they are empty before a fit
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def averaged(level: torch.Tensor, block: int) -> torch.Tensor:
    """Means over blocks of samples, ``(..., h, w)`` to ``(..., ceil(h / b), ceil(w / b))``."""
    if block == 1:
        return level
    planes = level.flatten(0, -3)
    pooled = nn.functional.avg_pool2d(planes, block, ceil_mode=True, count_include_pad=False)
    return pooled.unflatten(0, level.shape[:-2])


def shrunk(found: PrincipalAxes, n: int) -> torch.Tensor:
    r"""Variances after oracle approximating shrinkage towards the mean variance.

    .. math::
        \lambda' = (1 - \rho) \lambda + \rho\, \tau / p, \qquad
        \rho = \frac{(1 - 2/p) \sum \lambda^2 + \tau^2}{(n + 1 - 2/p)(\sum \lambda^2 - \tau^2 / p)} \le 1,

    with :math:`\tau` the total variance of ``p`` values; the variance beside the axes kept counts as if evenly
    spread.

    References
    ----------
    Chen, Wiesel, Eldar, Hero, "Shrinkage algorithms for MMSE covariance estimation", IEEE TSP 58 (2010).
    """
    p, total = len(found.mean), found.total
    rest = max(0.0, total - float(found.variances.sum()))
    squares = float(found.variances.square().sum()) + rest**2 / max(1, p - len(found.variances))
    spread = squares - total**2 / p
    rho = 1.0 if spread <= 0 else min(1.0, ((1 - 2 / p) * squares + total**2) / ((n + 1 - 2 / p) * spread))
    return (1 - rho) * found.variances + rho * total / p
