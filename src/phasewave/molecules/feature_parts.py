"""Features while they are computed: part files, each filled by one process, chunk by chunk.

Each process of a run fills a file ``NAME.part-0000``, ``NAME.part-0001`` ...: rows of whole chunks of molecules,
each chunk with its checksum, written one after the other, so a killed process loses the chunk that it was at. A
resumed run takes over all part files, whoever wrote them.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from sklearn.base import BaseEstimator

from phasewave.molecules.atom_scattering import AtomScattering, parameters_of
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.structures import Molecules
from phasewave.runs.atomic import replacing
from phasewave.runs.checkpoint import differences
from phasewave.runs.record import jsonable

PART_FORMAT = "phasewave features, a part 1"
_NO_EFFECT = ("tile", "max_points")  # parameters that change memory and limits, not the features
_OPEN = -1  # the checksum of a chunk that is not there yet


def feature_settings(features: SolidScattering) -> dict[str, Any]:
    """Return the parameters that the values of the features depend on, JSON-able."""
    parameters: dict[str, Any] = BaseEstimator.get_params(features, deep=False)
    plain = jsonable_parameters({name: value for name, value in parameters.items() if name not in _NO_EFFECT})
    if features.at_atoms is None:
        del plain["at_atoms"]  # as files have it of before there were such columns
    plan = features.plan
    named = {"channels": plan.channels, "second_order_channels": plan.second_order_channels}
    return {
        **plain,
        **{name: list(names) for name, names in named.items()},
        "powers": [float(q) for q in plan.powers],
    }


def jsonable_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of `SolidScattering` made of JSON's own types."""
    return {
        name: parameters_of(value) if isinstance(value, AtomScattering) else jsonable(value, name)
        for name, value in parameters.items()
    }


def module_of(settings: Mapping[str, Any]) -> SolidScattering:
    """Return the module that has these `feature_settings`."""
    rest = dict(settings)
    at_atoms = rest.pop("at_atoms", None)
    return SolidScattering(**rest, at_atoms=None if at_atoms is None else AtomScattering(**at_atoms))


@dataclass(frozen=True)
class FeatureIdentity:
    """What the rows of a file are, and how they are cut into chunks.

    Parameters
    ----------
    settings : dict
        See `feature_settings`.
    n_molecules : int
    sha256 : str
        Digest of the molecules, see `Molecules.sha256`.
    chunk : int
        Molecules to a chunk.
    """

    settings: dict[str, Any]
    n_molecules: int
    sha256: str
    chunk: int

    @classmethod
    def of(cls, features: SolidScattering, molecules: Molecules, chunk: int) -> FeatureIdentity:
        """Return the identity of features of molecules."""
        return cls(feature_settings(features), len(molecules), molecules.sha256(), chunk)

    @property
    def n_chunks(self) -> int:
        """Number of chunks; the last may be shorter."""
        return -(-self.n_molecules // self.chunk)

    def rows(self, chunk: int) -> slice:
        """Return which molecules are in a chunk."""
        return slice(chunk * self.chunk, min((chunk + 1) * self.chunk, self.n_molecules))

    def expect(self, path: Path, found: Mapping[str, Any]) -> None:
        """Compare with the identity stored in a file.

        Raises
        ------
        ValueError
            If they differ; the message says in what.
        """
        changed = differences(found, jsonable(self))
        if changed:
            raise ValueError(f"{path} holds other features than asked for: {'; '.join(changed)}")


class PartFile:
    """The file that one process fills: rows of some chunks, allocated at the start, each written once.

    Parameters
    ----------
    path : Path
        Made whole, with nothing computed yet; see `create`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = h5py.File(path, "r+")
        self._place = {int(chunk): slot for slot, chunk in enumerate(self._file["chunks"][()])}

    @classmethod
    def create(
        cls, path: Path, identity: FeatureIdentity, chunks: Iterable[int], *, n_features: int, dtype: str
    ) -> PartFile:
        """Make the file with room for the chunks given, and open it.

        Raises
        ------
        OSError
            If there is no room on the disk; no file is left.
        """
        numbers = np.fromiter(chunks, np.int64)
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        early.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)  # zeros are written now: a full disk shows at the start
        with replacing(path) as stream, h5py.File(stream, "w") as file:
            file.attrs["format"] = PART_FORMAT
            file.attrs["identity"] = json.dumps(jsonable(identity))
            file["chunks"] = numbers
            file["checksums"] = np.full(len(numbers), _OPEN, np.int64)
            space = h5py.h5s.create_simple((len(numbers), identity.chunk, n_features))
            kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
            h5py.h5d.create(file.id, b"features", kind, space, dcpl=early)
        return cls(path)

    def write(self, chunk: int, rows: np.ndarray) -> None:
        """Store the rows of a chunk, and hand them to the operating system: from here on they outlive a kill."""
        slot = self._place[chunk]
        self._file["features"][slot, : len(rows)] = rows
        self._file.flush()
        self._file["checksums"][slot] = row_checksum(rows)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def part_paths(path: Path) -> list[Path]:
    """Return the part files there are of an unfinished run."""
    return sorted(found for found in path.parent.glob(f"{path.name}.part-*") if _part_number(found) is not None)


def next_part(path: Path, offset: int) -> Path:
    """Return the name of a new part file, ``offset`` names after the last one there is."""
    used = [number for number in map(_part_number, part_paths(path)) if number is not None]
    return path.with_name(f"{path.name}.part-{max(used, default=-1) + 1 + offset:04d}")


def done_chunks(paths: Iterable[Path], identity: FeatureIdentity) -> dict[int, tuple[Path, int]]:
    """Return where each chunk is that part files hold whole: chunk -> file and place in it.

    A chunk whose checksum is wrong counts as not done.

    Raises
    ------
    ValueError
        If a file is damaged, or of other features or molecules, or in use by another process.
    """
    found = {}
    for path in paths:
        with reading(path, PART_FORMAT) as file:
            identity.expect(path, json.loads(file.attrs["identity"]))
            pairs = zip(file["chunks"][()].tolist(), file["checksums"][()].tolist(), strict=True)
            for slot, (chunk, checksum) in enumerate(pairs):
                rows = identity.rows(chunk)
                if checksum != _OPEN and checksum == row_checksum(
                    file["features"][slot, : rows.stop - rows.start]
                ):
                    found[chunk] = (path, slot)
    return found


def gather_parts(
    path: Path, identity: FeatureIdentity, done: Mapping[int, tuple[Path, int]], *, n_features: int, dtype: str
) -> None:
    """Put the chunks that are done into one new part file, and remove the others, with their unused room.

    Raises
    ------
    OSError
        If there is no room on the disk; the parts stay.
    """
    before = part_paths(path)
    if done:
        part = PartFile.create(next_part(path, 0), identity, sorted(done), n_features=n_features, dtype=dtype)
        try:
            for chunk, rows in read_chunks(identity, done):
                part.write(chunk, rows)
        finally:
            part.close()
    for old in before:
        old.unlink()


def read_chunks(
    identity: FeatureIdentity, done: Mapping[int, tuple[Path, int]]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the chunks that part files hold, in order: number and rows."""
    with contextlib.ExitStack() as stack:
        files = {path: stack.enter_context(h5py.File(path, "r")) for path in {path for path, _ in done.values()}}
        for chunk, (path, slot) in sorted(done.items()):
            rows = identity.rows(chunk)
            yield chunk, files[path]["features"][slot, : rows.stop - rows.start]


@contextlib.contextmanager
def reading(path: Path, kind: str) -> Iterator[h5py.File]:
    """Open a file for reading, with one message for each thing that can be wrong with it."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        file = h5py.File(path, "r")
    except BlockingIOError as error:
        raise ValueError(f"{path} is in use by another process: wait for it, or end it") from error
    except OSError as error:
        raise ValueError(f"{path} is not a readable file of features, or is truncated: {error}") from error
    with file:
        if file.attrs.get("format") != kind:
            raise ValueError(
                f"{path} is no file of features: its attribute `format` is {file.attrs.get('format')!r}"
            )
        try:
            yield file
        except (OSError, KeyError, RuntimeError) as error:
            raise ValueError(f"{path} is a damaged file of features: {error}") from error


def row_checksum(rows: np.ndarray) -> int:
    """Return the CRC-32 of rows."""
    return zlib.crc32(np.ascontiguousarray(rows).data)


def _part_number(path: Path) -> int | None:
    digits = path.name.rpartition(".part-")[2]
    return int(digits) if digits.isdigit() else None
