"""Featurising: stopped, killed, resumed or shared out, the file is that of one undisturbed run."""

import os
import signal
import socket
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest
from ase import Atoms

from phasewave.cli.main import main
from phasewave.molecules.datasets import read_dataset, write_dataset
from phasewave.molecules.feature_file import read_features
from phasewave.molecules.feature_parts import part_paths
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.featurizing import check_molecules, compute_rows, featurize
from phasewave.molecules.g2 import g2
from phasewave.molecules.structures import as_molecules
from phasewave.runs import distributed

SETTINGS = {"channels": ("all", "valence"), "n_scales": 1, "max_degree": 1, "max_order": 1, "step": 1.0}
FEATURES = SolidScattering(**SETTINGS)
N = 70


@pytest.fixture(scope="module")
def data():
    return g2()[np.arange(N)]


@pytest.fixture(scope="module")
def rows(data):
    """The features, computed in one go."""
    return FEATURES.transform(data.molecules)


def stop_after(n):
    """Return a progress callback that stops when so many molecules are done, and keeps what it was told."""

    def progress(done, total):
        progress.told.append((done, total))
        return done >= n

    progress.told = []
    return progress


def test_the_file_holds_the_features(data, rows, tmp_path):
    told = stop_after(10**9)
    done = featurize(data, FEATURES, tmp_path / "f.h5", chunk=32, progress=told)
    assert done.finished
    assert (done.n_molecules, done.n_done, done.n_new, done.n_features) == (N, N, N, rows.shape[1])
    assert told.told == [(0, 70), (32, 70), (64, 70), (70, 70)]
    np.testing.assert_array_equal(read_features(tmp_path / "f.h5", molecules=data.molecules).values, rows)
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5"]


def test_a_stopped_run_goes_on_where_it_was(data, rows, tmp_path):
    path = tmp_path / "f.h5"
    done = featurize(data, FEATURES, path, chunk=16, progress=stop_after(32))
    assert (done.finished, done.n_done, done.n_new) == (False, 32, 32)
    assert not path.exists()
    told = stop_after(16)
    done = featurize(data, FEATURES, path, chunk=16, progress=told, resume=True)
    assert (done.n_done, done.n_new) == (48, 16)
    assert told.told[0] == (0, 38)
    sizes = {part.name: part.stat().st_size for part in part_paths(path)}
    assert sorted(sizes) == ["f.h5.part-0001", "f.h5.part-0002"]  # the first: what was done, without spare room
    done = featurize(data, FEATURES, path, chunk=16, resume=True)
    assert (done.finished, done.n_new) == (True, 22)
    np.testing.assert_array_equal(read_features(path).values, rows)
    assert part_paths(path) == []


def test_a_run_stopped_before_its_first_chunk_leaves_nothing(data, tmp_path):
    assert featurize(data, FEATURES, tmp_path / "f.h5", progress=stop_after(0)).n_done == 0
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
import torch
from phasewave.molecules import feature_parts
from phasewave.cli.main import main
from phasewave.molecules.datasets import read_dataset
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.featurizing import featurize

torch.set_num_threads(1)
checksum, calls = feature_parts.row_checksum, []

def kill(rows):
    calls.append(1)
    if len(calls) == 3:  # the rows of the third chunk are written, its checksum is not
        os.kill(os.getpid(), signal.SIGKILL)
    return checksum(rows)

feature_parts.row_checksum = kill
featurize(read_dataset(sys.argv[1]), SolidScattering(**eval(sys.argv[3])), sys.argv[2], chunk=16)
"""


def test_a_killed_process_loses_the_chunk_it_was_at(data, rows, tmp_path):
    write_dataset(tmp_path / "d.h5", data)
    path = tmp_path / "f.h5"
    words = [sys.executable, "-c", KILLED, str(tmp_path / "d.h5"), str(path), repr(SETTINGS)]
    done = subprocess.run(words, capture_output=True, timeout=100)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not path.exists()
    found = featurize(read_dataset(tmp_path / "d.h5"), FEATURES, path, chunk=16, resume=True)
    assert found.n_new == N - 32
    np.testing.assert_array_equal(read_features(path).values, rows)


def test_two_ranks_finish_what_one_began_bit_for_bit(data, rows, tmp_path, monkeypatch, capsys):
    write_dataset(tmp_path / "d.h5", data)
    path = tmp_path / "f.h5"
    assert featurize(data, FEATURES, path, progress=stop_after(1)).n_done == 32
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    words = ["molecules", "featurize", str(tmp_path / "d.h5"), "--out", str(path), "--resume", "--threads", "1"]
    words += ["--channels", "all,valence", "--scales", "1", "--max-degree", "1", "--order", "1", "--step", "1"]
    other = subprocess.Popen(
        [sys.executable, "-m", "phasewave", *words],
        env=os.environ | shared | {"RANK": "1", "LOCAL_RANK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for name, value in (shared | {"RANK": "0", "LOCAL_RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "_MEETING", timedelta(seconds=90))
    code = main(words)
    out, err = other.communicate(timeout=60)
    assert (code, other.returncode) == (0, 0), err
    assert "38 molecules in" in capsys.readouterr().out
    assert out == ""
    np.testing.assert_array_equal(read_features(path, molecules=data.molecules).values, rows)
    assert part_paths(path) == []


def test_only_the_same_run_is_resumed(data, tmp_path):
    path = tmp_path / "f.h5"
    with pytest.raises(FileNotFoundError, match=r"nothing to resume of .*f.h5: there is no part of it"):
        featurize(data, FEATURES, path, resume=True)
    featurize(data, FEATURES, path, progress=stop_after(1))
    with pytest.raises(FileExistsError, match=r"unfinished run has left f.h5.part-0000 .* --resume"):
        featurize(data, FEATURES, path)
    with pytest.raises(ValueError, match=r"part-0000 holds other features .* settings.max_degree was 1, now 0"):
        featurize(data, SolidScattering(**{**SETTINGS, "max_degree": 0}), path, resume=True)
    with pytest.raises(ValueError, match=r"n_molecules was 70, now 60; sha256 was"):
        featurize(data[:60], FEATURES, path, resume=True)
    with pytest.raises(ValueError, match="exclude each other"):
        featurize(data, FEATURES, path, resume=True, overwrite=True)
    few = data[:20]
    assert featurize(few, FEATURES, path, overwrite=True).finished
    with pytest.raises(FileExistsError, match=r"f.h5 is there already"):
        featurize(few, FEATURES, path)
    with pytest.raises(FileExistsError, match="it is there and finished"):
        featurize(few, FEATURES, path, resume=True)
    with pytest.raises(FileExistsError, match="is a folder"):
        featurize(few, FEATURES, tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        featurize(few, FEATURES, tmp_path / "none" / "f.h5")


def test_molecules_that_cannot_be_worked_are_named_before_any_is(data, tmp_path):
    small = SolidScattering(**SETTINGS, max_points=3000)
    with pytest.raises(
        ValueError, match=r"`max_points` must be at least \d+ for molecule \d+ of \d+ atoms, got 3000"
    ):
        featurize(data, small, tmp_path / "f.h5")
    iron, bonds = as_molecules(Atoms("FeC", [[0, 0, 0], [0, 0, 2]])), SolidScattering(channels=["atom_valence"])
    with pytest.raises(ValueError, match=r"`channels` must know every element present: 'atom_valence'"):
        check_molecules(bonds, iron)
    assert list(tmp_path.iterdir()) == []


def test_the_check_in_advance_agrees_with_the_features_own(data):
    needs = []
    for i in range(N):
        with pytest.raises(ValueError, match="max_points") as found:
            SolidScattering(**SETTINGS, max_points=1).forward(data.molecules[i])
        needs.append(int(str(found.value).split("at least ")[1].split(" ")[0]))
    check_molecules(SolidScattering(**SETTINGS, max_points=max(needs)), data.molecules)
    with pytest.raises(ValueError, match=f"for molecule {int(np.argmax(needs))} of"):
        check_molecules(SolidScattering(**SETTINGS, max_points=max(needs) - 1), data.molecules)


def test_rows_in_memory_are_the_same(data, rows):
    told = stop_after(10**9)
    np.testing.assert_array_equal(compute_rows(FEATURES, data.molecules, progress=told), rows)
    assert told.told[-1] == (N, N)
    with pytest.raises(KeyboardInterrupt):
        compute_rows(FEATURES, data.molecules, progress=stop_after(0))
