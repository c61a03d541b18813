"""How far a representation separates classes: local classifiers, distances and spectra, by depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from phasewave.checks import choice, fail
from phasewave.diagnostics.representations import Representation, check_labelled, represent
from phasewave.diagnostics.support import LocalSupport, local_support

Scaling = Literal["standard", "none"]
_Labelled = tuple[np.ndarray, np.ndarray]
_ENERGIES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Separation:
    """What one representation is worth to local classifiers.

    Attributes
    ----------
    n_features : int
        p.
    nearest_accuracy, kernel_accuracy : float
        Shares of the test set that the nearest training sample and a Gaussian SVM classify well.
    support : LocalSupport
        Of the training set.
    within : float
        Mean distance of two training samples of one class, over classes.
    relative_within : float
        The same over the mean distance of any two training samples: no change under a scaling of the rows.
    spectrum : torch.Tensor (r,)
        Float64, cumulative eigenvalues of the covariance within classes over their sum, r = min(n, p).
    """

    n_features: int
    nearest_accuracy: float
    kernel_accuracy: float
    support: LocalSupport
    within: float
    relative_within: float
    spectrum: torch.Tensor

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file; of the spectrum, how many axes hold its energy."""
        axes = {str(share): int((self.spectrum < share).sum()) + 1 for share in _ENERGIES}
        return {
            "n_features": self.n_features,
            "nearest_accuracy": self.nearest_accuracy,
            "kernel_accuracy": self.kernel_accuracy,
            "support": self.support.record(),
            "within": self.within,
            "relative_within": self.relative_within,
            "axes_by_energy": axes,
        }


def separation(
    rows: torch.Tensor,
    labels: torch.Tensor,
    test_rows: torch.Tensor,
    test_labels: torch.Tensor,
    *,
    n_neighbours: int = 7,
    scaling: Scaling = "standard",
    penalty: float = 10.0,
) -> Separation:
    r"""Measure how far a representation separates classes.

    Gaussian SVM: kernel :math:`e^{-\|x - x'\|^2 / (p\, v)}`, v the variance of all entries of the training rows.

    Parameters
    ----------
    rows, test_rows : torch.Tensor (n, p), (m, p)
        Of training and test set.
    labels, test_labels : torch.Tensor (n,), (m,)
        Integers; at least two classes in training.
    n_neighbours : int
        Largest order of the local support vectors.
    scaling : {"standard", "none"}
        "standard": each column to mean 0 and deviation 1 by the training rows, for all measures.
    penalty : float
        C of the SVM.

    Returns
    -------
    Separation

    Raises
    ------
    TypeError, ValueError
        If shapes, dtypes or choices are wrong.

    Notes
    -----
    Cost: n (n + m) p for distances, n^2 p to n^3 for the SVM, n p min(n, p) for the spectrum; CPU.

    References
    ----------
    Oyallon, "Building a regular decision boundary with deep networks", CVPR 2017.
    """
    choice("scaling", scaling, ("standard", "none"))
    if not penalty > 0:
        fail("penalty", "be > 0", penalty)
    rows, labels = check_labelled("rows", rows, labels, least=2)
    test_rows, test_labels = check_labelled("test_rows", test_rows, test_labels)
    if test_rows.shape[1] != rows.shape[1]:
        fail("test_rows", f"have {rows.shape[1]} columns as `rows`", test_rows.shape[1])
    if len(labels.unique()) < 2:
        fail("labels", "be of two classes or more", f"only {int(labels[0])}")
    if scaling == "standard":
        deviation, mean = torch.std_mean(rows, dim=0, correction=0)
        deviation = deviation.where(deviation > 0, 1)
        rows, test_rows = (rows - mean) / deviation, (test_rows - mean) / deviation
    train, test = (rows.cpu().numpy(), labels.cpu().numpy()), (test_rows.cpu().numpy(), test_labels.cpu().numpy())
    within, among = _mean_distances(rows, labels)
    return Separation(
        n_features=rows.shape[1],
        nearest_accuracy=_accuracy(KNeighborsClassifier(1, algorithm="brute"), train, test),
        kernel_accuracy=_accuracy(SVC(C=penalty, kernel="rbf", gamma="scale"), train, test),
        support=local_support(rows, labels, n_neighbours=n_neighbours),
        within=within,
        relative_within=within / among if among > 0 else 0.0,
        spectrum=class_spectrum(rows, labels),
    )


def by_depth(
    representations: Sequence[Representation],
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    *,
    n_neighbours: int = 7,
    scaling: Scaling = "standard",
    penalty: float = 10.0,
    batch_size: int = 256,
) -> tuple[Separation, ...]:
    """`separation` of each of several representations of the same images.

    Parameters
    ----------
    representations : sequence of callables
        Of images (n, ...) to (n, ...), e.g. `phasewave.diagnostics.representations.depths` of a network.
    train, test : pairs of torch.Tensor (n, ...), (n,)
        Images and labels.
    n_neighbours, scaling, penalty
        As in `separation`.
    batch_size : int
        Images at a time through a representation.

    Returns
    -------
    tuple of Separation
        One a depth.

    Raises
    ------
    TypeError, ValueError
        As `separation`, or without representations.

    Notes
    -----
    Cost: that of `separation` times the number of depths; one representation is held at a time.
    """
    if len(representations) == 0:
        fail("representations", "hold one or more callables", "none")
    found = []
    for representation in representations:
        rows, test_rows = (
            represent(representation, images, batch_size=batch_size) for images in (train[0], test[0])
        )
        found.append(
            separation(
                rows,
                train[1],
                test_rows,
                test[1],
                n_neighbours=n_neighbours,
                scaling=scaling,
                penalty=penalty,
            )
        )
    return tuple(found)


def class_spectrum(rows: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
    r"""Cumulative eigenvalues of the covariance, :math:`\sum_{i \le k} \lambda_i / \sum_i \lambda_i`.

    Parameters
    ----------
    rows : torch.Tensor (n, p)
    labels : torch.Tensor (n,), optional
        With labels the covariance is that within classes, about the class means; without, about the mean.

    Returns
    -------
    torch.Tensor (min(n, p),)
        Float64, rising to 1; all 1 where the rows do not vary.

    Raises
    ------
    TypeError, ValueError
        If shapes or dtypes are wrong.

    Notes
    -----
    Cost: n p min(n, p), by singular values.
    """
    if labels is None:
        labels = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    rows, labels = check_labelled("rows", rows, labels)
    residues = rows.clone()
    for label in labels.unique():
        residues[labels == label] -= rows[labels == label].mean(0)
    variances = torch.linalg.svdvals(residues).square()
    total = variances.sum()
    return variances.cumsum(0) / total if float(total) > 0 else torch.ones_like(variances)


def _mean_distances(rows: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Mean distance of two samples of a class (mean over classes of two or more), and of any two samples."""
    own = []
    for label in labels.unique():
        members = rows[labels == label]
        if len(members) > 1:
            own.append(torch.nn.functional.pdist(members).mean())
    within = float(torch.stack(own).mean()) if own else 0.0
    return within, float(torch.nn.functional.pdist(rows).mean())


def _accuracy(estimator: KNeighborsClassifier | SVC, train: _Labelled, test: _Labelled) -> float:
    return float(estimator.fit(*train).score(*test))
