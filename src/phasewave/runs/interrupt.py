"""Ctrl-C and termination as a request that a loop can honour between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class StopRequest:
    """Whether somebody asked the run to stop; call it to ask.

    Parameters
    ----------
    signal_name : str or None
        The signal that asked, or None.
    """

    signal_name: str | None = None

    def __call__(self) -> bool:
        """Return whether to stop at the next step."""
        return self.signal_name is not None


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first SIGINT (Ctrl-C) or SIGTERM within the block into a request to stop.

    The second one raises KeyboardInterrupt at once. The handlers of before are put back at the end.
    Outside the main thread, where Python allows no handlers, signals are left as they are.

    Yields
    ------
    StopRequest
        Poll it between steps: ``if stop(): break``.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if request():
            raise KeyboardInterrupt
        request.signal_name = signal.Signals(number).name

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
