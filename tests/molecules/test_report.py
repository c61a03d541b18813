"""Errors of predictions: closed forms, units, groups, calibration."""

import numpy as np
import pytest
from ase.build import molecule

from phasewave.molecules.report import KCAL_MOL, error_metrics, error_report, heavy_atoms, shown_unit, summary
from phasewave.molecules.structures import as_molecules

MOLECULES = as_molecules([molecule(name) for name in ("H2", "CH4", "NH3", "C2H6", "CO")])


def test_metrics_are_what_they_say():
    found = error_metrics(np.array([3.0, -4.0]), unit="Debye")
    assert found == {"mae": 3.5, "rmse": 12.5**0.5, "max": 4.0}
    found = error_metrics(np.array([0.0433641, -0.0433641]), unit="eV")
    assert found["mae_kcal_mol"] == pytest.approx(1.0, rel=1e-6)
    assert found["mae"] == 0.0433641
    assert pytest.approx(0.0433641, rel=1e-6) == KCAL_MOL
    assert (shown_unit("eV"), shown_unit("Debye")) == (("kcal/mol", KCAL_MOL), ("Debye", 1.0))
    with pytest.raises(ValueError, match="`errors` must be of shape"):
        error_metrics(np.zeros(0), unit="eV")


def test_a_report_by_heavy_atoms():
    assert heavy_atoms(MOLECULES).tolist() == [0, 1, 1, 2, 2]
    y = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    report = error_report(MOLECULES, y, y + np.array([1, -2, 4, 0, 8]), y - 1, unit="")
    assert report["model"] == {"mae": 3.0, "rmse": 17.0**0.5, "max": 8.0}
    assert report["baseline"] == {"mae": 1.0, "rmse": 1.0, "max": 1.0}
    groups = {row["heavy_atoms"]: (row["n"], row["model"]["mae"]) for row in report["by_heavy_atoms"]}
    assert groups == {0: (1, 1.0), 1: (2, 3.0), 2: (2, 4.0)}
    assert (report["n"], report["calibration"]) == (5, None)
    rows = summary(report)
    assert rows[0][2] == "MAE"
    assert [row[0] for row in rows[1:3]] == ["composition alone", "model"]
    assert rows[2][1:] == ("5", "3", "4.123", "8")
    assert rows[-1] == ("model, 2 heavy atoms", "2", "4", "5.657", "8")


def test_errors_in_ev_are_shown_in_kcal_mol():
    y = np.zeros(5)
    report = error_report(MOLECULES, y, y + 2 * KCAL_MOL, y, unit="eV")
    assert summary(report)[0][2] == "MAE [kcal/mol]"
    assert summary(report)[2][2] == "2"


def test_calibration_is_that_of_the_deviations():
    y = np.zeros(5)
    predicted = np.array([0.5, -0.5, 1.5, 1.5, 3.0])
    found = error_report(MOLECULES, y, predicted, y, unit="eV", std=np.ones(5))["calibration"]
    assert (found["within_one"], found["within_two"]) == (0.4, 0.8)
    # members that all agree say nothing
    assert error_report(MOLECULES, y, predicted, y, unit="eV", std=np.zeros(5))["calibration"] is None


def test_bad_arrays_are_named():
    y = np.zeros(5)
    with pytest.raises(ValueError, match="`predicted` must have one value for each of 5 molecules"):
        error_report(MOLECULES, y, y[:4], y, unit="eV")
    with pytest.raises(ValueError, match="`baseline` must be finite, got 'nan'"):
        error_report(MOLECULES, y, y, y + np.nan, unit="eV")
