"""Files that a command is asked to write: refused before the work where they cannot be."""

from __future__ import annotations

from pathlib import Path


def may_write(path: Path | None, *, overwrite: bool) -> None:
    """Refuse a file that is there, or that no folder is there for.

    Raises
    ------
    FileExistsError
        If it is there, without ``overwrite``, or is a folder.
    FileNotFoundError
        If its folder is not there.
    """
    if path is None:
        return
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder; name a file")
    if path.exists() and not overwrite:
        raise FileExistsError(f"the file {path} is there already: choose another name, or --overwrite")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for the file {path.name}: make it first")
