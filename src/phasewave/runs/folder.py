"""A run's folder: made, owned and never overwritten without being told."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phasewave.runs.atomic import is_partial_of

State = Literal["absent", "empty", "resumable", "occupied"]


@dataclass(frozen=True)
class RunFolder:
    """A folder that one run writes into.

    Parameters
    ----------
    path : Path
        The folder.
    files : tuple of str
        The names of the files that such a run makes; nothing else in the folder is ever touched.
    checkpoint : str
        Which of ``files`` allows to go on with an unfinished run.
    """

    path: Path
    files: tuple[str, ...]
    checkpoint: str

    def __truediv__(self, name: str) -> Path:
        """Return the path of one of the run's files.

        Raises
        ------
        ValueError
            If the run did not declare ``name`` among its files.
        """
        if name not in self.files:
            raise ValueError(f"`name` must be one of the run's files {', '.join(self.files)}, got {name!r}")
        return self.path / name

    @property
    def resumable(self) -> bool:
        """Whether a checkpoint is there."""
        return (self.path / self.checkpoint).is_file()

    def present(self) -> list[str]:
        """Return which of the run's files are there."""
        return [name for name in self.files if (self.path / name).is_file()]

    def state(self) -> State:
        """Return what is at ``path``: nothing, an empty folder, a run to resume, or other files.

        Raises
        ------
        FileExistsError
            If ``path`` is a file.
        """
        if not self.path.exists():
            return "absent"
        if not self.path.is_dir():
            raise FileExistsError(f"`out` must be a folder, and {self.path} is a file; choose another name")
        if self.resumable:
            return "resumable"
        return "occupied" if any(self.path.iterdir()) else "empty"


def open_run(
    path: str | os.PathLike[str],
    *,
    files: Collection[str],
    checkpoint: str,
    overwrite: bool = False,
    resume: bool = False,
) -> RunFolder:
    """Make the folder of a run, or enter that of an unfinished one.

    Call it after the inputs have been checked: with ``overwrite`` the files of the earlier run are deleted
    here, so that results of two runs never stand side by side.

    Parameters
    ----------
    path : path-like
        The folder; missing parents are made.
    files : collection of str
        The names of all files that the run may make.
    checkpoint : str
        Which of them allows to resume.
    overwrite : bool
        Delete those of ``files`` that an earlier run left in the folder. Other files stay as they are.
    resume : bool
        Go on with the run whose checkpoint is in the folder.

    Raises
    ------
    FileExistsError
        If the folder is not empty and neither ``overwrite`` nor ``resume`` is given; if ``path`` is a file.
    FileNotFoundError
        If ``resume`` is given and there is no checkpoint.
    ValueError
        If both are given.
    OSError
        If the folder cannot be made.
    """
    if overwrite and resume:
        raise ValueError("`overwrite` and `resume` exclude each other: choose one")
    run = RunFolder(Path(path), tuple(files), checkpoint)
    state = run.state()
    if resume:
        if state != "resumable":
            raise FileNotFoundError(
                f"there is no run to resume in {run.path}: {_why_not(run, state)}; start it without resume"
            )
        return run
    if state in ("occupied", "resumable") and not overwrite:
        entries = sorted(entry.name for entry in run.path.iterdir())
        shown = ", ".join(entries[:4]) + (f" and {len(entries) - 4} more" if len(entries) > 4 else "")
        resume_hint = ", or --resume (resume=True) to go on with it" if state == "resumable" else ""
        raise FileExistsError(
            f"the folder {run.path} is not empty (it holds {shown}): choose another folder, or --overwrite "
            f"(overwrite=True) to replace the files of the run in it{resume_hint}"
        )
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise FileExistsError(
            f"the folder {run.path} cannot be made: a part of its path is a file; choose another name"
        ) from error
    if overwrite:
        _clear(run)
    return run


def _why_not(run: RunFolder, state: State) -> str:
    if state == "absent":
        return "the folder does not exist"
    return "the folder is empty" if state == "empty" else f"it has no {run.checkpoint}"


def _clear(run: RunFolder) -> None:
    for entry in list(run.path.iterdir()):
        mine = entry.name in run.files or any(is_partial_of(entry, name) for name in run.files)
        if mine and entry.is_dir() and not entry.is_symlink():
            raise FileExistsError(f"{entry} is a folder where the run makes a file; choose another folder")
        if mine:
            entry.unlink()
