"""Fits from data to folder, judged again by `evaluate`; learning curves; relaxations."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase.io import read

from phasewave.molecules import fitting
from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.evaluating import evaluate, open_model, write_evaluation
from phasewave.molecules.feature_file import read_features
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.featurizing import featurize
from phasewave.molecules.fitting import choose_property, fit, make_task
from phasewave.molecules.g2 import g2
from phasewave.molecules.known_curves import read_curves
from phasewave.molecules.learning_curve import default_sizes, learning_curve
from phasewave.molecules.model_settings import ModelSettings
from phasewave.molecules.predictions import predict_molecules
from phasewave.molecules.relaxing import molecular_forces, relax, write_extxyz
from phasewave.molecules.splits import make_splits
from phasewave.molecules.structures import as_molecules

SMALL = ModelSettings("kernel", n_references=60, ensemble=2)
CHEAP = SolidScattering(channels=("all", "valence"), n_scales=1, max_degree=1, max_order=1, step=1.0)
FILES = {"model.h5", "metrics.json", "predictions.h5", "figure.png", "run.json"}


@pytest.fixture(scope="module")
def data():
    """Half of the embedded molecules, with splits of their own."""
    part = g2()[np.arange(0, 148, 2)]
    return replace(part, splits=make_splits(part.index))


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    """A small kernel model in its folder."""
    return fit(make_task(data), tmp_path_factory.mktemp("fit") / "run", settings=SMALL)


def test_a_fit_leaves_model_report_predictions_and_picture(data, fitted):
    assert {path.name for path in fitted.folder.iterdir()} == FILES
    metrics = json.loads((fitted.folder / "metrics.json").read_text())
    assert metrics == json.loads(json.dumps(fitted.metrics))
    assert (metrics["property"], metrics["split"], metrics["scored"]) == ("atomization_energy", "random-0", "test")
    task = make_task(data)
    assert metrics["n"] + len(metrics["left_out"]) == len(data.split("random-0").test)
    with h5py.File(fitted.folder / "predictions.h5") as file:
        assert (file.attrs["property"], file.attrs["unit"]) == ("atomization_energy", "eV")
        np.testing.assert_array_equal(data.index[file["position"][()]], file["index"][()])
        np.testing.assert_array_equal(file["known"][()], task.values[task.test])
        errors = file["predicted"][()] - file["known"][()]
        assert np.abs(errors).mean() == pytest.approx(metrics["model"]["mae"])
        plain = file["composition"][()] - file["known"][()]
        assert np.abs(plain).mean() == pytest.approx(metrics["baseline"]["mae"])
        assert (file["std"][()] > 0).all()
    record = json.loads((fitted.folder / "run.json").read_text())
    assert record["status"] == "done"
    assert record["settings"]["model"] == "kernel"
    assert record["settings"]["source"]["title"] == "G2/97"


def test_a_saved_model_is_judged_as_it_was(data, fitted, tmp_path):
    for path in (fitted.folder, fitted.folder / "model.h5"):
        model = open_model(path)
        found = evaluate(model, data, split="random-0")
        with h5py.File(fitted.folder / "predictions.h5") as file:
            np.testing.assert_array_equal(found.found.values, file["predicted"][()])
            np.testing.assert_array_equal(found.found.std, file["std"][()])
    assert found.metrics["same_data_set"]
    assert found.metrics["model"] == fitted.metrics["model"]
    assert found.metrics["left_out"] == fitted.metrics["left_out"]
    assert model.training_["source"]["title"] == "G2/97"
    folder = write_evaluation(found, tmp_path / "e", model=fitted.folder, device="cpu")
    assert {path.name for path in folder.iterdir()} == FILES - {"model.h5"}


def test_evaluation_refuses_other_units_and_elements(data, fitted):
    strange = data[[i for i in range(len(data)) if 11 in data.molecules[i].elements]]
    with pytest.raises(ValueError, match=r"must hold only elements seen in the fit .* got Na"):
        evaluate(fitted.model, strange)
    moments = Dataset(data.molecules, {"mu": np.ones(len(data))}, {"mu": "Debye"}, data.index)
    with pytest.raises(ValueError, match="`property` 'mu' must be in 'eV' as the training's, got 'Debye'"):
        evaluate(fitted.model, moments)


def test_test_molecules_of_unseen_elements_are_left_out(data):
    task = make_task(data, n_train=8)
    seen = set(data.molecules[task.train].elements)
    assert len(task.left_out) > 0
    assert all(set(data.molecules[int(i)].elements) <= seen for i in task.test)
    assert not any(set(data.molecules[int(i)].elements) <= seen for i in task.left_out)
    both = np.sort(np.concatenate([task.test, task.left_out]))
    np.testing.assert_array_equal(both, data.split("random-0").test)
    np.testing.assert_array_equal(task.train, data.split("random-0").train[:8])


def test_tasks_that_cannot_be(data):
    with pytest.raises(ValueError, match=r"`property` must be one of those of the data set \(atomization_energy"):
        make_task(data, name="U0")
    with pytest.raises(ValueError, match=r"`split` must be one of .*random-4\), got 'half'"):
        make_task(data, split="half")
    with pytest.raises(ValueError, match=r"`n_train` must be at most the 60 training .* random-0, got 61"):
        make_task(data, n_train=61)
    two = Dataset(data.molecules, {"a": np.ones(74), "b": np.ones(74)}, {"a": "", "b": ""}, data.index)
    with pytest.raises(ValueError, match=r"`property` must be one of the data set's \(a, b\), got None"):
        choose_property(two, None)
    assert choose_property(replace(two, properties={"a": np.ones(74)}, units={"a": ""}), None) == "a"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "forest"}, "`model` must be one of 'kernel', 'ridge'"),
        ({"ensemble": 1}, "`ensemble` must be an integer >= 2, got 1"),
        ({"model": "ridge", "n_references": 5}, "`n_references` must be given with kernel or nystroem alone"),
        ({"n_terms": 5}, "`n_terms` must be given with bilinear or trilinear alone, got '5 with kernel'"),
        ({"model": "nystroem", "n_references": 0}, "`n_references` must be an integer >= 1, got 0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        ModelSettings(**settings)


def test_every_name_builds_its_model():
    for name, kind in (
        ("kernel", "LeaveOneOutRidge"),
        ("ridge", "LeaveOneOutRidge"),
        ("bilinear", "MultilinearRidge"),
        ("trilinear", "MultilinearRidge"),
        ("nystroem", "NystroemRidge"),
        ("network", "InvariantNetwork"),
    ):
        model = ModelSettings(name, ensemble=0).build()
        assert type(model.regressor).__name__ == kind
        assert (type(model.features).__name__ == "EnvironmentKernel") == (name == "kernel")
        assert type(ModelSettings(name, ensemble=3).build().regressor.estimator).__name__ == kind
    assert ModelSettings("trilinear", n_terms=7, ensemble=0).build().regressor.get_params()["n_terms"] == 7
    assert ModelSettings("bilinear", ensemble=0).build().regressor.order == 2
    assert ModelSettings("kernel", n_references=9).build().features.n_references == 9
    assert ModelSettings("kernel").build().regressor.estimator.scale_columns is False


def test_features_from_a_file_are_those_computed(data, tmp_path):
    featurize(data, CHEAP, tmp_path / "f.h5")
    rows = read_features(tmp_path / "f.h5", molecules=data.molecules)
    settings = ModelSettings("ridge", ensemble=0)
    one = fit(make_task(data), tmp_path / "a", settings=settings, features=rows)
    told = []
    two = fit(
        make_task(data),
        tmp_path / "b",
        settings=settings,
        features=CHEAP,
        progress=lambda stage, done, total: told.append(stage),
    )
    assert one.metrics == two.metrics
    assert one.metrics["calibration"] is None
    assert list(dict.fromkeys(told)) == ["features", "fit", "test"]
    again = evaluate(open_model(tmp_path / "a"), data, split="random-0", features=rows)
    assert again.metrics["model"] == one.metrics["model"]
    with pytest.raises(ValueError, match="must be given with a model on scattering, got the model 'kernel'"):
        fit(make_task(data), tmp_path / "c", settings=SMALL, features=rows)
    assert not (tmp_path / "c").exists()


def test_all_molecules_may_be_trained_on(data, tmp_path):
    found = fit(make_task(data, split="all"), tmp_path / "run", settings=ModelSettings("ridge"), features=CHEAP)
    assert (found.metrics["scored"], found.metrics["n"], found.metrics["n_train"]) == ("training", 74, 74)


def test_a_fit_that_fails_says_so_in_its_record(data, tmp_path, monkeypatch):
    def stop(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(make_task(data), tmp_path / "run", settings=SMALL)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    with pytest.raises(FileExistsError, match="is not empty"):
        fit(make_task(data), tmp_path / "run", settings=SMALL)


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no model .*none: `phasewave molecules fit` makes one"):
        open_model(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"there is no model in .*model.h5"):
        open_model(tmp_path)


def test_a_learning_curve_goes_on_where_it_was_stopped(data, tmp_path):
    settings = ModelSettings("ridge", ensemble=0)
    small = replace(data[:40], splits=make_splits(data.index[:40]))
    assert default_sizes(32) == [4, 8, 16, 32]
    given = {"settings": settings, "sizes": [12, 24], "n_draws": 2, "features": CHEAP}
    with pytest.raises(KeyboardInterrupt):
        learning_curve(small, tmp_path / "a", **given, progress=lambda done, total: done == 3)
    told = []
    resumed = learning_curve(small, tmp_path / "a", **given, resume=True, progress=lambda *n: told.append(n))
    assert told == [(0, 1)]
    assert resumed == learning_curve(small, tmp_path / "b", **given)
    assert [(p["n_train"], p["draw"]) for p in resumed["points"]] == [(12, 0), (12, 1), (24, 0), (24, 1)]
    task = make_task(small, split="random-1", n_train=24)
    model, _ = fitting.train(task, settings, CHEAP)
    test = make_task(small, split="random-1", n_train=12).test
    known = np.abs(predict_molecules(model, small.molecules[test]).values - task.values[test]).mean()
    assert resumed["points"][3]["mae"] == pytest.approx(known, rel=1e-4)
    assert resumed["mean"][1]["mae"] == pytest.approx(np.mean([p["mae"] for p in resumed["points"][2:]]))
    fewer = learning_curve(small, tmp_path / "a", **{**given, "sizes": [24, 12], "n_draws": [1, 2]}, resume=True)
    assert [(p["n_train"], p["draw"]) for p in fewer["points"]] == [(12, 0), (12, 1), (24, 0)]
    (own,) = read_curves(tmp_path / "a")
    assert (own.label, own.sizes, own.unit) == ("ridge", (12, 24), "eV")
    assert own.errors == tuple(point["mae"] for point in fewer["mean"])
    with pytest.raises(ValueError, match=r"`n_draws` must be one number, or one for each of the 2 sizes"):
        learning_curve(small, tmp_path / "c", **{**given, "n_draws": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"`sizes` must lie between 2 and the 32 training molecules, got \[33\]"):
        learning_curve(small, tmp_path / "c", settings=settings, sizes=[33])
    with pytest.raises(ValueError, match="made with other settings: ensemble was 0, now 5"):
        learning_curve(small, tmp_path / "a", **{**given, "settings": ModelSettings("ridge")}, resume=True)


def test_a_relaxed_molecule_has_no_force_and_less_energy(organic, kernel_model, tmp_path):
    every = organic[0]
    molecules = every[[i for i in range(len(every)) if every[i].elements == (1, 6)][2:5]]
    molecules = molecules.with_positions(molecules.positions * 1.05)  # distorted
    found = relax(kernel_model, molecules, fmax=0.05, max_steps=60)
    assert [one.converged for one in found] == [True, True, True]
    assert all(one.largest_force <= 0.05 and one.energy < one.energy_before for one in found)
    write_extxyz(
        tmp_path / "r.extxyz", [one.atoms for one in found], [one.energy for one in found],
        forces=[one.forces for one in found], std=np.array([0.1, 0.2, 0.3]),
    )  # fmt: skip
    frames = read(tmp_path / "r.extxyz", ":")
    assert frames[1].get_potential_energy() == pytest.approx(found[1].energy)
    assert frames[1].info["energy_std"] == 0.2
    np.testing.assert_allclose(frames[0].get_forces(), found[0].forces, atol=1e-7)
    np.testing.assert_allclose(molecular_forces(kernel_model, as_molecules(frames))[0], found[0].forces, atol=1e-5)


def test_relaxations_are_ended_and_refused(data, organic, kernel_model, fitted):
    molecules = organic[0][20:22]
    calls = []
    ended = relax(kernel_model, molecules, fmax=1e-9, progress=lambda *n: calls.append(n) or len(calls) == 3)
    assert [one.converged for one in ended] == [False]
    assert relax(kernel_model, molecules, fmax=1e-9, max_steps=1)[1].n_steps == 1
    with pytest.raises(ValueError, match="`fmax` must be a positive force"):
        relax(kernel_model, molecules, fmax=0.0)
    sodium = data.molecules[[i for i in range(74) if 11 in data.molecules[i].elements][:1]]
    with pytest.raises(ValueError, match="only elements seen in the fit"):
        relax(fitted.model, sodium)
