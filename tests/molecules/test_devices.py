"""Features and energies on a GPU are those on the CPU."""

import pytest
import torch
from ase.build import molecule

from phasewave.molecules.atom_scattering import AtomScattering
from phasewave.molecules.environment_kernel import EnvironmentKernel
from phasewave.molecules.environments import AtomicEnvironments
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.ridge import LeaveOneOutRidge
from phasewave.molecules.structures import Molecules

MOLECULES = Molecules.from_atoms([molecule(name) for name in ("CH3CH2OH", "CO2", "H2O", "CH4", "C2H4", "H2CO")])
ENERGIES = [-33.0, -17.0, -10.0, -18.0, -24.0, -16.0]
FEATURES = {
    "over space": SolidScattering(n_scales=2, max_degree=2, step=0.7, at_atoms=AtomScattering(n_scales=3)),
    "at atoms": AtomScattering(),
    "kernel": EnvironmentKernel(
        environments=AtomicEnvironments(n_shells=4, max_degree=3, n_channels=6, n_components=40), n_references=20
    ),
}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", FEATURES)
def test_energies_and_forces_on_a_gpu_are_those_on_the_cpu(name):
    model = EnergyModel(FEATURES[name], LeaveOneOutRidge()).fit(MOLECULES, ENERGIES)
    expected = model.forces(MOLECULES)
    for found, value in zip(model.forces(MOLECULES.to("cuda")), expected, strict=True):
        assert found.device.type == "cuda"
        torch.testing.assert_close(found.cpu(), value, rtol=1e-7, atol=1e-7)
