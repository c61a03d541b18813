"""The training of a generator on a set of images, from the set to a folder: model, report, pictures; resumable."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phasewave.checks import fail
from phasewave.images.dataset import ImageSet
from phasewave.images.dataset_file import image_checksum
from phasewave.images.figures import (
    draw_generated,
    draw_interpolations,
    draw_overview,
    draw_reconstructions,
    write_animation,
)
from phasewave.images.generator import ImageGenerator
from phasewave.images.generator_file import save_generator
from phasewave.images.image_batches import as_float, draw
from phasewave.images.image_output import write_made
from phasewave.images.live import LiveRecord, RunProgress
from phasewave.images.recording import (
    FIGURE,
    HISTORY,
    LIVE,
    METRICS,
    MODEL,
    RECORD,
    SAMPLES,
    seconds_before,
)
from phasewave.images.report import CodeLaws, measure
from phasewave.images.stages import CHECKPOINTS, StageProgress
from phasewave.images.training_figures import draw_codes, draw_dictionary, draw_training
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.distributed import Ranks
from phasewave.runs.folder import RunFolder, open_run
from phasewave.runs.record import RunRecord, read_json, recorded, write_json

CHECKPOINT = "checkpoint.h5"
RECONSTRUCTIONS, GENERATED = "reconstructions.png", "generated.png"
WAYS, ANIMATION = "interpolation.png", "interpolation.gif"
DICTIONARY, CODES, CURVES = "dictionary.png", "codes.png", "training.png"
_PICTURES = (FIGURE, RECONSTRUCTIONS, GENERATED, WAYS, ANIMATION, DICTIONARY, CODES, CURVES)
_FILES = (MODEL, METRICS, RECORD, SAMPLES, HISTORY, LIVE, *_PICTURES, CHECKPOINT, *CHECKPOINTS.values())
_SHOWN = 48


@dataclass(frozen=True)
class TrainedRun:
    """What a training gave.

    Attributes
    ----------
    generator : ImageGenerator
    folder : Path
    metrics : dict
        The content of metrics.json: `phasewave.images.report.measure`, and ``training``.
    """

    generator: ImageGenerator
    folder: Path
    metrics: dict[str, Any]


def train_generator(
    images: ImageSet,
    out: str | os.PathLike[str],
    generator: ImageGenerator,
    *,
    embedded: Mapping[str, int | None] | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[RunProgress], None] | None = None,
    told: Callable[[str], None] | None = None,
    stop: Callable[[], bool] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    sheet_seconds: float = 120.0,
    ranks: Ranks | None = None,
) -> TrainedRun:
    """Fit a generator to the training images of a set, measure it on its test images, and write it to a folder.

    The folder gets model.h5, metrics.json, run.json, samples.h5, figure.png and further pictures; as it trains,
    history.json and progress.png, and checkpoints, which are gone when all is done.

    Parameters
    ----------
    images : ImageSet
        With splits train, val and test.
    out : path-like
    generator : ImageGenerator
        Fitted here.
    embedded : Mapping, optional
        ``seed`` and ``limit`` of the embedded images, if they are those: the model then knows its images.
    device : torch.device or str
    progress : callable, optional
        Called with a `RunProgress` when a stage begins and after each batch.
    told : callable, optional
        Told in words what begins when the training is over.
    stop : callable, optional
        Asked between batches whether to stop.
    resume, overwrite : bool
        Go on with the unfinished run in ``out``, or replace the files of an earlier one.
    sheet_seconds : float
        progress.png is drawn after each epoch and after so many seconds.
    ranks : Ranks, optional
        Processes that share each batch; each calls this function with the same arguments, ``device`` apart.

    Raises
    ------
    FileExistsError, FileNotFoundError
        See `phasewave.runs.folder.open_run`.
    TypeError, ValueError
        If the images do not fit the parameters or are too few, or the run is of other images or parameters.
    KeyboardInterrupt
        If stopped; the folder can be resumed.
    OSError
        If a file cannot be written.
    """
    team = Ranks() if ranks is None else ranks
    train, validation, test = (_split(images, name) for name in ("train", "val", "test"))
    recipe = generator.recipe(train)
    data = {
        "source": images.source,
        "sha256": image_checksum(images),
        "n": len(images),
        "shape": list(images.images.shape[1:]),
        "embedded": None if embedded is None else dict(embedded),
    }
    identity = {**recipe.settings, "data_sha256": data["sha256"], "n_train": len(train)}

    def enter() -> RunFolder:
        run = open_run(out, files=_FILES, checkpoint=CHECKPOINT, overwrite=overwrite, resume=resume)
        if resume:
            load_checkpoint(run / CHECKPOINT, settings=identity)
        else:
            save_checkpoint(run / CHECKPOINT, {"format": "phasewave-image-training-1"}, settings=identity)
        return run

    run = team.agree(enter)
    record = RunRecord(
        settings={**generator.settings, "data": data},
        seed=generator.seed,
        device=str(device),
        dtype="float32",
        earlier_seconds=seconds_before(run / RECORD) if resume else 0.0,
    )
    with recorded(record, run / RECORD, writes=team.first):
        live = None
        if team.first:
            live = LiveRecord(run / HISTORY, run / LIVE, validation, sheet_seconds=sheet_seconds)

        def step(state: StageProgress) -> None:
            if live is not None:
                now = live(state)
                if progress is not None:
                    progress(now)

        generator.fit(
            train,
            validation,
            checkpoints=run.path,
            device=device,
            progress=step if team.first else None,
            stop=stop,
            ranks=team,
        )
        generator.training_ |= {"data": data, "settings": generator.settings}

        def tell(words: str) -> None:
            if stop is not None and stop():
                raise KeyboardInterrupt
            if told is not None:
                told(words)

        def write() -> dict[str, Any]:
            save_generator(generator, run / MODEL)
            return _write_results(run, generator, train, test, told=tell)

        metrics = team.agree(write)
    if team.first:
        for name in (*CHECKPOINTS.values(), CHECKPOINT):
            (run / name).unlink(missing_ok=True)
    return TrainedRun(generator, run.path, metrics)


def _split(images: ImageSet, name: str) -> torch.Tensor:
    found = images.bytes(name)
    least = {"train": 3, "val": 1, "test": 2}[name]
    if len(found) < least:
        fail("images", f"have at least {least} images in the split {name!r}", len(found))
    return found


def _write_results(
    run: RunFolder,
    generator: ImageGenerator,
    train: torch.Tensor,
    test: torch.Tensor,
    *,
    told: Callable[[str], None],
) -> dict[str, Any]:
    """Measure and draw."""
    told("laws of the codes")
    laws = CodeLaws.of(generator, test)
    metrics = measure(generator, train, test, laws, seed=generator.seed, progress=told)
    training = generator.training_
    metrics["training"] = {
        "n_train": training["n_train"],
        "n_validation": training["n_validation"],
        "mirror": generator.mirror,
        "epochs": read_json(run / HISTORY)["epochs"],
        **{name: training[name] for name in ("decoder", "prior")},
    }
    told("pictures")
    _write_pictures(run, generator, train, test, metrics, laws)
    write_json(run / METRICS, metrics)
    return metrics


def _write_pictures(
    run: RunFolder,
    generator: ImageGenerator,
    train: torch.Tensor,
    test: torch.Tensor,
    metrics: dict[str, Any],
    laws: CodeLaws,
) -> None:
    """Draw what the generator does, how it was trained and what it learnt; keep the images drawn."""
    training = generator.training_
    originals = as_float(draw(test, _SHOWN, seed=0))
    made = generator.reconstruct(originals).cpu()
    new = generator.generate(_SHOWN, seed=generator.seed)
    n = min(6, len(originals) // 2)
    ends = (originals[:n], originals[n : 2 * n])
    frames = generator.interpolate(*ends, steps=31).cpu()
    ways = frames[:, ::2]
    model = metrics["model"]
    note = f"{training['n_train']:,} training images; test images: PSNR {model['psnr']:.1f} dB, "
    note += f"{100 * model['active']:.1f} % of the patterns active"
    title = Path(training.get("data", {}).get("source", "")).name
    draw_overview(run / FIGURE, originals, made, new, ways[:3], title=title, note=note)
    draw_reconstructions(run / RECONSTRUCTIONS, originals, made, title="Test images")
    draw_generated(run / GENERATED, new, title="New images, from white noise by the fitted prior", training=train)
    draw_interpolations(run / WAYS, ways, ends, title="From one test image to another")
    write_animation(run / ANIMATION, frames)
    use = generator.decoder_.sparse_codes(generator.encode(test)).unflatten(1, (generator.n_atoms, -1)).sum((0, 2))
    draw_dictionary(run / DICTIONARY, generator.decoder_.dictionary.atoms(), use)
    draw_codes(run / CODES, laws.codes, laws.noise)
    decoder, prior = (training[name]["history"] for name in ("decoder", "prior"))
    draw_training(run / CURVES, decoder, prior, metrics["training"]["epochs"])
    write_made(
        run / SAMPLES,
        {
            "generated": new,
            "originals": originals,
            "reconstructions": made,
            "interpolations": ways,
        },
        settings=generator.settings,
        seed=generator.seed,
    )
