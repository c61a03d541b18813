"""Frechet distance between sets of images, without the weights of a network."""

from __future__ import annotations

import torch

from phasewave.checks import fail, finite
from phasewave.images.judge_features import JudgeFeatures


def gaussian_distance(
    mean_a: torch.Tensor, covariance_a: torch.Tensor, mean_b: torch.Tensor, covariance_b: torch.Tensor
) -> float:
    r"""Squared 2-Wasserstein distance of two normal laws.

    .. math:: |\mu_a - \mu_b|^2 + \mathrm{tr}(A + B - 2 (A^{1/2} B A^{1/2})^{1/2})

    Parameters
    ----------
    mean_a, mean_b : torch.Tensor (d,)
    covariance_a, covariance_b : torch.Tensor (d, d)
        Symmetric, non-negative; they may be singular.

    Returns
    -------
    float
        At least 0; computed in float64.
    """
    a, b = covariance_a.double(), covariance_b.double()
    values, vectors = torch.linalg.eigh(a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.mT
    cross = torch.linalg.eigvalsh(root @ b @ root).clamp_min(0).sqrt().sum()
    shift = (mean_a.double() - mean_b.double()).square().sum()
    return max(0.0, float(shift + a.trace() + b.trace() - 2 * cross))


def frechet_distance(features_a: torch.Tensor, features_b: torch.Tensor) -> float:
    """Frechet distance of two samples: `gaussian_distance` of their means and covariances.

    Biased upwards by about ``(1/n_a + 1/n_b)`` times a factor of the features' spectrum: compare only figures
    at equal numbers, and beside the distance of two samples of the same law (the floor).

    Parameters
    ----------
    features_a, features_b : torch.Tensor (n_a, d), (n_b, d)
        At least two rows each.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If shapes do not fit, rows are too few or values are not finite.
    """
    for name, features in (("features_a", features_a), ("features_b", features_b)):
        if features.ndim != 2 or len(features) < 2:
            fail(name, "have the shape (n >= 2, d)", tuple(features.shape))
        finite(name, features)
    if features_a.shape[1] != features_b.shape[1]:
        fail("features_b", f"have {features_a.shape[1]} columns as `features_a`", features_b.shape[1])
    moments = [
        (part.mean(0), torch.cov(part.mT).reshape(part.shape[1], part.shape[1]))
        for part in (features_a.double(), features_b.double())
    ]
    return gaussian_distance(*moments[0], *moments[1])


class FrechetDistance:
    """Frechet distance of sets of images in the features of `JudgeFeatures`, which the training images fix.

    Parameters
    ----------
    train_images : torch.Tensor (n, C, H, W)
        Float of values in [0, 1], or uint8.
    n_components : int
    n_scales, n_angles : int
    fraction : float
    n_fit : int
    seed : int
        See `JudgeFeatures`.

    Attributes
    ----------
    features : JudgeFeatures
        The map, for other measures in the same features.

    Examples
    --------
    >>> import torch
    >>> images = torch.rand(300, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> distance = FrechetDistance(images[:200], n_components=8)
    >>> distance(images[:100], images[:100]) < 1e-9
    True
    >>> distance(images[200:], images[:100]) < distance(images[200:] / 2, images[:100])
    True
    """

    def __init__(
        self,
        train_images: torch.Tensor,
        *,
        n_components: int = 64,
        n_scales: int = 2,
        n_angles: int = 8,
        fraction: float = 0.01,
        n_fit: int = 4000,
        seed: int = 0,
    ) -> None:
        self.features = JudgeFeatures(
            train_images,
            n_components=n_components,
            n_scales=n_scales,
            n_angles=n_angles,
            fraction=fraction,
            n_fit=n_fit,
            seed=seed,
        )

    def __call__(self, images_a: torch.Tensor, images_b: torch.Tensor) -> float:
        """Return the distance of two sets of images, at least two each.

        Raises
        ------
        TypeError, ValueError
            If they are not images like the training images.
        """
        return frechet_distance(self.features(images_a, name="images_a"), self.features(images_b, name="images_b"))
