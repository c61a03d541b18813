"""Compressed scattering features of images: a torch module, and a scikit-learn transformer of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from phasewave.checks import choice, fail, integer, plane_shape, real_field
from phasewave.scattering.planar import Scattering2D

Contrast = Literal["none", "standardise"]
NonlinearityName = Literal["log", "power", "none"]
_CALIBRATION = 1000  # images that the levels of the logarithm are measured on


class CompressedScattering(nn.Module):
    r"""Scattering of images, order 0 as it is, orders 1 and 2 through a pointwise function.

    ========= ======================================================================================
    "log"     :math:`\log(1 + S / \epsilon)`, which is :math:`\log(S + \epsilon)` less a constant
    "power"   :math:`S^p`, ``exponent`` p in (0, 1]
    "none"    S
    ========= ======================================================================================

    The level of a channel, :math:`\epsilon`, is ``floor`` times its mean over the images given to `calibrate`:
    coefficients of all channels are then compressed alike, whatever the strength of their band. Powers need no
    level: :math:`(S / \epsilon)^p` is :math:`S^p` but for a factor, which classifiers of standardised features do
    not see. Noise whose deviation is proportional to S becomes constant by the logarithm; noise whose variance is,
    by the square root.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of an image, H and W >= 16.
    n_scales : int, optional
        J; by default the output has 6 to 11 points on the smaller side (2 for 28 and 32 pixels, 3 for 64).
    n_angles : int
        L.
    max_order : int
        0, 1 or 2.
    nonlinearity : {"log", "power", "none"}
    floor : float
        Of the logarithm: epsilon over the channel's mean.
    exponent : float
        p of the power, in (0, 1].
    contrast : {"none", "standardise"}
        "standardise": each image less its mean, over its standard deviation, over all its colours.

    Raises
    ------
    TypeError, ValueError
        If something is out of range.

    Notes
    -----
    The derivative of a power p < 1 is infinite at S = 0, and taken as 0 there. Source: Bruna and Mallat 2013,
    Oyallon and Mallat 2015 (logarithm); Box and Cox 1964 (powers, with the logarithm as their limit). Cost: that
    of `Scattering2D`, C times.
    """

    floors: torch.Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_scales: int | None = None,
        n_angles: int = 8,
        max_order: int = 2,
        nonlinearity: NonlinearityName = "log",
        floor: float = 0.1,
        exponent: float = 0.5,
        contrast: Contrast = "none",
    ) -> None:
        super().__init__()
        if len(shape) != 3:
            fail("shape", "be (C, H, W)", tuple(shape))
        self.n_colours = integer("shape[0]", shape[0], minimum=1)
        self.size = plane_shape("shape[1:]", shape[1:])
        if not 0 < floor < math.inf:
            fail("floor", "be a number > 0", floor)
        if not 0 < exponent <= 1:
            fail("exponent", "lie in (0, 1]", exponent)
        choice("nonlinearity", nonlinearity, get_args(NonlinearityName))
        choice("contrast", contrast, get_args(Contrast))
        self.nonlinearity, self.floor, self.exponent, self.contrast = nonlinearity, floor, exponent, contrast
        self.scattering = Scattering2D(
            self.size,
            n_scales=default_scales(self.size) if n_scales is None else n_scales,
            n_angles=n_angles,
            max_order=max_order,
        )
        table = self.scattering.table
        self.compressed = [index for index, path in enumerate(table) if path.order > 0]
        self.n_channels = self.n_colours * len(table)
        self.register_buffer("floors", torch.full((self.n_colours, len(table), 1, 1), floor))

    @torch.no_grad()
    def calibrate(self, images: torch.Tensor, *, batch_size: int = 256) -> CompressedScattering:
        """Measure the levels on images (n, C, H, W); at most 1000 of them, equally far apart, are looked at.

        Only the logarithm needs it.
        """
        if self.nonlinearity != "log":
            return self
        chosen = images[np.unique(np.linspace(0, len(images) - 1, _CALIBRATION).round().astype(int))]
        total = torch.zeros_like(self.floors, dtype=torch.float64)
        for part in chosen.split(batch_size):
            raw = self._raw(pixels(part).to(self.floors.device))
            total += raw.mean((-2, -1), keepdim=True, dtype=torch.float64).sum(0)
        mean = total / len(chosen)
        positive = mean[:, self.compressed]
        least = (
            1e-6 * positive.amax().clamp(min=1e-12) if self.compressed else 1e-12
        )  # of a channel without signal
        self.floors.copy_(self.floor * mean.abs().clamp(min=least))
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features (n, ``n_channels``, h, w) of images (n, C, H, W), float32.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not a float32 tensor of that shape.
        """
        real_field("x", x, (self.n_colours, *self.size), dtype=torch.float32)
        raw = self._raw(x)
        if self.nonlinearity != "none" and self.compressed:
            raw = torch.cat([raw[:, :, :1], self._compress(raw[:, :, 1:])], dim=2)
        return raw.flatten(1, 2)

    @torch.no_grad()
    def batched(self, images: torch.Tensor, *, batch_size: int = 256) -> torch.Tensor:
        """Return the features of images (n, C, H, W), uint8 or float32, on the CPU, batch by batch."""
        device = self.floors.device
        parts = [self(pixels(part).to(device)).cpu() for part in images.split(batch_size)]
        return torch.cat(parts)

    def _compress(self, high: torch.Tensor) -> torch.Tensor:
        """Return the non-linearity of orders 1 and 2, which rounding may have made negative."""
        if self.nonlinearity == "log":
            return torch.log1p(high.clamp(min=0) / self.floors[:, 1:])
        least = torch.finfo(high.dtype).tiny
        return torch.where(high > least, high.clamp(min=least) ** self.exponent, 0.0)

    def _raw(self, x: torch.Tensor) -> torch.Tensor:
        if self.contrast == "standardise":
            mean = x.mean((1, 2, 3), keepdim=True)
            deviation = (x - mean).square().mean((1, 2, 3), keepdim=True).sqrt()
            x = (x - mean) / deviation.clamp(min=1e-4)
        found: torch.Tensor = self.scattering(x)
        return found


def default_scales(size: Sequence[int]) -> int:
    """Return J so that the smaller side has 6 to 11 output points (fewer of sides of 16 to 22 pixels at J = 1)."""
    return max(1, round(math.log2(min(size) / 8)))


def pixels(images: torch.Tensor) -> torch.Tensor:
    """Return images as float32: bytes over 255, floats as they are."""
    return images.to(torch.float32) / 255 if images.dtype == torch.uint8 else images.to(torch.float32)


def image_tensor(X: Any, shape: Sequence[int] | None = None) -> torch.Tensor:
    """Return images as a tensor (n, C, H, W), uint8 or floating.

    Parameters
    ----------
    X : torch.Tensor or array
        (n, C, H, W) or (n, H, W).
    shape : sequence of int, optional
        The (C, H, W) that they must have.

    Raises
    ------
    TypeError
        If they are neither uint8 nor floating.
    ValueError
        If they have another shape, or hold NaN or infinity.
    """
    images = X if isinstance(X, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(X))
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or len(images) == 0:
        fail("X", "be images (n, H, W) or (n, C, H, W), n >= 1", tuple(images.shape))
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"`X` must be uint8 or floating, got {images.dtype}")
    if shape is not None and tuple(images.shape[1:]) != tuple(shape):
        fail("X", f"be images of (C, H, W) = {tuple(shape)} as in the fit", tuple(images.shape[1:]))
    if images.is_floating_point() and not bool(torch.isfinite(images).all()):
        raise ValueError("`X` must be finite, got NaN or infinite values")
    return images


class ScatteringFeatures(TransformerMixin, BaseEstimator):
    """`CompressedScattering` as a scikit-learn transformer: images to rows of features.

    Parameters
    ----------
    n_scales, n_angles, max_order, nonlinearity, floor, exponent, contrast
        As those of `CompressedScattering`.
    batch_size : int
        Images at a time.
    device : str
        Where to compute.

    Attributes
    ----------
    scattering_ : CompressedScattering
    shape_ : tuple of int
        (C, H, W) of the images of the fit.
    """

    def __init__(
        self,
        n_scales: int | None = None,
        n_angles: int = 8,
        max_order: int = 2,
        nonlinearity: NonlinearityName = "log",
        floor: float = 0.1,
        exponent: float = 0.5,
        contrast: Contrast = "none",
        batch_size: int = 256,
        device: str = "cpu",
    ) -> None:
        self.n_scales = n_scales
        self.n_angles = n_angles
        self.max_order = max_order
        self.nonlinearity = nonlinearity
        self.floor = floor
        self.exponent = exponent
        self.contrast = contrast
        self.batch_size = batch_size
        self.device = device

    def fit(self, X: Any, y: Any = None) -> ScatteringFeatures:
        """Build the transform for the images' shape and measure the levels of its logarithm.

        Raises
        ------
        TypeError, ValueError
            If the images or a parameter are out of range.
        """
        images = image_tensor(X)
        integer("batch_size", self.batch_size, minimum=1)
        self.build(tuple(images.shape[1:]))
        self.scattering_.calibrate(images, batch_size=self.batch_size)
        return self

    def build(self, shape: Sequence[int]) -> ScatteringFeatures:
        """Make the transform for images (C, H, W), its levels not measured yet."""
        self.shape_ = tuple(shape)
        self.scattering_ = CompressedScattering(
            self.shape_,
            n_scales=self.n_scales,
            n_angles=self.n_angles,
            max_order=self.max_order,
            nonlinearity=self.nonlinearity,
            floor=self.floor,
            exponent=self.exponent,
            contrast=self.contrast,
        ).to(self.device)
        return self

    def maps(self, X: Any) -> torch.Tensor:
        """Return the features of images as float32 (n, channels, h, w), on the CPU.

        Raises
        ------
        TypeError, ValueError
            If the images are not like those of the fit.
        """
        check_is_fitted(self, "scattering_")
        return self.scattering_.batched(image_tensor(X, self.shape_), batch_size=self.batch_size)

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of images as float32 rows (n, p), p = channels times points.

        Raises
        ------
        TypeError, ValueError
            If the images are not like those of the fit.
        """
        return self.maps(X).flatten(1).numpy()
