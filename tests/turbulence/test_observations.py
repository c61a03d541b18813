"""Fields with missing pixels, masks and noise from files, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from phasewave.turbulence.fields import load_field
from phasewave.turbulence.observations import read_noise, read_observed

VALUES = np.random.default_rng(0).normal(size=(24, 32))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("field.npy", VALUES)
    np.save("mask.npy", VALUES > -1)
    np.save("holes.npy", np.where(VALUES > 1, np.nan, VALUES))
    return tmp_path


def test_nan_means_missing():
    field, mask = read_observed("holes.npy", dtype=torch.float64)
    assert torch.equal(mask, torch.from_numpy(VALUES <= 1))
    assert torch.equal(field.values[mask], torch.from_numpy(VALUES)[mask])
    torch.testing.assert_close(
        field.values[~mask], torch.full_like(field.values[~mask], VALUES[VALUES <= 1].mean())
    )
    assert field.source.path == "holes.npy"
    assert field.source.shape == (24, 32)


def test_a_mask_file_and_nan_together():
    _, mask = read_observed("holes.npy", "mask.npy")
    assert torch.equal(mask, torch.from_numpy((VALUES <= 1) & (VALUES > -1)))
    _, mask = read_observed("field.npy", "mask.npy")
    assert torch.equal(mask, torch.from_numpy(VALUES > -1))


def test_the_field_of_the_package():
    mask = np.ones((256, 256))
    mask[:40, :40] = 0
    np.save("mask.npy", mask)
    field, seen = read_observed(None, "mask.npy")
    assert torch.equal(field.values[seen], load_field()[seen])
    assert field.source.path.startswith("embedded")


def test_a_mask_as_a_picture():
    Image.fromarray(np.where(VALUES > -1, 255, 0).astype(np.uint8)).save("mask.png")
    _, mask = read_observed("field.npy", "mask.png")
    assert torch.equal(mask, torch.from_numpy(VALUES > -1))


def test_a_field_of_a_stack_and_of_several_arrays():
    np.save("stack.npy", np.stack([VALUES, np.where(VALUES > 1, np.nan, 2 * VALUES)]))
    field, mask = read_observed("stack.npy", index=1, dtype=torch.float64)
    assert torch.equal(field.values[mask], 2 * torch.from_numpy(VALUES)[mask])
    np.savez("several.npz", a=VALUES, b=np.where(VALUES > 1, np.nan, VALUES))
    _, mask = read_observed("several.npz", dataset="b")
    assert int((~mask).sum()) == int((VALUES > 1).sum())


def test_noise():
    assert read_noise("field.npy", (24, 32)).dtype == torch.float64
    np.save("maps.npy", np.stack([VALUES] * 5))
    assert read_noise("maps.npy", (24, 32)).shape == (5, 24, 32)
    with pytest.raises(ValueError, match=r"the noise field.npy must have the shape \(32, 32\)"):
        read_noise("field.npy", (32, 32))
    with pytest.raises(ValueError, match="must be finite"):
        read_noise("holes.npy", (24, 32))


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"field.npy has no missing pixels .NaN. to fill: give a mask"):
        read_observed("field.npy")
    with pytest.raises(FileNotFoundError, match=r"there is no file nothing\.npy"):
        read_observed("nothing.npy")
    with pytest.raises(FileNotFoundError, match=r"there is no file nothing\.npy"):
        read_observed("field.npy", "nothing.npy")
    with pytest.raises(ValueError, match="is a folder"):
        read_observed(".")
    np.save("square.npy", np.ones((32, 32), dtype=bool))
    with pytest.raises(ValueError, match=r"`mask` must have the shape of the fields \(24, 32\), got \(32, 32\)"):
        read_observed("field.npy", "square.npy")
    for name, value, message in (("all", True, "True everywhere"), ("none", False, "got zeros alone")):
        np.save(f"{name}.npy", np.full((24, 32), value))
        with pytest.raises(ValueError, match=message):
            read_observed("field.npy", f"{name}.npy")
    with pytest.raises(ValueError, match=r"field\.npy must hold a mask with two values"):
        read_observed("field.npy", "field.npy")
    np.save("infinite.npy", np.where(VALUES > 1, np.inf, VALUES))
    with pytest.raises(ValueError, match="must be finite"):
        read_observed("infinite.npy", "mask.npy")
    np.save("complex.npy", VALUES + 1j)
    with pytest.raises(ValueError, match="must hold real numbers, got the dtype complex128"):
        read_observed("complex.npy", "mask.npy")
    np.save("stack.npy", np.stack([VALUES, VALUES]))
    with pytest.raises(ValueError, match=r"must have the axes \(H, W\)"):
        read_observed("stack.npy", "mask.npy")
    with pytest.raises(ValueError, match="`index` must be that of a field in a stack"):
        read_observed("stack.npy", "mask.npy", index=2)
    np.savez("several.npz", a=VALUES, b=VALUES)
    with pytest.raises(ValueError, match=r"holds several arrays: a \(24, 32\) float64; b"):
        read_observed("several.npz", "mask.npy")
    with pytest.raises(ValueError, match="holds no array 'c'"):
        read_observed("several.npz", "mask.npy", dataset="c")
