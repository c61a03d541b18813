"""All measures of reconstructed and generated images, beside what real images give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from phasewave.checks import fail, integer
from phasewave.images.frechet import FrechetDistance, frechet_distance
from phasewave.images.gaussianity import gaussianity
from phasewave.images.image_batches import check_images, draw
from phasewave.images.metrics import psnr, ssim
from phasewave.images.neighbours import (
    density_coverage,
    memorisation_ratio,
    nearest,
    nearest_images,
    precision_recall,
)

_FEWEST = 10

DEFINITIONS = {
    "n": "images in each sample compared; all figures but psnr and ssim depend on it, so compare at equal n",
    "frechet": "Frechet distance to n training images drawn by the seed, in the leading principal components of "
    "log-scattering (J = 2, L = 8) of the training images; unit: their variance along the first component",
    "frechet_to_test": "the same to n test images; for reconstructions of those very images it has no floor",
    "precision": "share of images within reach (3rd neighbour) of the training images drawn, same features",
    "recall": "share of the training images drawn within reach (3rd neighbour) of the images",
    "density": "mean number of training images drawn whose reach (5th neighbour) holds an image, over 5",
    "coverage": "share of the training images drawn whose reach (5th neighbour) holds an image",
    "memorisation_pixels": "mean distance to the nearest training image over that of test images, pixels at mean "
    "0 and deviation 1 per image; 0 for copies",
    "memorisation_features": "the same in the features of the Frechet distance",
    "psnr": "mean over images of -10 log10 mean squared error, dB, values in [0, 1]",
    "ssim": "structural similarity, Gaussian window of 11 pixels and deviation 1.5, mean over images",
    "floor": "what the test images themselves give in place of generated ones",
    "codes": "Gaussianity of the codes given; see phasewave.images.gaussianity",
}
"""What each figure of `evaluate_images` is."""


def evaluate_images(
    train: torch.Tensor,
    test: torch.Tensor,
    *,
    reconstructions: torch.Tensor | None = None,
    train_reconstructions: torch.Tensor | None = None,
    generated: torch.Tensor | Mapping[str, torch.Tensor] | None = None,
    codes: torch.Tensor | None = None,
    judge: FrechetDistance | None = None,
    n_neighbours: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure reconstructed and generated images, with floors.

    Parameters
    ----------
    train, test : torch.Tensor (n, C, H, W)
        Real images: those that the model was trained on, and others.
    reconstructions : torch.Tensor, optional
        Of all of ``test``, in their order.
    train_reconstructions : torch.Tensor, optional
        Of the first ``len(train_reconstructions)`` of ``train``, in their order.
    generated : torch.Tensor or mapping of str to torch.Tensor, optional
        Images from noise; several sets, each under its name, for several ways to draw codes.
    codes : torch.Tensor (m, d), optional
        Codes of the test images.
    judge : FrechetDistance, optional
        Made of ``train`` before; made here if not given. Keep one for several models.
    n_neighbours : int
        At most so many training images, drawn by ``seed``, among which nearest neighbours are looked for.
    seed : int

    Returns
    -------
    dict
        JSON-able: ``n``; ``floor``; ``reconstructed`` and ``generated`` if asked for (one dict per set where a
        mapping was given); ``codes``; and ``definitions``, what each figure is. n is the least number of images
        of any sample.

    Raises
    ------
    TypeError, ValueError
        If the images do not fit together or are too few: n at least 10.

    Notes
    -----
    All images: float of values in [0, 1], or uint8. Cost: a scattering of each image (with ``n_neighbours``
    training images) and the distances between the samples.
    """
    integer("n_neighbours", n_neighbours, minimum=1)
    several = isinstance(generated, Mapping)
    made = {} if generated is None else dict(generated) if isinstance(generated, Mapping) else {"": generated}
    real = {"train": train, "test": test}
    for name, images in {**real, **{f"generated {name}".strip(): images for name, images in made.items()}}.items():
        check_images(name, images, like=train, minimum=_FEWEST)
    n = min(len(images) for images in (train, test, *made.values()))
    samples = _Samples(
        FrechetDistance(train, seed=seed) if judge is None else judge,
        train,
        test,
        n=n,
        n_neighbours=n_neighbours,
        seed=seed,
    )
    result: dict[str, Any] = {"n": n, "n_train": len(train), "n_test": len(test), "floor": samples.floor()}
    reconstructed: dict[str, float] = {}
    if reconstructions is not None:
        if len(reconstructions) != len(test):
            fail("reconstructions", f"be {len(test)} images as `test`", len(reconstructions))
        reconstructed |= {"psnr": _mean(psnr(reconstructions, test)), "ssim": _mean(ssim(reconstructions, test))}
        reconstructed |= samples.laws(samples.features(reconstructions))
    if train_reconstructions is not None:
        if len(train_reconstructions) > len(train):
            fail("train_reconstructions", f"be of at most {len(train)} images", len(train_reconstructions))
        originals = train[: len(train_reconstructions)]
        reconstructed["psnr_train"] = _mean(psnr(train_reconstructions, originals))
        reconstructed["ssim_train"] = _mean(ssim(train_reconstructions, originals))
    if reconstructed:
        result["reconstructed"] = reconstructed
    figures = {name: samples.all(images) for name, images in made.items()}
    if figures:
        result["generated"] = figures if several else figures[""]
    if codes is not None:
        result["codes"] = asdict(gaussianity(codes, seed=seed))
    return {**result, "definitions": DEFINITIONS}


class _Samples:
    """Real images of which generated ones are compared, and their features."""

    def __init__(
        self,
        judge: FrechetDistance,
        train: torch.Tensor,
        test: torch.Tensor,
        *,
        n: int,
        n_neighbours: int,
        seed: int,
    ) -> None:
        self.judge, self.n, self.seed = judge, n, seed
        self.neighbours = draw(train, n_neighbours, seed=seed)
        self.neighbour_features = judge.features(self.neighbours)
        self.real = self.features(train)
        self.test = self.features(test)
        self.test_distances = self._distances(draw(test, n, seed=seed), self.test)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of n of the images."""
        return self.judge.features(draw(images, self.n, seed=self.seed))

    def floor(self) -> dict[str, float]:
        """Return what the test images give in place of generated ones."""
        figures = self.laws(self.test)
        del figures["frechet_to_test"]  # of themselves
        return figures

    def laws(self, features: torch.Tensor) -> dict[str, float]:
        """Return what compares a sample with the real samples."""
        precision, recall = precision_recall(self.real, features)
        density, coverage = density_coverage(self.real, features)
        return {
            "frechet": frechet_distance(features, self.real),
            "frechet_to_test": frechet_distance(features, self.test),
            "precision": precision,
            "recall": recall,
            "density": density,
            "coverage": coverage,
        }

    def all(self, images: torch.Tensor) -> dict[str, float]:
        """Return every measure of generated images."""
        features = self.features(images)
        pixels, found = self._distances(draw(images, self.n, seed=self.seed), features)
        return {
            **self.laws(features),
            "memorisation_pixels": memorisation_ratio(pixels, self.test_distances[0]),
            "memorisation_features": memorisation_ratio(found, self.test_distances[1]),
        }

    def _distances(self, images: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the distances to the nearest training image, in pixels and in features."""
        return nearest_images(images, self.neighbours)[0], nearest(features, self.neighbour_features)[0]


def _mean(values: torch.Tensor) -> float:
    return float(values.double().mean())
