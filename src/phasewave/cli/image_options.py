"""Arguments and options that the commands on images share: one spelling, one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from phasewave.images.dataset import ImageSet
from phasewave.images.dataset_file import image_checksum
from phasewave.images.generator import ImageGenerator
from phasewave.images.generator_file import load_generator
from phasewave.images.image_batches import described
from phasewave.images.layout import Color
from phasewave.images.reading import read_images
from phasewave.images.recording import MODEL

_SHOWN = 5
_SOURCES = (
    "A folder or zip of pictures (sub-folders train, val, test: splits), npz, npy, HDF5, idx files or their folder"
)

OptionalImagesArgument = Annotated[
    Path | None, typer.Argument(metavar="[DATA]", help=f"{_SOURCES}; without it, the embedded glyphs.")
]
ImagesOfModelArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DATA]", help=f"{_SOURCES}; without it, the embedded glyphs, of a model trained on them."
    ),
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a training, or its model.h5.")]
SizeOption = Annotated[
    str | None, typer.Option(metavar="N|HxW", help="Pixels a side, or height x width; by default as they are.")
]
ColorOption = Annotated[Color, typer.Option(help="keep: all must be of one kind; grey, or rgb.")]
FitOption = Annotated[bool, typer.Option("--fit", help="Bring the images to the size and colour of the model.")]
SkipOption = Annotated[
    bool, typer.Option("--skip-corrupt", help="Leave out pictures that cannot be decoded, and say which.")
]
LimitOption = Annotated[int | None, typer.Option(min=3, help="At most so many images, drawn at random.")]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...; auto: a GPU if there is one.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads; by default PyTorch's choice.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier run.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run.")]


def read_size(text: str | None, option: str = "--size") -> int | tuple[int, int] | None:
    """Return a size as it was written, N or HxW.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.lower().split("x")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    raise ValueError(f"`{option}` must be a number as 32, or height x width as 48x64, got {text!r}")


def open_generator(path: Path) -> ImageGenerator:
    """Return a model, given its file or the folder of its training.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it cannot be read.
    """
    if path.is_dir() and not (path / MODEL).is_file():
        raise FileNotFoundError(
            f"there is no {MODEL} in {path}: the training there is not finished; "
            "`phasewave images train` with --resume goes on"
        )
    return load_generator(path / MODEL if path.is_dir() else path)


def images_for(
    generator: ImageGenerator,
    path: Path | None,
    *,
    fit: bool = False,
    skip_corrupt: bool = False,
    at_least: int = 1,
) -> ImageSet:
    """Read images for a model.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``path``.
    ValueError
        If they are not of the model's size and colour, and ``fit`` is not given; if there is no ``path`` and
        the model was not trained on the embedded images.
    """
    n_channels, size = generator.encoder_.n_channels, generator.encoder_.size
    if path is None:
        embedded = generator.training_.get("data", {}).get("embedded")
        if embedded is None:
            source = generator.training_.get("data", {}).get("source", "images of its own")
            raise ValueError(f"DATA must be given: the model was trained on {source}, not on the embedded glyphs")
        color: Color = "keep" if n_channels == 1 else "rgb"
        return read_images(None, size=size, color=color, seed=embedded["seed"], limit=embedded["limit"])
    wanted: Color = ("grey" if n_channels == 1 else "rgb") if fit else "keep"
    found = read_images(
        path,
        size=size if fit else None,
        color=wanted,
        skip_corrupt=skip_corrupt,
        at_least=at_least,
        seed=generator.seed,
    )
    if (found.n_channels, found.size) != (n_channels, size):
        raise ValueError(
            f"{path} holds {described(found.images.shape[1:])}, and the model knows "
            f"{described((n_channels, *size))}: --fit brings the images to that"
        )
    return found


def same_data(generator: ImageGenerator, images: ImageSet) -> bool:
    """Say whether a model was trained on this very set, so that its test images are new to it."""
    return bool(generator.training_.get("data", {}).get("sha256") == image_checksum(images))


def show_skipped(console: Console, images: ImageSet) -> None:
    """Print which corrupt pictures were left out, the first of them by name."""
    for text in images.skipped[:_SHOWN]:
        console.print(f"skipped {text}", markup=False, soft_wrap=True)
    if len(images.skipped) > _SHOWN:
        console.print(f"and {len(images.skipped) - _SHOWN:,} more corrupt pictures left out")
