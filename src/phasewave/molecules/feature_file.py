"""The features of a data set in one HDF5 file, which is there when all are computed, whole or not at all.

================  =============================================================================
``features``      float32 or float64 (n, n_features)
``checksums``     int64 (n_chunks,), CRC-32 of the rows of each chunk
``columns``       JSON, what each column is
attributes        ``format`` "phasewave features 1"; ``identity``: settings of the features, number
                  and digest of the molecules, chunk; ``source`` of the molecules; ``versions`` (JSON)
================  =============================================================================

What is there before is told in `phasewave.molecules.feature_parts`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np

from phasewave.checks import fail
from phasewave.molecules.feature_parts import (
    FeatureIdentity,
    feature_settings,
    jsonable_parameters,
    module_of,
    part_paths,
    read_chunks,
    reading,
    row_checksum,
)
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.structures import Molecules
from phasewave.runs.atomic import replacing
from phasewave.runs.checkpoint import differences
from phasewave.runs.record import jsonable, versions

FORMAT = "phasewave features 1"


def write_features(
    path: Path,
    identity: FeatureIdentity,
    done: Mapping[int, tuple[Path, int]],
    *,
    features: SolidScattering,
    source: Mapping[str, Any],
) -> None:
    """Join all chunks of the part files to one file, atomically.

    Raises
    ------
    OSError
        If the file cannot be written; no half file is left.
    """
    with replacing(path) as stream, h5py.File(stream, "w") as file:
        shape = (identity.n_molecules, features.n_features)
        values = file.create_dataset("features", shape, dtype=features.dtype)
        checksums = np.zeros(identity.n_chunks, np.int64)
        for chunk, rows in read_chunks(identity, done):
            values[identity.rows(chunk)] = rows
            checksums[chunk] = row_checksum(rows)
        file["checksums"] = checksums
        file.attrs["format"] = FORMAT
        columns = [dataclasses.asdict(column) | {"name": column.name} for column in features.table]
        file["columns"] = json.dumps(columns)
        for name, value in (("identity", identity), ("source", source), ("versions", versions())):
            file.attrs[name] = json.dumps(jsonable(value, name))


@final
@dataclass(frozen=True, eq=False)
class FeatureFile:
    """What `read_features` returns.

    Attributes
    ----------
    values : ndarray (n, n_features)
    module : SolidScattering
        The module whose features these are.
    sha256 : str
        Digest of the molecules.
    columns : list of dict
        What each column is.
    """

    path: Path
    values: np.ndarray
    module: SolidScattering
    sha256: str
    columns: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.values)


def read_features(
    path: str | os.PathLike[str],
    *,
    molecules: Molecules | None = None,
    features: SolidScattering | None = None,
    asked: Mapping[str, Any] | None = None,
) -> FeatureFile:
    """Read the features of a data set, all of them.

    Parameters
    ----------
    path : path-like
    molecules : Molecules, optional
        The molecules that they must be of, in this order.
    features : SolidScattering, optional
        The module whose features they must be.
    asked : mapping, optional
        Parameters that the module must have, where not all are given.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message says so if it is unfinished.
    ValueError
        If the file is truncated or damaged, no file of features, or of other molecules or settings.
    """
    where = Path(path)
    if not where.is_file() and part_paths(where):
        raise FileNotFoundError(f"{where} is not finished: featurize the same data with --resume first")
    with reading(where, FORMAT) as file:
        found = json.loads(file.attrs["identity"])
        settings, stored = found["settings"], FeatureIdentity(**found)
        wanted = dict(settings) | jsonable_parameters(asked or {})
        if features is not None:
            wanted = feature_settings(features)
        changed = differences(settings, wanted)
        if changed:
            raise ValueError(f"{where} holds features of other settings than asked for: {'; '.join(changed)}")
        if molecules is not None and stored.n_molecules != len(molecules):
            raise ValueError(
                f"{where} must hold the features of these {len(molecules)} molecules, got {stored.n_molecules} of "
                "another data set"
            )
        if molecules is not None and stored.sha256 != molecules.sha256():
            raise ValueError(f"{where} holds the features of another data set: featurize this one")
        values, checksums = file["features"][()], file["checksums"][()].tolist()
        columns = json.loads(file["columns"][()])
    for chunk, checksum in enumerate(checksums):
        if row_checksum(values[stored.rows(chunk)]) != checksum:
            fail(str(where), "hold what was written", f"a wrong checksum in rows {stored.rows(chunk)}: damaged")
    return FeatureFile(where, values, module_of(settings), stored.sha256, columns)
