"""Networks as scikit-learn classifiers of images: features once, then one training, resumable and shared out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from phasewave.checks import choice, fail, integer
from phasewave.classify.augmentation import Augmentation, AugmentedNetwork, TwoSidedNetwork
from phasewave.classify.features import (
    Contrast,
    NonlinearityName,
    ScatteringFeatures,
    default_scales,
    image_tensor,
)
from phasewave.classify.hybrid import ClassifierNetwork, Kind
from phasewave.classify.istc import SparseCodes
from phasewave.classify.normalisation import whole_batches
from phasewave.classify.scattering_classifier import checked_labels
from phasewave.runs.distributed import Ranks
from phasewave.runs.network_training import hold_out, train_network
from phasewave.runs.trainable import TrainableNetwork
from phasewave.runs.training_records import TrainingProgress, TrainingSettings

_STEPS, _LEAST_EPOCHS, _MOST_EPOCHS = 3000, 15, 200
_ROWS = 512


@dataclass(frozen=True)
class ClassifierTraining(TrainingSettings):
    """How a classifier is trained; a checkpoint of another classifier is refused.

    Parameters
    ----------
    classifier : dict
        Its other parameters.
    """

    classifier: Mapping[str, Any] = field(default_factory=dict)


class NetworkClassifier(ClassifierMixin, BaseEstimator):
    """A network over compressed scattering maps, or over pixels for comparison.

    The maps, and those of mirror images, are computed once and kept in memory, so that an epoch costs what the
    network costs; those of images shifted at random are computed in each epoch anew.

    Parameters
    ----------
    kind : {"hybrid", "grid", "perceptron", "encoder", "istc", "cnn"}
        See `phasewave.classify.hybrid.ClassifierNetwork`; "cnn" sees pixels.
    n_scales, n_angles, max_order, nonlinearity, floor, exponent, contrast
        Of the features, see `phasewave.classify.features.CompressedScattering`.
    width : int
        Of the network.
    dropout : float
        Share of what enters the linear classifier that is set to 0 in training.
    max_shift : int
        Training images are shifted at random by up to so many pixels along each axis, see
        `phasewave.classify.augmentation.Augmentation`.
    mirror : bool
        Training images are mirrored at random: not for digits and text.
    max_epochs : int, optional
        The learning rate falls to 0 over these, as a cosine; by default 3000 steps, in 15 to 200 epochs.
    batch_size : int, optional
        By default a 16th of the images, 16 to 128.
    learning_rate : float
    patience : int
        Epochs without a lower validation loss after which training ends.
    validation_fraction : float
        Of the images given to `fit`, held out where no others are given; 0 trains on all to the end.
    seed : int
    device : str

    Attributes
    ----------
    network_ : ClassifierNetwork
    features_ : ScatteringFeatures or None
    classes_ : ndarray
    training_ : TrainingResult
    """

    def __init__(
        self,
        kind: Kind = "hybrid",
        n_scales: int | None = None,
        n_angles: int = 8,
        max_order: int = 2,
        nonlinearity: NonlinearityName = "log",
        floor: float = 0.1,
        exponent: float = 0.5,
        contrast: Contrast = "none",
        width: int = 32,
        dropout: float = 0.2,
        max_shift: int = 0,
        mirror: bool = False,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 2e-3,
        patience: int = 10,
        validation_fraction: float = 0.1,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.kind = kind
        self.n_scales = n_scales
        self.n_angles = n_angles
        self.max_order = max_order
        self.nonlinearity = nonlinearity
        self.floor = floor
        self.exponent = exponent
        self.contrast = contrast
        self.width = width
        self.dropout = dropout
        self.max_shift = max_shift
        self.mirror = mirror
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.seed = seed
        self.device = device

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: Callable[[TrainingProgress], None] | None = None,
        stop: Callable[[], bool] | None = None,
        ranks: Ranks = Ranks(),  # noqa: B008
    ) -> NetworkClassifier:
        """Train on images X, (n, H, W) or (n, C, H, W), of classes y (n,).

        Parameters
        ----------
        X, y
            The images and their classes.
        validation : tuple, optional
            Images and classes that decide which epoch is kept.
        checkpoint, progress, stop, ranks
            As those of `phasewave.runs.network_training.train_network`; ``training_.end`` says whether it was
            stopped.

        Raises
        ------
        TypeError, ValueError
            If images, labels or parameters do not fit together; if there are fewer than two classes.
        FloatingPointError
            If a loss is not finite.
        """
        choice("kind", self.kind, get_args(Kind))
        augmentation = Augmentation(self.max_shift, self.mirror)
        images, labels = image_tensor(X), checked_labels(y, len(X))
        augmentation.check(images.shape[-2:])
        self.classes_, found = np.unique(labels, return_inverse=True)
        train: tuple[torch.Tensor, ...] = (images, torch.from_numpy(found.astype(np.int64)))
        held, schedule = train, self._settings
        if validation is not None:
            held = (image_tensor(validation[0], images.shape[1:]), self._positions(validation[1]))
            settings = schedule(len(images), self.patience)
        elif not 0 <= self.validation_fraction < 1:
            fail("validation_fraction", "lie in [0, 1)", self.validation_fraction)
        elif self.validation_fraction == 0:
            settings = schedule(len(images), _MOST_EPOCHS if self.max_epochs is None else self.max_epochs)
        else:
            at, out = hold_out(len(images), fraction=self.validation_fraction, seed=self.seed)
            held, train = _rows(train, out), _rows(train, at)
            settings = schedule(len(at), self.patience)
        self._build(tuple(images.shape[1:]))
        if self.features_ is not None:
            self.features_.scattering_.calibrate(train[0])
        own = held is train
        held = (self._maps(held[0]), held[1])
        trained: TrainableNetwork = self.network_
        if self.mirror and not self.max_shift:
            train = (self._maps(train[0]), self._maps(train[0].flip(-1)), train[1])
            self.network_.standardise(train[0])
            trained = TwoSidedNetwork(self.network_)
        elif augmentation:
            self.network_.standardise(self._maps(train[0][:: max(1, len(train[0]) // 2000)]))
            features = None if self.features_ is None else self.features_.scattering_
            trained = AugmentedNetwork(self.network_, features, augmentation)
        else:
            train = held if own else (self._maps(train[0]), train[1])
            self.network_.standardise(train[0])
        with whole_batches(self.network_, ranks):
            self.training_ = train_network(
                trained,
                train,
                held,
                settings=settings,
                checkpoint=checkpoint,
                progress=progress,
                stop=stop,
                ranks=ranks,
            )
        return self

    @torch.no_grad()
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores (n, number of classes) of images, float32.

        Of a network that learnt from changed images they are means over such images, see
        `phasewave.classify.augmentation.Augmentation.views`: at twice the cost with ``mirror``, five times that
        with shifts.

        Raises
        ------
        TypeError, ValueError
            If the images are not like those of the fit.
        """
        check_is_fitted(self, "network_")
        images = image_tensor(X, self.shape_)
        scores = [self._scores(view) for view in Augmentation(self.max_shift, self.mirror).views(images)]
        return torch.stack(scores).mean(0).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each image.

        Raises
        ------
        TypeError, ValueError
            If the images are not like those of the fit.
        """
        return self.classes_[self.decision_function(X).argmax(1)]

    @torch.no_grad()
    def sparsity(self, X: Any) -> dict[str, float] | None:
        """Return the `phasewave.classify.istc.SparsityReport` of "istc" on images, as a dict; None of the others.

        Raises
        ------
        TypeError, ValueError
            If the images are not like those of the fit.
        """
        check_is_fitted(self, "network_")
        codes = next((part for part in self.network_.modules() if isinstance(part, SparseCodes)), None)
        if codes is None:
            return None
        maps = self._maps(image_tensor(X, self.shape_)).to(self.device)
        return asdict(codes.report(self.network_.standardised(maps)))

    def state(self) -> dict[str, Any]:
        """Return what was learnt as tensors and plain values (for ``save_checkpoint``)."""
        check_is_fitted(self, "network_")
        floors = None if self.features_ is None else self.features_.scattering_.floors.cpu()
        return {"shape": list(self.shape_), "floors": floors, "network": dict(self.network_.state_dict())}

    def restore(self, state: Mapping[str, Any], classes: Sequence[int] | np.ndarray) -> NetworkClassifier:
        """Take up what `state` gave; predictions are then the same.

        Raises
        ------
        ValueError
            If something learnt is missing.
        """
        for name in ("shape", "floors", "network"):
            if name not in state:
                fail("state", f"hold {name}", sorted(state))
        self.classes_ = np.asarray(classes)
        self._build(state["shape"])
        if self.features_ is not None:
            with torch.no_grad():
                self.features_.scattering_.floors.copy_(state["floors"])
        try:
            self.network_.load_state_dict(state["network"])
        except RuntimeError as error:
            raise ValueError(f"`state` must be that of a {self.kind} network of width {self.width}") from error
        self.network_.eval()
        return self

    def _build(self, shape: Sequence[int]) -> None:
        self.shape_ = tuple(shape)
        self.features_: ScatteringFeatures | None = None
        maps = self.shape_
        n_scales = default_scales(self.shape_[1:]) if self.n_scales is None else self.n_scales
        if self.kind != "cnn":
            self.features_ = ScatteringFeatures(
                n_scales=n_scales,
                n_angles=self.n_angles,
                max_order=self.max_order,
                nonlinearity=self.nonlinearity,
                floor=self.floor,
                exponent=self.exponent,
                contrast=self.contrast,
                device=self.device,
            ).build(self.shape_)
            maps = tuple(self._maps(torch.zeros(1, *self.shape_)).shape[1:])
        self.network_ = ClassifierNetwork(
            self.kind,
            maps,
            len(self.classes_),
            width=self.width,
            dropout=self.dropout,
            n_halvings=n_scales,
            seed=self.seed,
        ).to(self.device)

    def _settings(self, n: int, patience: int) -> TrainingSettings:
        batch = min(128, max(16, n // 16)) if self.batch_size is None else self.batch_size
        integer("batch_size", batch, minimum=2)
        steps = math.ceil(_STEPS / max(1, n // batch))
        epochs = min(_MOST_EPOCHS, max(_LEAST_EPOCHS, steps)) if self.max_epochs is None else self.max_epochs
        told = {one.name for one in fields(TrainingSettings)} | {"device"}
        return ClassifierTraining(
            batch_size=batch,
            learning_rate=self.learning_rate,
            patience=patience,
            n_falls=0,
            max_epochs=epochs,
            seed=self.seed,
            schedule="cosine",
            classifier={name: value for name, value in self.get_params().items() if name not in told},
        )

    def _scores(self, images: torch.Tensor) -> torch.Tensor:
        parts = self._maps(images).split(_ROWS)
        return torch.cat([self.network_(part.to(self.device)).cpu() for part in parts])

    def _maps(self, images: torch.Tensor) -> torch.Tensor:
        return images if self.features_ is None else self.features_.maps(images)

    def _positions(self, y: Any) -> torch.Tensor:
        labels = np.asarray(y)
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            fail("validation", f"hold the classes {self.classes_.tolist()} only", unknown.tolist())
        return torch.from_numpy(np.searchsorted(self.classes_, labels).astype(np.int64))


def _rows(parts: tuple[torch.Tensor, ...], at: np.ndarray) -> tuple[torch.Tensor, ...]:
    return tuple(part[torch.from_numpy(at)] for part in parts)
