"""The embedded molecules and the conversion of their measured enthalpies."""

import ase.data.g2
import numpy as np
import pytest
from ase.data.g2_1 import get_atomization_energy, molecule_names
from ase.units import kcal, mol

from phasewave.molecules.g2 import g2

KCAL = kcal / mol


def energies():
    data = g2()
    return dict(zip(ase.data.g2.molecule_names, data.target("atomization_energy") / KCAL, strict=True))


def test_what_it_holds():
    data = g2()
    assert len(data) == 148
    assert data.molecules.sizes.min() == 2  # the atoms are not among the molecules
    assert data.molecules.sizes.max() == 14
    assert data.molecules.elements == (1, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 16, 17)
    assert set(data.units.values()) == {"eV"}
    assert "fold-4" in data.splits
    assert np.all(data.target("atomization_energy") < 0)


def test_against_the_conversion_that_ase_has_for_half_of_them():
    found = energies()
    for name in molecule_names:
        assert found[name] == pytest.approx(-get_atomization_energy(name), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("H2", -109.5),  # D_e of spectroscopy: 36,118 cm^-1 of D_0 + 2,179 cm^-1 of zero-point energy
        ("N2", -228.5),  # 9.76 eV of D_0 + 1,176 cm^-1
        ("CO", -259.3),  # 11.09 eV + 1,082 cm^-1
    ],
)
def test_against_spectroscopy(name, known):
    assert energies()[name] == pytest.approx(known, abs=0.5)


def test_enthalpies_of_formation_come_back():
    data = g2()
    rows = [ase.data.g2.data[name] for name in ase.data.g2.molecule_names]
    np.testing.assert_allclose(data.values("formation_enthalpy") / KCAL, [row["enthalpy"] for row in rows])
    np.testing.assert_allclose(data.values("zero_point_energy") / KCAL, [row["ZPE"] for row in rows])
    # isomers: their energies differ as their enthalpies do, once the vibrations are taken out
    names = list(ase.data.g2.molecule_names)
    a, b = names.index("CH3CH2OH"), names.index("CH3OCH3")
    vibrations = [row["ZPE"] + row["thermal correction"] for row in rows]
    difference = data.target("atomization_energy")[a] - data.target("atomization_energy")[b]
    expected = rows[a]["enthalpy"] - rows[b]["enthalpy"] - vibrations[a] + vibrations[b]
    assert difference / KCAL == pytest.approx(expected, abs=1e-9)
