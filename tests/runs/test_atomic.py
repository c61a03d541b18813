import errno
import os

import pytest

from phasewave.runs.atomic import is_partial_of, partial_path, replacing


def test_the_file_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    with replacing(path) as stream:
        stream.write(b"new")
        assert not path.exists()
        assert is_partial_of(partial_path(path), "a.bin")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail_half_way():
        with replacing(path) as stream:
            stream.write(b"half of the new")
            raise error

    with pytest.raises(type(error)):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path, small_disk):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write():
        with replacing(path) as stream:
            stream.write(bytes(1 << 17))

    with (
        pytest.raises(OSError, match=r"no space left to write .*a\.bin: nothing was changed") as caught,
        small_disk(),
    ):
        write()
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "a.bin"):
        pass
