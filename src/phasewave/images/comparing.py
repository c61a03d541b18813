"""The evaluation of a trained generator, alone or beside the baselines, to a folder; resumable."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from phasewave.checks import fail
from phasewave.images.baselines import BASELINES, CHECKPOINTS, Model, make_baseline, own_model
from phasewave.images.class_features import EPOCHS, ClassFeatures, class_record, learn_classes
from phasewave.images.dataset import ImageSet
from phasewave.images.dataset_file import image_checksum
from phasewave.images.evaluation import ImageJudge
from phasewave.images.figures import columns, draw_generated
from phasewave.images.generator import ImageGenerator
from phasewave.images.image_batches import as_float, draw
from phasewave.images.recording import FIGURE, METRICS, RECORD, seconds_before
from phasewave.images.report import FEWEST_TEST, FEWEST_TRAIN, CodeLaws, enough, measure
from phasewave.images.sheets import Row, draw_sheet
from phasewave.images.training_figures import draw_codes
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.folder import open_run
from phasewave.runs.record import RunRecord, recorded, write_json
from phasewave.runs.training_records import TrainingProgress

CHECKPOINT = "checkpoint.h5"
GENERATED, CODES = "generated.png", "codes.png"
CLASSES = "checkpoint_classes.h5"
_CHECKPOINTS = (*CHECKPOINTS.values(), CLASSES, CHECKPOINT)
_FILES = (METRICS, RECORD, FIGURE, GENERATED, CODES, *_CHECKPOINTS)
_MOST = 1000


def evaluate_to(
    generator: ImageGenerator,
    images: ImageSet,
    out: str | os.PathLike[str],
    *,
    baselines: bool = False,
    max_epochs: int = 1000,
    n_images: int | None = None,
    seed: int = 0,
    told: Callable[[str], None] | None = None,
    progress: Callable[[str, TrainingProgress, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Measure a generator, and baselines of equal size if asked; write metrics.json and pictures.

    Parameters
    ----------
    generator : ImageGenerator
        Fitted.
    images : ImageSet
        With the splits of its training.
    out : path-like
    baselines : bool
        Make, train and measure `phasewave.images.baselines.BASELINES` too.
    max_epochs : int
        Of their trainings, which end when the loss of the validation images has settled.
    n_images : int, optional
        Images of each kind compared; by default as many as there are test images, at most 1000.
    seed : int
    told, progress : callable, optional
        Told in words what begins; and the name of a baseline in training, its progress and its most epochs.
    stop : callable, optional
    resume, overwrite : bool

    Returns
    -------
    dict
        The content of metrics.json: that of `phasewave.images.report.measure`, and ``models``: the same figures
        of each model.

    Raises
    ------
    FileExistsError, FileNotFoundError
        See `phasewave.runs.folder.open_run`.
    ValueError
        If the images do not fit or are too few, or the run is of other ones.
    KeyboardInterrupt
        If stopped; with baselines the folder can be resumed.
    """
    train, validation, test = (images.bytes(name) for name in ("train", "val", "test"))
    generator.encode(test[:1])
    if not enough(train, test):
        least = f"hold at least {FEWEST_TRAIN} training and {FEWEST_TEST} test images"
        fail("images", least, f"{len(train)} and {len(test)}")
    identity = {
        "model": generator.training_.get("data", {}),
        "parameters": generator.settings,
        "data_sha256": image_checksum(images),
        "max_epochs": max_epochs,
        "n_images": n_images,
        "seed": seed,
    }
    run = open_run(out, files=_FILES, checkpoint=CHECKPOINT, overwrite=overwrite, resume=resume)
    if resume:
        load_checkpoint(run / CHECKPOINT, settings=identity)
    else:
        save_checkpoint(run / CHECKPOINT, {"format": "phasewave-image-evaluation-1"}, settings=identity)
    record = RunRecord(
        settings={**identity, "baselines": baselines},
        seed=seed,
        device=str(generator.device),
        dtype="float32",
        earlier_seconds=seconds_before(run / RECORD) if resume else 0.0,
    )

    def say(words: str) -> None:
        if stop is not None and stop():
            raise KeyboardInterrupt
        if told is not None:
            told(words)

    with recorded(record, run / RECORD):
        models = [own_model(generator)]
        for name in BASELINES if baselines else ():
            say(f"baseline: {name}")
            models.append(
                make_baseline(
                    name,
                    generator,
                    train,
                    validation,
                    max_epochs=max_epochs,
                    checkpoints=run.path,
                    progress=_named(name, progress, max_epochs),
                    stop=stop,
                )
            )
        classes = _classes(images, run / CLASSES, generator, seed=seed, say=say, progress=progress, stop=stop)
        say("real images among themselves")
        n = min(len(train), len(test), _MOST) if n_images is None else n_images
        judge = ImageJudge(train, test, n_images=n, seed=seed, classes=classes)
        laws = CodeLaws.of(generator, test)
        metrics = measure(generator, train, test, laws, seed=seed, judge=judge, progress=say)
        if classes is not None:
            metrics["classes"] = class_record(classes, _labelled(images, "test"))
        metrics["models"] = {}
        made: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for model in models:
            say(f"measures of {model.name}")
            found, made[model.name] = _judged(model, judge, train, test, seed=seed)
            metrics["models"][model.name] = found
        say("pictures")
        new = made[models[0].name][1]
        title = "New images, from white noise by the fitted prior"
        draw_generated(run / GENERATED, new, title=title, training=train)
        draw_codes(run / CODES, laws.codes, laws.noise)
        _draw(run / FIGURE, as_float(test), made, metrics)
        write_json(run / METRICS, metrics)
    for name in _CHECKPOINTS:
        (run / name).unlink(missing_ok=True)
    return metrics


def _labelled(images: ImageSet, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    if images.labels is None:
        raise ValueError("the images have no labels")
    return images.bytes(split), images.labels[torch.from_numpy(images.positions(split))]


def _classes(
    images: ImageSet,
    checkpoint: Path,
    generator: ImageGenerator,
    *,
    seed: int,
    say: Callable[[str], None],
    progress: Callable[[str, TrainingProgress, int], None] | None,
    stop: Callable[[], bool] | None,
) -> ClassFeatures | None:
    """Return the features of a classifier of the images, if they are of classes."""
    if images.labels is None:
        return None
    train, validation = (_labelled(images, name) for name in ("train", "val"))
    if len(train[1].unique()) < 2:
        return None
    say("a classifier of the images, in whose last layer but one sets of them are compared too")
    return learn_classes(
        train,
        validation,
        seed=seed,
        checkpoint=checkpoint,
        device=generator.device,
        progress=_named("classifier", progress, EPOCHS),
        stop=stop,
    )


def comparison_rows(metrics: dict[str, Any]) -> list[list[str]]:
    """Return the rows, the heads first, of a table of the models."""
    rows = [
        ["model", "numbers", "PSNR train / test", "Frechet gen.", "Frechet rec.", "recall / coverage", "distance"]
    ]
    for name, found in metrics["models"].items():
        new, again = found["generated"], found["reconstructed"]
        rows.append(
            [
                name,
                f"{found['numbers']:,}",
                f"{again['psnr_train']:.1f} / {again['psnr']:.1f}",
                f"{new['frechet']:.3f}",
                f"{again['frechet']:.3f}",
                f"{new['recall']:.2f} / {new['coverage']:.2f}",
                f"{new['memorisation_pixels']:.2f}",
            ]
        )
    floor = metrics["floor"]
    real = f"{floor['recall']:.2f} / {floor['coverage']:.2f}"
    return [*rows, ["real images", "", "", f"{floor['frechet']:.3f}", f"{floor['frechet']:.3f}", real, "1"]]


def _judged(
    model: Model, judge: ImageJudge, train: torch.Tensor, test: torch.Tensor, *, seed: int
) -> tuple[dict[str, Any], tuple[torch.Tensor, torch.Tensor]]:
    reconstructed = model.reconstruct(test)
    new = model.generate(judge.n_images, seed)
    figures = {
        "numbers": model.n_values,
        "reconstructed": judge.reconstructed(reconstructed, model.reconstruct(train[:_MOST])),
        "generated": judge.generated(new),
        "training": model.training,
    }
    return figures, (reconstructed, new)


def _named(
    name: str, progress: Callable[[str, TrainingProgress, int], None] | None, max_epochs: int
) -> Callable[[TrainingProgress], None] | None:
    if progress is None:
        return None
    return lambda state: progress(name, state, max_epochs)


def _draw(
    path: str | os.PathLike[str],
    test: torch.Tensor,
    made: dict[str, tuple[torch.Tensor, torch.Tensor]],
    metrics: dict[str, Any],
) -> None:
    """Draw the same test images by each model, and new images of each."""
    shown = draw(test, columns(test), seed=0)
    at = draw(torch.arange(len(test)), columns(test), seed=0)
    again = [Row("test images", shown), *(Row(name, pair[0][at]) for name, pair in made.items())]
    width = len(shown)
    new = [[Row(name, pair[1][:width]), Row("", pair[1][width : 2 * width])] for name, pair in made.items()]
    bands = [again, *([row for row in band if len(row.images)] for band in new)]
    note = "above: test images as each model reconstructs them; below: new images of each, Frechet distance "
    note += ", ".join(f"{found['generated']['frechet']:.2f}" for found in metrics["models"].values())
    draw_sheet(path, bands, title="Reconstructed, and new", note=note)
