"""All measures of reconstructed and generated images, beside what real images give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    "frechet_classes": "the distance to the n training images in the last layer but one of a classifier of the "
    "training images (where they have labels); unit: their variance along the first component there",
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


class ImageJudge:
    """Real images that made ones are measured against; what depends on the real ones alone is computed once.

    Parameters
    ----------
    train, test : torch.Tensor (n, C, H, W)
        Real images, float of values in [0, 1] or uint8: those that the models were trained on, and others.
    n_images : int, optional
        How many images of each kind are compared; by default as many as there are of the rarer kind.
    n_neighbours : int
        At most so many training images, drawn by ``seed``, among which nearest neighbours are looked for.
    seed : int
        Of all draws.
    classes : callable, optional
        Further features, ``(n, d)`` of n images, in which the Frechet distance is taken too: those of
        `phasewave.images.class_features.learn_classes`.

    Attributes
    ----------
    distance : FrechetDistance
        And so ``distance.features``.
    n_images : int
    floor : dict
        What the test images give in place of generated ones.

    Raises
    ------
    TypeError, ValueError
        If the images do not fit together, or are under 65 training or 10 test images.

    Notes
    -----
    Cost: two scatterings of the training images (at most 4000 and ``n_neighbours`` of them).
    """

    def __init__(
        self,
        train: torch.Tensor,
        test: torch.Tensor,
        *,
        n_images: int | None = None,
        n_neighbours: int = 10_000,
        seed: int = 0,
        classes: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        integer("n_neighbours", n_neighbours, minimum=1)
        check_images("train", train, minimum=_FEWEST)
        check_images("test", test, like=train, minimum=_FEWEST)
        most = min(len(train), len(test))
        self.n_images = most if n_images is None else integer("n_images", n_images, minimum=_FEWEST, maximum=most)
        self.train, self.test, self.seed = train, test, seed
        self.distance = FrechetDistance(train, seed=seed)
        self._neighbours = draw(train, n_neighbours, seed=seed)
        self._neighbour_features = self.distance.features(self._neighbours)
        self._train_features = self._features(train)
        self._test_features = self._features(test)
        self._classes = classes
        self._train_classes = None if classes is None else classes(self._drawn(train))
        self._test_distances = self._distances(test, self._test_features)
        self.floor = self._laws(test, self._test_features)
        del self.floor["frechet_to_test"]  # of themselves

    def reconstructed(
        self, reconstructions: torch.Tensor, train_reconstructions: torch.Tensor | None = None
    ) -> dict[str, float]:
        """Return the measures of the reconstructions of all test images, and of the first training images.

        Raises
        ------
        TypeError, ValueError
            If they are not images like the others, or not as many.
        """
        check_images("reconstructions", reconstructions, like=self.train)
        if len(reconstructions) != len(self.test):
            fail("reconstructions", f"be {len(self.test)} images as `test`", len(reconstructions))
        found = {
            "psnr": float(psnr(reconstructions, self.test).mean()),
            "ssim": float(ssim(reconstructions, self.test).mean()),
            **self._laws(reconstructions, self._features(reconstructions)),
        }
        if train_reconstructions is not None:
            if len(train_reconstructions) > len(self.train):
                fail("train_reconstructions", f"be at most {len(self.train)} images", len(train_reconstructions))
            originals = self.train[: len(train_reconstructions)]
            found["psnr_train"] = float(psnr(train_reconstructions, originals).mean())
            found["ssim_train"] = float(ssim(train_reconstructions, originals).mean())
        return found

    def generated(self, images: torch.Tensor, *, name: str = "generated") -> dict[str, float]:
        """Return the measures of generated images, at least ``n_images`` of them; ``name`` is for messages.

        Raises
        ------
        TypeError, ValueError
            If they are not images like the others, or too few.
        """
        check_images(name, images, like=self.train, minimum=self.n_images)
        features = self._features(images)
        pixels, found = self._distances(images, features)
        return {
            **self._laws(images, features),
            "memorisation_pixels": memorisation_ratio(pixels, self._test_distances[0]),
            "memorisation_features": memorisation_ratio(found, self._test_distances[1]),
        }

    def _drawn(self, images: torch.Tensor) -> torch.Tensor:
        return draw(images, self.n_images, seed=self.seed)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        return self.distance.features(self._drawn(images))

    def _laws(self, images: torch.Tensor, features: torch.Tensor) -> dict[str, float]:
        """Return what compares a sample with the real samples."""
        precision, recall = precision_recall(self._train_features, features)
        density, coverage = density_coverage(self._train_features, features)
        further = {}
        if self._classes is not None and self._train_classes is not None:
            further["frechet_classes"] = frechet_distance(self._classes(self._drawn(images)), self._train_classes)
        return {
            **further,
            "frechet": frechet_distance(features, self._train_features),
            "frechet_to_test": frechet_distance(features, self._test_features),
            "precision": precision,
            "recall": recall,
            "density": density,
            "coverage": coverage,
        }

    def _distances(self, images: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the distances to the nearest training image, in pixels and in features."""
        pixels = nearest_images(self._drawn(images), self._neighbours)[0]
        return pixels, nearest(features, self._neighbour_features)[0]


def evaluate_images(
    train: torch.Tensor,
    test: torch.Tensor,
    *,
    reconstructions: torch.Tensor | None = None,
    train_reconstructions: torch.Tensor | None = None,
    generated: torch.Tensor | Mapping[str, torch.Tensor] | None = None,
    codes: torch.Tensor | None = None,
    n_neighbours: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure reconstructed and generated images, with floors. Several models: make one `ImageJudge` instead.

    Parameters
    ----------
    train, test : torch.Tensor (n, C, H, W)
        Real images: those that the model was trained on, and others. All images: float of values in [0, 1],
        or uint8.
    reconstructions : torch.Tensor, optional
        Of all of ``test``, in their order.
    train_reconstructions : torch.Tensor, optional
        Of the first ``len(train_reconstructions)`` of ``train``, in their order; with ``reconstructions``.
    generated : torch.Tensor or mapping of str to torch.Tensor, optional
        Images from noise; several sets, each under its name, for several ways to draw codes.
    codes : torch.Tensor (m, d), optional
        Codes of the test images.
    n_neighbours : int
    seed : int
        See `ImageJudge`.

    Returns
    -------
    dict
        JSON-able: ``n`` (the least number of images of train, test and generated sets), ``n_train``, ``n_test``;
        ``floor``; ``reconstructed`` and ``generated`` if given (a dict per set where a mapping was given);
        ``codes``; ``definitions``: what each figure is.

    Raises
    ------
    TypeError, ValueError
        If the images do not fit together or are too few.
    """
    if train_reconstructions is not None and reconstructions is None:
        fail("train_reconstructions", "come with `reconstructions`", "it alone")
    check_images("train", train)
    check_images("test", test, like=train)
    several = isinstance(generated, Mapping)
    made = {} if generated is None else dict(generated) if isinstance(generated, Mapping) else {"": generated}
    names = {key: f"generated {key}".strip() for key in made}
    for key, images in made.items():
        check_images(names[key], images, like=train, minimum=_FEWEST)
    n = min(len(images) for images in (train, test, *made.values()))
    judge = ImageJudge(train, test, n_images=n, n_neighbours=n_neighbours, seed=seed)
    result: dict[str, Any] = {"n": n, "n_train": len(train), "n_test": len(test), "floor": judge.floor}
    if reconstructions is not None:
        result["reconstructed"] = judge.reconstructed(reconstructions, train_reconstructions)
    if made:
        figures = {key: judge.generated(images, name=names[key]) for key, images in made.items()}
        result["generated"] = figures if several else figures[""]
    if codes is not None:
        result["codes"] = asdict(gaussianity(codes, seed=seed))
    return {**result, "definitions": DEFINITIONS}
