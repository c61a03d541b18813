"""Models of energies: what they predict, their forces, their place in scikit-learn."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from phasewave.molecules.baseline import CompositionBaseline
from phasewave.molecules.ensemble import EnsembleRegressor
from phasewave.molecules.environment_kernel import EnvironmentKernel
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.model_file import load_model, save_model
from phasewave.molecules.pairs import neighbour_pairs
from phasewave.molecules.predictions import predict_molecules
from phasewave.molecules.ridge import LeaveOneOutRidge
from phasewave.molecules.structures import Molecules


@pytest.fixture(params=["kernel_model", "scattering_model"])
def model(request):
    return request.getfixturevalue(request.param)


def distorted(name, seed=0):
    one = molecule(name)
    one.positions += np.random.default_rng(seed).normal(size=one.positions.shape) * 0.05
    return Molecules.from_atoms(one)


def test_it_learns_what_the_composition_does_not_tell(kernel_model, organic, generator):
    molecules = Molecules.concatenate([organic[0][:12]] * 8)
    noise = torch.randn(molecules.positions.shape, generator=generator, dtype=torch.float64)
    molecules = molecules.with_positions(molecules.positions + 0.05 * noise)
    pairs = neighbour_pairs(molecules, 100.0)
    charges = (molecules.numbers[pairs.centre] * molecules.numbers[pairs.neighbour]).double()
    repulsion = charges * torch.exp(-2 * pairs.vectors.norm(dim=1))
    energies = torch.zeros(len(molecules), dtype=torch.float64)
    energies = (energies.index_add(0, molecules.owner[pairs.centre], repulsion) - 10 * molecules.sizes).numpy()
    shuffled = np.random.default_rng(0).permutation(len(molecules))
    train, test = shuffled[20:], shuffled[:20]
    model = clone(kernel_model).fit(molecules[train], energies[train])
    baseline = CompositionBaseline().fit(molecules[train], energies[train])
    errors = [np.abs(m.predict(molecules[test]) - energies[test]).mean() for m in (model, baseline)]
    assert errors[0] < 0.2 * errors[1]
    assert model.training_ == {"n_molecules": len(train)}


def test_a_mean_over_atoms_does_not_grow_with_the_molecule(organic, tmp_path):
    """Fitted to N y; two far copies have twice the sum, and the same mean."""
    molecules, energies = organic
    sizes = molecules.sizes.numpy()
    parts_add_up = LeaveOneOutRidge(scale_columns=False, fit_intercept=False)
    ensemble = EnsembleRegressor(estimator=parts_add_up, n_members=2)
    plain = EnergyModel(EnvironmentKernel(n_references=40), ensemble)
    mean = clone(plain).set_params(pooling="mean").fit(molecules, energies / sizes)
    total = clone(plain).fit(molecules, energies)
    predicted, deviation = mean.predict(molecules, return_std=True)
    expected = total.predict(molecules, return_std=True)
    np.testing.assert_allclose(predicted * sizes, expected[0], atol=1e-9)
    np.testing.assert_allclose(deviation * sizes, expected[1], atol=1e-9)
    one = molecule("C2H6")
    far = one.copy()
    far.positions += 50.0
    twice = mean.energies(Molecules.from_atoms([one, one + far]))
    assert float(twice[1]) == pytest.approx(float(twice[0]), abs=1e-8)
    save_model(mean, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    assert np.array_equal(loaded.predict(molecules), mean.predict(molecules))
    found = predict_molecules(loaded, molecules)
    np.testing.assert_allclose(found.values, predicted, atol=1e-9)
    np.testing.assert_allclose(found.std, deviation, atol=1e-9)
    np.testing.assert_allclose(found.baseline, mean.baseline_.predict(molecules) / sizes)
    with pytest.raises(ValueError, match="`pooling` must be one of 'sum', 'mean', got 'max'"):
        clone(plain).set_params(pooling="max").fit(molecules, energies)


def test_energies_are_the_predictions_in_float64(model, organic):
    molecules, _ = organic
    molecules = molecules[:10]
    energies = model.energies(molecules)
    assert energies.dtype == torch.float64
    # float32 features in predict: a few roundings of features, magnified by the weights
    np.testing.assert_allclose(model.predict(molecules), energies.numpy(), rtol=0, atol=2e-4)


def test_anything_that_is_molecules_is_predicted(model):
    water, methane = molecule("H2O"), molecule("CH4")
    expected = model.predict([water, methane])
    packed = Molecules.from_atoms([water, methane])
    assert expected.dtype == np.float64
    for given in (packed, [packed[0], packed[1]], (water, methane)):
        np.testing.assert_allclose(model.predict(given), expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(model.predict(water), expected[:1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["H2O", "CO2"])
def test_forces_are_finite_differences(model, name, generator):
    one = Molecules.from_atoms(molecule(name)) if name == "CO2" else distorted(name, seed=3)
    step = 1e-4
    energies, forces = model.forces(one)
    assert forces.dtype == torch.float64
    assert torch.equal(energies, model.energies(one))
    assert float(forces.norm()) > 0.01
    for _ in range(3):
        way = torch.nn.functional.normalize(
            torch.randn(forces.shape, generator=generator, dtype=torch.float64), dim=1
        )
        up, down = (model.energies(one.with_positions(one.positions + s * way))[0] for s in (step, -step))
        assert abs(float((up - down) / (2 * step) + (forces * way).sum())) < 1e-5 * float(forces.norm())


def test_no_net_force(model):
    _, forces = model.forces(distorted("CH3OH"))
    assert float(forces.sum(0).norm()) < 1e-9 * float(forces.norm(dim=1).mean())


def test_no_net_torque_of_the_kernel_model(kernel_model):
    one = distorted("CH3OH")
    _, forces = kernel_model.forces(one)
    torque = torch.linalg.cross(one.positions, forces).sum(0)
    assert float(torque.norm()) < 1e-9 * float(forces.norm(dim=1).mean())


def test_forces_turn_with_the_molecule(kernel_model):
    one = distorted("CH3OH")
    q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    turn = torch.from_numpy(q)
    _, forces = kernel_model.forces(one)
    _, turned = kernel_model.forces(one.with_positions(one.positions @ turn.T))
    assert torch.allclose(turned, forces @ turn.T, rtol=0, atol=1e-9)


def test_forces_of_a_batch_are_those_of_a_loop(model):
    parts = [distorted(name) for name in ("H2O", "CH3OH", "O", "HCN")]
    energies, forces = model.forces(Molecules.concatenate(parts))
    for i, (e, f) in enumerate(model.forces(part) for part in parts):
        assert torch.allclose(energies[i], e[0], rtol=0, atol=1e-9)
        mine = forces[Molecules.concatenate(parts).owner == i]
        assert torch.allclose(mine, f, rtol=0, atol=1e-8)


@pytest.mark.parametrize("atoms", ["O", "N2", "CO2", "C2H2"])
def test_single_atoms_and_linear_molecules_have_finite_forces(model, atoms):
    one = Molecules.from_atoms(molecule(atoms))
    energies, forces = model.forces(one)
    assert torch.isfinite(energies).all()
    assert torch.isfinite(forces).all()
    if atoms == "O":
        assert float(forces.abs().max()) < 1e-12


@pytest.mark.parametrize("name", ["N2", "CO2", "C2H2"])
def test_no_force_across_a_linear_molecule(kernel_model, name):
    _, forces = kernel_model.forces(Molecules.from_atoms(molecule(name)))
    assert float(forces[:, :2].abs().max()) < 1e-12


def test_an_atom_that_leaves_ends_as_a_free_one(kernel_model):
    model, methane = kernel_model, molecule("CH4")
    away = -methane.positions[1] / np.linalg.norm(methane.positions[1])

    def energy(atoms):
        return float(model.energies(Molecules.from_atoms(atoms))[0])

    # the intercept belongs to each molecule
    parts = (
        energy(methane)
        + energy(Atoms("O"))
        - model.regressor_.energies(torch.zeros(1, model.features_.n_features_)).item()
    )
    gaps = [abs(energy(methane + Atoms("O", [d * away])) - parts) for d in (4.0, 4.4, 4.8, 6.5)]
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]
    assert gaps[3] < 1e-9


def test_an_ensemble_tells_its_uncertainty(organic, small_kernel):
    molecules, energies = organic
    ensemble = EnsembleRegressor(estimator=LeaveOneOutRidge(scale_columns=False), n_members=3)
    model = EnergyModel(clone(small_kernel), ensemble).fit(molecules, energies)
    mean, deviation = model.predict(molecules[:5], return_std=True)
    np.testing.assert_allclose(mean, model.predict(molecules[:5]), rtol=0, atol=1e-12)
    assert (deviation > 0).all()


def test_rows_computed_before_give_the_same_model(kernel_model, organic):
    molecules, energies = organic
    fitted = kernel_model
    again = EnergyModel(fitted.features_, LeaveOneOutRidge(scale_columns=False))
    again.fit_rows(molecules, fitted.features_.transform(molecules), energies)
    assert np.array_equal(again.predict(molecules[:5]), fitted.predict(molecules[:5]))
    with pytest.raises(ValueError, match="`rows` must have one row for each of 10 molecules, got 9"):
        again.fit_rows(molecules[:10], np.zeros((9, 4)), energies[:10])


def test_search_over_parameters_of_features_and_regressor(organic, small_kernel):
    molecules, energies = organic
    atoms = molecules[:40].to_atoms()
    search = GridSearchCV(
        EnergyModel(clone(small_kernel).set_params(n_references=20), LeaveOneOutRidge()),
        {"features__degree": [1, 2], "regressor__scale_columns": [True, False]},
        cv=2,
        scoring="neg_mean_absolute_error",
    )
    search.fit(atoms, energies[:40])
    assert search.best_estimator_.predict(atoms).shape == (40,)
    assert search.cv_results_["mean_test_score"].shape == (4,)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_clones_are_unfitted_and_apart(kernel_model, organic):
    copy = clone(kernel_model)
    assert copy.features is not kernel_model.features
    for call in (copy.predict, copy.energies, copy.forces):
        with pytest.raises(NotFittedError):
            call(organic[0][:1])


@pytest.mark.parametrize(
    ("energies", "message"),
    [
        ([1.0, 2.0, 3.0], r"`y` must hold one energy per molecule, shape \(2,\)"),
        ([1.0, np.nan], "`y` must be finite, got '?nan for molecule 1"),
    ],
)
def test_bad_energies(energies, message, kernel_model):
    with pytest.raises(ValueError, match=message):
        clone(kernel_model).fit([molecule("H2O"), molecule("CH4")], energies)


def test_an_unknown_element_is_named(model):
    for call in (model.predict, lambda atoms: model.energies(Molecules.from_atoms(atoms))):
        with pytest.raises(ValueError, match=r"seen in the fit \(H, C, N, O\), got S in molecule 1"):
            call([molecule("H2O"), molecule("SH2")])
