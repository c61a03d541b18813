"""Coefficient by coefficient parity with pywph 1.1.3; ``pywph_reference.py`` made the stored values."""

from pathlib import Path

import numpy as np
import pytest
import torch

from phasewave.core.bump import BumpSteerable
from phasewave.turbulence.full_resolution import channel_statistics, moments_at_full_resolution
from phasewave.turbulence.moments import PhaseHarmonicMoments

CLASSES = ("S11", "S00", "C00", "S01", "C01", "Cphase", "L")
CASES = {
    "square": {"n_scales": 5, "n_angles": 4, "n_shifts": 2},
    "rectangle": {"n_scales": 4, "n_angles": 3, "n_shifts": 1},
    "odd": {"n_scales": 3, "n_angles": 8, "n_shifts": 1},
}
FULL = 8  # octaves of oversampling: every scale on the grid of the field


@pytest.fixture(scope="module")
def stored():
    with np.load(Path(__file__).with_name("pywph_reference.npz")) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def largest_errors(table, values, expected):
    """Largest error of each class relative to the largest moment of the class."""
    return {
        kind: float((values[rows] - expected[rows]).abs().max() / expected[rows].abs().max())
        for kind in CLASSES
        for rows in [[n for n, row in enumerate(table) if row.kind == kind]]
    }


@pytest.mark.parametrize("case", CASES)
def test_full_resolution_equals_pywph(stored, case):
    x, y = stored[f"{case}_x"], stored[f"{case}_y"]
    moments = PhaseHarmonicMoments(x.shape, **CASES[case], classes=CLASSES, oversampling=FULL, dtype=torch.float64)
    assert moments.n_moments == len(stored[f"{case}_raw"])
    for values, name in ((moments(x), "raw"), (moments.standardized(x)(y), "other")):
        errors = largest_errors(moments.table, values, stored[f"{case}_{name}"])
        assert max(errors.values()) < 1e-12, errors


@pytest.mark.parametrize("case", CASES)
def test_plain_definition_equals_pywph(stored, case):
    x, y = stored[f"{case}_x"], stored[f"{case}_y"]
    settings = CASES[case]
    table = PhaseHarmonicMoments(x.shape, **settings, classes=CLASSES).table
    family = BumpSteerable(settings["n_angles"])
    statistics = channel_statistics(x, table, family)
    raw = moments_at_full_resolution(x, table, family)
    other = moments_at_full_resolution(y, table, family, statistics=statistics)
    for values, name in ((raw, "raw"), (other, "other")):
        errors = largest_errors(table, values, stored[f"{case}_{name}"])
        assert max(errors.values()) < 1e-12, errors


def test_float32_stays_near_pywph(stored):
    x = stored["square_x"]
    moments = PhaseHarmonicMoments(x.shape, **CASES["square"], classes=CLASSES)
    errors = largest_errors(moments.table, moments(x.float()).to(torch.complex128), stored["square_raw"])
    assert max(errors.values()) < 1e-4, errors
