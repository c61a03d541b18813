"""The command that measures a trained generator: `phasewave images evaluate`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

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
    ResumeOption,
    SeedOption,
    ThreadsOption,
    images_for,
    open_generator,
    same_data,
)
from phasewave.cli.image_training import going_on, show_table
from phasewave.cli.outputs import show_files
from phasewave.cli.progress import duration
from phasewave.images.comparing import comparison_rows, evaluate_to
from phasewave.images.recording import FIGURE
from phasewave.images.report import summary
from phasewave.runs.distributed import Ranks
from phasewave.runs.interrupt import stop_on_signal
from phasewave.runs.training_records import TrainingProgress

_LINE_SECONDS = 15.0


def evaluate_command(
    model: ModelArgument,
    data: ImagesOfModelArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("evaluated"),
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Beside ridge regression, pixel PCA, a CNN decoder and a VAE of equal size, trained on the same "
            "images until their loss settles.",
        ),
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Most epochs of the trained baselines.")] = 1000,
    images: Annotated[
        int | None, typer.Option(min=10, help="Images of each kind compared; by default the test images, <= 1000.")
    ] = None,
    fit: FitOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
) -> None:
    """Measure a generator on the test images of DATA, and its new images against real ones.

    DATA is the set that it was trained on. If it has labels, new images are compared with real ones in the last
    layer but one of a classifier too. Ctrl-C keeps the baselines' training; --resume goes on.
    """
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    generator = open_generator(model).to(choose_device(device))
    found = images_for(generator, data, fit=fit, at_least=3)
    if not same_data(generator, found):
        words = "note: DATA is not the set that the model was trained on, so its test images may not be new to it"
        console.print(words, markup=False, soft_wrap=True)
    lines = _Lines(console)
    with going_on(console, Ranks()), stop_on_signal() as stop:
        metrics = evaluate_to(
            generator,
            found,
            out,
            baselines=baselines,
            max_epochs=epochs,
            n_images=images,
            seed=seed,
            told=lines.told,
            progress=lines.update,
            stop=stop,
            resume=resume,
            overwrite=overwrite,
        )
    show_table(console, summary(metrics))
    if baselines:
        show_table(console, comparison_rows(metrics))
    show_files(console, out)
    console.print(f"figure: {out / FIGURE}", markup=False, soft_wrap=True)


class _Lines:
    """What is done, line by line; of a training, one now and then."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._last = time.monotonic()
        self._first: dict[str, tuple[float, int]] = {}

    def told(self, words: str) -> None:
        self.console.print(words, markup=False, soft_wrap=True)

    def update(self, name: str, state: TrainingProgress, max_epochs: int) -> None:
        now, done = time.monotonic(), (state.epoch - 1) * state.n_batches + state.batch
        start, before = self._first.setdefault(name, (now, done))
        if now - self._last < _LINE_SECONDS:
            return
        self._last = now
        text = f"  epoch {state.epoch}, loss {state.loss:.4f}, validation {state.validation:.4f}, "
        text += f"best {state.since_best} epochs ago, rate {state.learning_rate:.1g}"
        if done > before:
            left = (max_epochs * state.n_batches - done) * (now - start) / (done - before)
            text += f", at most {duration(left)} left"
        self.told(text)
