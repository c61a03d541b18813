"""What the diagnostic commands share: options, labelled images on a device, the folder of a run and its record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from phasewave.cli.counting import CountProgress
from phasewave.cli.devices import choose_device
from phasewave.cli.image_options import read_size
from phasewave.cli.outputs import show_files, stoppable
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

Labelled = tuple[Tensor, Tensor]


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
    skip_corrupt: bool,
    seed: int,
    embedded_size: int | None = None,
) -> ImageSet:
    """Read images; the embedded ones in a size of their own, if it is given and no other is asked for.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``data``.
    ValueError
        If they cannot be read, or are fewer than 20.
    """
    asked = read_size(size)
    if asked is None and data is None:
        asked = embedded_size
    return read_images(
        data,
        size=asked,
        color=color,
        limit=limit,
        skip_corrupt=skip_corrupt,
        seed=seed,
        at_least=_AT_LEAST,
    )


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

    def write(self, metrics: dict[str, object], images: ImageSet) -> None:
        """Write metrics.json, with where the images come from."""
        write_json(self.folder / METRICS, {"source": images.source, "n_images": len(images), **metrics})

    def show(self, heads: list[str], rows: list[list[str]]) -> None:
        """Print a table."""
        table = Table(*heads)
        for row in rows:
            table.add_row(*row)
        self.console.print(table)


@contextlib.contextmanager
def diagnostic_run(
    out: Path, images: ImageSet, *, settings: dict[str, Any], seed: int, device: str, overwrite: bool
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
    for text in images.skipped[:5]:
        run.say(f"skipped {text}")
    run.say(f"{images.source}: {images!r}")
    shape = list(images.images.shape)
    record = RunRecord(
        settings={**settings, "source": images.source, "shape": shape},
        seed=seed,
        device=str(where),
        dtype="float32",
    )
    with stoppable(_INTERRUPTED), recorded(record, folder / RECORD):
        yield run
    show_files(console, folder.path)
    run.say(f"figure: {run.figure}")
