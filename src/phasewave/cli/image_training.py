"""The command that trains a generator of images: `phasewave images train`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from phasewave.cli.devices import choose_device
from phasewave.cli.errors import ExitCode
from phasewave.cli.image_options import (
    ColorOption,
    DeviceOption,
    LimitOption,
    OptionalImagesArgument,
    OverwriteOption,
    ResumeOption,
    SeedOption,
    SizeOption,
    SkipOption,
    ThreadsOption,
    read_size,
    show_skipped,
)
from phasewave.cli.outputs import show_files
from phasewave.cli.ranks import spoken_once
from phasewave.cli.training_progress import TrainingDisplay
from phasewave.images.dataset import ImageSet
from phasewave.images.generator import ImageGenerator
from phasewave.images.reading import read_images
from phasewave.images.recording import FIGURE
from phasewave.images.report import summary
from phasewave.images.training import train_generator
from phasewave.runs.distributed import Ranks, stop_on_any_signal, torchrun_ranks
from phasewave.runs.interrupt import stop_on_signal
from phasewave.runs.training_records import Precision

_DEFAULTS = ImageGenerator()
EMBEDDED = {"code_dim": 48, "n_atoms": 32, "epochs": 5, "prior_epochs": 30, "prior_width": 128}
"""For the embedded glyphs, so that their training takes no more than three minutes on two cores."""


def _said(name: str) -> str:
    return f"by default {_DEFAULTS.settings[name]}; {EMBEDDED[name]} of the embedded glyphs."


def train_command(
    data: OptionalImagesArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("run"),
    size: SizeOption = None,
    color: ColorOption = "keep",
    limit: LimitOption = None,
    skip_corrupt: SkipOption = False,
    code_dim: Annotated[
        int | None, typer.Option(min=1, help=f"Dimension of the codes; {_said('code_dim')}")
    ] = None,
    atoms: Annotated[
        int | None, typer.Option(min=1, help=f"Patterns at each node of the dictionary's grid; {_said('n_atoms')}")
    ] = None,
    sparsity: Annotated[
        float, typer.Option(help="Share of the patterns active in an image.")
    ] = _DEFAULTS.sparsity,
    scales: Annotated[
        int | None, typer.Option(min=1, help="Octaves of wavelets; by default 3 at 32 pixels a side, 4 at 64.")
    ] = None,
    angles: Annotated[int, typer.Option(min=1, help="Orientations of the wavelets.")] = _DEFAULTS.n_angles,
    average: Annotated[
        int | None,
        typer.Option(
            help="Pixels a side of the blocks averaged, a power of 2; by default 2 at 32 pixels, 4 at 64."
        ),
    ] = None,
    order: Annotated[int, typer.Option(min=1, max=2, help="2: with scattering of order 2.")] = _DEFAULTS.order,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Learn from each image also with left and right exchanged: faces.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help=f"Most epochs of the dictionary; {_said('epochs')}")
    ] = None,
    prior_epochs: Annotated[
        int | None, typer.Option(min=1, help=f"Most epochs of the prior; {_said('prior_epochs')}")
    ] = None,
    prior_width: Annotated[
        int | None,
        typer.Option(
            min=2,
            help=f"Of the prior's network; by default 256, {EMBEDDED['prior_width']} of the embedded glyphs.",
        ),
    ] = None,
    prior_depth: Annotated[
        int | None, typer.Option(min=1, help="Of the prior's network; by default its own.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a step.")] = _DEFAULTS.batch_size,
    precision: Annotated[
        Precision, typer.Option(help="Of the dictionary's training; bfloat16 is for GPUs.")
    ] = _DEFAULTS.precision,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
) -> None:
    """Learn to reconstruct and generate images like those of DATA.

    The folder gets model.h5, metrics.json, run.json, samples.h5, figure.png and further pictures, an animation
    among them; progress.png is drawn anew as it trains.

    Ctrl-C at any time keeps what is reached, and so does a killed process; the same command with --resume goes on.

    torchrun --nproc-per-node N -m phasewave images train ... shares each batch out.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    small = EMBEDDED if data is None else {name: _DEFAULTS.settings[name] for name in EMBEDDED}
    generator = ImageGenerator(
        size=read_size(size),
        code_dim=small["code_dim"] if code_dim is None else code_dim,
        n_atoms=small["n_atoms"] if atoms is None else atoms,
        sparsity=sparsity,
        n_scales=scales,
        n_angles=angles,
        average=average,
        order=order,
        mirror=mirror,
        epochs=small["epochs"] if epochs is None else epochs,
        prior_epochs=small["prior_epochs"] if prior_epochs is None else prior_epochs,
        prior_width=small["prior_width"] if prior_width is None else prior_width,
        prior_depth=prior_depth,
        batch_size=batch_size,
        precision=precision,
        seed=seed,
    )
    with torchrun_ranks() as ranks, spoken_once(ranks):
        console = Console(highlight=False, quiet=not ranks.first)
        images = ranks.together(
            lambda: read_images(
                data, size=read_size(size), color=color, limit=limit, skip_corrupt=skip_corrupt, seed=seed
            )
        )
        where = choose_device(device, local_rank=ranks.local_rank if ranks.size > 1 else None)
        _announce(console, data, images, generator, f"on {where}", ranks)
        display = TrainingDisplay(console)
        with going_on(console, ranks), display, _stops(ranks) as stop:
            done = train_generator(
                images,
                out,
                generator,
                embedded={"seed": seed, "limit": limit} if data is None else None,
                device=where,
                progress=display.update,
                told=display.told,
                stop=stop,
                resume=resume,
                overwrite=overwrite,
                ranks=ranks,
            )
        show_table(console, summary(done.metrics))
        if ranks.first:
            show_files(console, done.folder)
            console.print(f"figure: {done.folder / FIGURE}", markup=False, soft_wrap=True)


def show_table(console: Console, rows: list[list[str]]) -> None:
    """Print a table whose first row are the heads."""
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)


@contextlib.contextmanager
def going_on(console: Console, ranks: Ranks) -> Iterator[None]:
    """End with how to go on, and the code of an interruption, when the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt as stop:
        given = [word for word in sys.argv[1:] if word not in ("--overwrite", "--resume")]
        torchrun = ["torchrun", "--nproc-per-node", str(ranks.size), "-m", "phasewave"]
        again = shlex.join([*(["phasewave"] if ranks.size == 1 else torchrun), *given, "--resume"])
        console.print(
            f"Interrupted; all that was reached is saved. Go on with: {again}", markup=False, soft_wrap=True
        )
        raise typer.Exit(ExitCode.NOT_CONVERGED) from stop


def _stops(ranks: Ranks) -> contextlib.AbstractContextManager[Callable[[], bool]]:
    return stop_on_signal() if ranks.size == 1 else stop_on_any_signal()


def _announce(
    console: Console, data: Path | None, images: ImageSet, generator: ImageGenerator, where: str, ranks: Ranks
) -> None:
    show_skipped(console, images)
    name = images.source if data is None else str(data)
    kind = "grey" if images.n_channels == 1 else "colour"
    counts: dict[str, Any] = {split: len(at) for split, at in images.splits.items()}
    words = f"{name}: {kind}, {images.size[0]} x {images.size[1]}; "
    words += ", ".join(f"{split} {n:,}" for split, n in counts.items())
    words += f"; codes of {generator.code_dim}, {generator.n_atoms} patterns a node; {where}"
    if ranks.size > 1:
        words += f", {ranks.size} processes"
    console.print(words, markup=False, soft_wrap=True)
