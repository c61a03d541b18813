"""What goes wrong, in one place: each expected error is one message and an exit code.

==== ==========================================================================
code meaning
==== ==========================================================================
0    done
2    wrong use: a bad option, a bad field, an output folder that is not empty
3    missing data: a file that is not there
4    not converged, interrupted or disk full: what was reached is saved
==== ==========================================================================
"""

from __future__ import annotations

import traceback
from enum import IntEnum
from typing import Any

import torch
import typer
from rich.console import Console
from typer.core import TyperGroup


class ExitCode(IntEnum):
    """What the command returns to the shell."""

    DONE = 0
    WRONG_USE = 2
    MISSING_DATA = 3
    NOT_CONVERGED = 4


def exit_code(error: BaseException) -> ExitCode | None:
    """Return the exit code of an expected error, or None for one that is a defect of the program."""
    if isinstance(error, FileNotFoundError):
        return ExitCode.MISSING_DATA
    if isinstance(error, FileExistsError | PermissionError | IsADirectoryError | NotADirectoryError):
        return ExitCode.WRONG_USE
    if isinstance(error, BrokenPipeError):
        return None  # the reader of the output left: no matter for a message
    if isinstance(error, ValueError | TypeError) or _out_of_memory(error):
        return ExitCode.WRONG_USE
    if isinstance(error, OSError | KeyboardInterrupt):
        return ExitCode.NOT_CONVERGED
    return None


class ErrorGroup(TyperGroup):
    """A group of commands whose expected errors become a message, not a traceback (but with ``--debug``)."""

    def invoke(self, ctx: Any) -> Any:
        """Invoke the command.

        Raises
        ------
        typer.Exit
            With the code of an expected error.
        """
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            code = exit_code(error)
            if code is None:
                raise
            if ctx.params.get("debug"):
                traceback.print_exc()
            console = Console(stderr=True, highlight=False)
            console.print("[bold red]error:[/] ", end="")
            console.print(_message(error), markup=False, soft_wrap=True)
            raise typer.Exit(code) from error


def _out_of_memory(error: BaseException) -> bool:
    # On the CPU, PyTorch has no error of its own for it.
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return (
            "interrupted; a checkpoint, if there is one, is kept: with it the same command goes on with --resume"
        )
    if _out_of_memory(error):
        return f"out of memory: ask for fewer samples or a smaller field ({error})"
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
