"""What live displays share: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, ProgressColumn

Self = TypeVar("Self", bound="LiveDisplay")


class LiveDisplay:
    """A display that runs inside a ``with`` block.

    Parameters
    ----------
    console : rich.console.Console
        Where to write; a bar if it is a terminal, else a line at most every ``seconds``.
    columns : rich.progress.ProgressColumn
        Of the bar; they may use the field ``text``.
    seconds : float
    total : float, optional
        Of the bar, as far as known at the start.
    """

    def __init__(
        self, console: Console, *columns: ProgressColumn, seconds: float, total: float | None = None
    ) -> None:
        self.console = console
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=total, text="")
        self._first: tuple[float, int] | None = None
        self._seconds, self._last_line = seconds, float("-inf")
        self._now = 0.0  # of the latest call of `_pace`

    def __enter__(self: Self) -> Self:
        """Start the display."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the display."""
        self._bar.stop()

    def _pace(self, done: int) -> tuple[float, int]:
        """Return the seconds since the first call, and how many more are done since."""
        self._now = time.monotonic()
        if self._first is None:
            self._first = (self._now, done)
        return self._now - self._first[0], done - self._first[1]

    def _show(self, text: str, line: str, *, completed: int, total: int) -> None:
        """Show ``text`` beside the bar, or print ``line`` if it is time, after a call of `_pace`."""
        if self.console.is_terminal:
            self._bar.update(self._task, completed=completed, total=total, text=text)
        elif self._now - self._last_line >= self._seconds:
            self._last_line = self._now
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
