"""The models that a run can fit, by name, and what may be chosen of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from phasewave.checks import choice, fail, integer
from phasewave.molecules.ensemble import EnsembleRegressor
from phasewave.molecules.environment_kernel import EnvironmentKernel
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.kernels import NystroemRidge
from phasewave.molecules.model import EnergyModel, Pooling
from phasewave.molecules.multilinear import MultilinearRidge
from phasewave.molecules.network import InvariantNetwork
from phasewave.molecules.regressor import EnergyRegressor
from phasewave.molecules.ridge import LeaveOneOutRidge

ModelChoice = Literal["kernel", "ridge", "bilinear", "trilinear", "nystroem", "network"]
_TRAIN_ON_ALL = ("network",)  # members that differ by their seeds


@dataclass(frozen=True)
class ModelSettings:
    """Which model, and how large.

    Parameters
    ----------
    model : {"kernel", "ridge", "bilinear", "trilinear", "nystroem", "network"}
        ``kernel``: likeness of atomic environments, grid-free (`EnvironmentKernel`); the others are regressors on
        `SolidScattering`.
    n_references : int, optional
        Of ``kernel`` and ``nystroem``; by default theirs.
    n_terms : int, optional
        Products of ``bilinear`` and ``trilinear``; by default theirs.
    ensemble : int
        Members, 2 or more, whose disagreement gives the uncertainty; 0 for the same predictions without it, at the
        cost of one fit.
    seed : int
    pooling : {"sum", "mean"}
        See `EnergyModel`.

    Raises
    ------
    TypeError, ValueError
        If one is out of range, or not of this model.
    """

    model: ModelChoice = "kernel"
    n_references: int | None = None
    n_terms: int | None = None
    ensemble: int = 5
    seed: int = 0
    pooling: Pooling = "sum"

    def __post_init__(self) -> None:
        choice("model", self.model, get_args(ModelChoice))
        choice("pooling", self.pooling, get_args(Pooling))
        if self.ensemble != 0:
            integer("ensemble", self.ensemble, minimum=2)
        integer("seed", self.seed, minimum=0)
        for name, models in (("n_references", ("kernel", "nystroem")), ("n_terms", ("bilinear", "trilinear"))):
            value = getattr(self, name)
            if value is not None and self.model not in models:
                fail(name, f"be given with {' or '.join(models)} alone", f"{value} with {self.model}")
            if value is not None:
                integer(name, value, minimum=1)

    @property
    def on_scattering(self) -> bool:
        """Whether the model works on rows of `SolidScattering`."""
        return self.model != "kernel"

    def build(self, features: SolidScattering | None = None, *, device: str = "cpu") -> EnergyModel:
        """Return the model, to be fitted.

        Parameters
        ----------
        features : SolidScattering, optional
            What the regressor works on; none for ``kernel``.
        device : str
            Where a network is trained.
        """
        regressor = self._regressor(device)
        if self.ensemble:
            regressor = EnsembleRegressor(
                estimator=regressor,
                n_members=self.ensemble,
                fraction=1.0 if self.model in _TRAIN_ON_ALL else 0.8,
                seed=self.seed,
            )
        if self.on_scattering:
            return EnergyModel(SolidScattering() if features is None else features, regressor, self.pooling)
        kernel = EnvironmentKernel(seed=self.seed)
        if self.n_references is not None:
            kernel.n_references = self.n_references
        return EnergyModel(kernel, regressor, self.pooling)

    def _regressor(self, device: str) -> EnergyRegressor:
        if self.model == "kernel":
            return LeaveOneOutRidge(scale_columns=False, fit_intercept=False)  # energies of parts add up
        if self.model == "ridge":
            return LeaveOneOutRidge()
        if self.model == "nystroem":
            nystroem = NystroemRidge(seed=self.seed)
            if self.n_references is not None:
                nystroem.n_references = self.n_references
            return nystroem
        if self.model == "network":
            return InvariantNetwork(seed=self.seed, device=device)
        multilinear = MultilinearRidge(order=2 if self.model == "bilinear" else 3, seed=self.seed)
        if self.n_terms is not None:
            multilinear.n_terms = self.n_terms
        return multilinear
