"""Models of energies in one file without pickle: parameters, what was learned, units and training record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from phasewave.checks import fail
from phasewave.molecules.atom_scattering import AtomScattering, parameters_of
from phasewave.molecules.baseline import CompositionBaseline
from phasewave.molecules.environment_kernel import EnvironmentKernel
from phasewave.molecules.environments import AtomicEnvironments
from phasewave.molecules.feature_parts import module_of
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.saving import regressor_settings, restore_regressor
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.record import versions

_FORMAT = "phasewave-energy-model-1"


def save_model(model: EnergyModel, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to ``path``, atomically.

    The file is a checkpoint of `phasewave.runs.checkpoint`: parameters, learned tensors, ``training_``, units and
    versions.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    TypeError
        If its features or its regressor are not of this package.
    OSError
        If the file cannot be written; what was there before is untouched.
    """
    check_is_fitted(model)
    features, learned = _pack_features(model.features_)
    state = {
        "format": _FORMAT,
        "features": features,
        "features_state": learned,
        "pooling": model.pooling,
        "regressor": regressor_settings(model.regressor_),
        "regressor_state": model.regressor_.state(),
        "baseline": model.baseline_.state(),
        "training": model.training_,
        "units": {"energy": "eV", "length": "Angstrom"},
        "versions": versions(),
    }
    save_checkpoint(path, state, settings={"format": _FORMAT})


def load_model(path: str | os.PathLike[str]) -> EnergyModel:
    """Return the model that `save_model` wrote: the same predictions, bit for bit.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or no model.
    """
    try:
        state = load_checkpoint(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no model {os.fspath(path)}") from error
    except ValueError as error:
        raise ValueError(
            f"{os.fspath(path)} cannot be read as a model: it is damaged or was not made here"
        ) from error
    if state.get("format") != _FORMAT:
        raise ValueError(f"{os.fspath(path)} is no model: it holds no {_FORMAT}")
    features = _unpack_features(state["features"], state["features_state"])
    regressor = restore_regressor(state["regressor"], state["regressor_state"])
    model = EnergyModel(features, regressor, state.get("pooling", "sum"))  # older files hold sums alone
    model.features_, model.regressor_ = features, regressor
    model.baseline_ = CompositionBaseline.from_state({}, state["baseline"])
    model.training_ = state["training"]
    return model


def _pack_features(features: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return class and parameters of a feature module, and what it has learned."""
    if isinstance(features, SolidScattering):
        parameters = BaseEstimator.get_params(features, deep=False)
        if features.at_atoms is not None:
            parameters["at_atoms"] = parameters_of(features.at_atoms)
        return {"class": "SolidScattering", "parameters": parameters}, {}
    if isinstance(features, AtomScattering):
        return {"class": "AtomScattering", "parameters": parameters_of(features)}, {}
    if isinstance(features, EnvironmentKernel):
        parameters = features.get_params(deep=False)
        parameters["environments"] = features.environments_.get_params()
        return {"class": "EnvironmentKernel", "parameters": parameters}, features.state()
    raise TypeError(
        "`features` must be a SolidScattering, an AtomScattering or an EnvironmentKernel to be saved, got "
        f"{type(features).__name__}"
    )


def _unpack_features(settings: Mapping[str, Any], state: Mapping[str, Any]) -> Any:
    kind, parameters = settings["class"], dict(settings["parameters"])
    if kind == "SolidScattering":
        return module_of(parameters)
    if kind == "AtomScattering":
        return AtomScattering(**parameters)
    if kind == "EnvironmentKernel":
        parameters["environments"] = AtomicEnvironments(**parameters["environments"])
        return EnvironmentKernel.from_state(parameters, state)
    return fail("features", "be SolidScattering, AtomScattering or EnvironmentKernel", kind)
