"""Saved models come back the same, or with an error that says what is wrong."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import FunctionTransformer

from phasewave.molecules.ensemble import EnsembleRegressor
from phasewave.molecules.kernels import NystroemRidge
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.model_file import load_model, save_model
from phasewave.runs.checkpoint import save_checkpoint


@pytest.fixture(scope="module")
def ensemble_model(organic, small_kernel):
    regressor = EnsembleRegressor(estimator=NystroemRidge(n_references=20), n_members=2)
    return EnergyModel(clone(small_kernel).set_params(n_references=20), regressor).fit(*organic)


@pytest.mark.parametrize("name", ["kernel_model", "scattering_model", "ensemble_model"])
def test_it_comes_back_bit_for_bit(name, tmp_path, organic, request):
    model, molecules = request.getfixturevalue(name), organic[0][:8]
    save_model(model, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    assert np.array_equal(loaded.predict(molecules), model.predict(molecules))
    energies, forces = loaded.forces(molecules)
    expected_energies, expected_forces = model.forces(molecules)
    assert torch.equal(energies, expected_energies)
    assert torch.equal(forces, expected_forces)
    assert loaded.training_ == {"n_molecules": model.training_["n_molecules"]}
    if isinstance(model.regressor_, EnsembleRegressor):
        for a, b in zip(*(m.predict(molecules, return_std=True) for m in (loaded, model)), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("name", ["kernel_model", "scattering_model"])
def test_what_came_back_can_be_fitted_and_saved_again(name, tmp_path, organic, request):
    model, (molecules, energies) = request.getfixturevalue(name), organic
    save_model(model, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    save_model(loaded, tmp_path / "again.h5")
    twice = load_model(tmp_path / "again.h5")
    assert np.array_equal(twice.predict(molecules[:3]), loaded.predict(molecules[:3]))
    refitted = clone(loaded).fit(molecules[::3], energies[::3])
    original = clone(model).fit(molecules[::3], energies[::3])
    assert np.array_equal(refitted.predict(molecules[:3]), original.predict(molecules[:3]))


def test_the_training_record_is_kept(tmp_path, kernel_model, organic):
    model = clone(kernel_model).fit(*organic)
    model.training_.update({"data": "G2", "target": "atomization_energy", "errors": [0.1, None]})
    save_model(model, tmp_path / "model.h5")
    assert load_model(tmp_path / "model.h5").training_ == model.training_


def test_models_that_cannot_be_saved_leave_no_file(tmp_path, kernel_model):
    path = tmp_path / "model.h5"
    with pytest.raises(NotFittedError):
        save_model(clone(kernel_model), path)
    foreign = EnergyModel(FunctionTransformer(), None)
    foreign.features_, foreign.regressor_ = foreign.features, None
    message = "SolidScattering, an AtomScattering or an EnvironmentKernel to be saved, got FunctionTransf"
    with pytest.raises(TypeError, match=message):
        save_model(foreign, path)
    assert not path.exists()


@pytest.mark.parametrize("damage", ["cut", "bit", "text", "empty"])
def test_a_damaged_file_says_so(damage, tmp_path, kernel_model):
    path = tmp_path / "model.h5"
    save_model(kernel_model, path)
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    changed = {"cut": content[: len(content) // 2], "text": b"not a model", "empty": b""}.get(damage, content)
    path.write_bytes(bytes(changed))
    with pytest.raises(ValueError, match=r"model\.h5 .*damaged"):
        load_model(path)


def test_another_checkpoint_is_no_model(tmp_path):
    path = tmp_path / "run.h5"
    save_checkpoint(path, {"x": torch.zeros(3)}, settings={"seed": 0})
    with pytest.raises(ValueError, match=r"run\.h5 .*is no model"):
        load_model(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no model .*model\.h5"):
        load_model(tmp_path / "model.h5")
