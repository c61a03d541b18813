"""Images to classes: compressed scattering features, standardised, and a classifier of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from phasewave.checks import choice, fail
from phasewave.classify.affine import AffineClassifier
from phasewave.classify.features import Contrast, NonlinearityName, ScatteringFeatures, image_tensor
from phasewave.classify.heads import RowClassifier
from phasewave.classify.linear import LeastSquaresClassifier
from phasewave.classify.logistic import LogisticClassifier
from phasewave.classify.svm import GaussianSVM

Head = Literal["linear", "logistic", "svm", "affine"]


class ScatteringClassifier(ClassifierMixin, BaseEstimator):
    """Compressed scattering features and a head fitted to them.

    Parameters
    ----------
    head : {"linear", "logistic", "svm", "affine"}
        `LeastSquaresClassifier`, `LogisticClassifier`, `GaussianSVM` or `AffineClassifier`.
    n_scales, n_angles, max_order, nonlinearity, floor, exponent, contrast
        Of the features, see `phasewave.classify.features.CompressedScattering`.
    penalty : float, optional
        C of the support vector machine, or lambda of the logistic regression; by default that of the head.
    seed : int
        Of what is random in the head ("affine").
    device : str
        Where features are computed; heads are fitted on the CPU.

    Attributes
    ----------
    features_ : ScatteringFeatures
    head_ : RowClassifier
    classes_ : ndarray

    Examples
    --------
    >>> import numpy as np
    >>> bars = np.zeros((40, 16, 16), dtype=np.float32)
    >>> bars[:20, ::4], bars[20:, :, ::4] = 1.0, 1.0
    >>> model = ScatteringClassifier(n_angles=4).fit(bars, np.arange(40) // 20)
    >>> model.predict(bars[[0, 39]])
    array([0, 1])
    """

    def __init__(
        self,
        head: Head = "linear",
        n_scales: int | None = None,
        n_angles: int = 8,
        max_order: int = 2,
        nonlinearity: NonlinearityName = "log",
        floor: float = 0.1,
        exponent: float = 0.5,
        contrast: Contrast = "none",
        penalty: float | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.head = head
        self.n_scales = n_scales
        self.n_angles = n_angles
        self.max_order = max_order
        self.nonlinearity = nonlinearity
        self.floor = floor
        self.exponent = exponent
        self.contrast = contrast
        self.penalty = penalty
        self.seed = seed
        self.device = device

    def fit(self, X: Any, y: Any) -> ScatteringClassifier:
        """Fit to images X, (n, H, W) or (n, C, H, W), of classes y (n,).

        Raises
        ------
        TypeError, ValueError
            If images or labels do not fit together, or there are fewer than two classes.
        """
        choice("head", self.head, get_args(Head))
        images, labels = image_tensor(X), checked_labels(y, len(X))
        self.features_ = self._features().fit(images)
        self.head_ = self._head().fit(self.features_.transform(images), labels)
        self.classes_ = self.head_.classes_
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores (n, number of classes) of images.

        Raises
        ------
        TypeError, ValueError
            If the images are not like those of the fit.
        """
        check_is_fitted(self, "head_")
        return self.head_.decision_function(self.features_.transform(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each image.

        Raises
        ------
        TypeError, ValueError
            If the images are not like those of the fit.
        """
        return self.classes_[self.decision_function(X).argmax(1)]

    def state(self) -> dict[str, Any]:
        """Return what was learnt as tensors and plain values (for ``save_checkpoint``)."""
        check_is_fitted(self, "head_")
        return {
            "shape": list(self.features_.shape_),
            "floors": self.features_.scattering_.floors.cpu(),
            "head": self.head_.state(),
        }

    def restore(self, state: Mapping[str, Any], classes: Sequence[int] | np.ndarray) -> ScatteringClassifier:
        """Take up what `state` gave; predictions are then the same.

        Raises
        ------
        ValueError
            If something learnt is missing.
        """
        for name in ("shape", "floors", "head"):
            if name not in state:
                fail("state", f"hold {name}", sorted(state))
        self.features_ = self._features().build(state["shape"])
        with torch.no_grad():
            self.features_.scattering_.floors.copy_(state["floors"])
        self.classes_ = np.asarray(classes)
        self.head_ = self._head().restore(state["head"], self.classes_)
        return self

    def _features(self) -> ScatteringFeatures:
        return ScatteringFeatures(
            n_scales=self.n_scales,
            n_angles=self.n_angles,
            max_order=self.max_order,
            nonlinearity=self.nonlinearity,
            floor=self.floor,
            exponent=self.exponent,
            contrast=self.contrast,
            device=self.device,
        )

    def _head(self) -> RowClassifier:
        if self.head == "linear":
            return LeastSquaresClassifier()
        if self.head == "affine":
            return AffineClassifier(seed=self.seed)
        head = GaussianSVM() if self.head == "svm" else LogisticClassifier()
        return head if self.penalty is None else head.set_params(penalty=self.penalty)


def checked_labels(y: Any, n: int) -> np.ndarray:
    """Return labels (n,), one for each image, of two classes at least.

    Raises
    ------
    ValueError
        If there are more or fewer, or only one class.
    """
    labels = np.asarray(y)
    if labels.shape != (n,):
        fail("y", f"be one label for each of {n} images", labels.shape)
    if len(np.unique(labels)) < 2:
        raise ValueError(f"`y` must hold at least two classes, got 1 class: {labels[0]}")
    return labels
