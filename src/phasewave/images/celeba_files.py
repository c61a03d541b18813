"""The text files that come with CelebA: its official split and the forty attributes of each face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from phasewave.images.picture_files import Listed

PARTITION = "list_eval_partition.txt"
ATTRIBUTES = "list_attr_celeba.txt"
_PARTS = {"0": "train", "1": "val", "2": "test"}


def beside(path: Path, name: str) -> Path | None:
    """Return the file of a name in a folder, or beside a file or folder; its .csv if only that is there."""
    folders = (path, path.parent) if path.is_dir() else (path.parent,)
    for folder in folders:
        for file in (folder / name, folder / Path(name).with_suffix(".csv")):
            if file.is_file():
                return file
    return None


def with_partition(listed: Sequence[Listed], file: Path) -> list[Listed]:
    """Give each picture the split of CelebA's partition file: lines "000001.jpg 0", 0, 1, 2 = train, val, test.

    Raises
    ------
    ValueError
        If a line is another, or a picture is not named.
    """
    parts = {}
    for number, words in _lines(file):
        if len(words) == 2 and words[1] in _PARTS:
            parts[words[0]] = _PARTS[words[1]]
        elif number > 1:  # the csv has a header
            raise ValueError(f"{file}, line {number}: must be a file and 0, 1 or 2, got {' '.join(words)!r}")
    return [replace(one, split=_of(one, parts, file)) for one in listed]


def with_attribute(listed: Sequence[Listed], file: Path, name: str) -> list[Listed]:
    """Give each picture the class "NAME" or "-NAME", as the value of CelebA's attribute is 1 or -1.

    The file holds the number of pictures (not in its csv), the names of the attributes, and lines of a file name
    and values.

    Raises
    ------
    ValueError
        If there is no such attribute, a line is another, or a picture is not named.
    """
    lines = list(_lines(file))
    if lines and len(lines[0][1]) == 1:
        del lines[0]
    names = lines[0][1] if lines else []
    names = names[1:] if names[:1] == ["image_id"] else names
    if name not in names:
        raise ValueError(f"`attribute` must be one of {', '.join(names)} ({file}), got {name!r}")
    column, classes = names.index(name) + 1, {"1": name, "-1": f"-{name}", "0": f"-{name}"}
    values = {}
    for number, words in lines[1:]:
        if len(words) != len(names) + 1 or words[column] not in classes:
            raise ValueError(f"{file}, line {number}: must be a file and {len(names)} values of 1 or -1")
        values[words[0]] = classes[words[column]]
    return [replace(one, label=_of(one, values, file)) for one in listed]


def _lines(file: Path) -> list[tuple[int, list[str]]]:
    text = file.read_text(encoding="utf-8", errors="replace").replace(",", " ")
    return [(number, words) for number, line in enumerate(text.splitlines(), start=1) if (words := line.split())]


def _of(one: Listed, values: dict[str, str], file: Path) -> str:
    name = PurePosixPath(one.name).name
    if name not in values:
        raise ValueError(f"{file} must name every picture, got no line for {name}: is it of another set?")
    return values[name]
