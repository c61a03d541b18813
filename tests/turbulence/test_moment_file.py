import json
from dataclasses import dataclass

import h5py
import pytest
import torch

from phasewave.turbulence.moment_file import describe, write_moments


@dataclass(frozen=True)
class Part:
    scale: int
    angle: int | None = None


@dataclass(frozen=True)
class Row:
    kind: str
    first: Part
    shift: tuple[int, int] = (0, 0)


TABLE = (Row("S11", Part(0)), Row("C01", Part(2, 1), (4, -4)))


def test_a_row_in_words():
    assert describe(TABLE[1]) == "first=(scale=2 angle=1) shift=(4, -4)"
    assert describe(TABLE[0]) == "first=(scale=0) shift=(0, 0)"


def test_values_and_table_are_read_back(tmp_path):
    values = torch.tensor([[1.0 + 2.0j, 3.0], [0.0, 1.0j]])
    write_moments(tmp_path / "m.h5", TABLE, {"target": values[0], "samples": values}, attributes={"seed": 3})
    with h5py.File(tmp_path / "m.h5") as file:
        assert file["kind"].asstr()[()].tolist() == ["S11", "C01"]
        assert file["description"].asstr()[()].tolist() == [describe(row) for row in TABLE]
        assert torch.equal(torch.from_numpy(file["samples"][()]), values)
        assert torch.equal(torch.from_numpy(file["target"][()]), values[0])
        assert json.loads(file.attrs["seed"]) == 3
        assert "torch" in json.loads(file.attrs["versions"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"target": torch.ones(3)}, r"`values\['target'\]` must have 2 moments along its last axis, got \(3,\)"),
        ({"kind": torch.ones(2)}, r"`values` must not use the names 'kind' and 'description', got 'kind'"),
    ],
)
def test_bad_values_leave_no_file(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        write_moments(tmp_path / "m.h5", TABLE, values)
    assert list(tmp_path.iterdir()) == []
