"""What holds for every regressor: scikit-learn's rules, one differentiable function, saving without pickle."""

import h5py
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

from phasewave.molecules.ensemble import EnsembleRegressor
from phasewave.molecules.kernels import NystroemRidge
from phasewave.molecules.multilinear import MultilinearRidge
from phasewave.molecules.network import InvariantNetwork
from phasewave.molecules.ridge import LeaveOneOutRidge
from phasewave.molecules.saving import build_regressor, regressor_settings, restore_regressor
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint

NETWORK = {"width": 16, "n_blocks": 1, "epochs": 2, "batch_size": 128}
REGRESSORS = {
    "ridge": LeaveOneOutRidge(),
    "bilinear": MultilinearRidge(n_terms=20),
    "trilinear": MultilinearRidge(order=3, n_terms=20, n_bags=2),
    "components": MultilinearRidge(order=3, n_terms=200, components=3),
    "polynomial": NystroemRidge(n_references=30),
    "gaussian": NystroemRidge(kernel="gaussian", n_references=30, references="farthest"),
    "matern": NystroemRidge(kernel="matern", n_references=30, references="leverage"),
    "network": InvariantNetwork(**NETWORK),
    "ensemble": EnsembleRegressor(n_members=3),
    "ensemble of networks": EnsembleRegressor(estimator=InvariantNetwork(**NETWORK), n_members=2, fraction=1.0),
}


def problem(n_rows=120, n_columns=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_columns)) * 10.0 ** rng.integers(-3, 4, n_columns) + 5.0
    Z = (X - X.mean(0)) / X.std(0)
    return X, Z[:, 0] + Z[:, 1] * Z[:, 2] + 0.1 * rng.normal(size=n_rows) - 40.0


@pytest.fixture(scope="module", params=REGRESSORS)
def fitted(request):
    X, y = problem()
    return clone(REGRESSORS[request.param]).fit(X, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")  # checks for data frames, array API
@pytest.mark.parametrize("name", ["ridge", "trilinear", "polynomial", "network", "ensemble"])
def test_scikit_learn_rules(name):
    smaller = {"trilinear": {"n_terms": 4}, "network": {"width": 4, "epochs": 1}, "ensemble": {"n_members": 2}}
    check_estimator(clone(REGRESSORS[name]).set_params(**smaller.get(name, {})))


def test_energies_is_predict(fitted):
    X, _ = problem(seed=1)
    found = fitted.energies(torch.from_numpy(X))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.detach().numpy(), fitted.predict(X), rtol=1e-10)


def test_energies_is_differentiable(fitted):
    X = torch.from_numpy(problem(seed=2)[0][:3]).requires_grad_()
    scale = torch.from_numpy(problem()[0].std(0))
    assert torch.autograd.gradcheck(lambda z: fitted.energies(z * scale), (X / scale).detach().requires_grad_())


def test_slope_at_a_training_row_is_finite(fitted):
    X = torch.from_numpy(problem()[0][:5]).requires_grad_()
    (slope,) = torch.autograd.grad(fitted.energies(X).sum(), X)
    assert torch.isfinite(slope).all()


def test_saved_and_restored_predicts_the_same_bits(fitted, tmp_path):
    settings = regressor_settings(fitted)
    save_checkpoint(tmp_path / "model.h5", fitted.state(), settings=settings)
    restored = restore_regressor(settings, load_checkpoint(tmp_path / "model.h5", settings=settings))
    X, _ = problem(seed=3)
    assert type(restored) is type(fitted)
    assert np.array_equal(restored.predict(X), fitted.predict(X))
    assert regressor_settings(restored) == settings


def test_built_from_settings_fits_the_same(fitted):
    X, y = problem()
    assert np.array_equal(build_regressor(regressor_settings(fitted)).fit(X, y).predict(X), fitted.predict(X))


def test_constant_columns_do_not_matter(fitted):
    X, y = problem()
    wider = np.concatenate([np.full((len(X), 1), 1e8), X, np.full((len(X), 1), 0.1)], axis=1)
    np.testing.assert_allclose(clone(fitted).fit(wider, y).predict(wider), fitted.predict(X), rtol=1e-9)


def test_hdf5_rows_are_those_of_the_array(fitted, tmp_path):
    X, y = problem()
    with h5py.File(tmp_path / "features.h5", "w") as file:
        rows = file.create_dataset("features", data=X, chunks=(7, 6))
        model = clone(fitted).fit(rows, y)
        np.testing.assert_allclose(model.predict(rows), fitted.predict(X), rtol=1e-10)
        with pytest.raises(ValueError, match="columns of the fit"):
            model.predict(file.create_dataset("narrow", data=X[:, :2]))


@pytest.mark.parametrize("name", REGRESSORS)
def test_more_than_one_target_is_refused(name):
    X, y = problem()
    with pytest.raises(ValueError, match="1d array"):
        clone(REGRESSORS[name]).fit(X, np.stack([y, y], axis=1))


def test_search_in_a_pipeline():
    X, y = problem()
    pipeline = make_pipeline(FunctionTransformer(), NystroemRidge(n_references=50))
    search = GridSearchCV(pipeline, {"nystroemridge__degree": [1, 2]}, cv=3, scoring="neg_mean_absolute_error")
    assert search.fit(X, y).best_params_ == {"nystroemridge__degree": 2}


def test_unknown_class_is_refused():
    with pytest.raises(ValueError, match="name a class of LeaveOneOutRidge"):
        build_regressor({"class": "Anything", "parameters": {}})
    with pytest.raises(TypeError, match="one of LeaveOneOutRidge"):
        regressor_settings(FunctionTransformer())


def test_state_of_another_class_is_refused():
    X, y = problem()
    state = LeaveOneOutRidge().fit(X, y).state()
    with pytest.raises(ValueError, match="be that of a NystroemRidge, with references_"):
        NystroemRidge.from_state({}, state)
