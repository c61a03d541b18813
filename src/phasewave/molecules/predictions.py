"""Predictions of many molecules: by a fitted model in blocks, and the HDF5 file of a run's."""

from __future__ import annotations

import os
from dataclasses import dataclass

import h5py
import numpy as np
import torch

from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.ensemble import EnsembleRegressor
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.structures import Molecules
from phasewave.runs.atomic import replacing

_BLOCK = 2048  # molecules: the rows of a kernel model are wide


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of n molecules, in the unit of its training.

    Attributes
    ----------
    values, baseline : ndarray (n,)
        Of the model, and of the composition alone.
    std : ndarray (n,) or None
        Standard deviations; None of a model that is no ensemble.
    """

    values: np.ndarray
    baseline: np.ndarray
    std: np.ndarray | None


def predict_molecules(
    model: EnergyModel,
    molecules: Molecules,
    *,
    rows: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> Predictions:
    """Predict molecules, in blocks that bound the memory.

    Parameters
    ----------
    model : EnergyModel
        Fitted.
    molecules : Molecules
    rows : ndarray (n, n_features), optional
        Their features, if they are there already.
    device : torch.device or str
        Where features are computed.

    Raises
    ------
    ValueError
        If a molecule holds an element that the model has not seen; before any is worked.
    """
    baseline = model.baseline_.predict(molecules)
    uncertain = isinstance(model.regressor_, EnsembleRegressor)
    means, deviations = [], []
    for start in range(0, len(molecules), _BLOCK):
        block = slice(start, start + _BLOCK)
        if rows is None:
            features = model.features_.transform(molecules[block].to(device))
        else:
            features = rows[block]
        if uncertain:
            mean, std = model.regressor_.predict(features, return_std=True)
            deviations.append(std)
        else:
            mean = model.regressor_.predict(features)
        means.append(mean)
    size = model.atoms_pooled(molecules).cpu().numpy()
    return Predictions(
        (baseline + np.concatenate(means)) / size,
        baseline / size,
        np.concatenate(deviations) / size if uncertain else None,
    )


def write_predictions(
    path: str | os.PathLike[str],
    found: Predictions,
    dataset: Dataset,
    chosen: np.ndarray,
    *,
    name: str,
    known: np.ndarray,
) -> None:
    """Write predictions to HDF5, atomically.

    Datasets ``index`` (number in the original data set), ``position`` (in the file read), ``known``,
    ``predicted``, ``composition`` and, of an ensemble, ``std``; attributes ``property`` and ``unit``.

    Raises
    ------
    OSError
        If the file cannot be written; no half file is left.
    """
    with replacing(path) as stream, h5py.File(stream, "w") as file:
        file.attrs["property"], file.attrs["unit"] = name, dataset.units[name]
        file["index"], file["position"] = dataset.index[chosen], chosen.astype(np.int64)
        file["known"], file["predicted"], file["composition"] = known, found.values, found.baseline
        if found.std is not None:
            file["std"] = found.std
