"""Two small networks seen as affine splines: templates, slices of the partition, distances of regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.diagnostics.lipschitz import lipschitz_bound, region_norms
from phasewave.diagnostics.partition import PartitionSlice, Plane, code_distance, partition_slice
from phasewave.diagnostics.reference_networks import accuracy, narrow_perceptron, small_cnn, train_classifier
from phasewave.diagnostics.splines import AffineSpline

_MARGIN = 1.6  # half side of the slice, over the largest coordinate of its three images
_CODED = 200  # test images whose codes are compared


@dataclass(frozen=True)
class SplineStudy:
    """What the affine-spline view shows of a narrow perceptron and a small CNN.

    Attributes
    ----------
    images : torch.Tensor (3, C, H, W)
        Test images of three classes.
    labels : torch.Tensor (3,)
    templates : torch.Tensor (3, n_classes, C, H, W)
        Of the CNN, on the regions of the images.
    slices : tuple of PartitionSlice
        Of the perceptron on the plane through the images, by its first layer, its first two, ...
    corners : torch.Tensor (3, 2)
        Coordinates of the images there.
    decisions : torch.Tensor (size, size)
        Class that the perceptron sees at each point.
    distances : torch.Tensor (m, m)
        Of test images by the codes of the CNN's last rectifiers, by rising label.
    distance_labels : torch.Tensor (m,)
    within, among : tuple of float
        Mean distance of the regions of two test images of one class, and of two classes, by layer of the CNN.
    accuracies : dict of str to float
        Of both networks on the test images.
    lipschitz : dict of str to list of float
        Largest norm of the map on the regions of the test images, and the bound of the product of the layers.
    replay_error : float
        Largest :math:`|A x + b - f(x)|` over the largest :math:`|f(x)|`: rounding alone.
    """

    images: torch.Tensor
    labels: torch.Tensor
    templates: torch.Tensor
    slices: tuple[PartitionSlice, ...]
    corners: torch.Tensor
    decisions: torch.Tensor
    distances: torch.Tensor
    distance_labels: torch.Tensor
    within: tuple[float, ...]
    among: tuple[float, ...]
    accuracies: dict[str, float]
    lipschitz: dict[str, list[float]]
    replay_error: float

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        return {
            "accuracy": self.accuracies,
            "regions_in_slice": [one.n_regions for one in self.slices],
            "code_distance_within_classes": list(self.within),
            "code_distance_among_classes": list(self.among),
            "lipschitz": {name: {"regions": a, "bound": b} for name, (a, b) in self.lipschitz.items()},
            "replay_error": self.replay_error,
        }


def spline_study(
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    *,
    epochs: int = 10,
    width: int = 24,
    size: int = 400,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> SplineStudy:
    """Train a narrow perceptron and a small CNN, and look at their regions.

    Parameters
    ----------
    train, test : pairs of torch.Tensor (n, C, H, W), (n,)
        Images and labels 0 to C - 1; in the test set at least three classes.
    epochs : int
        Of either training; the perceptron gets three times as many.
    width : int
        Units of a layer of the perceptron, which has three.
    size : int
        Points a side of the slices.
    seed : int
        Of weights and order.
    progress : callable, optional
        Called with the number of epochs done and of all.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range or classes are too few.

    Notes
    -----
    Cost: both trainings, and size^2 passes of the perceptron a layer.
    """
    integer("epochs", epochs, minimum=0)
    n_classes = int(train[1].max()) + 1
    shown = _one_of_each(test[1], 3)
    shape, device = tuple(train[0].shape[1:]), train[0].device
    perceptron = narrow_perceptron(shape, n_classes, width=width, seed=seed).to(device)
    network = small_cnn(shape, n_classes, seed=seed).to(device)

    def counted(first: int) -> Callable[[int, float], None] | None:
        return None if progress is None else lambda epoch, _: progress(first + epoch, 4 * epochs)

    train_classifier(perceptron, *train, epochs=3 * epochs, weight_decay=1e-3, seed=seed, after=counted(0))
    train_classifier(network, *train, epochs=epochs, seed=seed, after=counted(3 * epochs))
    images = test[0][shown]
    plane = Plane.through(images)
    corners = plane.coordinates(images)
    extent = _MARGIN * float(corners.abs().max())
    slices = tuple(
        partition_slice(perceptron, plane, extent=extent, size=size, depth=depth)
        for depth in range(1, 1 + sum(isinstance(layer, nn.ReLU) for layer in perceptron))
    )
    axis = slices[0].axis
    with torch.no_grad():
        grid = torch.cartesian_prod(axis, axis).split(4096)
        decisions = torch.cat([perceptron(plane.points(part)).argmax(1) for part in grid]).view(size, size)
    spline = AffineSpline(network)
    affine = spline.affine(images)
    with torch.no_grad():
        scores = network(images)
    order = test[1].argsort(stable=True)
    order = order[torch.linspace(0, len(order) - 1, min(_CODED, len(order))).round().long().to(order.device)]
    codes, labels = spline.codes(test[0][order]), test[1][order]
    same = (labels[:, None] == labels).triu(1)
    other = (labels[:, None] != labels).triu(1)
    layers = [code_distance((code,), (code,)) for code in codes]
    named = {"perceptron": perceptron, "CNN": network}
    return SplineStudy(
        images=images.cpu(),
        labels=test[1][shown].cpu(),
        templates=affine.templates.detach().cpu(),
        slices=slices,
        corners=corners.cpu(),
        decisions=decisions.cpu(),
        distances=layers[-1].cpu(),
        distance_labels=labels.cpu(),
        within=tuple(float(one[same].mean()) for one in layers),
        among=tuple(float(one[other].mean()) for one in layers),
        accuracies={name: accuracy(one, *test) for name, one in named.items()},
        lipschitz={
            name: [float(region_norms(one, test[0][:_CODED]).max()), lipschitz_bound(one, shape)]
            for name, one in named.items()
        },
        replay_error=float((affine.apply(images) - scores).detach().abs().max() / scores.abs().max()),
    )


def _one_of_each(labels: torch.Tensor, number: int) -> torch.Tensor:
    """Return the position of the first image of each of the first classes."""
    classes = labels.unique()
    if len(classes) < number:
        fail("test", f"hold images of {number} classes or more", f"{len(classes)}")
    return torch.stack([(labels == c).nonzero()[0, 0] for c in classes[:number]])
