"""Regressors to plain settings and tensors, and back, without pickle."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from phasewave.checks import fail
from phasewave.molecules.regressor import EnergyRegressor

# where each class is defined: the only code a saved model can ask for
_MODULES = {
    "LeaveOneOutRidge": "ridge",
    "MultilinearRidge": "multilinear",
    "NystroemRidge": "kernels",
    "InvariantNetwork": "network",
    "EnsembleRegressor": "ensemble",
}


def regressor_settings(regressor: EnergyRegressor) -> dict[str, Any]:
    """Return the class and the constructor's parameters of a regressor as JSON-able values.

    Parameters that belong to one run (callback, checkpoint) are left out; regressors among the parameters
    become such dicts themselves.

    Raises
    ------
    TypeError
        If it is not one of this package's regressors.
    """
    kind = type(regressor).__name__
    if not isinstance(regressor, EnergyRegressor) or kind not in _MODULES:
        raise TypeError(f"`regressor` must be one of {', '.join(_MODULES)}, got {kind}")
    parameters = {}
    for name, value in regressor.get_params(deep=False).items():
        if name in regressor._transient:
            continue
        if isinstance(value, EnergyRegressor):
            value = regressor_settings(value)
        elif name == "alphas" and value is not None:
            value = [float(alpha) for alpha in value]
        parameters[name] = value
    return {"class": kind, "parameters": parameters}


def build_regressor(settings: Mapping[str, Any]) -> EnergyRegressor:
    """Return the unfitted regressor that `regressor_settings` described.

    Raises
    ------
    ValueError
        If the class is not one of this package's regressors.
    """
    return _class(settings)(**_parameters(settings))


def restore_regressor(settings: Mapping[str, Any], state: Mapping[str, Any]) -> EnergyRegressor:
    """Return the fitted regressor whose settings and ``state()`` are given: the same predictions, bit for bit.

    Raises
    ------
    ValueError
        If the class is not one of this package's regressors, or the state is not of that class.
    """
    return _class(settings).from_state(_parameters(settings), state)


def _class(settings: Mapping[str, Any]) -> type[EnergyRegressor]:
    kind = settings.get("class")
    if kind not in _MODULES:
        fail("settings", f"name a class of {', '.join(_MODULES)}", kind)
    return getattr(importlib.import_module(f"phasewave.molecules.{_MODULES[kind]}"), kind)


def _parameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: build_regressor(value) if isinstance(value, Mapping) and "class" in value else value
        for name, value in settings["parameters"].items()
    }
