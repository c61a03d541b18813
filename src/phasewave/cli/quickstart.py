"""The command `phasewave quickstart`: the three systems on embedded data, and one page of what they made."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from phasewave.cli.counting import CountProgress
from phasewave.cli.devices import choose_device
from phasewave.cli.errors import ExitCode
from phasewave.cli.image_options import DeviceOption, OverwriteOption, SeedOption, ThreadsOption
from phasewave.cli.image_training import EMBEDDED
from phasewave.cli.outputs import stoppable
from phasewave.cli.progress import EvaluationProgress, duration
from phasewave.cli.quickstart_page import Picture, Section, write_page
from phasewave.cli.training_progress import TrainingDisplay
from phasewave.images import report as image_report
from phasewave.images.generator import ImageGenerator
from phasewave.images.reading import read_images
from phasewave.images.training import train_generator
from phasewave.molecules import report as molecule_report
from phasewave.molecules.datasets import read_dataset
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.fitting import fit, make_task
from phasewave.molecules.model_settings import ModelSettings
from phasewave.runs.folder import open_run
from phasewave.solve.loop import Progress, Status
from phasewave.turbulence.fields import as_field, read_field
from phasewave.turbulence.settings import SynthesisSettings
from phasewave.turbulence.synthesis import synthesize

PAGE = "quickstart.html"
_EVALUATIONS = 60
Part = Callable[[Console, Path, int, torch.device, bool], Section]


def quickstart_command(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder to make for the page and the three runs.")] = Path(
        "quickstart"
    ),
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Run turbulence, molecules and images on data that come with the package: some minutes, one page.

    The folder gets quickstart.html, which holds its pictures, and the folders of the three runs. If a part fails,
    the others are made all the same, and the page says so.
    """
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    where = choose_device(device)
    run = open_run(out, files=(PAGE,), checkpoint="", overwrite=overwrite)
    debug = bool(context.find_root().params.get("debug"))
    sections: list[Section] = []
    with stoppable(f"interrupted: what was made by then is in {out}; give the command again, with --overwrite"):
        for number, (name, part) in enumerate(PARTS.items(), start=1):
            console.print(f"\n{name}", style="bold")
            started = time.monotonic()
            try:
                found = part(console, out / name, seed, where, overwrite)
            except Exception as error:  # whatever it is, the other parts are to be made
                if debug:
                    traceback.print_exc()
                found = _failed(name, error)
                console.print(f"{name} failed: {found.error}", markup=False, soft_wrap=True, style="red")
            sections.append(dataclasses.replace(found, seconds=time.monotonic() - started))
            write_page(run / PAGE, sections, waiting=list(PARTS)[number:])
    total = sum(section.seconds for section in sections)
    console.print(f"{duration(total)}; page: {run / PAGE}", markup=False, soft_wrap=True)
    if any(section.error for section in sections):
        raise typer.Exit(ExitCode.NOT_CONVERGED)


def _failed(name: str, error: Exception) -> Section:
    """Return the section of a part that could not be made."""
    words = f"{type(error).__name__}: {error}"
    return Section(name.capitalize(), _TEXTS[name], _COMMANDS[name], error=words)


def _turbulence(console: Console, folder: Path, seed: int, device: torch.device, overwrite: bool) -> Section:
    whole = read_field()
    half = torch.nn.functional.avg_pool2d(whole.values[None, None], 2)[0, 0]
    settings = SynthesisSettings(moments="pywph", max_evaluations=_EVALUATIONS)
    live = EvaluationProgress(
        console,
        max_evaluations=_EVALUATIONS,
        tolerance=settings.tolerance if isinstance(settings.tolerance, float) else None,
    )
    with live:

        def progress(state: Progress) -> None:
            live.update(state.n_evaluations, state.losses.tolist(), state.status)

        done = synthesize(
            as_field(half),
            n_samples=2,
            seed=seed,
            out=folder,
            settings=settings,
            device=device,
            progress=progress,
            overwrite=overwrite,
        )
    if Status.INTERRUPTED in done.status:  # it saved what it had
        raise KeyboardInterrupt
    made, model = (done.metrics[part] for part in ("samples", "gaussian"))
    names = ("flatness_error", "minkowski_error", "wasserstein")
    table = [["error, 0 is best", "new fields", "Gaussian model"]]
    table += [[n.replace("_", " "), f"{made[n]['mean']:.3f}", f"{model[n]['mean']:.3f}"] for n in names]
    return _made("turbulence", folder, table)


def _molecules(console: Console, folder: Path, seed: int, device: torch.device, overwrite: bool) -> Section:
    task = make_task(read_dataset(None))
    live = CountProgress(console, "molecules")
    with live:

        def progress(stage: str, done: int, total: int) -> None:
            if stage == "features":
                live.update(done, total)

        done = fit(
            task,
            folder,
            settings=ModelSettings("ridge", ensemble=5, seed=seed),
            features=SolidScattering(),
            device=device,
            progress=progress,
            overwrite=overwrite,
        )
    table = molecule_report.summary(done.metrics)
    return _made("molecules", folder, table)


def _images(console: Console, folder: Path, seed: int, device: torch.device, overwrite: bool) -> Section:
    images = read_images(None, seed=seed)
    generator = ImageGenerator(seed=seed).set_params(**EMBEDDED)
    with TrainingDisplay(console) as live:
        done = train_generator(
            images,
            folder,
            generator,
            embedded={"seed": seed, "limit": None},
            device=device,
            progress=live.update,
            told=live.told,
            overwrite=overwrite,
        )
    return _made("images", folder, image_report.summary(done.metrics))


def _made(name: str, folder: Path, table: Sequence[Sequence[str]]) -> Section:
    """Return the section of a part that was made."""
    pictures = tuple(Picture(folder / file, words) for file, words in _PICTURES[name].items())
    return Section(name.capitalize(), _TEXTS[name], _COMMANDS[name], pictures, table)


PARTS: dict[str, Part] = {"turbulence": _turbulence, "molecules": _molecules, "images": _images}
_TEXTS = {
    "turbulence": "New vorticity fields with the wavelet phase harmonics of one, a decaying two-dimensional flow, "
    "at 128 x 128, beside the Gaussian model of the same spectrum. A quick run: fewer moments and evaluations "
    "than the command takes by default.",
    "molecules": "Energies of atomisation of the G2 molecules, predicted from their shapes by solid-harmonic "
    "scattering, with an uncertainty; the composition alone is the yardstick.",
    "images": "A generator of wavelets, sparse patterns and a prior of their codes learns glyphs that the package "
    "draws itself: test images and what is had back from their codes, new images from noise, and ways from one to "
    "another.",
}
_PICTURES = {
    "turbulence": {
        "figure.png": "The vorticity field, new fields and fields of the Gaussian model, and their statistics"
    },
    "molecules": {"figure.png": "Predicted against true energies of molecules, and their errors"},
    "images": {
        "figure.png": "Test glyphs over their reconstructions, new glyphs from noise, ways from glyph to glyph",
        "interpolation.gif": "Six glyphs that turn into others and back",
    },
}
_COMMANDS = {
    "turbulence": "phasewave turbulence synthesize",
    "molecules": "phasewave molecules fit --model ridge",
    "images": "phasewave images train",
}
