"""Baseline: a normal law on the leading principal components of the pixels."""

from __future__ import annotations

import torch

from phasewave.checks import fail, integer
from phasewave.images.image_batches import BATCH_SIZE, as_float, check_images, float_batches
from phasewave.images.principal_axes import principal_axes


class PixelGaussian:
    """``x = m + V diag(s) w`` with w white noise of dimension d; the code of an image is its own ``w``.

    Parameters
    ----------
    train_images : torch.Tensor (n, C, H, W)
        Float of values in [0, 1], or uint8; more than ``code_dim`` of them.
    code_dim : int
        The dimension d.

    Raises
    ------
    TypeError, ValueError
        If the images are not such, too few, or do not vary in ``code_dim`` directions.

    Notes
    -----
    Images leave `decode`, and so `reconstruct` and `generate`, cut to [0, 1]. Cost of fitting: one pass over
    the images in batches; memory ``C H W (code_dim + 506)`` float64.
    """

    def __init__(self, train_images: torch.Tensor, *, code_dim: int = 256) -> None:
        integer("code_dim", code_dim, minimum=1)
        check_images("train_images", train_images, minimum=code_dim + 1)
        rows = (part.double().flatten(1) for part in float_batches(train_images))
        found = principal_axes(rows, kept=code_dim + BATCH_SIZE)
        if len(found.variances) < code_dim:
            fail("train_images", f"vary in `code_dim` = {code_dim} directions", len(found.variances))
        self.code_dim = code_dim
        self._like = train_images.new_empty(0, *train_images.shape[1:])
        self._mean = found.mean
        self._axes = found.axes[:, :code_dim]
        self._scales = found.variances[:code_dim].sqrt()

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return the codes (n, d), float32, of images (n, C, H, W).

        Raises
        ------
        TypeError, ValueError
            If they are not images like the training images.
        """
        check_images("images", images, like=self._like)
        rows = as_float(images).double().flatten(1)
        return ((rows - self._mean) @ self._axes / self._scales).float()

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the images (n, C, H, W), float32 in [0, 1], of codes (n, d).

        Raises
        ------
        ValueError
            If the shape is wrong.
        """
        if codes.ndim != 2 or codes.shape[1] != self.code_dim:
            fail("codes", f"have the shape (n, {self.code_dim})", tuple(codes.shape))
        rows = (codes.double() * self._scales) @ self._axes.T + self._mean
        return rows.float().clamp(0, 1).reshape(-1, *self._like.shape[1:])

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images of the codes of images."""
        return self.decode(self.encode(images))

    def generate(self, n_images: int, *, seed: int) -> torch.Tensor:
        """Return images (n_images, C, H, W) of white noise."""
        integer("n_images", n_images, minimum=1)
        noise = torch.randn(n_images, self.code_dim, generator=torch.Generator().manual_seed(seed))
        return self.decode(noise.to(self._mean.device))
