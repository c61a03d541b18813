"""The errors of a model on molecules with known values, beside those of the composition baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.units import kcal, mol

from phasewave.checks import fail
from phasewave.molecules.ensemble import calibration_curve
from phasewave.molecules.structures import Molecules

KCAL_MOL = kcal / mol
"""One kcal/mol in eV."""


def error_metrics(errors: np.ndarray, *, unit: str) -> dict[str, float]:
    """Return the mean absolute, root mean square and largest absolute error.

    Parameters
    ----------
    errors : ndarray (n,)
    unit : str
        Of the errors; of those in eV, the figures in kcal/mol stand beside.

    Returns
    -------
    dict
        ``mae``, ``rmse``, ``max``; of eV also ``mae_kcal_mol`` ...
    """
    size = np.abs(np.asarray(errors, dtype=np.float64))
    if size.ndim != 1 or not len(size):
        fail("errors", "be of shape (n,) and not empty", size.shape)
    found = {
        "mae": float(size.mean()),
        "rmse": float(np.sqrt((size**2).mean())),
        "max": float(size.max()),
    }
    if unit == "eV":
        found |= {f"{name}_kcal_mol": value / KCAL_MOL for name, value in found.items()}
    return found


def heavy_atoms(molecules: Molecules) -> np.ndarray:
    """Return the number of atoms other than hydrogen of each molecule, int64 (n,)."""
    return (molecules.sizes - molecules.counts([1])[:, 0]).cpu().numpy()


def error_report(
    molecules: Molecules,
    y: np.ndarray,
    predicted: np.ndarray,
    baseline: np.ndarray,
    *,
    unit: str,
    std: np.ndarray | None = None,
) -> dict[str, Any]:
    """Compare predictions with known values.

    Parameters
    ----------
    molecules : Molecules
        n of them.
    y, predicted, baseline : ndarray (n,)
        What is known, the model's prediction and that of the composition alone.
    unit : str
        Of all three.
    std : ndarray (n,), optional
        The predicted standard deviations.

    Returns
    -------
    dict
        ``n``, ``unit``; ``model`` and ``baseline``: see `error_metrics`; ``by_heavy_atoms``: for each number of
        heavy atoms ``n``, and ``model`` and ``baseline`` again; ``calibration``: None without ``std``, else the
        shares of errors within one and two deviations, the expected and observed shares within central intervals,
        and by tenths of the molecules the predicted and actual deviation.

    Raises
    ------
    ValueError
        If the arrays are not of one shape and finite.
    """
    arrays = {"y": y, "predicted": predicted, "baseline": baseline}
    for name, values in arrays.items():
        if np.shape(values) != (len(molecules),) or not len(molecules):
            fail(name, f"have one value for each of {len(molecules)} molecules", np.shape(values))
        if not np.isfinite(values).all():
            fail(name, "be finite", f"{values[~np.isfinite(values)][0]}")
    errors, plain = predicted - y, baseline - y
    heavy = heavy_atoms(molecules)
    groups = {int(k): heavy == k for k in np.unique(heavy)}
    return {
        "n": len(y),
        "unit": unit,
        "model": error_metrics(errors, unit=unit),
        "baseline": error_metrics(plain, unit=unit),
        "by_heavy_atoms": [
            {
                "heavy_atoms": k,
                "n": int(mine.sum()),
                "model": error_metrics(errors[mine], unit=unit),
                "baseline": error_metrics(plain[mine], unit=unit),
            }
            for k, mine in groups.items()
        ],
        "calibration": None if std is None else _calibration(y, predicted, std),
    }


def shown_unit(unit: str) -> tuple[str, float]:
    """Return in which unit errors are shown, and what one is in ``unit``: kcal/mol for energies in eV."""
    return ("kcal/mol", KCAL_MOL) if unit == "eV" else (unit, 1.0)


def summary(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the head and the rows of a table of a report's errors."""
    unit, size = shown_unit(report["unit"])
    rows: list[tuple[str, ...]] = [("", "molecules", f"MAE [{unit}]" if unit else "MAE", "RMSE", "largest")]
    for name, label in (("baseline", "composition alone"), ("model", "model")):
        figures = report[name]
        values = (f"{figures[key] / size:.4g}" for key in ("mae", "rmse", "max"))
        rows.append((label, f"{report['n']:,}", *values))
    if len(report["by_heavy_atoms"]) > 1:
        for group in report["by_heavy_atoms"]:
            values = (f"{group['model'][key] / size:.4g}" for key in ("mae", "rmse", "max"))
            rows.append((f"model, {group['heavy_atoms']} heavy atoms", f"{group['n']:,}", *values))
    return rows


def _calibration(y: np.ndarray, predicted: np.ndarray, std: np.ndarray) -> dict[str, Any] | None:
    if not (np.isfinite(std).all() and (std > 0).all()):
        return None  # members that agree to the last bit say nothing of their error
    found = calibration_curve(y, predicted, std)
    return {
        "within_one": found.within_one,
        "within_two": found.within_two,
        "error": found.error,
        "expected": found.expected.tolist(),
        "observed": found.observed.tolist(),
        "deviation": found.deviation.tolist(),
        "root_mean_square": found.root_mean_square.tolist(),
    }
