"""QM9 as gdb9.sdf, MDL molfiles V2000 with 4 decimals, with its properties in gdb9.sdf.csv."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

from phasewave.molecules.qm9_records import COLUMNS, Fault, Record, atomic_numbers


def read_sdf(path: Path) -> Iterator[Record | Fault]:
    """Read gdb9.sdf and the table of properties gdb9.sdf.csv beside it.

    Parameters
    ----------
    path : Path
        The sdf file, or its folder.

    Yields
    ------
    Record or Fault
        In the order of the sdf file.

    Raises
    ------
    FileNotFoundError
        If the table is not there.
    ValueError
        If a column of the table is missing.
    """
    sdf = path / "gdb9.sdf" if path.is_dir() else path
    table = sdf.with_name(sdf.name + ".csv")
    if not table.is_file():
        raise FileNotFoundError(f"there is no file {table}: the properties of {sdf.name} belong beside it")
    values = _read_values(table)
    with open(sdf, encoding="ascii") as stream:
        for number, lines in enumerate(_blocks(stream), start=1):
            title = lines[0].strip()
            name = re.fullmatch(r"gdb_(\d+)", title)
            index = int(name[1]) if name else None
            try:
                if index is None:
                    raise ValueError(f"its title must be gdb_ and a number, got {title!r}")
                if title not in values:
                    raise ValueError(f"{table.name} must have a row {title}, got none")
                row = values[title]
                if isinstance(row, str):
                    raise ValueError(row)
                yield Record(index, *_parse_block(lines), row)
            except (ValueError, IndexError) as error:
                yield Fault(index, f"molecule {number} of {sdf.name}", str(error))


def _blocks(stream: Iterable[str]) -> Iterator[list[str]]:
    lines: list[str] = []
    for line in stream:
        if line.startswith("$$$$"):
            yield lines
            lines = []
        else:
            lines.append(line)
    if any(line.strip() for line in lines):
        yield lines


def _parse_block(lines: list[str]) -> tuple[list[int], array[float]]:
    # MDL molfile V2000: 3 header lines, counts (3 characters each), then x, y, z (10 each) and the element.
    n = int(lines[3][:3])
    atoms = lines[4 : 4 + n]
    if "V2000" not in lines[3] or len(atoms) != n or not any(line.startswith("M  END") for line in lines):
        raise ValueError(f"a V2000 molecule of {n} atoms must end with 'M  END', got {len(lines)} lines")
    coordinates = array("d", (float(line[start : start + 10]) for line in atoms for start in (0, 10, 20)))
    return atomic_numbers([line[31:34].strip() for line in atoms]), coordinates


def _read_values(table: Path) -> dict[str, list[float] | str]:
    values: dict[str, list[float] | str] = {}
    with open(table, encoding="ascii", newline="") as stream:
        rows = csv.reader(stream)
        header = next(rows, [])
        wanted = ["mol_id", *(column for _, _, column in COLUMNS)]
        lacking = [column for column in wanted if column not in header]
        if lacking:
            raise ValueError(
                f"{table} must have the columns {', '.join(wanted)}, got none of the name {lacking[0]!r}"
            )
        at_title, *at_values = [header.index(column) for column in wanted]
        for row in rows:
            if row:
                values[row[at_title]] = _floats(row, at_values)
    return values


def _floats(row: list[str], at: list[int]) -> list[float] | str:
    try:
        return [float(row[column]) for column in at]
    except (ValueError, IndexError) as error:
        return f"its row of properties: {error}"
