import os

import h5py
import pytest
import torch

from phasewave.runs.checkpoint import differences, load_checkpoint, save_checkpoint

SETTINGS = {"n_scales": 5, "window": [256, 256], "solver": {"history_size": 20}}


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(torch.nan_to_num(a, 7.0), torch.nan_to_num(b, 7.0))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and (a == b or a != a)


DTYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16),
    *(torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 5)])
def test_every_dtype_comes_back(tmp_path, generator, dtype, shape):
    wide = torch.complex128 if dtype.is_complex else torch.float64
    tensor = (10 * torch.randn(shape, generator=generator, dtype=wide)).to(dtype)
    save_checkpoint(tmp_path / "c.h5", {"x": tensor}, settings={})
    back = load_checkpoint(tmp_path / "c.h5")["x"]
    assert back.dtype is dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)


def test_nested_values_come_back(tmp_path):
    state = {
        "solver": {"steps": [torch.arange(6.0).reshape(2, 3).T, None, {"empty": {}}], "done": [True, False]},
        "losses": [1e-300, float("nan"), float("inf"), 2],
        "text": "tensor:0",  # looks like the file's own mark for a tensor
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "with_gradient": torch.ones(2, requires_grad=True),
        "nothing": [],
    }
    save_checkpoint(tmp_path / "c.h5", state, settings=SETTINGS)
    back = load_checkpoint(tmp_path / "c.h5", settings=SETTINGS)
    assert equal({**state, "with_gradient": torch.ones(2)}, back)
    assert not back["with_gradient"].requires_grad


def test_a_generator_goes_on_where_it_was(tmp_path, generator):
    torch.randn(3, generator=generator)
    save_checkpoint(tmp_path / "c.h5", {"generator": generator.get_state()}, settings={})
    expected = torch.randn(5, generator=generator)
    other = torch.Generator()
    other.set_state(load_checkpoint(tmp_path / "c.h5")["generator"])
    assert torch.equal(torch.randn(5, generator=other), expected)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": [1, object()]}}, r"`state\.a\.b\[1\]` must be a tensor, a number, .* got object"),
        ({"a": {1: 2}}, r"`state\.a` must have text keys, got 1"),
        (
            {"a": torch.eye(2).to_sparse()},
            r"`state\.a` must be a dense tensor .* got torch\.float32, torch\.spa",
        ),
        ({"a": b"bytes"}, r"got bytes"),
    ],
)
def test_what_cannot_be_stored_is_named_before_a_file_is_made(tmp_path, state, message):
    with pytest.raises(TypeError, match=message):
        save_checkpoint(tmp_path / "c.h5", state, settings={})
    assert not list(tmp_path.iterdir())


def test_other_settings_are_refused_with_what_differs(tmp_path):
    save_checkpoint(tmp_path / "c.h5", {}, settings=SETTINGS)
    now = {"n_scales": 4, "window": (256, 256), "solver": {"history_size": 10}, "new": None}
    with pytest.raises(ValueError, match="made with other settings") as caught:
        load_checkpoint(tmp_path / "c.h5", settings=now)
    assert "n_scales was 5, now 4; new was absent, now None; solver.history_size was 20, now 10" in str(
        caught.value
    )
    assert differences({"a": {"b": 1}}, {"a": 1}) == ["a was {'b': 1}, now 1"]


def test_equal_settings_in_other_containers_are_accepted(tmp_path):
    save_checkpoint(tmp_path / "c.h5", {"x": 1}, settings={"shape": (2, 3), "dtype": torch.float32})
    same = {"dtype": "torch.float32", "shape": [2, 3]}
    assert load_checkpoint(tmp_path / "c.h5", settings=same) == {"x": 1}


def test_every_cut_and_every_kind_of_flipped_bit_is_found(tmp_path, generator):
    path = tmp_path / "c.h5"
    save_checkpoint(path, {"x": torch.randn(8, 8, generator=generator)}, settings=SETTINGS)
    whole = path.read_bytes()
    for at in range(0, len(whole), 61):
        path.write_bytes(whole[:at])
        with pytest.raises(ValueError, match=r"cannot be used .* damaged"):
            load_checkpoint(path)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"cannot be used .* damaged"):
            load_checkpoint(path)


def test_another_hdf5_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["x"] = 1.0
    with pytest.raises(ValueError, match=r"c\.h5 cannot be used .* was not made here"):
        load_checkpoint(tmp_path / "c.h5")


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*c\.h5"):
        load_checkpoint(tmp_path / "c.h5")


def test_a_failed_write_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.h5"
    save_checkpoint(path, {"step": 1}, settings={})

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left to write"):
        save_checkpoint(path, {"step": 2, "x": torch.ones(1000)}, settings={})
    assert load_checkpoint(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["c.h5"]
