"""Neural collapse over the training of a small network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from phasewave.checks import integer
from phasewave.diagnostics.collapse import NeuralCollapse, neural_collapse
from phasewave.diagnostics.reference_networks import small_cnn, train_classifier
from phasewave.diagnostics.representations import layer_inputs


@dataclass(frozen=True)
class CollapseEpoch:
    """State of a training after some epochs.

    Attributes
    ----------
    epoch : int
    loss : float
        Mean training loss of the epoch.
    train_accuracy, test_accuracy : float
    collapse : NeuralCollapse
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    collapse: NeuralCollapse

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        return {
            "epoch": self.epoch,
            "loss": self.loss,
            "train_accuracy": self.train_accuracy,
            "test_accuracy": self.test_accuracy,
            **self.collapse.record(),
        }


@dataclass(frozen=True)
class Projection:
    """Training features of three classes on the plane of their means.

    Attributes
    ----------
    epoch : int
    points : torch.Tensor (n, 2)
        In units of the mean distance of a class mean from their centre.
    means : torch.Tensor (3, 2)
    weights : torch.Tensor (3, 2)
        Rows of the classifier about their mean, at the mean size 1.
    labels : torch.Tensor (n,)
        0, 1, 2.
    """

    epoch: int
    points: torch.Tensor
    means: torch.Tensor
    weights: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class CollapseStudy:
    """Measures over a training.

    Attributes
    ----------
    epochs : tuple of CollapseEpoch
        At epochs that are about equally spaced on a logarithmic scale.
    projections : tuple of Projection
        After the first epoch, half-way on that scale, and at the end.
    """

    epochs: tuple[CollapseEpoch, ...]
    projections: tuple[Projection, ...]

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        return {"epochs": [one.record() for one in self.epochs]}


def collapse_study(
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    *,
    epochs: int,
    width: int = 16,
    n_measures: int = 24,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CollapseStudy:
    """Train a small CNN and measure NC1-NC4 of its last features on the way.

    Parameters
    ----------
    train, test : pairs of torch.Tensor (n, C, H, W), (n,)
        Images and labels 0 to C - 1, each of which occurs in training.
    epochs : int
        At least 1; collapse shows long after the training error is zero.
    width : int
        Of the network, see `phasewave.diagnostics.reference_networks.small_cnn`.
    n_measures : int
        About so many epochs are measured.
    seed : int
        Of weights and order.
    progress : callable, optional
        Called with the number of epochs done and of all.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range or a label does not occur.

    Notes
    -----
    Cost: the training, and one pass of all images at each measured epoch.
    """
    integer("epochs", epochs, minimum=1)
    integer("n_measures", n_measures, minimum=1)
    n_classes = int(train[1].max()) + 1
    network = small_cnn(train[0].shape[1:], n_classes, width=width, seed=seed).to(train[0].device)
    measured = {round(epochs ** (k / max(1, n_measures - 1))) for k in range(n_measures)} | {epochs}
    middle = min(measured, key=lambda epoch: abs(epoch - epochs**0.5))
    kept: list[CollapseEpoch] = []
    projections: list[Projection] = []

    def after(epoch: int, loss: float) -> None:
        if progress is not None:
            progress(epoch, epochs)
        if epoch not in measured:
            return
        found, features = _measure(network, train, test, epoch, loss)
        kept.append(found)
        if epoch in (1, middle, epochs) and n_classes > 2:
            last = cast(nn.Linear, network[-1])
            projections.append(_project(epoch, features, train[1], last.weight.detach()))

    train_classifier(network, *train, epochs=epochs, seed=seed, after=after)
    return CollapseStudy(tuple(kept), tuple(projections))


def _measure(
    network: nn.Sequential,
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    epoch: int,
    loss: float,
) -> tuple[CollapseEpoch, torch.Tensor]:
    last = cast(nn.Linear, network[-1])
    features, test_features = (layer_inputs(network, last, images) for images, _ in (train, test))
    with torch.no_grad():
        right = [
            float((last(rows).argmax(1) == labels).double().mean())
            for rows, labels in ((features, train[1]), (test_features, test[1]))
        ]
    measures = neural_collapse(features, train[1], weight=last.weight, bias=last.bias, test_features=test_features)
    return CollapseEpoch(epoch, loss, right[0], right[1], measures), features


def _project(epoch: int, features: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor) -> Projection:
    """Put the first class up and the second on the left, so that pictures of two epochs compare."""
    chosen = labels < 3
    rows, classes = features[chosen].double(), labels[chosen]
    means = torch.stack([rows[classes == c].mean(0) for c in range(3)])
    centre = means.mean(0)
    away = means - centre
    up = away[0] / away[0].norm().clamp_min(1e-300)
    left = away[1] - (away[1] @ up) * up
    left = left / left.norm().clamp_min(1e-300)
    basis = torch.stack([-left, up], 1)
    size = away.norm(dim=1).mean().clamp_min(1e-300)
    directions = weight[:3].double()
    directions = directions - directions.mean(0)
    directions = directions / directions.norm(dim=1).mean().clamp_min(1e-300)
    return Projection(
        epoch,
        ((rows - centre) @ basis / size).cpu(),
        (away @ basis / size).cpu(),
        (directions @ basis).cpu(),
        classes.cpu(),
    )
