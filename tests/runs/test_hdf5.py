import json
import os

import h5py
import numpy as np
import pytest
import torch

from phasewave.runs.hdf5 import read_samples, write_samples
from phasewave.runs.record import versions

GIVEN = {"source": {"path": "a.npy"}, "settings": {"n_scales": 5}, "seed": 3}


def test_what_is_written_is_read(tmp_path, generator):
    samples = torch.randn(2, 16, 24, generator=generator, dtype=torch.float64)
    target = torch.randn(16, 24, generator=generator, dtype=torch.float64)
    write_samples(tmp_path / "s.h5", samples, **GIVEN, extra={"target": target})
    back = read_samples(tmp_path / "s.h5")
    assert back.samples.dtype is torch.float32
    assert torch.equal(back.samples, samples.float())
    assert torch.equal(back.extra["target"], target)
    assert (back.source, back.settings, back.seed) == ({"path": "a.npy"}, {"n_scales": 5}, 3)
    assert back.versions == versions()


def test_other_programs_find_plain_hdf5(tmp_path):
    write_samples(tmp_path / "s.h5", torch.ones(1, 16, 16), **GIVEN)
    with h5py.File(tmp_path / "s.h5", "r") as file:
        assert file["samples"].dtype == np.float32
        assert json.loads(file.attrs["settings"]) == {"n_scales": 5}
        assert file.attrs["seed"] == 3


@pytest.mark.parametrize(
    ("samples", "extra", "error", "message"),
    [
        (torch.ones(16, 16), {}, ValueError, r"axes \(N, H, W\), got the shape \(16, 16\)"),
        (
            torch.ones(1, 16, 16, dtype=torch.complex64),
            {},
            TypeError,
            "real floating tensor, got torch.complex64",
        ),
        (np.ones((1, 16, 16)), {}, TypeError, "real floating tensor, got ndarray"),
        (torch.ones(1, 16, 16), {"samples": torch.ones(2)}, ValueError, "`extra` must not name `samples`"),
    ],
)
def test_wrong_samples_are_refused(tmp_path, samples, extra, error, message):
    with pytest.raises(error, match=message):
        write_samples(tmp_path / "s.h5", samples, **GIVEN, extra=extra)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_half_file(tmp_path, small_disk):
    with small_disk(), pytest.raises(OSError, match=r"no space left to write .*s\.h5"):
        write_samples(tmp_path / "s.h5", torch.ones(4, 128, 128), **GIVEN)
    assert os.listdir(tmp_path) == []
    write_samples(tmp_path / "s.h5", torch.ones(4, 128, 128), **GIVEN)
    assert torch.equal(read_samples(tmp_path / "s.h5").samples, torch.ones(4, 128, 128))


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "s.h5"
    write_samples(path, torch.ones(4, 32, 32), **GIVEN)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"s\.h5 is not a readable file of samples: .*truncated"):
        read_samples(path)


def test_a_file_of_something_else_is_named(tmp_path):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["x"] = 1.0
    with pytest.raises(ValueError, match="is not a readable file of samples"):
        read_samples(tmp_path / "s.h5")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_samples(tmp_path / "none.h5")
