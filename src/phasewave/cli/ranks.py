"""What the processes of one command say: one message, by rank 0."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from phasewave.cli.errors import exit_code
from phasewave.runs.distributed import Ranks


@contextmanager
def spoken_once(ranks: Ranks) -> Iterator[None]:
    """Leave it to rank 0 to print an error that all ranks have been told of."""
    try:
        yield
    except Exception as error:
        code = None if ranks.first else exit_code(error)
        if code is None:
            raise
        raise typer.Exit(code) from error
