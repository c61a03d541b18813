"""Live progress of work that is counted: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, TextColumn

from phasewave.cli.live_display import LiveDisplay
from phasewave.cli.progress import duration

_LINE_SECONDS = 10.0


class CountProgress(LiveDisplay):
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
        columns = (TextColumn(what), BarColumn(), TextColumn("{task.fields[text]}"))
        super().__init__(console, *columns, seconds=_LINE_SECONDS)
        self.what, self.times = what, times
        self._last_line = time.monotonic()  # the first line after some work

    def update(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        seconds, new = self._pace(done)
        text = f"{'about ' if self.times > 1 else ''}{done * self.times:,} of {total * self.times:,}"
        if new > 0 and seconds > 0:
            rate = new / seconds
            text += f", {rate * self.times:.3g}/s, about {duration((total - done) / rate)} left"
        self._show(text, f"{self.what}: {text}", completed=done, total=total)
