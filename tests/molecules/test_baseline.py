import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from phasewave.molecules.baseline import CompositionBaseline
from phasewave.molecules.structures import Molecules

NAMES = ["H2", "H2O", "CH4", "CO2", "C2H6", "CH3OH", "C6H6", "O2"]


def test_additive_energies_are_found_exactly():
    atoms = [molecule(name) for name in NAMES]
    per_atom = {1: -13.6, 6: -1029.0, 8: -2042.5}
    energies = [sum(per_atom[z] for z in a.numbers) for a in atoms]
    baseline = CompositionBaseline().fit(atoms, energies)
    assert baseline.elements_ == (1, 6, 8)
    assert baseline.rank_ == 3
    np.testing.assert_allclose(baseline.atom_energies_, list(per_atom.values()), rtol=1e-12)
    np.testing.assert_allclose(
        baseline.predict(molecule("CH3CH2OH")), [2 * -1029.0 + 6 * -13.6 - 2042.5], rtol=1e-12
    )


def test_residual_is_orthogonal_to_the_counts():
    molecules = Molecules.from_atoms([molecule(name) for name in NAMES])
    y = np.random.default_rng(0).normal(size=len(NAMES)) * 100
    residual = y - CompositionBaseline().fit(molecules, y).predict(molecules)
    counts = molecules.counts((1, 6, 8)).numpy()
    assert np.abs(counts.T @ residual).max() < 1e-9


def test_one_formula_only_is_rank_deficient_and_still_exact():
    atoms = [molecule("C6H6"), molecule("C6H6")]
    baseline = CompositionBaseline().fit(atoms, [-10.0, -12.0])
    assert baseline.rank_ == 1
    np.testing.assert_allclose(baseline.predict(atoms), [-11.0, -11.0], rtol=1e-12)


def test_unknown_element_is_named_with_its_molecule():
    baseline = CompositionBaseline().fit([molecule("H2O"), molecule("H2")], [-3.0, -1.0])
    with pytest.raises(ValueError, match=r"seen in the fit \(H, O\), got F in molecule 1"):
        baseline.predict([molecule("H2O"), Atoms("HF", positions=[[0, 0, 0], [0, 0, 0.92]])])


@pytest.mark.parametrize(
    ("energies", "message"),
    [([1.0], "one energy per molecule"), ([1.0, float("nan")], "must be finite, got nan for molecule 1")],
)
def test_bad_energies(energies, message):
    with pytest.raises(ValueError, match=message):
        CompositionBaseline().fit([molecule("H2O"), molecule("H2")], energies)


def test_restored_predictions_are_identical_and_energies_float64():
    atoms = [molecule(name) for name in NAMES]
    baseline = CompositionBaseline().fit(atoms, np.random.default_rng(1).normal(size=len(NAMES)))
    restored = CompositionBaseline.from_state({}, baseline.state())
    assert np.array_equal(restored.predict(atoms), baseline.predict(atoms))
    molecules = Molecules.from_atoms(atoms)
    found = restored.energies(molecules.to(dtype=torch.float32))
    assert found.dtype == torch.float64
    assert np.array_equal(found.numpy(), baseline.predict(atoms))
