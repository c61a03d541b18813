"""Data sets of molecules in HDF5: packed arrays, one dataset a property, splits and provenance.

===========================  =========================================================================
``numbers``                  uint8 (n_atoms,), atomic numbers
``positions``                float64 (n_atoms, 3), Angstrom
``offsets``                  int64 (n + 1,): molecule i owns atoms offsets[i]:offsets[i + 1]
``index``                    int64 (n,): number in the original data set
``properties/NAME``          float64 (n,), attribute ``unit``
``atomic_references/NAME``   float64 (n_elements,) eV, attribute ``numbers``: their atomic numbers
``splits/NAME/train``        int32, positions (from 0) of molecules; likewise ``test``, ``validation``
attributes                   ``format`` "phasewave molecules 1", ``source`` (JSON)
===========================  =========================================================================
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import torch

from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.splits import Split
from phasewave.molecules.structures import Molecules
from phasewave.runs.atomic import replacing

FORMAT = "phasewave molecules 1"
_PARTS = ("train", "test", "validation")


def write_dataset(path: str | os.PathLike[str], dataset: Dataset) -> None:
    """Write a data set to an HDF5 file, atomically; an existing file is replaced.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    dataset : Dataset
        What to write.

    Raises
    ------
    OSError
        If the file cannot be written; no half file is left.
    """
    molecules = dataset.molecules
    with replacing(path) as stream, h5py.File(stream, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["source"] = json.dumps(dataset.source)
        file["numbers"] = molecules.numbers.cpu().numpy().astype(np.uint8)
        file["positions"] = molecules.positions.detach().cpu().to(torch.float64).numpy()
        file["offsets"] = molecules.offsets.cpu().numpy()
        file["index"] = dataset.index.astype(np.int64)
        for name, values in dataset.properties.items():
            file[f"properties/{name}"] = values
            file[f"properties/{name}"].attrs["unit"] = dataset.units[name]
        for name, references in dataset.atomic_references.items():
            elements = sorted(references)
            file[f"atomic_references/{name}"] = np.array([references[z] for z in elements])
            file[f"atomic_references/{name}"].attrs["numbers"] = elements
        for name, split in dataset.splits.items():
            for part in _PARTS:
                file[f"splits/{name}/{part}"] = getattr(split, part).astype(np.int32)


def read_dataset_file(path: Path) -> Dataset:
    """Read what `write_dataset` wrote, and check it.

    Raises
    ------
    ValueError
        If the file is truncated, no HDF5 file, not one of molecules, or its values are unsound.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError(f"its attribute `format` is {file.attrs.get('format')!r}, not {FORMAT!r}")
            dataset = _read(file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path} is not a readable data set of molecules, or is truncated: {error}; make it again"
        ) from error
    dataset.molecules.check(str(path))
    return dataset


def _read(file: h5py.File) -> Dataset:
    molecules = Molecules(
        torch.from_numpy(file["numbers"][()].astype(np.int64)),
        torch.from_numpy(file["positions"][()].astype(np.float64)),
        torch.from_numpy(file["offsets"][()].astype(np.int64)),
    )
    properties = file.get("properties", {})
    references = file.get("atomic_references", {})
    splits = file.get("splits", {})
    n = len(molecules)
    return Dataset(
        molecules,
        {name: properties[name][()].astype(np.float64) for name in properties},
        {name: str(properties[name].attrs["unit"]) for name in properties},
        file["index"][()].astype(np.int64),
        {name: Split(**{part: _positions(splits[name][part][()], n) for part in _PARTS}) for name in splits},
        {
            name: dict(zip(references[name].attrs["numbers"].tolist(), references[name][()].tolist(), strict=True))
            for name in references
        },
        json.loads(file.attrs["source"]),
    )


def _positions(array: np.ndarray, n: int) -> np.ndarray:
    if len(array) and not (0 <= array.min() and array.max() < n):
        raise ValueError(f"a split names molecules {array.min()} .. {array.max()} of {n}")
    return array.astype(np.int64)
