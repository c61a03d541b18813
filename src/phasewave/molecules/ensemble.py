"""Ensembles of regressors: one fit to all molecules, and how far fits to parts of them disagree, calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import scipy.optimize
import torch
from scipy.special import erf, erfinv
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from phasewave.checks import fail, integer
from phasewave.molecules.regressor import EnergyRegressor
from phasewave.molecules.ridge import LeaveOneOutRidge
from phasewave.molecules.saving import regressor_settings, restore_regressor

_ONE_SIGMA = float(erf(2**-0.5))


@dataclass(frozen=True)
class Calibration:
    """How often errors stay within their predicted standard deviations.

    Attributes
    ----------
    within_one, within_two : float
        Share of the errors within one and two predicted deviations (a normal law: 0.683 and 0.954).
    expected, observed : ndarray
        Probabilities, and the share of errors inside the central interval that a normal law gives each.
    error : float
        Mean of ``|observed - expected|``.
    deviation, root_mean_square : ndarray
        Within tenths of the data by predicted deviation: its root mean square, and that of the errors.
    """

    within_one: float
    within_two: float
    expected: np.ndarray
    observed: np.ndarray
    error: float
    deviation: np.ndarray
    root_mean_square: np.ndarray


def calibration_curve(y: Any, mean: Any, std: Any, *, n_points: int = 19) -> Calibration:
    """Compare errors with their predicted standard deviations.

    Parameters
    ----------
    y, mean, std : array (n,)
        What was measured, its prediction, and the predicted standard deviation (> 0).
    n_points : int
        Probabilities k / (n_points + 1).

    Raises
    ------
    ValueError
        If the shapes differ or are empty, or a value is not finite or a deviation not positive.
    """
    y, mean, std = (np.asarray(values, dtype=np.float64) for values in (y, mean, std))
    integer("n_points", n_points, minimum=1)
    if y.ndim != 1 or not len(y) or y.shape != mean.shape or y.shape != std.shape:
        fail("y, mean and std", "be of one shape (n,), not empty", (y.shape, mean.shape, std.shape))
    if not (np.isfinite(y - mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ValueError("`y` and `mean` must be finite and `std` finite and > 0")
    ratio = np.abs(y - mean) / std
    expected = np.arange(1, n_points + 1) / (n_points + 1)
    observed = (ratio[:, None] <= 2**0.5 * erfinv(expected)).mean(axis=0)
    tenths = np.array_split(np.argsort(std, kind="stable"), min(10, len(y)))
    return Calibration(
        within_one=float((ratio <= 1).mean()),
        within_two=float((ratio <= 2).mean()),
        expected=expected,
        observed=observed,
        error=float(np.abs(observed - expected).mean()),
        deviation=np.array([np.sqrt((std[part] ** 2).mean()) for part in tenths]),
        root_mean_square=np.array([np.sqrt(((y - mean)[part] ** 2).mean()) for part in tenths]),
    )


class EnsembleRegressor(EnergyRegressor):
    """A regressor with an uncertainty: one fit predicts, further fits to parts of the rows tell how sure it is.

    The prediction is that of ``estimator`` fitted to all rows. Each member is a clone with its own seed (where it
    has one) fitted to its own random part of the rows. The standard deviation predicted is
    ``sqrt(floor^2 + (factor * spread)^2)``, with the members' standard deviation around their own mean (n - 1
    under the root) for the spread, and floor and factor by maximum likelihood from the errors of that mean on rows
    that no member sees, then scaled so that 68.3 % of those rows lie within one deviation (errors have heavier
    tails than a normal law). The members see fewer rows than the fit that predicts (by default 72 %) and err a
    little more: the deviations are slightly cautious.

    Parameters
    ----------
    estimator : EnergyRegressor, optional
        What is fitted; a `LeaveOneOutRidge` if None.
    n_members : int
        At least 2.
    fraction : float
        Share of the rows not held out that each member gets, drawn without replacement; 1 gives all of them to
        all members, which then differ by their seeds alone.
    calibration_fraction : float
        Share of the rows held out from all members; 0 leaves the spread as it is (factor 1, floor 0).
    seed : int

    Attributes
    ----------
    whole_ : EnergyRegressor
        Fitted to all rows: what predicts.
    members_ : list of EnergyRegressor
    factor_, floor_ : float
        Of the standard deviation; the floor in the units of y.
    calibration_ : Calibration or None
        Of the members' mean on the rows held out; what floor and factor were made from. None in a restored model.

    Notes
    -----
    Cost: ``n_members + 1`` fits. A prediction without deviations, and forces, cost those of one regressor.
    """

    _learned = ("factor_", "floor_")

    def __init__(
        self,
        *,
        estimator: EnergyRegressor | None = None,
        n_members: int = 5,
        fraction: float = 0.8,
        calibration_fraction: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.estimator = estimator
        self.n_members = n_members
        self.fraction = fraction
        self.calibration_fraction = calibration_fraction
        self.seed = seed

    def fit(self, X: Any, y: Any) -> EnsembleRegressor:
        """Fit to rows (n, n_features), an array or memory map (a HDF5 dataset is read whole), and targets (n,).

        Raises
        ------
        ValueError
            If the data are not finite or do not fit together, or a parameter is out of range.
        """
        integer("n_members", self.n_members, minimum=2)
        if not 0 < self.fraction <= 1:
            fail("fraction", "lie in (0, 1]", self.fraction)
        if not 0 <= self.calibration_fraction < 1:
            fail("calibration_fraction", "lie in [0, 1)", self.calibration_fraction)
        X, y = self._training(X, y)
        X = X[:] if isinstance(X, h5py.Dataset) else X
        generator = np.random.default_rng(self.seed)
        order = generator.permutation(len(y))
        n_out = 0
        if self.calibration_fraction > 0:
            n_out = min(max(2, round(self.calibration_fraction * len(y))), max(0, len(y) - 4))
        out, inside = np.sort(order[:n_out]), np.sort(order[n_out:])
        size = min(len(inside), max(2, round(self.fraction * len(inside))))
        template = LeaveOneOutRidge() if self.estimator is None else self.estimator
        self.whole_ = clone(template).fit(X, y)
        self.members_ = []
        for number in range(self.n_members):
            member = clone(template)
            seed = int(generator.integers(2**31))
            if "seed" in member.get_params(deep=False):
                member.set_params(seed=seed)
            if member.get_params(deep=False).get("checkpoint") is not None:
                member.set_params(checkpoint=f"{member.get_params()['checkpoint']}.{number}")
            rows = np.sort(generator.choice(inside, size, replace=False)) if size < len(inside) else inside
            self.members_.append(member.fit(X[rows], y[rows]))
        self.factor_, self.floor_, self.calibration_ = 1.0, 0.0, None
        if n_out:
            mean, spread = self._members_mean_and_spread(X[out])
            self.factor_, self.floor_ = _calibrate(y[out] - mean, spread)
            std = np.maximum(self._deviation(spread), np.finfo(np.float64).tiny)
            self.calibration_ = calibration_curve(y[out], mean, std)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict rows of features.

        Parameters
        ----------
        X : array (n, n_features)
        return_std : bool
            Whether the calibrated standard deviations are returned too.

        Returns
        -------
        ndarray (n,), or a tuple of two
            Predictions of the fit to all rows (and standard deviations), float64, the units of y.
        """
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        values = self.whole_.predict(X)
        if not return_std:
            return values
        return values, self._deviation(self._members_mean_and_spread(X)[1])

    def energies(self, X: torch.Tensor) -> torch.Tensor:
        """Return the predictions (n,) of rows (n, n_features), float64 and differentiable."""
        return self.whole_.energies(X)

    def state(self) -> dict[str, Any]:
        """Return what was learned, the regressors' part included, as a dict of tensors and plain values."""
        return {
            **super().state(),
            "whole": _packed(self.whole_),
            "members": [_packed(member) for member in self.members_],
        }

    @classmethod
    def from_state(cls, settings: Mapping[str, Any], state: Mapping[str, Any]) -> EnsembleRegressor:
        """Return a fitted ensemble from its constructor's parameters and `state`."""
        model = super().from_state(settings, state)
        for name in ("whole", "members"):
            if name not in state:
                fail("state", f"be that of a {cls.__name__}, with {name}", sorted(state))
        model.whole_ = _unpacked(state["whole"])
        model.members_ = [_unpacked(part) for part in state["members"]]
        model.calibration_ = None
        return model

    def _members_mean_and_spread(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        found = np.stack([member.predict(X) for member in self.members_])
        return found.mean(axis=0), found.std(axis=0, ddof=1)

    def _deviation(self, spread: np.ndarray) -> np.ndarray:
        return np.hypot(self.floor_, self.factor_ * spread)


def _packed(regressor: EnergyRegressor) -> dict[str, Any]:
    return {"settings": regressor_settings(regressor), "state": regressor.state()}


def _unpacked(part: Mapping[str, Any]) -> EnergyRegressor:
    return restore_regressor(part["settings"], part["state"])


def _calibrate(errors: np.ndarray, spread: np.ndarray) -> tuple[float, float]:
    """Return the factor and the floor of the standard deviation that explain the errors best.

    With variances ``t (s_i^2 + e^u)`` the likeliest ``t`` is ``mean(e_i^2 / (s_i^2 + e^u))``, which leaves a
    search over ``u`` alone; then ``t`` is chosen by the quantile instead.
    """
    size, width = float(np.sqrt((errors**2).mean())), float(np.sqrt((spread**2).mean()))
    if size == 0 or width == 0:
        return 1.0, size
    ratio, relative = (errors / size) ** 2, (spread / width) ** 2

    def surprise(u: float) -> float:
        variance = relative + np.exp(u)
        return float(np.log((ratio / variance).mean()) + np.log(variance).mean())

    grid = np.linspace(-12.0, 12.0, 49)
    near = min(grid, key=surprise)
    found = scipy.optimize.minimize_scalar(surprise, bounds=(near - 0.5, near + 0.5), method="bounded")
    scaled = ratio / (relative + np.exp(found.x))
    scale = float(np.quantile(scaled, _ONE_SIGMA)) or float(scaled.mean())  # 0 where most errors are
    return float(np.sqrt(scale)) * size / width, float(np.sqrt(scale * np.exp(found.x))) * size
