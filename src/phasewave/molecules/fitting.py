"""The fit of a model to a data set, from data to a folder: model, predictions of the test molecules, report."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from phasewave.checks import fail, integer
from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.elements import with_unknown_elements
from phasewave.molecules.feature_file import FeatureFile
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.featurizing import compute_rows
from phasewave.molecules.figure import draw_errors
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.model_file import save_model
from phasewave.molecules.model_settings import ModelSettings
from phasewave.molecules.predictions import Predictions, predict_molecules, write_predictions
from phasewave.molecules.recording import FIGURE, METRICS, MODEL, PREDICTIONS, RECORD
from phasewave.molecules.report import error_report
from phasewave.runs.folder import open_run
from phasewave.runs.record import RunRecord, recorded, write_json

ALL = "all"
"""The split that trains on every molecule and tests on none."""
DEFAULT_SPLIT = "random-0"
_USUAL = ("U0", "atomization_energy", "energy")
_FILES = (MODEL, METRICS, PREDICTIONS, FIGURE, RECORD)


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be learned of a data set, from which molecules, and tested on which.

    Attributes
    ----------
    dataset : Dataset
    name : str
        The property.
    values : ndarray (n,)
        Of all molecules: see `Dataset.target`.
    split : str
    train, test : ndarray
        Positions of molecules. The test molecules are those of the split whose elements are all among the
        training molecules'.
    left_out : ndarray
        The other test molecules, which no model of these elements can predict.
    """

    dataset: Dataset
    name: str
    values: np.ndarray
    split: str
    train: np.ndarray
    test: np.ndarray
    left_out: np.ndarray

    @property
    def unit(self) -> str:
        """Of the values."""
        return self.dataset.units[self.name]

    @property
    def relative(self) -> bool:
        """Whether the values are relative to isolated atoms by the data set's atomic references."""
        return self.name in self.dataset.atomic_references


@dataclass(frozen=True)
class FitOutcome:
    """What a fit gave.

    Attributes
    ----------
    model : EnergyModel
    folder : Path
    metrics : dict
        The content of metrics.json: the report of `error_report`, ``scored`` (test or training molecules),
        ``property``, ``split``, ``n_train``, ``left_out``.
    """

    model: EnergyModel
    folder: Path
    metrics: dict[str, Any]


def choose_property(dataset: Dataset, name: str | None) -> str:
    """Return the property to learn: that named, or the energy of a data set that has one.

    Raises
    ------
    ValueError
        If there is no such property, or none is named and it is not clear which.
    """
    if name is not None:
        dataset.values(name)
        return name
    found = [usual for usual in _USUAL if usual in dataset.properties] or list(dataset.properties)
    if not found or (len(found) > 1 and found[0] not in _USUAL):
        fail("property", f"be one of the data set's ({', '.join(dataset.properties) or 'none'})", name)
    return found[0]


def make_task(
    dataset: Dataset, *, name: str | None = None, split: str | None = None, n_train: int | None = None
) -> Task:
    """Choose property and molecules.

    Parameters
    ----------
    dataset : Dataset
    name : str, optional
        The property; see `choose_property`.
    split : str, optional
        One of the data set's, by default random-0, or ``"all"``.
    n_train : int, optional
        Only so many of the training molecules, the first of their random order.

    Raises
    ------
    ValueError
        If there is no such property or split, or not so many molecules.
    """
    chosen = choose_property(dataset, name)
    values = dataset.target(chosen)
    named = DEFAULT_SPLIT if split is None else split
    if named == ALL:
        train, test = np.arange(len(dataset)), np.zeros(0, np.int64)
    else:
        parts = dataset.split(named)
        train, test = parts.train, parts.test
    if n_train is not None:
        integer("n_train", n_train, minimum=2)
        if n_train > len(train):
            fail("n_train", f"be at most the {len(train)} training molecules of the split {named}", n_train)
        train = train[:n_train]
    molecules = dataset.molecules
    strange = with_unknown_elements(molecules, molecules[train].elements).numpy()[test]
    return Task(dataset, chosen, values, named, train, test[~strange], test[strange])


def fit(
    task: Task,
    out: str | os.PathLike[str],
    *,
    settings: ModelSettings,
    features: FeatureFile | SolidScattering | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
    overwrite: bool = False,
) -> FitOutcome:
    """Fit a model, and write it, its predictions of the test molecules, their report and a picture to a folder.

    Parameters
    ----------
    task : Task
    out : path-like
        The folder to make; gets model.h5, metrics.json, predictions.h5, figure.png and run.json.
    settings : ModelSettings
    features : FeatureFile or SolidScattering, optional
        Of models on scattering: their features, read, or which to compute.
    device : torch.device or str
        Where features are computed and networks trained.
    progress : callable, optional
        Told the stage ("features", "fit", "test"), how many molecules are done and in all.
    overwrite : bool
        Replace the files of an earlier run in ``out``.

    Raises
    ------
    FileExistsError
        If ``out`` is not empty and ``overwrite`` is not given.
    ValueError
        If molecules and features do not fit together.
    """
    if features is not None and not settings.on_scattering:
        raise ValueError(f"`features` must be given with a model on scattering, got the model {settings.model!r}")
    run = open_run(out, files=_FILES, checkpoint="", overwrite=overwrite)
    record = RunRecord(
        settings={
            **asdict(settings),
            **_described(task),
            "n_train": len(task.train),
            "source": task.dataset.source,
        },
        seed=settings.seed,
        device=str(device),
        dtype="float32",
    )
    with recorded(record, run / RECORD):
        model, rows = train(task, settings, features, device=device, progress=progress)
        scored = task.test if len(task.test) else task.train
        if progress is not None:
            progress("test", 0, len(scored))
        found = predict_molecules(
            model,
            task.dataset.molecules[scored],
            rows=None if rows is None else rows[scored],
            device=device,
        )
        metrics = {
            **_described(task),
            "scored": "test" if len(task.test) else "training",
            "n_train": len(task.train),
            "left_out": task.dataset.index[task.left_out].tolist(),
            **score(task.dataset, scored, task.values, found, unit=task.unit),
        }
        save_model(model, run / MODEL)
        known = task.values[scored]
        write_predictions(run / PREDICTIONS, found, task.dataset, scored, name=task.name, known=known)
        write_json(run / METRICS, metrics)
        title = (
            f"{task.dataset.source.get('title', 'Molecules')}, {settings.model}: {len(task.train):,} training, "
        )
        draw_errors(
            run / FIGURE,
            known,
            found.values,
            found.baseline,
            metrics,
            title=f"{title}{len(task.test):,} test molecules",
            quantity=task.name,
        )
    return FitOutcome(model, run.path, metrics)


def train(
    task: Task,
    settings: ModelSettings,
    features: FeatureFile | SolidScattering | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[EnergyModel, np.ndarray | None]:
    """Fit a model to the training molecules of a task.

    Returns
    -------
    model : EnergyModel
    rows : ndarray (n, n_features) or None
        The features of all molecules of the data set, of a model on scattering; rows of molecules that are
        neither trained on nor tested are only there if they were given.
    """
    molecules = task.dataset.molecules
    rows: np.ndarray | None = None
    if not settings.on_scattering:
        model = settings.build(device=str(device))
        if progress is not None:
            progress("fit", 0, len(task.train))
        model.fit(molecules[task.train].to(device), task.values[task.train])
    else:
        module, rows = split_features(features)
        if rows is None:
            rows = _compute(task, module, device, progress)
        if progress is not None:
            progress("fit", 0, len(task.train))
        model = settings.build(module, device=str(device))
        model.fit_rows(molecules[task.train], rows[task.train], task.values[task.train])
    references = task.dataset.atomic_references.get(task.name, {})
    model.training_ |= {
        "property": task.name,
        "unit": task.unit,
        "relative_to": "isolated atoms" if task.relative else "as in the data set",
        "atomic_references": {str(z): energy for z, energy in references.items()},
        "split": task.split,
        "model": asdict(settings),
        "source": dict(task.dataset.source),
        "molecules_sha256": molecules.sha256(),
    }
    return model, rows


def split_features(features: FeatureFile | SolidScattering | None) -> tuple[SolidScattering, np.ndarray | None]:
    """Return the module, by default with its default parameters, and the rows if they were read from a file."""
    if isinstance(features, SolidScattering):
        return features, None
    if features is None:
        return SolidScattering(), None
    read = cast(FeatureFile, features)  # for mypy, which lets any torch module be anything
    return read.module, read.values


def score(
    dataset: Dataset, chosen: np.ndarray, values: np.ndarray, found: Predictions, *, unit: str
) -> dict[str, Any]:
    """Return the report of predictions of chosen molecules of a data set."""
    molecules = dataset.molecules[chosen]
    return error_report(molecules, values[chosen], found.values, found.baseline, unit=unit, std=found.std)


def _compute(
    task: Task,
    features: SolidScattering,
    device: torch.device | str,
    progress: Callable[[str, int, int], None] | None,
) -> np.ndarray:
    """Return rows for all molecules, computed for those that the task uses."""
    used = np.sort(np.concatenate([task.train, task.test]))

    def told(done: int, total: int) -> None:
        if progress is not None:
            progress("features", done, total)

    found = compute_rows(features, task.dataset.molecules[used], device=device, progress=told)
    rows = np.full((len(task.dataset), found.shape[1]), np.nan, found.dtype)
    rows[used] = found
    return rows


def _described(task: Task) -> dict[str, Any]:
    return {"property": task.name, "split": task.split, "relative_to_atoms": task.relative}
