"""The commands that use a trained generator: `phasewave images reconstruct | generate | interpolate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from rich.console import Console

from phasewave.cli.devices import choose_device
from phasewave.cli.image_options import (
    DeviceOption,
    FitOption,
    ImagesOfModelArgument,
    ModelArgument,
    OverwriteOption,
    SeedOption,
    SkipOption,
    ThreadsOption,
    images_for,
    open_generator,
    same_data,
    show_skipped,
)
from phasewave.cli.outputs import show_files, stoppable
from phasewave.images.dataset import ImageSet
from phasewave.images.generator import ImageGenerator, Prior
from phasewave.images.interpolating import Way
from phasewave.images.recording import FIGURE
from phasewave.images.using import generate_to, interpolate_to, reconstruct_to

Split = Literal["train", "val", "test", "all"]
SplitOption = Annotated[
    Split | None,
    typer.Option(help="Which images of DATA; by default test of the set that the model was trained on, else all."),
]


def reconstruct_command(
    model: ModelArgument,
    data: ImagesOfModelArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("reconstructed"),
    split: SplitOption = None,
    fit: FitOption = False,
    skip_corrupt: SkipOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Encode and decode images: originals, reconstructions and codes in one file, and a picture."""
    console = Console(highlight=False)
    generator = _model(model, device, threads)
    images = images_for(generator, data, fit=fit, skip_corrupt=skip_corrupt)
    show_skipped(console, images)
    chosen = _chosen(generator, images, split)
    with stoppable(), console.status("reconstructing"):
        metrics = reconstruct_to(generator, chosen, out, source=images.source, overwrite=overwrite)
    console.print(
        f"{metrics['n']:,} images: PSNR {metrics['psnr']:.2f} dB (least {metrics['psnr_least']:.2f}), "
        f"{100 * metrics['active']:.1f} % of the patterns active, code of the reconstruction "
        f"{metrics['round_trip']:.3f} off",
        markup=False,
        soft_wrap=True,
    )
    _show(console, out)


def generate_command(
    model: ModelArgument,
    samples: Annotated[int, typer.Option(min=1, help="How many new images.")] = 64,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("generated"),
    prior: Annotated[
        Prior,
        typer.Option(help="fitted: noise becomes codes by the fitted prior; white: noise is taken as codes."),
    ] = "fitted",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA", help="The images of the training: the nearest one is drawn under each new image."
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make new images from white noise."""
    console = Console(highlight=False)
    generator = _model(model, device, threads)
    training: torch.Tensor | None = None
    if data is not None or _embedded(generator):
        found = images_for(generator, data, fit=True)
        training = found.bytes("train")
        if not same_data(generator, found):
            console.print("note: DATA is not the set that the model was trained on", markup=False)
    with stoppable(), console.status("generating"):
        metrics = generate_to(
            generator, samples, out, seed=seed, prior=prior, training=training, overwrite=overwrite
        )
    console.print(
        f"{samples:,} new images; the code of each, found again from it, {metrics['round_trip']:.3f} off",
        markup=False,
        soft_wrap=True,
    )
    _show(console, out)


def interpolate_command(
    model: ModelArgument,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="Images: two, or a set that pairs are drawn from; without it, the embedded glyphs of a model "
            "trained on them, else new images.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("interpolated"),
    pairs: Annotated[int, typer.Option(min=1, help="How many ways.")] = 6,
    steps: Annotated[int, typer.Option(min=2, help="Images a way, both ends among them.")] = 12,
    path: Annotated[
        Way, typer.Option(help="noise: turn through the noise behind the codes; codes: straight between codes.")
    ] = "noise",
    animation: Annotated[Literal["gif", "webp"], typer.Option(help="Format of the animation.")] = "gif",
    split: SplitOption = None,
    fit: FitOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make the images between images: strips, and an animation."""
    console = Console(highlight=False)
    generator = _model(model, device, threads)
    chosen: torch.Tensor | None = None
    if data is not None or _embedded(generator):
        chosen = _chosen(generator, images_for(generator, data, fit=fit, at_least=2), split)
    with stoppable(), console.status("interpolating"):
        file = interpolate_to(
            generator,
            out,
            images=chosen,
            n_pairs=pairs,
            steps=steps,
            path=path,
            animation=animation,
            seed=seed,
            overwrite=overwrite,
        )
    _show(console, out)
    console.print(f"animation: {file}", markup=False, soft_wrap=True)


def _model(path: Path, device: str, threads: int | None) -> ImageGenerator:
    if threads is not None:
        torch.set_num_threads(threads)
    return open_generator(path).to(choose_device(device))


def _embedded(generator: ImageGenerator) -> bool:
    return generator.training_.get("data", {}).get("embedded") is not None


def _chosen(generator: ImageGenerator, images: ImageSet, split: Split | None) -> torch.Tensor:
    if split is None:
        return images.bytes("test" if same_data(generator, images) else None)
    return images.bytes(None if split == "all" else split)


def _show(console: Console, out: Path) -> None:
    show_files(console, out)
    console.print(f"figure: {out / FIGURE}", markup=False, soft_wrap=True)
