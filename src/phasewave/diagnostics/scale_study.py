"""Who can tell a scale: classifiers on the task of two pixels, beside what averaging tells exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from phasewave.checks import integer
from phasewave.diagnostics.distances import pair_distances, squared_distances
from phasewave.diagnostics.draws import white_draws
from phasewave.diagnostics.reference_networks import small_cnn, train_classifier
from phasewave.diagnostics.representations import represent
from phasewave.diagnostics.scale_detection import (
    ScaleDetection,
    averaging_accuracy,
    constant_filters,
    white_distances,
)
from phasewave.scattering.planar import Scattering2D

DEPTHS = (1, 2, 4, 8, 16, 32)
_BIN = 2.0  # pixels of distance
_DEPTH_IMAGES = 60
_LARGEST_SCATTERING = 4  # octaves
_ANGLES = 4


@dataclass(frozen=True)
class ScaleReader:
    """How well a classifier tells close from far.

    Attributes
    ----------
    n_features : int
        Numbers that the classifier reads; of the CNN, its last.
    accuracy : float
        On test images, of both classes as many.
    called_close : torch.Tensor (bins,)
        Share of test images called close, by distance; NaN where there are none.
    """

    n_features: int
    accuracy: float
    called_close: torch.Tensor


@dataclass(frozen=True)
class ScaleStudy:
    """Classifiers of the task, and what constant filters do at every depth.

    Attributes
    ----------
    task : ScaleDetection
    n_train, n_test : int
    readers : dict of str to ScaleReader
    distances : torch.Tensor (bins,)
        Middles of the bins of `ScaleReader.called_close`, in pixels.
    depths : tuple of int
        Layers of constant filters.
    averaging : tuple of float
        By depth, the exact accuracy of `phasewave.diagnostics.scale_detection.averaging_accuracy`.
    deformation, noise : tuple of float
        By depth, D_k and G_k of constant filters: squared change by a shift of one pixel, and by white noise of
        its size, over the squared distance of two images. R_k is their quotient.
    close, far : torch.Tensor (4, 1, d, d)
        Images of the two classes.
    """

    task: ScaleDetection
    n_train: int
    n_test: int
    readers: dict[str, ScaleReader]
    distances: torch.Tensor
    depths: tuple[int, ...]
    averaging: tuple[float, ...]
    deformation: tuple[float, ...]
    noise: tuple[float, ...]
    close: torch.Tensor
    far: torch.Tensor

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        counts = dict(zip(("close", "far", "all"), self.task.counts(), strict=True))
        called = {
            name: [None if share != share else share for share in one.called_close.tolist()]
            for name, one in self.readers.items()
        }
        return {
            "size": self.task.size,
            "scale": self.task.scale,
            "gap": self.task.gap,
            "pairs": counts,
            "n_train": self.n_train,
            "n_test": self.n_test,
            "accuracy": {name: one.accuracy for name, one in self.readers.items()},
            "n_features": {name: one.n_features for name, one in self.readers.items()},
            "distances": self.distances.tolist(),
            "called_close": called,
            "depths": list(self.depths),
            "accuracy_of_averaging_exact": list(self.averaging),
            "deformation_by_depth": list(self.deformation),
            "noise_by_depth": list(self.noise),
        }


def scale_study(
    task: ScaleDetection,
    *,
    n_train: int = 1000,
    n_test: int = 1000,
    epochs: int = 12,
    seed: int = 0,
    device: torch.device | str = "cpu",
    told: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScaleStudy:
    """Train classifiers to tell close from far pairs of pixels.

    A linear classifier (ridge, its strength by cross-validation) of the pixels and of scattering of 1 to 4 octaves
    averaged over space; a threshold of the energy after averaging; a small CNN.

    Parameters
    ----------
    task : ScaleDetection
        Of a size of at least 16.
    n_train, n_test : int
        Images, at least 20.
    epochs : int
        Of the CNN's training; 0: no CNN.
    seed : int
        Of images, weights and order.
    device : torch.device or str
        Where representations and the CNN are computed.
    told : callable, optional
        Called with the name of each classifier before it is trained.
    progress : callable, optional
        Called with the number of the CNN's epochs done and of all.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    A linear classifier of pixels beats chance a little, as far pairs lie nearer to the borders. Cost: scatterings
    of all images and one training.
    """
    integer("n_train", n_train, minimum=20)
    integer("n_test", n_test, minimum=20)
    integer("epochs", epochs, minimum=0)
    integer("task.size", task.size, minimum=16)
    train, labels = task.sample(n_train, seed=seed)
    test, answers = task.sample(n_test, seed=seed + 1)  # drawn anew
    train, test = train.to(device), test.to(device)
    edges = torch.arange(0.0, 2**0.5 * task.size + _BIN, _BIN, dtype=torch.float64)
    bins = torch.bucketize(white_distances(test).cpu(), edges, right=True) - 1

    def judged(called: torch.Tensor, n_features: int) -> ScaleReader:
        number, close = torch.zeros(2, len(edges) - 1, dtype=torch.float64)
        number.index_add_(0, bins, torch.ones_like(bins, dtype=torch.float64))
        close.index_add_(0, bins, called.double())
        right = torch.stack([(called == answers)[answers == c].double().mean() for c in (0, 1)])
        return ScaleReader(n_features, float(right.mean()), close / number)

    readers = {}
    for name, function in _representations(task).items():
        if told is not None:
            told(name)
        rows, new = (represent(function.to(device), x).double().cpu().numpy() for x in (train, test))
        reader = _threshold() if rows.shape[1] == 1 else _linear()
        called = reader.fit(rows, labels.numpy()).predict(new)
        readers[name] = judged(torch.from_numpy(called), rows.shape[1])
    if epochs:
        if told is not None:
            told("CNN")
        network = small_cnn((1, task.size, task.size), 2, seed=seed).to(device)

        def after(epoch: int, _: float) -> None:
            if progress is not None:
                progress(epoch, epochs)

        train_classifier(network, train, labels.to(device), epochs=epochs, seed=seed, after=after)
        scores = represent(network, test)
        readers["CNN"] = judged(scores.argmax(1).cpu(), cast(nn.Linear, network[-1]).in_features)
    changes = _by_depth(test[:_DEPTH_IMAGES].double().cpu(), seed=seed)
    return ScaleStudy(
        task=task,
        n_train=n_train,
        n_test=n_test,
        readers=readers,
        distances=(edges[1:] + edges[:-1]) / 2,
        depths=DEPTHS,
        averaging=tuple(averaging_accuracy(task, depth) for depth in DEPTHS),
        deformation=tuple(one for one, _ in changes),
        noise=tuple(one for _, one in changes),
        close=test[(answers == 1).to(test.device)][:4].cpu(),
        far=test[(answers == 0).to(test.device)][:4].cpu(),
    )


class _Energy(nn.Module):
    """Squared norm after averaging, on a grid with room around the image."""

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.ZeroPad2d(n_layers), constant_filters(n_layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.double()).square().sum((-2, -1))


class _Means(nn.Module):
    """Scattering averaged over space."""

    def __init__(self, size: int, n_scales: int) -> None:
        super().__init__()
        self.scattering = Scattering2D((size, size), n_scales=n_scales, n_angles=_ANGLES, border="zero")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scattering(x).mean((-2, -1))


def _linear() -> Pipeline:
    return make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=(1e-3, 1e-1, 1e1, 1e3)))


def _threshold() -> Pipeline:
    return make_pipeline(DecisionTreeClassifier(max_depth=1))


def _representations(task: ScaleDetection) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {"pixels": nn.Identity()}
    found |= {f"averaging, {k} layers": _Energy(k) for k in (DEPTHS[1], DEPTHS[-2])}
    octaves = min(_LARGEST_SCATTERING, task.size.bit_length() - 1)
    return found | {f"scattering J = {j}": _Means(task.size, j) for j in range(1, octaves + 1)}


def _by_depth(images: torch.Tensor, *, seed: int) -> list[tuple[float, float]]:
    """D_k and G_k of constant filters at each of the depths."""
    shifted = images.roll(1, -1)
    noise = white_draws(len(images), images.shape[1:], seed=seed)
    size = (shifted - images).flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
    states = [images, shifted, images + size[:, None, None, None] * noise]
    found = []
    for depth, layer in enumerate(constant_filters(DEPTHS[-1]), 1):
        states = [layer(state) for state in states]
        if depth in DEPTHS:
            rows, moved, noisy = (state.flatten(1) for state in states)
            scale, _ = pair_distances(rows)
            d, g = (float(squared_distances(one, rows).mean()) / scale for one in (moved, noisy))
            found.append((d, g))
    return found
