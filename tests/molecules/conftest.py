"""Small fitted models of the embedded molecules of H, C, N and O."""

from __future__ import annotations

import numpy as np
import pytest

from phasewave.molecules.environment_kernel import EnvironmentKernel
from phasewave.molecules.environments import AtomicEnvironments
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.g2 import g2
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.ridge import LeaveOneOutRidge


@pytest.fixture(scope="session")
def organic():
    """The molecules of H, C, N and O alone, and their energies, eV."""
    data = g2()
    known = np.array([set(data.molecules[i].elements) <= {1, 6, 7, 8} for i in range(len(data))])
    return data.molecules[known], data.values("atomization_energy")[known]


@pytest.fixture(scope="session")
def small_kernel():
    """An unfitted, small `EnvironmentKernel`."""
    environments = AtomicEnvironments(n_shells=4, max_degree=3, n_channels=6, n_components=80)
    return EnvironmentKernel(environments=environments, n_references=60)


@pytest.fixture(scope="session")
def kernel_model(organic, small_kernel):
    """Fitted; not to be changed."""
    return EnergyModel(small_kernel, LeaveOneOutRidge(scale_columns=False)).fit(*organic)


@pytest.fixture(scope="session")
def scattering_model(organic):
    """Fitted; not to be changed."""
    molecules, energies = organic
    features = SolidScattering(channels=("valence",), n_scales=2, max_degree=2, powers=(0.5, 1.0, 2.0))
    return EnergyModel(features, LeaveOneOutRidge()).fit(molecules[::6], energies[::6])
