"""The command that makes one HDF5 of images: `phasewave images prepare`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from phasewave.cli.counting import CountProgress
from phasewave.cli.outputs import stoppable
from phasewave.images.dataset import ImageSet
from phasewave.images.duplicates import MAX_BITS
from phasewave.images.layout import Color, Crop
from phasewave.images.prepare import Dedupe, prepare_images
from phasewave.images.public_sets import PublicSet

_STEPS = {"read": "images read", "compare": "images compared", "write": "images written"}
_SHOWN = 5


def prepare_command(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE",
            help="A folder or zip of pictures (sub-folders train, val, test: splits; others: classes), npz, npy, "
            "HDF5, idx files or their folder, cifar-10-binary.tar.gz, an LMDB folder; without it, the embedded "
            "glyphs.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The HDF5 file to make.")] = Path("images.h5"),
    size: Annotated[
        str | None, typer.Option(metavar="N|HxW", help="Pixels a side, or height x width; by default as they are.")
    ] = None,
    color: Annotated[Color, typer.Option(help="keep: all must be of one kind; grey, or rgb.")] = "keep",
    crop: Annotated[
        str,
        typer.Option(
            metavar="center|stretch|N",
            help="center: the largest part in the middle of the new shape; stretch: all of it; N: first N x N "
            "pixels in the middle.",
        ),
    ] = "center",
    test_fraction: Annotated[
        float | None, typer.Option(help="Of all images; by default 0.1, or the source's own test images.")
    ] = None,
    val_fraction: Annotated[
        float | None, typer.Option(help="Of all images; by default 0.05, or the source's own validation images.")
    ] = None,
    dedupe: Annotated[
        Dedupe, typer.Option(help="Leave out copies: those of equal pixels, or also those nearly the same.")
    ] = "none",
    max_bits: Annotated[
        int,
        typer.Option(min=0, max=63, help="--dedupe near: how many of 255 bits of the perceptual hash may differ."),
    ] = MAX_BITS,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="Leave out pictures that cannot be decoded, and say which.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=3, help="At most so many images, drawn at random.")] = None,
    attribute: Annotated[
        str | None, typer.Option(help="CelebA: the attribute that is to be the label, such as Smiling.")
    ] = None,
    expect: Annotated[
        PublicSet | None, typer.Option(help="Which public set SOURCE is: its files must have the known checksums.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of splits, --limit and the embedded glyphs.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of an earlier run.")] = False,
) -> None:
    """Make one checked HDF5 file of images: of one size and colour, without copies, with splits."""
    console = Console(highlight=False)
    with stoppable("interrupted: nothing was written; give the command again"), ExitStack() as displays:
        shown: dict[str, CountProgress] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in shown:
                displays.close()  # that of the step before
                shown[step] = displays.enter_context(CountProgress(console, _STEPS[step]))
            shown[step].update(done, total)

        images = prepare_images(
            source,
            out,
            size=None if size is None else _size(size),
            color=color,
            crop=_crop(crop),
            dedupe=dedupe,
            max_bits=max_bits,
            skip_corrupt=skip_corrupt,
            limit=limit,
            attribute=attribute,
            test_fraction=test_fraction,
            val_fraction=val_fraction,
            expect=expect,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
        )
    _describe(console, out, images)


def _describe(console: Console, out: Path, images: ImageSet) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    for text in images.skipped[:_SHOWN]:
        say(f"skipped {text}")
    if images.skipped:
        more = len(images.skipped) - _SHOWN
        rest = f", {more:,} more in the file's attribute `skipped`" if more > 0 else ""
        say(f"{len(images.skipped):,} corrupt pictures left out{rest}")
    copies = int(images.provenance["duplicates_left_out"])
    if copies:
        say(f"{copies:,} copies left out")
    kind = "grey" if images.n_channels == 1 else "colour"
    say(f"{out}: {len(images):,} {kind} images of {images.size[0]}x{images.size[1]}")
    say("splits: " + ", ".join(f"{name} {len(at):,}" for name, at in images.splits.items()))
    if images.labels is not None:
        counts = images.labels.unique(return_counts=True)[1]
        say(f"{len(counts)} classes of {int(counts.min()):,} to {int(counts.max()):,} images")


def _size(text: str) -> int | tuple[int, int]:
    try:
        numbers = [int(part) for part in text.lower().split("x")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    raise ValueError(f"`--size` must be a number as 32, or height x width as 48x64, got {text!r}")


def _crop(text: str) -> Crop | int:
    if text in ("center", "stretch"):
        return "center" if text == "center" else "stretch"
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"`--crop` must be center, stretch or a number of pixels, got {text!r}") from None
