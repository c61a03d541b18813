"""The commands ``phasewave classify fit | evaluate | predict``."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from rich.console import Console

from phasewave.classify.features import Contrast, NonlinearityName
from phasewave.classify.model_file import Classifier, SavedClassifier, load_classifier
from phasewave.classify.runs import FIGURE, MODEL, LabelledImages, evaluate_to, fit_to, predict_to
from phasewave.classify.scattering_classifier import ScatteringClassifier
from phasewave.classify.training import NetworkClassifier
from phasewave.cli.devices import choose_device
from phasewave.cli.image_options import (
    ColorOption,
    DeviceOption,
    FitOption,
    LimitOption,
    OptionalImagesArgument,
    OverwriteOption,
    ResumeOption,
    SeedOption,
    SizeOption,
    SkipOption,
    ThreadsOption,
    read_size,
)
from phasewave.cli.image_training import going_on
from phasewave.cli.outputs import may_write, show_files, stoppable
from phasewave.cli.ranks import spoken_once
from phasewave.images.dataset import ImageSet
from phasewave.images.reading import read_images
from phasewave.runs.distributed import Ranks, stop_on_any_signal, torchrun_ranks
from phasewave.runs.interrupt import stop_on_signal
from phasewave.runs.training_records import TrainingProgress

_LINE_SECONDS = 15.0

ModelName = Literal[
    "linear", "logistic", "svm", "affine", "hybrid", "grid", "perceptron", "encoder", "istc", "cnn"
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a fit, or its model.h5.")]
SplitOption = Annotated[
    Literal["train", "val", "test", "all"], typer.Option(help="Which images of DATA; all: every one.")
]

app = typer.Typer(no_args_is_help=True, help="Classes of images, from scattering coefficients.")


@app.callback()
def _classify() -> None:
    """Classes of images, from scattering coefficients."""


@app.command("fit")
def fit_command(
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("classifier"),
    model: Annotated[
        ModelName,
        typer.Option(
            help="On scattering: linear (ridge), logistic, svm (Gaussian), affine (axes of each class), or a "
            "network: hybrid (residual), grid (hybrid that tells positions apart), perceptron, encoder (1x1), "
            "istc (sparse codes). cnn: hybrid on pixels."
        ),
    ] = "linear",
    n_train: Annotated[
        int | None, typer.Option(min=2, help="Fit to so many training images only, all classes alike.")
    ] = None,
    scales: Annotated[
        int | None, typer.Option(min=1, help="Octaves of wavelets; by default 2 at 32 pixels a side, 3 at 64.")
    ] = None,
    angles: Annotated[int, typer.Option(min=1, help="Orientations of the wavelets.")] = 8,
    order: Annotated[int, typer.Option(min=0, max=2, help="Of the scattering.")] = 2,
    contrast: Annotated[
        Contrast, typer.Option(help="standardise: each image less its mean, over its deviation.")
    ] = "none",
    nonlinearity: Annotated[
        NonlinearityName,
        typer.Option(help="Of the scattering's orders 1 and 2: log(1 + S / floor), S^exponent, S."),
    ] = "log",
    floor: Annotated[
        float, typer.Option(help="log: level under which it is linear, over the channel's mean.")
    ] = 0.1,
    exponent: Annotated[float, typer.Option(help="power: between 0 and 1; 0.5 is the square root.")] = 0.5,
    penalty: Annotated[
        float | None,
        typer.Option(help="svm: C, of mistakes (10). logistic: of the squared coefficients (0.003)."),
    ] = None,
    width: Annotated[int, typer.Option(min=1, help="Networks: channels; istc has 4 times as many atoms.")] = 32,
    epochs: Annotated[int | None, typer.Option(min=1, help="Networks: most epochs; by default 15 to 200.")] = None,
    max_shift: Annotated[
        int, typer.Option(min=0, help="Networks: shift training images at random by up to so many pixels.")
    ] = 0,
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="Networks: mirror training images at random; not for digits and text."),
    ] = False,
    size: SizeOption = None,
    color: ColorOption = "keep",
    limit: LimitOption = None,
    skip_corrupt: SkipOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
) -> None:
    """Learn the classes of DATA from its training images, and measure that on its test images.

    A network that learnt from shifted or mirrored images judges an image by the mean over such views of it.

    The folder gets model.h5, metrics.json, run.json and figure.png. Without --n-train, the validation images
    decide which epoch of a network is kept. Ctrl-C keeps the training of a network; --resume goes on with it.

    torchrun --nproc-per-node N -m phasewave classify fit ... shares each batch of a network out.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    with torchrun_ranks() as ranks, spoken_once(ranks):
        console = Console(highlight=False, quiet=not ranks.first)
        where = str(choose_device(device, local_rank=ranks.local_rank if ranks.size > 1 else None))
        common: dict[str, Any] = {
            "n_scales": scales,
            "n_angles": angles,
            "max_order": order,
            "nonlinearity": nonlinearity,
            "floor": floor,
            "exponent": exponent,
            "contrast": contrast,
            "seed": seed,
            "device": where,
        }
        classifier: Classifier
        if model == "linear" or model == "logistic" or model == "svm" or model == "affine":
            if ranks.size > 1:
                raise ValueError(f"`--model {model}` is fitted by one process: start it without torchrun")
            if max_shift or mirror:
                raise ValueError(f"`--max-shift` and `--mirror` are for networks, not for `--model {model}`")
            if penalty is not None and model in ("linear", "affine"):
                raise ValueError(
                    f"`--penalty` is for logistic and svm, not for `--model {model}`, which finds its own"
                )
            classifier = ScatteringClassifier(model, penalty=penalty, **common)
        else:
            classifier = NetworkClassifier(
                model, width=width, max_shift=max_shift, mirror=mirror, max_epochs=epochs, **common
            )
        images = ranks.together(
            lambda: read_images(
                data, size=read_size(size), color=color, limit=limit, skip_corrupt=skip_corrupt, seed=seed
            )
        )
        train, held, test = (_labelled(images, split) for split in ("train", "val", "test"))
        chosen = len(train.labels) if n_train is None else n_train
        words = f"{images.source if data is None else data}: {images}; {model} on {chosen:,} images, on {where}"
        console.print(words, markup=False, soft_wrap=True)
        lines = _Lines(console)
        with going_on(console, ranks), _stops(ranks, classifier) as stop:
            metrics = fit_to(
                classifier,
                train,
                test,
                out,
                validation=held,
                class_names=images.class_names,
                n_train=n_train,
                source={
                    "path": None if data is None else str(data),
                    "seed": seed,
                    "limit": limit,
                    "size": list(images.size),
                },
                progress=lines.update if ranks.first else None,
                stop=stop,
                resume=resume,
                overwrite=overwrite,
                ranks=ranks,
            )
        _show(console, metrics, out)


@app.command("evaluate")
def evaluate_command(
    model: ModelArgument,
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("evaluated"),
    split: SplitOption = "test",
    fit: FitOption = False,
    skip_corrupt: SkipOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure a classifier on the labelled images of DATA."""
    console = Console(highlight=False)
    saved = _open(model, device, threads)
    images = _images(saved, data, fit=fit, skip_corrupt=skip_corrupt)
    with stoppable(), console.status("classifying"):
        metrics = evaluate_to(
            saved,
            _labelled(images, None if split == "all" else split),
            out,
            class_names=images.class_names,
            overwrite=overwrite,
        )
    _show(console, metrics, out)


@app.command("predict")
def predict_command(
    model: ModelArgument,
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The CSV file to make.")] = Path("predictions.csv"),
    fit: FitOption = False,
    skip_corrupt: SkipOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Classify all images of DATA: a table of the class, its score and the runner-up, in the order of DATA."""
    console = Console(highlight=False)
    may_write(out, overwrite=overwrite)
    saved = _open(model, device, threads)
    images = _images(saved, data, fit=fit, skip_corrupt=skip_corrupt)
    with stoppable(), console.status("classifying"):
        found = predict_to(saved, images.images, out)
    counts = ", ".join(f"{name} {found.count(name):,}" for name in saved.class_names if name in found)
    console.print(f"{len(found):,} images: {counts}\ntable: {out}", markup=False, soft_wrap=True)


def _open(path: Path, device: str, threads: int | None) -> SavedClassifier:
    if threads is not None:
        torch.set_num_threads(threads)
    if path.is_dir() and not (path / MODEL).is_file():
        raise FileNotFoundError(
            f"there is no {MODEL} in {path}: the fit there is not finished; `phasewave classify fit` makes one"
        )
    return load_classifier(path / MODEL if path.is_dir() else path, device=str(choose_device(device)))


def _images(saved: SavedClassifier, path: Path | None, *, fit: bool, skip_corrupt: bool) -> ImageSet:
    n_channels, *size = saved.shape
    source = saved.training.get("source", {})
    if path is None:
        if source.get("path", "") is not None:
            raise ValueError(f"DATA must be given: the model was fitted to {source.get('path', 'other images')}")
        color: Literal["keep", "rgb"] = "keep" if n_channels == 1 else "rgb"
        return read_images(None, size=size, color=color, seed=source["seed"], limit=source["limit"])
    found = read_images(
        path,
        size=size if fit else None,
        color=("grey" if n_channels == 1 else "rgb") if fit else "keep",
        skip_corrupt=skip_corrupt,
        at_least=1,
    )
    if (found.n_channels, *found.size) != (n_channels, *size):
        raise ValueError(
            f"{path} holds images of (channels, height, width) {(found.n_channels, *found.size)}, and the model "
            f"knows {(n_channels, *size)}: --fit brings the images to that"
        )
    return found


def _labelled(images: ImageSet, split: str | None) -> LabelledImages:
    if images.labels is None:
        raise ValueError(
            f"the images must have labels, and those of {images.source} have none: put the pictures of each class "
            "in a folder of its own, or labels beside the images of an npz"
        )
    return LabelledImages(images.bytes(split), images.labels_of(split))


def _stops(ranks: Ranks, model: Classifier) -> AbstractContextManager[Callable[[], bool] | None]:
    if isinstance(model, ScatteringClassifier):
        return stoppable("interrupted: the fit is not finished; give the command again with --overwrite")
    return stop_on_signal() if ranks.size == 1 else stop_on_any_signal()


def _show(console: Console, metrics: dict[str, Any], out: Path) -> None:
    text = f"accuracy {100 * metrics['accuracy']:.2f} ± {100 * metrics['accuracy_error']:.2f} % of "
    text += f"{metrics['n']:,} images, {metrics['errors']:,} mistakes"
    if metrics.get("sparsity"):
        sparse = metrics["sparsity"]
        text += f"; {sparse['n_active']:.1f} atoms a position, duality gap {sparse['relative_gap']:.2g}"
    console.print(text, markup=False, soft_wrap=True)
    if not console.quiet:
        show_files(console, out)
        console.print(f"figure: {out / FIGURE}", markup=False, soft_wrap=True)


class _Lines:
    """The state of a training, a line now and then."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._last = time.monotonic()

    def update(self, state: TrainingProgress) -> None:
        now = time.monotonic()
        if now - self._last < _LINE_SECONDS:
            return
        self._last = now
        text = f"  epoch {state.epoch}, batch {state.batch}/{state.n_batches}, loss {state.loss:.4f}"
        if state.epoch > 1:
            text += f" (validation {state.validation:.4f})"
        self.console.print(text, markup=False, soft_wrap=True)
