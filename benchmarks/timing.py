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
    """Megabytes that ``code`` adds to the peak resident memory of a fresh Python process.

    ``code`` must call ``start()`` once its set-up is done.
    """
    program = f"""
import resource
base = 0.0
def start():
    global base
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{code}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(result.stdout.split()[-1])
