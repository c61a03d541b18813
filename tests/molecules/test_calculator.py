"""The ASE calculator: ASE's rules, bad systems, a relaxation, dynamics that keeps its energy."""

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from phasewave.molecules.atom_scattering import AtomScattering
from phasewave.molecules.calculator import ScatteringCalculator
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.model_file import save_model
from phasewave.molecules.ridge import LeaveOneOutRidge
from phasewave.molecules.structures import Molecules

MINIMUM = molecule("CH3OH")


def distorted(atoms, amplitude, seed):
    moved = atoms.copy()
    moved.positions += amplitude * np.random.default_rng(seed).normal(size=moved.positions.shape)
    return moved


@pytest.fixture(scope="module", params=["kernel", "atoms"])
def model(request, small_kernel):
    """Fitted to methanol with a spring between every two atoms."""
    known = [MINIMUM, *(distorted(MINIMUM, 0.02 * (1 + seed % 5), seed) for seed in range(240))]
    strains = [atoms.get_all_distances() - MINIMUM.get_all_distances() for atoms in known]
    energies = [5.0 * np.triu(strain**2).sum() - 20.0 for strain in strains]
    if request.param == "atoms":
        at_atoms = AtomScattering(elements=("H", "C", "O"))
        return EnergyModel(at_atoms, LeaveOneOutRidge()).fit(known, energies)
    features = clone(small_kernel).set_params(n_references=300)
    return EnergyModel(features, LeaveOneOutRidge(scale_columns=False)).fit(known, energies)


def with_calculator(atoms, model, **options):
    atoms = atoms.copy()
    atoms.calc = ScatteringCalculator(model, **options)
    return atoms


def numerical_force(atoms, i, axis, step=1e-4):
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[i, axis] += sign * step
        moved.calc = atoms.calc
        energies.append(moved.get_potential_energy())
    return (energies[1] - energies[0]) / (2 * step)


def test_energy_and_forces_are_those_of_the_model(model):
    atoms = with_calculator(distorted(MINIMUM, 0.05, 1000), model)
    energies, forces = model.forces(Molecules.from_atoms(atoms))
    assert atoms.get_potential_energy() == energies.item()
    assert atoms.get_potential_energy(force_consistent=True) == energies.item()
    assert np.array_equal(atoms.get_forces(), forces.numpy())
    assert type(atoms.get_potential_energy()) is float
    assert abs(numerical_force(atoms, 2, 0) - atoms.get_forces()[2, 0]) < 1e-6


def test_nothing_is_computed_twice_and_everything_anew_after_a_change(model, monkeypatch):
    calls = []

    def counted(self, molecules):
        calls.append("forces")
        return EnergyModel.forces(model, molecules)

    atoms = with_calculator(MINIMUM, model)
    monkeypatch.setattr(type(atoms.calc.model), "predict", lambda *_: pytest.fail("float32 features were used"))
    object.__setattr__(atoms.calc, "model", type("Counted", (), {"forces": counted, "energies": model.energies})())
    atoms.get_forces()
    atoms.get_potential_energy()
    atoms.get_forces()
    assert calls == ["forces"]
    before = atoms.get_potential_energy()
    atoms.positions[0, 0] += 0.1
    assert atoms.get_potential_energy() != before
    atoms.get_forces()
    assert calls == ["forces", "forces"]


def test_what_it_does_not_know_is_said_in_the_way_of_ase(model):
    atoms = with_calculator(MINIMUM, model)
    with pytest.raises(PropertyNotImplementedError, match="stress"):
        atoms.calc.get_property("stress", atoms)
    assert atoms.calc.get_property("forces", atoms, allow_calculation=False) is None


def test_a_saved_model_by_its_path(model, tmp_path):
    save_model(model, tmp_path / "model.h5")
    expected = with_calculator(MINIMUM, model).get_forces()
    for path in (tmp_path / "model.h5", str(tmp_path / "model.h5")):
        assert np.array_equal(with_calculator(MINIMUM, path).get_forces(), expected)


def test_relaxation_finds_the_minimum_downhill(model):
    atoms = with_calculator(distorted(MINIMUM, 0.05, 2000), model)
    energies = []
    optimizer = BFGS(atoms, logfile=None, maxstep=0.05)
    optimizer.attach(lambda: energies.append(atoms.get_potential_energy()))
    assert optimizer.run(fmax=0.01, steps=100)
    assert (np.diff(energies) < 0).all()
    assert energies[-1] < energies[0] - 0.1
    # the shape of the true minimum: all distances
    start, end = (
        np.abs(a.get_all_distances() - MINIMUM.get_all_distances()).max()
        for a in (distorted(MINIMUM, 0.05, 2000), atoms)
    )
    assert end < 0.05
    assert end < 0.5 * start


def test_dynamics_keeps_the_energy(model):
    drifts = []
    for step in (0.5, 0.25):
        atoms = with_calculator(MINIMUM, model)
        deviation = np.sqrt(300 * units.kB * atoms.get_masses())
        atoms.set_momenta(deviation[:, None] * np.random.default_rng(0).normal(size=(len(atoms), 3)))
        dynamics = VelocityVerlet(atoms, step * units.fs)
        energies = []
        dynamics.attach(lambda a=atoms, e=energies: e.append(a.get_total_energy()))
        dynamics.run(round(15 / step))
        drifts.append(np.abs(np.array(energies) - energies[0]).max() / len(atoms))
    assert drifts[0] < 2e-3
    # second order: forces are the gradient of the energy, so what is left is the integrator's
    assert 3 < drifts[0] / drifts[1] < 5


def test_a_finer_step_for_a_scattering_model(scattering_model):
    hydrogen = distorted(molecule("H2"), 0.05, 0)
    coarse, fine = (with_calculator(hydrogen, scattering_model, force_step=step) for step in (None, 0.35))
    assert fine.calc.model.features_.step == 0.35
    assert coarse.calc.model is scattering_model
    assert scattering_model.features_.step > 0.35
    assert coarse.get_potential_energy() != fine.get_potential_energy()
    assert abs(coarse.get_potential_energy() - fine.get_potential_energy()) < 0.05
    assert abs(numerical_force(fine, 1, 2) - fine.get_forces()[1, 2]) < 1e-5


@pytest.mark.parametrize("atoms", [Atoms("O"), molecule("CO2"), molecule("N2")])
def test_single_atoms_and_linear_molecules(kernel_model, atoms):
    forces = with_calculator(atoms, kernel_model).get_forces()
    assert forces.shape == (len(atoms), 3)
    assert np.isfinite(forces).all()


def water(**changes):
    atoms = molecule("H2O")
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (water(pbc=True, cell=[9, 9, 9]), "must not be periodic"),
        (water(info={"charge": 1}), r"must be neutral, got atoms.info\['charge'\] = 1"),
        (Atoms("OH", [[0, 0, 0], [0, 0, 0.96]], charges=[-1, 0]), "must be neutral, got initial charges"),
        (molecule("SH2"), r"seen in the fit \(H, C, N, O\), got S"),
        (Atoms("HH", [[0, 0, 0], [0, 0, 0.1]]), "atoms at least 0.2 A apart"),
        (Atoms("H", [[0, np.nan, 0]]), "finite positions"),
        (Atoms(), "must have atoms"),
    ],
)
def test_systems_that_are_no_isolated_neutral_molecule(kernel_model, atoms, message):
    with pytest.raises(ValueError, match=message):
        with_calculator(atoms, kernel_model).get_forces()


def test_after_an_error_nothing_old_is_returned(kernel_model):
    atoms = with_calculator(molecule("H2O"), kernel_model)
    atoms.get_forces()
    atoms.numbers[0] = 16
    for _ in range(2):
        with pytest.raises(ValueError, match="got S"):
            atoms.get_forces()


def test_bad_arguments(kernel_model, scattering_model, tmp_path):
    with pytest.raises(TypeError, match="must be an EnergyModel or the path of one, got LeaveOneOutRidge"):
        ScatteringCalculator(LeaveOneOutRidge())
    with pytest.raises(NotFittedError):
        ScatteringCalculator(clone(kernel_model))
    with pytest.raises(FileNotFoundError, match="there is no model"):
        ScatteringCalculator(tmp_path / "none.h5")
    with pytest.raises(TypeError, match="`force_step` must be None for a model on EnvironmentKernel"):
        ScatteringCalculator(kernel_model, force_step=0.3)
    with pytest.raises(ValueError, match="`step` must be"):
        ScatteringCalculator(scattering_model, force_step=0.0)


def test_threads_and_default_dtype_are_left_alone(kernel_model):
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    with_calculator(molecule("H2O"), kernel_model).get_forces()
    assert (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()) == before
