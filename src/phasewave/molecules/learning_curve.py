"""The error of a model against the number of training molecules, over several draws of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from phasewave.checks import fail, integer
from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.feature_file import FeatureFile
from phasewave.molecules.feature_parts import feature_settings
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.figure import draw_learning_curve
from phasewave.molecules.fitting import choose_property, make_task, split_features, train
from phasewave.molecules.known_curves import OtherCurve, curve_label
from phasewave.molecules.model_settings import ModelSettings
from phasewave.molecules.predictions import predict_molecules
from phasewave.molecules.recording import FIGURE, METRICS, RECORD
from phasewave.molecules.report import error_metrics
from phasewave.molecules.splits import N_DRAWS
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.folder import open_run
from phasewave.runs.record import RunRecord, recorded, write_json

POINTS = "points.h5"
_FILES = (POINTS, METRICS, FIGURE, RECORD)


def default_sizes(n_train: int) -> list[int]:
    """Return five sizes, each twice the one before, up to all training molecules."""
    return sorted({size for k in range(5) if (size := n_train // 2**k) >= 4})


def learning_curve(
    dataset: Dataset,
    out: str | os.PathLike[str],
    *,
    settings: ModelSettings,
    sizes: Sequence[int] | None = None,
    n_draws: int | Sequence[int] = 3,
    name: str | None = None,
    features: FeatureFile | SolidScattering | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], bool | None] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    beside: Sequence[OtherCurve] = (),
) -> dict[str, Any]:
    """Fit a model to more and more molecules, and write the errors and a picture to a folder.

    Draw ``k`` trains on the first molecules of the split ``random-k`` and is tested on its test molecules, those
    whose elements are among the fewest training molecules'.

    Parameters
    ----------
    dataset : Dataset
    out : path-like
        The folder to make; gets metrics.json, figure.png, run.json and, after every fit, points.h5.
    settings : ModelSettings
    sizes : sequence of int, optional
        Numbers of training molecules; see `default_sizes`.
    n_draws : int or sequence of int
        1 to 5, for all sizes or for each.
    name : str, optional
        The property.
    features : FeatureFile or SolidScattering, optional
        See `phasewave.molecules.fitting.fit`.
    device : torch.device or str
    progress : callable, optional
        Told how many fits are done, and in all; stops the run, which can be resumed, by returning True.
    resume, overwrite : bool
        Go on with the unfinished run in ``out``, or replace it.
    beside : sequence of OtherCurve
        Errors known from elsewhere, for the picture.

    Returns
    -------
    dict
        The content of metrics.json: ``points``, a list of ``n_train``, ``draw``, ``mae``, ``rmse``,
        ``baseline_mae`` ..., and ``mean``, by size, with the deviation over draws (None for a single one).

    Raises
    ------
    FileExistsError
        If ``out`` is not empty and neither ``resume`` nor ``overwrite`` is given.
    ValueError
        If there are not so many molecules, or ``n_draws`` does not fit the sizes.
    KeyboardInterrupt
        If ``progress`` asks to stop.
    """
    chosen = choose_property(dataset, name)
    available = len(make_task(dataset, name=chosen, split="random-0").train)
    draws = _draws(n_draws, default_sizes(available) if sizes is None else [int(size) for size in sizes])
    wanted = sorted(draws)
    if not wanted or not (2 <= wanted[0] and wanted[-1] <= available):
        fail("sizes", f"lie between 2 and the {available} training molecules", wanted)
    # one test set for all sizes: what the fewest molecules can predict
    tests = [make_task(dataset, name=chosen, split=f"random-{k}", n_train=wanted[0]).test for k in range(N_DRAWS)]
    run = open_run(out, files=_FILES, checkpoint=POINTS, overwrite=overwrite, resume=resume)
    identity = {
        **asdict(settings),
        "property": chosen,
        "molecules": dataset.molecules.sha256(),
        "n_test": [len(test) for test in tests],
        "features": feature_settings(split_features(features)[0]) if settings.on_scattering else None,
    }
    points: list[dict[str, Any]] = load_checkpoint(run / POINTS, settings=identity)["points"] if resume else []
    done = {(point["n_train"], point["draw"]) for point in points}
    asked = [(size, k) for size in wanted for k in range(draws[size])]
    todo = [fit for fit in asked if fit not in done]
    record = RunRecord(
        settings={
            **identity,
            "sizes": wanted,
            "n_draws": [draws[size] for size in wanted],
            "source": dataset.source,
        },
        seed=settings.seed,
        device=str(device),
        dtype="float32",
    )
    with recorded(record, run / RECORD):
        for number, (size, k) in enumerate(todo):
            if progress is not None and progress(number, len(todo)):
                raise KeyboardInterrupt
            task = make_task(dataset, name=chosen, split=f"random-{k}", n_train=size)
            model, rows = train(replace(task, test=tests[k]), settings, features, device=device)
            test = tests[k]
            found = predict_molecules(
                model, dataset.molecules[test], rows=None if rows is None else rows[test], device=device
            )
            points.append({"n_train": size, "draw": k, "n_test": len(test), **_errors(task.values[test], found)})
            save_checkpoint(run / POINTS, {"points": points}, settings=identity)
        points = [point for point in points if (point["n_train"], point["draw"]) in asked]
        points.sort(key=lambda point: (point["n_train"], point["draw"]))
        unit = dataset.units[chosen]
        metrics = {"property": chosen, "unit": unit, "mean": _means(points, wanted), "points": points}
        write_json(run / METRICS, metrics)
        draw_learning_curve(
            run / FIGURE,
            points,
            unit=unit,
            title=f"{dataset.source.get('title', 'Molecules')}, {chosen}",
            label=curve_label(identity),
            beside=beside,
        )
    return metrics


def _draws(n_draws: int | Sequence[int], sizes: Sequence[int]) -> dict[int, int]:
    """Return the number of draws of each size."""
    numbers = [n_draws] if isinstance(n_draws, int) else list(n_draws)
    for number in numbers:
        integer("n_draws", number, minimum=1, maximum=N_DRAWS)
    if len(numbers) not in (1, len(sizes)):
        fail("n_draws", f"be one number, or one for each of the {len(sizes)} sizes", numbers)
    return dict(zip(sizes, numbers * len(sizes) if len(numbers) == 1 else numbers, strict=True))


def _errors(y: np.ndarray, found: Any) -> dict[str, float]:
    errors, plain = (error_metrics(values - y, unit="") for values in (found.values, found.baseline))
    return {
        "mae": errors["mae"],
        "rmse": errors["rmse"],
        "baseline_mae": plain["mae"],
        "baseline_rmse": plain["rmse"],
    }


def _means(points: list[dict[str, Any]], sizes: Sequence[int]) -> list[dict[str, Any]]:
    found = []
    for size in sizes:
        rows = [point for point in points if point["n_train"] == size]
        values = np.array([row["mae"] for row in rows])
        deviation = float(values.std(ddof=1)) if len(values) > 1 else None
        plain = float(np.mean([row["baseline_mae"] for row in rows]))
        found.append({"n_train": size, "mae": float(values.mean()), "deviation": deviation, "baseline_mae": plain})
    return found
