"""What the diagnostic commands share: options, labelled images on a device, the folder of a run and its record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from phasewave.cli.counting import CountProgress
from phasewave.cli.devices import choose_device
from phasewave.cli.image_options import read_size
from phasewave.cli.outputs import show_files, stoppable
from phasewave.diagnostics.reference_networks import accuracy, small_cnn, train_classifier
from phasewave.images.dataset import ImageSet
from phasewave.images.layout import Color
from phasewave.images.reading import read_images
from phasewave.runs.folder import RunFolder, open_run
from phasewave.runs.record import RunRecord, recorded, write_json

METRICS, RECORD, FIGURE = "metrics.json", "run.json", "figure.png"
_NO_CHECKPOINT = ""  # these runs take seconds to minutes: there is nothing to resume
_INTERRUPTED = "interrupted before the end: give the command again, with --overwrite if it left files"
_AT_LEAST = 20  # images; the embedded set has no fewer

LimitOption = Annotated[int, typer.Option(min=_AT_LEAST, help="At most so many images, drawn at random.")]
EpochsOption = Annotated[int, typer.Option(min=1, help="Of the small networks' training.")]
TrainedOption = Annotated[
    int | None,
    typer.Option(min=0, help="Of the trained CNN, 0: none; by default 12, and none for images without labels."),
]
TestedOption = Annotated[int, typer.Option(min=2, help="Test images that are measured, at most.")]

Labelled = tuple[Tensor, Tensor]
Cell = str | int | float | None


@dataclass(frozen=True)
class Classes:
    """Training and test images with labels 0 to C - 1, each of which occurs in training.

    Attributes
    ----------
    train, test : pairs of torch.Tensor (n, C, H, W), (n,)
        float32 in [0, 1] and int64.
    names : tuple of str
        One a class; empty where the source does not name them.
    """

    train: Labelled
    test: Labelled
    names: tuple[str, ...]


def open_images(
    data: Path | None,
    *,
    size: str | None,
    color: Color,
    limit: int,
    skip: bool,
    seed: int,
    threads: int | None,
    embedded_size: int | None = None,
    square: bool = False,
) -> ImageSet:
    """Set the threads and read images; the embedded ones in a size of their own, if no other is asked for.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``data``.
    ValueError
        If they cannot be read, are fewer than 20, or are to be ``square`` and are not.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    asked = read_size(size)
    if asked is None and data is None:
        asked = embedded_size
    found = read_images(
        data, size=asked, color=color, limit=limit, skip_corrupt=skip, seed=seed, at_least=_AT_LEAST
    )
    height, width = found.size
    if square and height != width:
        raise ValueError(f"the images must be square, got {height}x{width}: --size {min(height, width)} cuts them")
    return found


def classes_of(images: ImageSet, device: torch.device, *, at_least: int = 2) -> Classes:
    """Return labelled training and test images on a device; test images of classes without training are left out.

    Raises
    ------
    ValueError
        If there are no labels, or too few classes in the training or the test images.
    """
    labels, test_labels = images.labels_of("train"), images.labels_of("test")
    classes = labels.unique()
    known = torch.isin(test_labels, classes)
    seen = len(test_labels[known].unique())
    if min(len(classes), seen) < at_least:
        raise ValueError(
            f"the images must be of {at_least} classes or more, got {len(classes)} in the {len(labels)} training "
            f"and {seen} in the {len(test_labels)} test images; a larger --limit may help"
        )
    names = tuple(images.class_names[int(c)] for c in classes) if images.class_names else ()
    return Classes(
        (images.float("train").to(device), torch.searchsorted(classes, labels).to(device)),
        (images.float("test")[known].to(device), torch.searchsorted(classes, test_labels[known]).to(device)),
        names,
    )


@dataclass(frozen=True)
class Run:
    """One run of a diagnostic: where it computes, speaks and writes.

    Attributes
    ----------
    console : rich.console.Console
    device : torch.device
    folder : RunFolder
    """

    console: Console
    device: torch.device
    folder: RunFolder

    @property
    def figure(self) -> Path:
        """Where the figure belongs."""
        return self.folder / FIGURE

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def counting(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """Show how many are done; yields what to call with the number done and of all."""
        with CountProgress(self.console, what) as shown:
            yield shown.update

    def write(self, metrics: dict[str, object], images: ImageSet | None = None) -> None:
        """Write metrics.json, with where images come from."""
        source = {} if images is None else {"source": images.source, "n_images": len(images)}
        write_json(self.folder / METRICS, {**source, **metrics})

    def measuring(self, name: str) -> None:
        """Print what is measured now."""
        self.say(f"measuring {name}")

    def show(self, heads: list[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Print a table; None is a dash."""
        table = Table(*heads)
        for row in rows:
            table.add_row(
                *(f"{cell:.3g}" if isinstance(cell, float) else "-" if cell is None else str(cell) for cell in row)
            )
        self.console.print(table)


def trained_epochs(epochs: int | None, images: ImageSet) -> int:
    """Return how many epochs a CNN is trained for: 12 unless asked otherwise, none for images without labels."""
    return epochs if epochs is not None else (12 if images.labels is not None else 0)


def with_trained_cnn(
    representations: Mapping[str, nn.Module], images: ImageSet, run: Run, *, epochs: int, seed: int
) -> tuple[dict[str, nn.Module], dict[str, object]]:
    """Return representations on the device, a CNN trained for some epochs behind the random one; its accuracy."""
    ready = {name: function.to(run.device) for name, function in representations.items()}
    if not epochs:
        return ready, {}
    sets = classes_of(images, run.device)
    network = small_cnn(images.images.shape[1:], int(sets.train[1].max()) + 1, seed=seed).to(run.device)
    with run.counting("epochs") as update:
        train_classifier(
            network, *sets.train, epochs=epochs, seed=seed, after=lambda epoch, _: update(epoch, epochs)
        )
    pairs = list(ready.items())
    at = list(ready).index("random CNN") + 1
    ready = dict([*pairs[:at], ("trained CNN", network[:-1]), *pairs[at:]])
    return ready, {"accuracy_of_trained_cnn": accuracy(network, *sets.test)}


def tested_images(images: ImageSet, limit: int, run: Run) -> Tensor:
    """Return at most so many test images on the device, or others where there are no two for testing."""
    return images.float("test" if len(images.positions("test")) > 1 else None)[:limit].to(run.device)


@contextlib.contextmanager
def diagnostic_run(
    out: Path, images: ImageSet | None, *, settings: dict[str, Any], seed: int, device: str, overwrite: bool
) -> Iterator[Run]:
    """Open the folder of a run and keep its record; say at the end what it holds.

    Raises
    ------
    FileExistsError
        If the folder is in use, without ``overwrite``.
    ValueError
        If there is no such device.
    """
    where = choose_device(device)
    console = Console(highlight=False)
    folder = open_run(out, files=(FIGURE, METRICS, RECORD), checkpoint=_NO_CHECKPOINT, overwrite=overwrite)
    run = Run(console, where, folder)
    if images is not None:
        for text in images.skipped[:5]:
            run.say(f"skipped {text}")
        run.say(f"{images.source}: {images!r}")
        settings = {**settings, "source": images.source, "shape": list(images.images.shape)}
    record = RunRecord(
        settings=settings,
        seed=seed,
        device=str(where),
        dtype="float32",
    )
    with stoppable(_INTERRUPTED), recorded(record, folder / RECORD):
        yield run
    show_files(console, folder.path)
    run.say(f"figure: {run.figure}")
