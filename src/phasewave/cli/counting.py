"""Live progress of work that is counted: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from phasewave.cli.progress import duration

_LINE_SECONDS = 10.0


class CountProgress:
    """Show how many are done, how many a second, and the time left.

    The rate is that of this sitting: what was done before a resumption counts in neither time nor number.

    Parameters
    ----------
    console : rich.console.Console
        Where to write; a bar if it is a terminal, else one line at least every ten seconds of work.
    what : str
        What is counted, such as ``"molecules"``.
    times : int
        Processes that work like this one: counts and rate are taken times this.
    """

    def __init__(self, console: Console, what: str, *, times: int = 1) -> None:
        self.console, self.what, self.times = console, what, times
        columns = (TextColumn(what), BarColumn(), TextColumn("{task.fields[text]}"))
        self._bar = Bar(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=None, text="")
        self._first: tuple[float, int] | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> CountProgress:
        """Start the display."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the display."""
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        text = f"{'about ' if self.times > 1 else ''}{done * self.times:,} of {total * self.times:,}"
        seconds, new = now - self._first[0], done - self._first[1]
        if new > 0 and seconds > 0:
            rate = new / seconds
            text += f", {rate * self.times:.3g}/s, about {duration((total - done) / rate)} left"
        if self.console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, text=text)
        elif now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self.console.print(f"{self.what}: {text}", highlight=False, soft_wrap=True)
