"""A saved model judged on molecules with known values."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.elements import with_unknown_elements
from phasewave.molecules.feature_file import FeatureFile
from phasewave.molecules.figure import draw_errors
from phasewave.molecules.fitting import ALL, choose_property, score
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.model_file import load_model
from phasewave.molecules.predictions import Predictions, predict_molecules, write_predictions
from phasewave.molecules.recording import FIGURE, METRICS, MODEL, PREDICTIONS, RECORD
from phasewave.runs.folder import open_run
from phasewave.runs.record import RunRecord, recorded, write_json


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation found.

    Attributes
    ----------
    dataset : Dataset
    name : str
        The property.
    chosen : ndarray
        Positions of the molecules judged.
    known : ndarray
        Their values.
    found : Predictions
    metrics : dict
        The report of `phasewave.molecules.report.error_report`, with ``property``, ``split``, ``trained_on``
        (property, split and number of the training molecules), ``same_data_set`` and ``left_out``: the index of
        molecules that hold elements unknown to the model.
    """

    dataset: Dataset
    name: str
    chosen: np.ndarray
    known: np.ndarray
    found: Predictions
    metrics: dict[str, Any]


def open_model(path: str | os.PathLike[str]) -> EnergyModel:
    """Return the model of a run folder, or of a model's file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is damaged, or no model.
    """
    where = Path(path)
    if where.is_dir() and not (where / MODEL).is_file():
        raise FileNotFoundError(f"there is no model in {where}: `phasewave molecules fit` makes {MODEL}")
    if not where.exists():
        raise FileNotFoundError(f"there is no model {where}: `phasewave molecules fit` makes one")
    return load_model(where / MODEL if where.is_dir() else where)


def evaluate(
    model: EnergyModel,
    dataset: Dataset,
    *,
    name: str | None = None,
    split: str | None = None,
    features: FeatureFile | None = None,
    device: torch.device | str = "cpu",
) -> Evaluation:
    """Judge a model on the test molecules of a split, or on all molecules of a data set.

    Parameters
    ----------
    model : EnergyModel
        Fitted.
    dataset : Dataset
        With the property that the model was fitted to, in the same unit.
    name : str, optional
        The property; by default that of the model's training.
    split : str, optional
        Judge its test molecules; by default, or with ``"all"``, all molecules.
    features : FeatureFile, optional
        The features of the data set, of a model on scattering.
    device : torch.device or str

    Raises
    ------
    ValueError
        If there is no such property or split, the units differ, or the model cannot predict any molecule.
    """
    record = model.training_
    chosen_name = choose_property(dataset, name if name is not None else _property(dataset, record))
    unit = dataset.units[chosen_name]
    if record.get("unit", unit) != unit and unit:
        raise ValueError(
            f"`property` {chosen_name!r} must be in {record['unit']!r} as the training's, got {unit!r}"
        )
    values = dataset.target(chosen_name)
    whole = split is None or split == ALL
    chosen = np.arange(len(dataset)) if whole else dataset.split(str(split)).test
    strange = with_unknown_elements(dataset.molecules, model.baseline_.elements_).numpy()[chosen]
    if strange.all():
        model.baseline_.predict(dataset.molecules[chosen])  # names the element
    left_out, chosen = chosen[strange], chosen[~strange]
    rows = None if features is None else features.values[chosen]
    found = predict_molecules(model, dataset.molecules[chosen], rows=rows, device=device)
    metrics = {
        "property": chosen_name,
        "split": ALL if whole else split,
        "trained_on": {key: record.get(key) for key in ("property", "split", "n_molecules")},
        "same_data_set": record.get("molecules_sha256") == dataset.molecules.sha256(),
        "left_out": dataset.index[left_out].tolist(),
        **score(dataset, chosen, values, found, unit=unit),
    }
    return Evaluation(dataset, chosen_name, chosen, values[chosen], found, metrics)


def write_evaluation(
    found: Evaluation, out: str | os.PathLike[str], *, model: Path, device: str, overwrite: bool = False
) -> Path:
    """Write metrics.json, predictions.h5, figure.png and run.json to a folder.

    Raises
    ------
    FileExistsError
        If ``out`` is not empty and ``overwrite`` is not given.
    """
    run = open_run(out, files=(METRICS, PREDICTIONS, FIGURE, RECORD), checkpoint="", overwrite=overwrite)
    settings = {"model": model, "property": found.name, "source": found.dataset.source}
    with recorded(RunRecord(settings=settings, seed=0, device=device, dtype="float32"), run / RECORD):
        predictions = found.found
        write_predictions(
            run / PREDICTIONS, predictions, found.dataset, found.chosen, name=found.name, known=found.known
        )
        write_json(run / METRICS, found.metrics)
        title = f"{found.dataset.source.get('title', 'Molecules')}: {len(found.chosen):,} molecules"
        draw_errors(
            run / FIGURE,
            found.known,
            predictions.values,
            predictions.baseline,
            found.metrics,
            title=title,
            quantity=found.name,
        )
    return run.path


def _property(dataset: Dataset, record: dict[str, Any]) -> str | None:
    name = record.get("property")
    return name if name in dataset.properties else None
