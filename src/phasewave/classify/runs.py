"""Runs in folders: fit a classifier and measure it; measure it again; classify images."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from phasewave.checks import fail, integer
from phasewave.classify.evaluation import measures
from phasewave.classify.figure import draw_classification
from phasewave.classify.model_file import Classifier, SavedClassifier, save_classifier
from phasewave.classify.training import NetworkClassifier
from phasewave.runs.atomic import replacing
from phasewave.runs.distributed import Ranks
from phasewave.runs.folder import open_run
from phasewave.runs.record import RunRecord, recorded, write_json
from phasewave.runs.training_records import TrainingEnd, TrainingProgress

MODEL, METRICS, FIGURE, RECORD, CHECKPOINT = "model.h5", "metrics.json", "figure.png", "run.json", "checkpoint.h5"
_FEWEST = 2  # validation images


@dataclass(frozen=True)
class LabelledImages:
    """Images and their classes.

    Attributes
    ----------
    images : torch.Tensor (n, C, H, W)
        uint8 or float.
    labels : torch.Tensor (n,)
        int64.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def drawn(self, n: int, *, seed: int) -> LabelledImages:
        """Return n of them, of each class equally many as far as n and the images allow.

        Raises
        ------
        ValueError
            If there are fewer images, or fewer than two asked for.
        """
        integer("n_train", n, minimum=2)
        if n > len(self.labels):
            fail("n_train", f"be at most the {len(self.labels):,} training images", n)
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(self.labels))
        labels = self.labels.numpy()[order]
        turn = np.zeros(len(order), dtype=np.int64)  # 0 for the first of each class, 1 for the second ...
        for label in np.unique(labels):
            own = np.flatnonzero(labels == label)
            turn[own] = np.arange(len(own))
        at = torch.from_numpy(np.sort(order[np.argsort(turn, kind="stable")[:n]]))
        return LabelledImages(self.images[at], self.labels[at])


def fit_to(
    model: Classifier,
    train: LabelledImages,
    test: LabelledImages,
    out: str | os.PathLike[str],
    *,
    validation: LabelledImages | None = None,
    class_names: tuple[str, ...] = (),
    n_train: int | None = None,
    source: Mapping[str, Any] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    ranks: Ranks = Ranks(),  # noqa: B008
) -> dict[str, Any]:
    """Fit a classifier, measure it on test images, and write model.h5, metrics.json, run.json and figure.png.

    Parameters
    ----------
    model : ScatteringClassifier or NetworkClassifier
        Fitted here.
    train, test : LabelledImages
    out : path-like
    validation : LabelledImages, optional
        Decide which epoch of a network is kept; not used with ``n_train``.
    class_names : tuple of str
        ``class_names[label]``; by default the labels themselves.
    n_train : int, optional
        Fit to so many training images, drawn by the model's seed, all classes alike.
    source : Mapping, optional
        Where the images come from, JSON-able; kept in the model.
    progress, stop, ranks
        As those of `NetworkClassifier.fit`.
    resume, overwrite : bool
        Go on with the unfinished training in ``out``, or replace the files of an earlier run.

    Returns
    -------
    dict
        The content of metrics.json.

    Raises
    ------
    FileExistsError, FileNotFoundError
        See `phasewave.runs.folder.open_run`.
    TypeError, ValueError
        If the images do not fit the parameters; if they have one class only; if test images are of a class that
        training images are not.
    KeyboardInterrupt
        If stopped; a network's training can be resumed.
    """
    network = isinstance(model, NetworkClassifier)
    if resume and not network:
        raise ValueError("`resume` is for networks: this model is fitted at one go, start it again")
    chosen = train if n_train is None else train.drawn(n_train, seed=model.seed)
    classes = np.unique(chosen.labels.numpy())
    if len(classes) < 2:
        raise ValueError(f"the training images must be of two classes at least, and are all of {classes.tolist()}")
    names = tuple(class_names[label] if class_names else str(label) for label in classes)
    truth = positions(test.labels, classes, what="the test images")
    run = ranks.agree(
        lambda: open_run(
            out,
            files=(MODEL, METRICS, FIGURE, RECORD, CHECKPOINT),
            checkpoint=CHECKPOINT,
            resume=resume,
            overwrite=overwrite,
        )
    )
    parameters = {name: value for name, value in model.get_params().items() if name != "device"}
    record = RunRecord(
        {**parameters, "n_train": len(chosen.labels), "source": dict(source or {})},
        seed=model.seed,
        device=str(model.device),
        dtype="float32",
    )
    with recorded(record, run / RECORD, writes=ranks.first):
        training: dict[str, Any] = {
            "n": len(chosen.labels),
            "sha256": _digest(chosen),
            "source": dict(source or {}),
        }
        if isinstance(model, NetworkClassifier):
            if n_train is not None:
                model.set_params(validation_fraction=0.0)
            held = (
                None
                if validation is None or n_train is not None or len(validation.labels) < _FEWEST
                else validation
            )
            model.fit(
                chosen.images,
                chosen.labels.numpy(),
                validation=None if held is None else (held.images, held.labels.numpy()),
                checkpoint=run / CHECKPOINT,
                progress=progress,
                stop=stop,
                ranks=ranks,
            )
            result = model.training_
            if result.end is TrainingEnd.INTERRUPTED:
                raise KeyboardInterrupt
            training |= {"end": result.end, "best_epoch": result.best_epoch, "history": result.history}
        else:
            model.fit(chosen.images, chosen.labels.numpy())
        saved = SavedClassifier(
            model, names, {"n": training["n"], "sha256": training["sha256"], "source": dict(source or {})}
        )
        scores = model.decision_function(test.images)
        metrics = {"model": saved.kind, **measures(truth, scores, names), "training": training}
        if isinstance(model, NetworkClassifier):
            metrics["sparsity"] = model.sparsity(test.images[:500])
        if ranks.first:
            save_classifier(run / MODEL, saved)
            write_json(run / METRICS, metrics)
            title = f"{saved.kind}, {len(chosen.labels):,} training images"
            draw_classification(run / FIGURE, metrics, test.images, truth, scores, names, title=title)
            (run / CHECKPOINT).unlink(missing_ok=True)
    return metrics


def evaluate_to(
    saved: SavedClassifier,
    data: LabelledImages,
    out: str | os.PathLike[str],
    *,
    class_names: tuple[str, ...] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Measure a classifier on labelled images and write metrics.json, run.json and figure.png.

    Parameters
    ----------
    saved : SavedClassifier
    data : LabelledImages
    out : path-like
    class_names : tuple of str
        Those of the labels; where both have names, classes are matched by name.
    overwrite : bool
        Replace the files of an earlier run.

    Raises
    ------
    FileExistsError
        If ``out`` holds files.
    TypeError, ValueError
        If the images are not of the model's shape, or of classes that it does not know.
    """
    classes = saved.model.classes_
    labels = data.labels
    own_names = tuple(str(label) for label in classes)
    if class_names and saved.class_names != own_names:
        known = {name: number for number, name in enumerate(saved.class_names)}
        present = [class_names[int(label)] for label in torch.unique(labels)]
        unknown = [name for name in present if name not in known]
        if unknown:
            raise ValueError(
                f"the images must be of the classes that the model knows ({', '.join(saved.class_names)}), "
                f"and some are of {', '.join(unknown)}"
            )
        table = torch.tensor([known.get(name, -1) for name in class_names])
        truth = table[labels].numpy()
    else:
        truth = positions(labels, classes, what="the images")
    scores = saved.model.decision_function(data.images)
    run = open_run(out, files=(METRICS, FIGURE, RECORD), checkpoint=METRICS, overwrite=overwrite)
    record = RunRecord(
        {"model": saved.kind, "n": len(truth)},
        seed=saved.model.seed,
        device=str(saved.model.device),
        dtype="float32",
    )
    with recorded(record, run / RECORD):
        metrics = {"model": saved.kind, **measures(truth, scores, saved.class_names)}
        write_json(run / METRICS, metrics)
        title = f"{saved.kind}, {len(truth):,} images"
        draw_classification(run / FIGURE, metrics, data.images, truth, scores, saved.class_names, title=title)
    return metrics


def predict_to(saved: SavedClassifier, images: torch.Tensor, out: str | os.PathLike[str]) -> list[str]:
    """Classify images, write a table (image, class, score, runner-up, its score) as CSV, and return the classes.

    Raises
    ------
    TypeError, ValueError
        If the images are not of the model's shape.
    OSError
        If the file cannot be written.
    """
    scores = saved.model.decision_function(images)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :2]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "class", "score", "second", "second_score"])
    for number, (best, second) in enumerate(order):
        row = scores[number]
        names = saved.class_names
        writer.writerow([number, names[best], f"{row[best]:.6g}", names[second], f"{row[second]:.6g}"])
    with replacing(out) as stream:
        stream.write(text.getvalue().encode())
    return [saved.class_names[best] for best in order[:, 0]]


def positions(labels: torch.Tensor, classes: np.ndarray, *, what: str) -> np.ndarray:
    """Return where labels stand in the increasing ``classes``.

    Raises
    ------
    ValueError
        If some are not there, or there are none.
    """
    values = labels.numpy()
    if not len(values):
        raise ValueError(f"{what} must be one at least, got none")
    unknown = np.setdiff1d(values, classes)
    if len(unknown):
        raise ValueError(
            f"{what} must be of the classes that the model knows ({_some(classes)}), "
            f"and some are of {_some(unknown)}"
        )
    return np.searchsorted(classes, values)


def _some(values: np.ndarray) -> str:
    return ", ".join(str(value) for value in values[:12]) + (" ..." if len(values) > 12 else "")


def _digest(data: LabelledImages) -> str:
    digest = hashlib.sha256(data.images.contiguous().numpy().tobytes())
    digest.update(data.labels.numpy().tobytes())
    return digest.hexdigest()
