"""Filters of small networks before and after training: roughness in space, frequencies along angles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from phasewave.checks import integer
from phasewave.diagnostics.angular import AngularSpectra, angular_spectra
from phasewave.diagnostics.filters import LaplacianSpectrum, laplacian_spectrum
from phasewave.diagnostics.reference_networks import accuracy, seeded, small_cnn, train_classifier
from phasewave.scattering.planar import Scattering2D

_WIDTH = 32  # of the layer learned over scattering


@dataclass(frozen=True)
class FilterStudy:
    """Spectra of filters before ("random") and after ("trained") training.

    Attributes
    ----------
    laplacian : dict of str to tuple of LaplacianSpectrum
        Of each 3 x 3 convolution of a small CNN.
    angular : dict of str to AngularSpectra
        Of the layer learned over scattering coefficients.
    accuracies : dict of str to float
        On test images, of "CNN" and "scattering".
    """

    laplacian: dict[str, tuple[LaplacianSpectrum, ...]]
    angular: dict[str, AngularSpectra]
    accuracies: dict[str, float]

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        return {
            "laplacian": {name: [one.record() for one in ones] for name, ones in self.laplacian.items()},
            "angular": {name: one.record() for name, one in self.angular.items()},
            "accuracy": self.accuracies,
        }


def filter_study(
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    *,
    epochs: int = 10,
    n_scales: int = 3,
    n_angles: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FilterStudy:
    """Train a small CNN, and a small network over scattering, and compare their filters with random ones.

    Parameters
    ----------
    train, test : pairs of torch.Tensor (n, C, H, W), (n,)
        Images and labels 0 to C - 1.
    epochs : int
        Of either training.
    n_scales, n_angles : int
        Of the scattering.
    seed : int
        Of weights and order.
    progress : callable, optional
        Called with the number of epochs done and of all.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    The network over scattering is a 1 x 1 convolution (its weights are looked at), batch normalisation, rectifier,
    average and a linear layer; the coefficients of each channel have mean 0 and deviation 1 over its paths'
    angles. Of several colours, the mean is scattered. Cost: one scattering, two trainings.
    """
    integer("epochs", epochs, minimum=0)
    n_classes = int(train[1].max()) + 1
    shape, device = tuple(train[0].shape[1:]), train[0].device
    network = small_cnn(shape, n_classes, seed=seed).to(device)
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]

    def counted(first: int) -> Callable[[int, float], None] | None:
        return None if progress is None else lambda epoch, _: progress(first + epoch, 2 * epochs)

    laplacian = {"random": tuple(laplacian_spectrum(layer.weight) for layer in convolutions)}
    train_classifier(network, *train, epochs=epochs, seed=seed, after=counted(0))
    laplacian["trained"] = tuple(laplacian_spectrum(layer.weight) for layer in convolutions)

    scattering = Scattering2D(shape[-2:], n_scales=n_scales, n_angles=n_angles).to(device)
    groups: dict[tuple[int, ...], list[int]] = {}
    for channel, path in enumerate(scattering.table):
        groups.setdefault(path.scales, []).append(channel)
    with torch.no_grad():
        known, new = (
            torch.cat([scattering(part.mean(1)) for part in images.split(256)]) for images, _ in (train, test)
        )
    for channels in groups.values():
        deviation, mean = torch.std_mean(known[:, channels])
        for rows in (known, new):
            rows[:, channels] = (rows[:, channels] - mean) / deviation.clamp_min(1e-12)
    with seeded(seed):
        head = nn.Sequential(
            nn.Conv2d(len(scattering.table), _WIDTH, 1, bias=False),
            nn.BatchNorm2d(_WIDTH),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(min(2, *known.shape[-2:])),
            nn.Flatten(),
            nn.LazyLinear(n_classes),
        )
        head.eval()(known[:1].cpu())
    head = head.to(device)
    first = cast(nn.Conv2d, head[0])
    angular = {"random": angular_spectra(first.weight, scattering.table, n_angles=n_angles)}
    train_classifier(head, known, train[1], epochs=epochs, seed=seed, after=counted(epochs))
    angular["trained"] = angular_spectra(first.weight, scattering.table, n_angles=n_angles)
    accuracies = {"CNN": accuracy(network, *test), "scattering": accuracy(head, new, test[1])}
    return FilterStudy(laplacian, angular, accuracies)
