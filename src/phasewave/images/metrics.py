"""How near an image is to another: PSNR and SSIM."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from phasewave.checks import fail
from phasewave.images.image_batches import check_images, float_batches

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def psnr(images: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio of each image, dB.

    ``-10 log10 mean (x - y)^2`` for values in [0, 1]. For a set, give the mean over images of this, not the
    ratio of the mean error. Equal images have an infinite one.

    Parameters
    ----------
    images, references : torch.Tensor (n, C, H, W)
        Of one shape; float of values in [0, 1], or uint8.

    Returns
    -------
    torch.Tensor (n,)
        Float64.

    Raises
    ------
    TypeError, ValueError
        If they are not images, or not of one shape.
    """
    parts = [(x - y).square().flatten(1).mean(1) for x, y in _pairs(images, references)]
    return -10 * torch.cat(parts).log10()


def ssim(images: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    r"""Structural similarity of each image, at most 1.

    The mean over positions and colour planes of

    .. math::

        \frac{(2 \mu_x \mu_y + c_1)(2 \sigma_{xy} + c_2)}{(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}

    with means, variances and covariance in a Gaussian window of 11 x 11 pixels and deviation 1.5, at the positions
    where it fits inside; :math:`c_1 = .01^2`, :math:`c_2 = .03^2` for values in [0, 1].

    Parameters
    ----------
    images, references : torch.Tensor (n, C, H, W)
        Of one shape, sides >= 11; float of values in [0, 1], or uint8.

    Returns
    -------
    torch.Tensor (n,)
        Float64.

    Raises
    ------
    TypeError, ValueError
        If they are not images, not of one shape, or too small.

    Notes
    -----
    Source: Wang et al. 2004. Equal to scikit-image's with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1``.
    """
    check_images("images", images)
    if min(images.shape[-2:]) < _WINDOW:
        fail("images", f"have sides >= {_WINDOW}", tuple(images.shape[-2:]))
    return torch.cat([_batch_ssim(x, y) for x, y in _pairs(images, references)])


def _batch_ssim(images: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    x, y = (part.flatten(0, 1)[:, None] for part in (images, references))
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x * x) - mean_x**2 + _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (variances + _C2)
    return (light * structure).reshape(*images.shape[:2], -1).mean((1, 2))


def _windowed(x: torch.Tensor) -> torch.Tensor:
    offsets = torch.arange(_WINDOW, dtype=x.dtype, device=x.device) - _WINDOW // 2
    window = torch.softmax(-(offsets**2) / (2 * _SIGMA**2), dim=0)
    rows = torch.nn.functional.conv2d(x, window[None, None, :, None])
    return torch.nn.functional.conv2d(rows, window[None, None, None, :])


def _pairs(images: torch.Tensor, references: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches of both in float64."""
    check_images("images", images)
    check_images("references", references, like=images)
    if len(images) != len(references):
        fail("references", f"be {len(images)} images as `images`", len(references))
    for x, y in zip(float_batches(images), float_batches(references), strict=True):
        yield x.double(), y.double()
