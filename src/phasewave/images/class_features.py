"""Features to compare sets of images in: the last layer but one of a small classifier of the same images."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.images.image_batches import as_float, check_images, draw, float_batches
from phasewave.images.network_parts import StridedConvolution, halved_sizes, image_shape
from phasewave.runs.network_training import train_network
from phasewave.runs.trainable import TrainableNetwork, draw_weights
from phasewave.runs.training_records import TrainingEnd, TrainingProgress, TrainingSettings

N_FEATURES = 64
EPOCHS = 12
"""Most epochs of a classifier's training."""
_UNIT = 5000  # training images that set the unit of distances


class ClassNetwork(TrainableNetwork):
    """Strided 5 x 5 convolutions down to 4 pixels a side, 64 rectified features, classes; cross-entropy.

    Parameters
    ----------
    size : int or (int, int)
        Height and width, each >= 8.
    n_classes : int
        At least 2.
    n_channels : int
        1 or 3.
    width : int
        Maps after the first convolution; twice as many after each further one.
    seed : int
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        n_classes: int,
        *,
        n_channels: int = 1,
        width: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.n_classes = integer("n_classes", n_classes, minimum=2)
        integer("width", width, minimum=1)
        self.n_channels, self.size = image_shape(size, n_channels)
        *_, last = sizes = halved_sizes(self.size)
        widths = [self.n_channels, *(width * 2**k for k in range(len(sizes) - 1))]
        with torch.device("meta"):
            pairs = itertools.pairwise(widths)
            self.convolutions = nn.Sequential(*(StridedConvolution(a, b) for a, b in pairs))
            self.read = nn.Linear(widths[-1] * last[0] * last[1], N_FEATURES)
            self.tell = nn.Linear(N_FEATURES, n_classes)
        draw_weights(self, seed=seed)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features (n, 64) of images (n, C, H, W), uint8 or float in [0, 1]."""
        return self.read(self.convolutions(as_float(images).float() - 0.5).flatten(1)).relu()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores (n, n_classes) of images."""
        return self.tell(self.features(images))

    def losses(self, *parts: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """Return the cross-entropy (n,) of a batch (images, labels)."""
        images, labels = parts
        return nn.functional.cross_entropy(self(images), labels, reduction="none")


class ClassFeatures:
    """The features of a trained `ClassNetwork`, in units of their deviation along their first principal axis.

    Parameters
    ----------
    network : ClassNetwork
        Trained.
    images : torch.Tensor (n, C, H, W)
        That set the unit: training images.
    """

    def __init__(self, network: ClassNetwork, images: torch.Tensor) -> None:
        self.network = network.eval()
        self._unit = 1.0
        covariance = torch.cov(self(images).mT)
        self._unit = float(torch.linalg.eigvalsh(covariance)[-1].clamp_min(1e-12).sqrt())

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features, float64 ``(n, 64)`` on the CPU, of images (n, C, H, W)."""
        where = self.network.read.weight.device
        parts = [self.network.features(batch.to(where)) for batch in float_batches(images)]
        return torch.cat(parts).double().cpu() / self._unit

    @torch.no_grad()
    def accuracy(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Return the share of images whose class is told right."""
        where = self.network.read.weight.device
        told = torch.cat([self.network(batch.to(where)).argmax(1).cpu() for batch in float_batches(images)])
        return float((told == labels).double().mean())


def learn_classes(
    train: tuple[torch.Tensor, torch.Tensor],
    validation: tuple[torch.Tensor, torch.Tensor],
    *,
    seed: int = 0,
    max_epochs: int = EPOCHS,
    checkpoint: str | os.PathLike[str] | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[TrainingProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> ClassFeatures:
    """Train a classifier, and return its features.

    Parameters
    ----------
    train, validation : (torch.Tensor (n, C, H, W), torch.Tensor (n,))
        Images and their labels, 0 and up. The training ends when the loss of the latter settles.
    seed : int
    max_epochs : int
    checkpoint, progress, stop
        Of `train_network`.
    device : torch.device or str

    Raises
    ------
    ValueError
        If there are fewer than two classes, or images and labels do not fit.
    KeyboardInterrupt
        If ``stop`` says so.
    """
    for name, (images, labels) in (("train", train), ("validation", validation)):
        check_images(name, images, like=train[0], minimum=1)
        if len(labels) != len(images) or bool((labels < 0).any()):
            fail(name, f"have one label >= 0 for each of {len(images)} images", len(labels))
    n_classes = 1 + max(int(labels.max()) for _, labels in (train, validation))
    _, n_channels, height, width = train[0].shape
    network = ClassNetwork((height, width), n_classes, n_channels=n_channels, seed=seed).to(device)
    settings = TrainingSettings(patience=2, n_falls=1, max_epochs=max_epochs, seed=seed)
    result = train_network(
        network, train, validation, settings=settings, checkpoint=checkpoint, progress=progress, stop=stop
    )
    if result.end is TrainingEnd.INTERRUPTED:
        raise KeyboardInterrupt
    return ClassFeatures(network, draw(train[0], _UNIT, seed=seed))


def class_record(features: ClassFeatures, test: tuple[torch.Tensor, torch.Tensor]) -> dict[str, Any]:
    """Return what is to be known of the classifier, as plain values."""
    return {"n_classes": features.network.n_classes, "accuracy": features.accuracy(*test)}
