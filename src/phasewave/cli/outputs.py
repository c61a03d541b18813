"""What commands leave: files refused before the work, the list of a folder, the message of an interruption."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console

from phasewave.cli.errors import ExitCode


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


@contextlib.contextmanager
def stoppable(
    message: str = "interrupted: give the command again, with --overwrite if it left files",
) -> Iterator[None]:
    """End with a message and the code of an interruption when Ctrl-C is pressed in the block."""
    try:
        yield
    except KeyboardInterrupt as stop:
        Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True)
        raise typer.Exit(ExitCode.NOT_CONVERGED) from stop


def show_files(console: Console, folder: Path) -> None:
    """Print what is in a run's folder."""
    files = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    console.print(f"files in {folder}: {', '.join(files)}", markup=False, soft_wrap=True)
