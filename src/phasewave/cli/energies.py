"""The commands ``phasewave molecules fit``, ``evaluate`` and ``learning-curve``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from phasewave.cli.counting import CountProgress
from phasewave.cli.devices import choose_device
from phasewave.cli.options import (
    AtAtomsOption,
    ChannelsOption,
    DegreeOption,
    DeviceOption,
    EnsembleOption,
    FeaturesOption,
    ModelOption,
    OptionalDataArgument,
    OrderOption,
    OverwriteOption,
    PoolingOption,
    PowersOption,
    PropertyOption,
    ReferencesOption,
    ResumeOption,
    ScalesOption,
    SecondOrderChannelsOption,
    SeedOption,
    StepOption,
    TermsOption,
    ThreadsOption,
    scattering_settings,
)
from phasewave.cli.outputs import show_files, stoppable
from phasewave.molecules.datasets import read_dataset
from phasewave.molecules.evaluating import evaluate, open_model, write_evaluation
from phasewave.molecules.feature_file import FeatureFile, read_features
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.fitting import Task, fit, make_task
from phasewave.molecules.known_curves import read_curves
from phasewave.molecules.learning_curve import learning_curve
from phasewave.molecules.model_settings import ModelChoice, ModelSettings
from phasewave.molecules.report import shown_unit, summary
from phasewave.runs.interrupt import stop_on_signal


def fit_command(
    data: OptionalDataArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("run"),
    model: ModelOption = None,
    property_: PropertyOption = None,
    pooling: PoolingOption = "sum",
    split: Annotated[
        str | None,
        typer.Option(help="Named split of DATA, by default random-0; all: train on all, test on none."),
    ] = None,
    n_train: Annotated[
        int | None, typer.Option("--n-train", help="Only so many of the training molecules.")
    ] = None,
    features: FeaturesOption = None,
    channels: ChannelsOption = None,
    second_order_channels: SecondOrderChannelsOption = None,
    scales: ScalesOption = None,
    max_degree: DegreeOption = None,
    powers: PowersOption = None,
    order: OrderOption = None,
    step: StepOption = None,
    at_atoms: AtAtomsOption = False,
    references: ReferencesOption = None,
    terms: TermsOption = None,
    ensemble: EnsembleOption = 5,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Fit a model of an energy to DATA and test it on molecules held out.

    The folder gets model.h5, metrics.json, predictions.h5, figure.png and run.json.
    """
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = _model_for(data) if model is None else model
    settings = ModelSettings(chosen, references, terms, ensemble=ensemble, seed=seed, pooling=pooling)
    dataset = read_dataset(data)
    task = make_task(dataset, name=property_, split=split, n_train=n_train)
    asked = scattering_settings(
        dataset.molecules,
        channels=channels,
        second_order_channels=second_order_channels,
        scales=scales,
        max_degree=max_degree,
        powers=powers,
        order=order,
        step=step,
        at_atoms=at_atoms,
    )
    rows = _features(features, task, settings, asked)
    where = choose_device(device)
    _announce(console, data, task, f"{chosen}{f', {ensemble} members' if ensemble else ''}, on {where}")
    with stoppable(), _stages(console) as progress:
        done = fit(
            task,
            out,
            settings=settings,
            features=rows,
            device=where,
            progress=progress,
            overwrite=overwrite,
        )
    show_report(console, done.metrics)
    show_files(console, done.folder)


def evaluate_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a fit, or its model.h5.")],
    data: OptionalDataArgument = None,
    property_: PropertyOption = None,
    split: Annotated[
        str | None, typer.Option(help="Judge the test molecules of this split of DATA; by default all molecules.")
    ] = None,
    features: FeaturesOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder to make for metrics.json, predictions.h5, figure.png and run.json."),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Judge a fitted model on molecules with known values."""
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    fitted = open_model(model)
    dataset = read_dataset(data)
    rows = None
    if features is not None:
        if not isinstance(fitted.features_, SolidScattering):
            raise ValueError("`--features` must be given with a model on scattering features; this one has others")
        rows = read_features(features, molecules=dataset.molecules, features=fitted.features_)
    where = choose_device(device)
    with stoppable(), console.status("predicting"):
        found = evaluate(fitted, dataset, name=property_, split=split, features=rows, device=where)
    if out is not None:
        write_evaluation(found, out, model=model, device=str(where), overwrite=overwrite)
    trained = found.metrics["trained_on"]
    if found.metrics["same_data_set"] and trained["split"] != found.metrics["split"]:
        console.print(
            f"note: the model was trained on molecules of this data set (split {trained['split']}): some of those "
            "judged here are among them",
            markup=False,
            soft_wrap=True,
        )
    _show_left_out(console, found.metrics["left_out"])
    show_report(console, found.metrics)
    if out is not None:
        show_files(console, out)


def learning_curve_command(
    data: OptionalDataArgument = None,
    out: Annotated[Path, typer.Option(help="The folder to make for the results.")] = Path("curve"),
    sizes: Annotated[
        str | None,
        typer.Option(metavar="N,...", help="Numbers of training molecules; by default five, each twice the last."),
    ] = None,
    draws: Annotated[
        str,
        typer.Option(
            metavar="N,...", help="Draws of training and test molecules, 1 to 5: one number, or one for each size."
        ),
    ] = "3",
    model: ModelOption = None,
    property_: PropertyOption = None,
    pooling: PoolingOption = "sum",
    features: FeaturesOption = None,
    references: ReferencesOption = None,
    terms: TermsOption = None,
    ensemble: EnsembleOption = 0,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            help="To draw beside it: the folder of another learning curve, or a CSV with the columns label, "
            "n_train, mae and unit. May be given again."
        ),
    ] = None,
) -> None:
    """Fit a model to more and more molecules, several times, and draw the error against their number.

    The folder gets metrics.json, figure.png, run.json and points.h5. Ctrl-C keeps the fits that are done; the same
    command with --resume goes on, also with more sizes and draws.
    """
    console = Console(highlight=False)
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = _model_for(data) if model is None else model
    settings = ModelSettings(chosen, references, terms, ensemble=ensemble, seed=seed, pooling=pooling)
    others = [curve for path in beside or () for curve in read_curves(path)]
    dataset = read_dataset(data)
    task = make_task(dataset, name=property_)
    rows = _features(features, task, settings, {})
    where = choose_device(device)
    live = CountProgress(console, "fits")
    with stoppable("interrupted: --resume goes on"), live, stop_on_signal() as stop:

        def progress(done: int, total: int) -> bool:
            live.update(done, total)
            return stop()

        metrics = learning_curve(
            dataset,
            out,
            settings=settings,
            sizes=None if sizes is None else _integers("sizes", sizes),
            n_draws=_integers("draws", draws),
            name=task.name,
            features=rows,
            device=where,
            progress=progress,
            resume=resume,
            overwrite=overwrite,
            beside=others,
        )
    unit, size = shown_unit(metrics["unit"])
    table = Table(
        "training molecules", escape(f"MAE [{unit}]") if unit else "MAE", "over draws", "composition alone"
    )
    for point in metrics["mean"]:
        spread = "" if point["deviation"] is None else f"± {point['deviation'] / size:.2g}"
        figures = (f"{point['mae'] / size:.4g}", spread, f"{point['baseline_mae'] / size:.4g}")
        table.add_row(f"{point['n_train']:,}", *figures)
    console.print(table)
    show_files(console, out)


def show_report(console: Console, metrics: dict[str, Any]) -> None:
    """Print the errors of a report, and how the predicted uncertainties hold."""
    rows = summary(metrics)
    table = Table(*map(escape, rows[0]))
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)
    if metrics.get("scored") == "training":
        console.print("errors of the training molecules: none were held out", markup=False)
    found = metrics["calibration"]
    if found is not None:
        words = f"{found['within_one']:.0%} of errors within one predicted deviation (a normal law: 68%)"
        console.print(f"{words}, {found['within_two']:.0%} within two (95%)", markup=False, soft_wrap=True)


def _features(
    path: Path | None, task: Task, settings: ModelSettings, asked: dict[str, Any]
) -> FeatureFile | SolidScattering | None:
    """Return the features read, or those to compute; None for a model that has its own.

    Raises
    ------
    ValueError
        If features are given to such a model, or those of the file are not those asked for.
    """
    if not settings.on_scattering:
        if path is not None or asked:
            what = "--features" if path is not None else ", ".join(f"`{name}`" for name in asked)
            raise ValueError(f"{what}: the model kernel has features of its own; choose another --model")
        return None
    if path is not None:
        return read_features(path, molecules=task.dataset.molecules, asked=asked)
    features = SolidScattering(**asked)
    features.plan  # noqa: B018  (checks the parameters)
    return features


def _model_for(data: Path | None) -> ModelChoice:
    return "ridge" if data is None else "kernel"


def _announce(console: Console, data: Path | None, task: Task, work: str) -> None:
    name = task.dataset.source.get("title", "molecules") if data is None else str(data)
    console.print(
        f"{name}: {task.name}{' relative to isolated atoms' if task.relative else ''}, split {task.split}, "
        f"{len(task.train):,} training and {len(task.test):,} test molecules; {work}",
        markup=False,
        soft_wrap=True,
    )
    _show_left_out(console, task.dataset.index[task.left_out].tolist())


def _show_left_out(console: Console, index: list[int]) -> None:
    if index:
        numbers = ", ".join(str(i) for i in index[:8]) + (" ..." if len(index) > 8 else "")
        words = f"{len(index)} molecules left out, with elements that no training molecule has: index {numbers}"
        console.print(words, markup=False, soft_wrap=True)


@contextlib.contextmanager
def _stages(console: Console) -> Iterator[Any]:
    """Show features as they are counted, and the other stages by their names."""
    words = {"fit": "fitting to {:,} molecules", "test": "predicting {:,} molecules"}
    with contextlib.ExitStack() as stack:
        shown: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in shown:
                stack.close()
                display: Any = CountProgress(console, "molecules")
                if stage in words:
                    display = console.status(words[stage].format(total))
                shown[stage] = stack.enter_context(display)
            if stage not in words:
                shown[stage].update(done, total)

        yield progress


def _integers(name: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"`{name}` must be integers with commas between them, got {text!r}") from error
