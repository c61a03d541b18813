"""The records of QM9 in its three public forms, as they stand in the files, in the files' units.

Every parser yields a `Record` or, for one that cannot be read, a `Fault` that names it; what makes a whole
file unreadable (truncation, a missing column) is raised.
"""

from __future__ import annotations

import bz2
import csv
import io
import re
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from phasewave.molecules.qm9_records import COLUMNS, Fault, Record, atomic_numbers
from phasewave.molecules.qm9_sdf import read_sdf

WHEEL_PARTS = ("qm9_part1.csv", "qm9_part2.csv", "qm9_part3.csv")
_PUBLISHED_NAMES = ("dsgdb9nsd", "gdb9.", "qm9pack")
_BROKEN = (EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError, csv.Error)


def read_records(path: Path) -> Iterator[Record | Fault]:
    """Read QM9 in whichever form it is.

    Parameters
    ----------
    path : Path
        (a) The wheel qm9pack, its unpacked folder or that folder's ``data``; (b) the archive
        dsgdb9nsd.xyz.tar.bz2 (any tar) or a folder of its .xyz files; (c) gdb9.sdf, or its folder, with
        gdb9.sdf.csv beside it.

    Yields
    ------
    Record or Fault
        In the order of the file.

    Raises
    ------
    FileNotFoundError
        If the file, or one that belongs to it, is not there.
    ValueError
        If it is none of these, or damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    try:
        yield from _reader(path)
    except (*_BROKEN, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(f"{path} is damaged or truncated: {error}; get it again") from error


def kind_of(path: Path) -> str:
    """Return the form of QM9 in a file or folder: "wheel", "xyz" or "sdf".

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if path.is_dir():
        if any((path / folder / WHEEL_PARTS[0]).exists() for folder in _WHEEL_FOLDERS):
            return "wheel"
        if (path / "gdb9.sdf").exists():
            return "sdf"
        if next(path.glob("*.xyz"), None) is not None:
            return "xyz"
    elif path.suffix == ".whl":
        return "wheel"
    elif path.suffix == ".sdf":
        return "sdf"
    elif _is_archive(path):
        return "xyz"
    raise ValueError(
        f"{path} is not QM9 in a form that is read: the wheel qm9pack (.whl or unpacked), dsgdb9nsd.xyz.tar.bz2 "
        "(or a folder of its .xyz files), or gdb9.sdf with gdb9.sdf.csv beside it"
    )


def is_published(path: Path) -> bool:
    """Say by its name whether a file is QM9 as it is downloaded: a wheel, an archive, or named as published."""
    named = path.name.startswith(_PUBLISHED_NAMES) and path.suffix.lower() not in (".h5", ".hdf5")
    return named or path.suffix == ".whl" or _is_archive(path)


def parse_xyz(text: str) -> Record:
    """Parse one file of the original archive.

    Line 1: the number of atoms n; line 2: "gdb", index and 15 properties; n lines: element, x, y, z in Angstrom,
    Mulliken charge; frequencies; SMILES; InChI. Mathematica's ``1.2*^-6`` is 1.2e-6.

    Raises
    ------
    ValueError
        If it is not that.
    """
    if "*^" in text:
        text = text.replace("*^", "e")
    lines = text.splitlines()
    n = int(lines[0]) if lines else 0
    if n < 1 or len(lines) < n + 5:
        raise ValueError(f"{n} atoms need {n + 5} lines, got {len(lines)}")
    head = lines[1].split()
    if len(head) != 2 + len(COLUMNS) or head[0] != "gdb":
        raise ValueError(f"line 2 must be 'gdb', an index and {len(COLUMNS)} values, got {lines[1]!r}")
    words = " ".join(lines[2 : 2 + n]).split()
    if len(words) != 5 * n:
        raise ValueError(f"{n} atoms must have 5 columns each, got {len(words)} words")
    coordinates = array("d", bytes(24 * n))
    for axis in range(3):
        coordinates[axis::3] = array("d", map(float, words[1 + axis :: 5]))
    return Record(int(head[1]), atomic_numbers(words[0::5]), coordinates, [float(word) for word in head[2:]])


def _is_archive(path: Path) -> bool:
    return ".tar" in path.suffixes or path.suffix in (".tbz2", ".tgz")


def _reader(path: Path) -> Iterator[Record | Fault]:
    return {"wheel": _read_wheel, "xyz": _read_archive, "sdf": read_sdf}[kind_of(path)](path)


# ---------------------------------------------------------------------------------------- (a) the wheel

_WHEEL_FOLDERS = (".", "data", "qm9pack/data")


def _read_wheel(path: Path) -> Iterator[Record | Fault]:
    if path.is_dir():
        folder = next(path / name for name in _WHEEL_FOLDERS if (path / name / WHEEL_PARTS[0]).exists())
        for name in WHEEL_PARTS:
            with open(folder / name, encoding="utf-8", newline="") as stream:
                yield from _read_table(stream, name)
        return
    with zipfile.ZipFile(path) as archive:
        for name in WHEEL_PARTS:
            member = f"qm9pack/data/{name}"
            if member not in archive.namelist():
                raise ValueError(f"{path} must hold {member}: is it the wheel qm9pack 1.0.3?")
            with archive.open(member) as binary:
                yield from _read_table(io.TextIOWrapper(binary, encoding="utf-8", newline=""), name)


def _read_table(stream: Iterable[str], name: str) -> Iterator[Record | Fault]:
    rows = _rows(stream)
    header = next(rows, [])
    wanted = ["Index", "N_atoms", "Elements", "XYZ_Ang", *(column for _, column, _ in COLUMNS)]
    lacking = [column for column in wanted if column not in header]
    if lacking:
        raise ValueError(f"{name} must have the columns {', '.join(wanted)}, got none of the name {lacking[0]!r}")
    at_index, at_size, at_elements, at_positions, *at_values = [header.index(column) for column in wanted]
    for number, row in enumerate(rows, start=2):
        index = None
        try:
            if len(row) != len(header):
                raise ValueError(f"{len(header)} columns expected, got {len(row)}")
            index = int(row[at_index])
            numbers = atomic_numbers(row[at_elements][1:-1].replace("'", "").replace(" ", "").split(","))
            coordinates = array("d", map(float, _BRACKETS.sub("", row[at_positions]).split(",")))
            n = int(row[at_size])
            if len(numbers) != n or len(coordinates) != 3 * n:
                raise ValueError(
                    f"{n} atoms expected, got {len(numbers)} elements, {len(coordinates)} coordinates"
                )
            yield Record(index, numbers, coordinates, [float(row[column]) for column in at_values])
        except ValueError as error:
            yield Fault(index, f"row {number} of {name}", str(error))


def _rows(stream: Iterable[str]) -> Iterator[list[str]]:
    # No field holds a line break, so each line is parsed by itself: an open quote must not eat the lines after it.
    for line in stream:
        yield next(csv.reader((line,)), [])


_BRACKETS = re.compile(r"[\[\] ]")

# ---------------------------------------------------------------------------------------- (b) the archive


def _read_archive(path: Path) -> Iterator[Record | Fault]:
    for name, content in _files(path):
        try:
            yield parse_xyz(content.decode("ascii"))
        except ValueError as error:
            digits = re.findall(r"\d+", Path(name).stem.rpartition("_")[2])
            yield Fault(int(digits[0]) if digits else None, Path(name).name, str(error))


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.glob("*.xyz")):
            yield file.name, file.read_bytes()
        return
    with _opened(path) as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() and member.name.endswith(".xyz") else None
            if content is not None:
                yield member.name, content.read()
            archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every header it has seen


def _opened(path: Path) -> IO[bytes]:
    return bz2.open(path) if path.suffix in (".bz2", ".tbz2") else open(path, "rb")
