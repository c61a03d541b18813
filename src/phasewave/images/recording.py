"""The names of the files that runs on images leave, and the time that run.json tells."""

from __future__ import annotations

from pathlib import Path

from phasewave.runs.record import read_json

METRICS, FIGURE, RECORD = "metrics.json", "figure.png", "run.json"
MODEL, SAMPLES, HISTORY, LIVE = "model.h5", "samples.h5", "history.json", "progress.png"


def seconds_before(path: Path) -> float:
    """Return the wall time of the sittings before, as far as run.json tells."""
    try:
        return float(read_json(path)["wall_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
