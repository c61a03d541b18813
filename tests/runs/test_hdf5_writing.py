"""HDF5 files that appear whole or not at all."""

import gc

import h5py
import numpy as np
import pytest

from phasewave.runs.hdf5_writing import writing_hdf5


def noise(n):
    return np.random.default_rng(0).integers(0, 256, (n, 1024), dtype=np.uint8)


def test_a_file_is_written(tmp_path):
    with writing_hdf5(tmp_path / "a.h5") as file:
        file.create_dataset("x", data=noise(300), chunks=(7, 1024), compression="gzip")
        file.attrs["name"] = "this"
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert np.array_equal(file["x"][()], noise(300))
        assert file.attrs["name"] == "this"
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def write(path, *, chunks, blocks, stop=None):
    with writing_hdf5(path) as file:
        packed = None if chunks is None else "gzip"
        stored = file.create_dataset("x", (300, 1024), np.uint8, chunks=chunks, compression=packed)
        step = 300 // blocks
        for start in range(0, 300, step):
            stored[start : start + step] = noise(300)[start : start + step]
        if stop is not None:
            raise stop
        file["y"] = np.arange(5)


@pytest.mark.parametrize("chunks", [None, (1, 1024), (37, 1024), (300, 1024)])
@pytest.mark.parametrize("blocks", [1, 10])
def test_a_full_disk_leaves_the_old_file(tmp_path, small_disk, chunks, blocks):
    (tmp_path / "a.h5").write_text("old")
    with small_disk(), pytest.raises(OSError, match=r"no space left to write .*a\.h5: nothing was changed there"):
        write(tmp_path / "a.h5", chunks=chunks, blocks=blocks)
    gc.collect()  # crashes where HDF5 was told of the failure
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_an_error_in_the_block_leaves_the_old_file(tmp_path, stop):
    (tmp_path / "a.h5").write_text("old")
    with pytest.raises(stop):
        write(tmp_path / "a.h5", chunks=(7, 1024), blocks=3, stop=stop)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
