"""How well a classifier does: accuracy with its error, confusion of classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from phasewave.checks import fail


def confusion(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Return how many samples of class i (row) were taken for class j (column), int64.

    Raises
    ------
    ValueError
        If the two have different lengths, or a number is not in 0 .. ``n_classes`` - 1.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1 or not len(truth):
        fail("predicted", "be one class for each label", (truth.shape, predicted.shape))
    both = np.concatenate([truth, predicted])
    if both.min() < 0 or both.max() >= n_classes:
        fail("truth", f"lie in 0 .. {n_classes - 1}", (int(both.min()), int(both.max())))
    return np.bincount(truth * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def measures(truth: np.ndarray, scores: np.ndarray, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Return the content of metrics.json for positions of true classes (n,) and scores (n, number of classes).

    ``accuracy_error`` is the binomial standard error; ``by_class`` holds null for a class without images.
    """
    predicted = scores.argmax(1)
    table = confusion(truth, predicted, scores.shape[1])
    right, counts = table.diagonal(), table.sum(1)
    accuracy = float(right.sum() / counts.sum())
    shares = [float(r / n) if n else None for r, n in zip(right, counts, strict=True)]
    top = min(5, scores.shape[1] - 1)
    rank = (scores > scores[np.arange(len(truth)), truth][:, None]).sum(1)
    return {
        "n": len(truth),
        "accuracy": accuracy,
        "accuracy_error": float(np.sqrt(accuracy * (1 - accuracy) / len(truth))),
        "errors": int(counts.sum() - right.sum()),
        "mean_class_accuracy": float(np.mean([share for share in shares if share is not None])),
        "top": {"k": top, "accuracy": float((rank < top).mean())},
        "by_class": dict(zip(class_names, shares, strict=True)),
        "confusion": table,
    }
