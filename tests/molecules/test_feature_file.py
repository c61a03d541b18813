"""Feature files: what is written is read, and nothing else is."""

import json

import h5py
import numpy as np
import pytest
import torch

from phasewave.molecules.feature_file import read_features, write_features
from phasewave.molecules.feature_parts import (
    FeatureIdentity,
    PartFile,
    done_chunks,
    next_part,
    part_paths,
)
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.g2 import g2

FEATURES = SolidScattering(channels=["all", "core"], n_scales=1, max_degree=0, powers=(1, 2.0), max_order=1)
N = 10


@pytest.fixture(scope="module")
def molecules():
    return g2().molecules[:N]


@pytest.fixture(scope="module")
def identity(molecules):
    return FeatureIdentity.of(FEATURES, molecules, 4)


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(N, FEATURES.n_features)).astype(np.float32)


def fill(path, identity, rows, chunks, done=None):
    """Make a part file with room for some chunks, and write some of them."""
    part = PartFile.create(path, identity, chunks, n_features=rows.shape[1], dtype="float32")
    for k in chunks if done is None else done:
        part.write(k, rows[identity.rows(k)])
    part.close()


@pytest.fixture
def finished(tmp_path, identity, rows):
    """A finished file, joined from two parts."""
    path = tmp_path / "features.h5"
    fill(next_part(path, 0), identity, rows, [0, 2])
    fill(next_part(path, 0), identity, rows, [1])
    done = done_chunks(part_paths(path), identity)
    write_features(path, identity, done, features=FEATURES, source={"title": "G2"})
    return path


def test_parts_are_joined_to_what_was_computed(finished, molecules, rows):
    assert [path.name for path in part_paths(finished)] == ["features.h5.part-0000", "features.h5.part-0001"]
    found = read_features(finished, molecules=molecules, features=FEATURES, asked={"n_scales": 1})
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, rows)
    assert [column["name"] for column in found.columns] == FEATURES.get_feature_names_out().tolist()
    assert found.columns[0] == {
        **{"order": 0, "channel": "all", "power": 1.0, "degree": None, "scale": None, "scale2": None},
        "element": None,
        "name": "all_q1",
    }
    assert found.module.get_params()["channels"] == ["all", "core"]
    assert len(found) == N
    with h5py.File(finished) as file:
        assert json.loads(file.attrs["source"]) == {"title": "G2"}
        assert "torch" in json.loads(file.attrs["versions"])


def test_only_whole_chunks_count(tmp_path, identity, rows):
    path = tmp_path / "f.h5.part-0000"
    fill(path, identity, rows, [0, 1, 2], done=[2, 0])
    assert done_chunks([path], identity) == {0: (path, 0), 2: (path, 2)}
    with h5py.File(path, "r+") as file:
        file["features"][0, 3, 1] += 1  # as if the process had died while it wrote chunk 0
    assert list(done_chunks([path], identity)) == [2]


def test_a_part_has_its_room_from_the_start(tmp_path, identity, small_disk):
    wide = 10_000  # columns: more than the disk takes
    with small_disk(), pytest.raises(OSError, match=r"part-0000|File too large|unable|[Cc]an't|no space"):
        PartFile.create(tmp_path / "f.h5.part-0000", identity, [0, 1], n_features=wide, dtype="float32")
    assert list(tmp_path.iterdir()) == []


def test_what_belongs_to_other_molecules_or_settings_is_refused(finished, molecules, identity):
    with pytest.raises(ValueError, match=r"must hold the features of these 9 molecules, got 10"):
        read_features(finished, molecules=molecules[:9])
    moved = molecules.with_positions(molecules.positions + 1e-3)
    with pytest.raises(ValueError, match="holds the features of another data set"):
        read_features(finished, molecules=moved)
    with pytest.raises(ValueError, match=r"other settings than asked for: max_degree was 0, now 3$"):
        read_features(finished, asked={"max_degree": 3, "n_scales": 1})
    other = SolidScattering(**{**FEATURES.get_params(), "powers": (1.0,), "step": 1.0})
    with pytest.raises(ValueError, match=r"powers was \[1.0, 2.0\], now \[1.0\]; step was .*, now 1.0"):
        read_features(finished, features=other)
    wider = FeatureIdentity.of(SolidScattering(**{**FEATURES.get_params(), "n_scales": 2}), molecules, 4)
    with pytest.raises(ValueError, match=r"holds other features than asked for: .*n_scales was 1, now 2"):
        done_chunks(part_paths(finished), wider)


def test_memory_and_limits_are_no_settings(finished):
    read_features(finished, features=SolidScattering(**{**FEATURES.get_params(), "tile": 64, "max_points": 10**7}))


def test_damaged_files_are_detected(finished, tmp_path, identity):
    whole = finished.read_bytes()
    cut = tmp_path / "cut.h5"
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut.h5 is not a readable file of features, or is truncated"):
            read_features(cut)
    with h5py.File(finished) as file:
        place = file["features"].id.get_offset()
    cut.write_bytes(whole[: place + 9] + bytes([whole[place + 9] ^ 4]) + whole[place + 10 :])
    with pytest.raises(ValueError, match="a wrong checksum"):
        read_features(cut)
    part = part_paths(finished)[0]
    part.write_bytes(part.read_bytes()[:-50])
    with pytest.raises(ValueError, match="part-0000 is not a readable file of features, or is truncated"):
        done_chunks([part], identity)


def test_other_files_are_no_features(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none.h5"):
        read_features(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["features"] = torch.zeros(3, 3)
    with pytest.raises(ValueError, match="no file of features: its attribute `format` is None"):
        read_features(tmp_path / "other.h5")


def test_an_unfinished_file_is_named_so(tmp_path, identity, rows):
    fill(next_part(tmp_path / "f.h5", 0), identity, rows, [0])
    with pytest.raises(FileNotFoundError, match=r"f.h5 is not finished: featurize .* with --resume first"):
        read_features(tmp_path / "f.h5")


def test_names_of_parts(tmp_path):
    path = tmp_path / "f.h5"
    for name in ("f.h5.part-0003", "f.h5.part-x", "g.h5.part-0001"):
        (tmp_path / name).touch()
    assert [found.name for found in part_paths(path)] == ["f.h5.part-0003"]
    assert next_part(path, 2).name == "f.h5.part-0006"
