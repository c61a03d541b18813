"""What a run was: versions, seed, device, command line, settings, status and times, as JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasewave.runs.atomic import replacing

RUNNING = "running"


def versions() -> dict[str, str]:
    """Return the versions of phasewave, torch, numpy, scipy, h5py and Python in use."""
    found = {"python": platform.python_version()}
    for name in ("phasewave", "torch", "numpy", "scipy", "h5py"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def jsonable(value: object, where: str = "value") -> Any:
    """Return ``value`` made of JSON's own types only.

    Tensors and arrays become (nested) lists, records and mappings become objects, enums their value,
    paths, dtypes and devices their text. A number that is NaN or infinite becomes ``None`` (null): JSON
    has no such numbers, and files with Python's ``NaN`` cannot be read by other programs.

    Parameters
    ----------
    value : object
        What to write.
    where : str
        How the message names ``value``.

    Raises
    ------
    TypeError
        If a part of it, named in the message, has no JSON form.
    """
    if isinstance(value, Enum):
        return jsonable(value.value, where)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, torch.Tensor):
        return jsonable(value.detach().cpu().tolist(), where)
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist(), where)
    if isinstance(value, os.PathLike | torch.dtype | torch.device):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: jsonable(getattr(value, field.name), f"{where}.{field.name}") for field in fields}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"`{where}` must have text keys to be written as JSON, got {key!r}")
        return {key: jsonable(part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(part, f"{where}[{i}]") for i, part in enumerate(value)]
    raise TypeError(f"`{where}` must have a JSON form, got {type(value).__name__}")


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinity are written as null.

    Raises
    ------
    TypeError
        If a part of ``value`` has no JSON form (see `jsonable`).
    OSError
        If the file cannot be written; what was there before is untouched.
    """
    text = json.dumps(jsonable(value), indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(path) as stream:
        stream.write(text.encode() + b"\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not JSON; the message names the file.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not a readable JSON file: {error}") from error


@dataclasses.dataclass
class RunRecord:
    """The record of one run, written to ``run.json`` when it starts and again when it ends.

    Parameters
    ----------
    settings : Mapping
        Everything that determines the outcome besides the seed; JSON-able values.
    seed : int
        The seed of the run.
    device, dtype : str
        Where and in which precision it ran, such as ``"cpu"`` and ``"float32"``.
    command : str
        The command line; by default that of this process.

    Notes
    -----
    ``started`` and ``ended`` are UTC, ISO 8601. ``wall_seconds`` counts all the sittings of a run that was
    interrupted and resumed: pass what the earlier ones took as ``earlier_seconds``.
    """

    settings: Mapping[str, Any]
    seed: int
    device: str
    dtype: str
    command: str = dataclasses.field(default_factory=lambda: shlex.join(sys.argv))
    threads: int = dataclasses.field(default_factory=torch.get_num_threads)
    versions: Mapping[str, str] = dataclasses.field(default_factory=versions)
    platform: str = dataclasses.field(default_factory=platform.platform)
    status: str = RUNNING
    started: str = dataclasses.field(default_factory=lambda: _now())
    ended: str | None = None
    wall_seconds: float = 0.0
    earlier_seconds: float = 0.0
    _clock: float = dataclasses.field(default_factory=time.monotonic, repr=False)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the record, with the wall time so far, to ``path`` (atomically)."""
        self.wall_seconds = round(self.earlier_seconds + time.monotonic() - self._clock, 3)
        fields = dataclasses.fields(self)
        write_json(path, {f.name: getattr(self, f.name) for f in fields if not f.name.startswith("_")})

    def finish(self, path: str | os.PathLike[str], *, status: str) -> None:
        """Set the final ``status`` and the end time, and write the record to ``path``."""
        self.status = status
        self.ended = _now()
        self.write(path)


@contextlib.contextmanager
def recorded(record: RunRecord, path: Path, *, writes: bool = True) -> Iterator[None]:
    """Write a record before and after the block: done, interrupted (Ctrl-C) or failed.

    A rank that is not to write does nothing.
    """
    if not writes:
        yield
        return
    record.write(path)
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            record.finish(path, status="interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    record.finish(path, status="done")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
