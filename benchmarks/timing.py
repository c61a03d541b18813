"""Interleaved timing: the candidates take turns, so that a drifting clock hits all of them alike."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable


def interleaved(candidates: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Wall seconds of each candidate over ``repeats`` rounds, after one warm-up call each."""
    for run in candidates.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> float:
    """Median over the rounds of ``slow / fast``."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def peak_memory(code: str) -> float:
    """Megabytes by which the peak of a fresh Python process exceeds what was resident when ``start()`` was called.

    ``code`` calls ``start()`` once its set-up is done. Read from ``/proc``, so on Linux only: ``ru_maxrss`` starts
    from the parent's.
    """
    program = f"""
def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))
base = 0
def start():
    global base
    base = status("VmRSS")
{code}
print((status("VmHWM") - base) / 1024)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(result.stdout.split()[-1])
