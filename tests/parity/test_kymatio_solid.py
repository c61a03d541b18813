"""`SolidScattering` against stored outputs of kymatio 0.3.0 (see kymatio_solid_reference.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from phasewave.molecules.features import SolidScattering

STORED = np.load(Path(__file__).with_name("kymatio_solid_reference.npz"))
POWERS = np.array([0.5, 1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", ["H2O", "HCN"])
def test_orders_0_1_2_with_the_same_constants_and_units(name):
    atoms = Atoms(STORED[f"{name}_numbers"], STORED[f"{name}_positions"])
    features = SolidScattering(channels=("all",), n_scales=2, step=0.3, dtype="float64")
    grid_units = 8.95 ** (3 - 3 * POWERS)
    values = features.transform([atoms])[0].reshape(-1, 4) * grid_units
    np.testing.assert_allclose(values[0], STORED[f"{name}_order_0"], rtol=2e-6)
    ours = values[1:].reshape(3, 4, 4)  # path (0), (1), (0, 1); degree; power
    ratio = ours / STORED[f"{name}_orders_1_2"]
    # Away from the zeros of the modulus both are exact. Its float32 noise on its wide box adds to its power 1/2.
    assert np.abs(ratio[:2, :, 2] - 1).max() < 3e-6
    assert np.abs(ratio[:, 0, 1:] - 1).max() < 4e-6
    assert np.abs(ratio[:2, :, 1:] - 1).max() < 3e-4
    assert np.abs(ratio[2, :, 1:] - 1).max() < 2e-3
    assert ratio[..., 0].max() < 1
    assert ratio[..., 0].min() > 0.97
