import contextlib
import dataclasses
import json
import sys
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch

from phasewave.runs.record import RunRecord, jsonable, read_json, recorded, versions, write_json


class Colour(str, Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    colour: Colour


def test_values_become_json_types():
    value = {
        "tensor": torch.tensor([[1.0, 2.0], [float("nan"), float("inf")]]),
        "scalar": torch.tensor(3),
        "array": np.array([True, False]),
        "numbers": (np.float32(0.5), np.int64(7), np.bool_(True), 2, True, None),
        "record": Point(-float("inf"), Colour.RED),
        "names": [Path("a/b"), torch.float32, torch.device("cpu")],
    }
    assert jsonable(value) == {
        "tensor": [[1.0, 2.0], [None, None]],
        "scalar": 3,
        "array": [True, False],
        "numbers": [0.5, 7, True, 2, True, None],
        "record": {"x": None, "colour": "red"},
        "names": ["a/b", "torch.float32", "cpu"],
    }
    assert type(jsonable(np.bool_(True))) is bool
    assert type(jsonable(Colour.RED)) is str


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {2}]}, r"`value\.a\[1\]` must have a JSON form, got set"),
        ({"a": {3: 4}}, r"`value\.a` must have text keys to be written as JSON, got 3"),
        (torch.tensor([1j]), r"`value\[0\]` must have a JSON form, got complex"),
    ],
)
def test_what_has_no_json_form_is_named(tmp_path, value, message):
    with pytest.raises(TypeError, match=message):
        write_json(tmp_path / "a.json", value)
    assert not list(tmp_path.iterdir())


def test_json_files_hold_no_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"loss": float("nan"), "unit": "μm"})
    strict = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))
    assert strict == read_json(path) == {"loss": None, "unit": "μm"}


def test_a_damaged_json_file_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": ')
    with pytest.raises(ValueError, match=r"a\.json is not a readable JSON file"):
        read_json(path)


def test_a_record_tells_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["phasewave", "turbulence", "a field.npy"])
    path = tmp_path / "run.json"
    record = RunRecord(settings={"scales": 5}, seed=3, device="cpu", dtype="float32")
    record.write(path)
    first = read_json(path)
    assert first["status"] == "running"
    assert first["ended"] is None
    record.finish(path, status="converged")
    last = read_json(path)
    assert last["status"] == "converged"
    assert last["ended"] >= last["started"] == first["started"]
    assert last["started"].endswith("+00:00")
    assert last["wall_seconds"] >= first["wall_seconds"] >= 0
    assert last["command"] == "phasewave turbulence 'a field.npy'"
    assert last["versions"] == versions()
    assert last["versions"]["torch"] == torch.__version__
    assert {k: last[k] for k in ("settings", "seed", "device", "dtype", "threads")} == {
        "settings": {"scales": 5},
        "seed": 3,
        "device": "cpu",
        "dtype": "float32",
        "threads": torch.get_num_threads(),
    }


def test_the_wall_time_adds_up_over_sittings(tmp_path):
    path = tmp_path / "run.json"
    RunRecord(settings={}, seed=0, device="cpu", dtype="float32", earlier_seconds=100.0).write(path)
    assert 100 <= read_json(path)["wall_seconds"] < 130


@pytest.mark.parametrize(
    ("error", "status"), [(None, "done"), (KeyboardInterrupt, "interrupted"), (ValueError, "failed")]
)
def test_a_record_tells_how_the_run_ended(error, status, tmp_path):
    path = tmp_path / "run.json"
    with contextlib.ExitStack() as stack:
        if error is not None:
            stack.enter_context(pytest.raises(error))
        with recorded(RunRecord(settings={}, seed=0, device="cpu", dtype="float32"), path):
            assert read_json(path)["status"] == "running"
            if error is not None:
                raise error
    assert read_json(path)["status"] == status


def test_a_rank_that_does_not_write_leaves_no_record(tmp_path):
    path = tmp_path / "run.json"
    with recorded(RunRecord(settings={}, seed=0, device="cpu", dtype="float32"), path, writes=False):
        pass
    assert not path.exists()
