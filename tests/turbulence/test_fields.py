import hashlib
import re

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from phasewave.turbulence.fields import Field, as_field, load_field, read_field

H, W = 20, 24


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(H, W))


def save(path, name, value):
    """Write one array under a name in the format of the path."""
    if path.suffix == ".npy":
        np.save(path, value)
    elif path.suffix == ".npz":
        np.savez(path, **{name: value})
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {name: value})
    else:
        with h5py.File(path, "w") as file:
            file[name] = value
    return path


def save_matlab73(path, **arrays):
    """A MATLAB 7.3 file: HDF5 behind a 512-byte header, axes reversed, complex numbers as pairs."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in arrays.items():
            if np.iscomplexobj(value):
                value = np.rec.fromarrays([value.real, value.imag], names="real,imag")
            file[name] = value.T
            file[name].attrs["MATLAB_class"] = b"double"
        file["label"] = np.frombuffer(b"abc", np.uint8).astype(np.uint16)
        file["label"].attrs["MATLAB_class"] = b"char"
        file["#refs#/a"] = np.zeros((H, W))
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".hdf5", ".mat", ".NPY"])
def test_every_array_format_gives_the_same_field(tmp_path, array, suffix):
    path = tmp_path / f"f{suffix}"
    if suffix == ".NPY":
        save(tmp_path / "f.npy", "w", array).rename(path)
    else:
        save(path, "w", array)
    field = read_field(path, dtype=torch.float64)
    assert torch.equal(field.values, torch.from_numpy(array))
    assert field.source.path == str(path)
    assert field.source.shape == (H, W)
    assert field.source.stored_dtype == "float64"
    assert field.source.sha256 == hashlib.sha256(array.astype("<f8").tobytes()).hexdigest()
    assert torch.equal(load_field(str(path)), torch.from_numpy(array).float())


def test_matlab_73_keeps_matlabs_axes(tmp_path, array):
    save_matlab73(tmp_path / "f.mat", w=array)
    assert torch.equal(load_field(tmp_path / "f.mat", dtype=torch.float64), torch.from_numpy(array))
    save_matlab73(tmp_path / "c.mat", w=array + 1j)
    with pytest.raises(ValueError, match=r"c\.mat must be real, got complex128"):
        load_field(tmp_path / "c.mat")


@pytest.mark.parametrize("dtype", ["<i2", ">i4", "uint8", ">f4", "float16", "longdouble", "bool"])
def test_every_real_dtype_is_read_exactly(tmp_path, array, dtype):
    stored = (20 * np.abs(array) > 9).astype(dtype) if dtype == "bool" else (20 * np.abs(array)).astype(dtype)
    save(tmp_path / "f.npy", "w", stored)
    expected = torch.from_numpy(stored.astype(np.float64))
    assert torch.equal(load_field(tmp_path / "f.npy", dtype=torch.float64), expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_does_not_matter(tmp_path, array, order):
    save(tmp_path / "f.npy", "w", np.asarray(array, order=order))
    assert torch.equal(load_field(tmp_path / "f.npy", dtype=torch.float64), torch.from_numpy(array))


@pytest.mark.parametrize(
    ("mode", "dtype", "suffix"),
    [("L", "uint8", ".png"), ("I;16", "uint16", ".png"), ("F", "float32", ".tiff"), ("I;16", "uint16", ".tif")],
)
def test_grey_images_keep_their_values(tmp_path, array, mode, dtype, suffix):
    values = np.abs(100 * array).astype(dtype)
    image = Image.fromarray(values)
    assert image.mode == mode
    image.save(tmp_path / f"f{suffix}")
    assert torch.equal(load_field(tmp_path / f"f{suffix}"), torch.from_numpy(values.astype(np.float32)))


def test_colour_images_become_luma(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, size=(H, W, 3), dtype=np.uint8)
    luma = torch.from_numpy(0.2126 * rgb[..., 0] + 0.7152 * rgb[..., 1] + 0.0722 * rgb[..., 2])
    Image.fromarray(rgb).save(tmp_path / "rgb.png")
    alpha = np.full((H, W, 1), 128, np.uint8)
    Image.fromarray(np.concatenate([rgb, alpha], axis=2)).save(tmp_path / "rgba.png")
    for name in ("rgb.png", "rgba.png"):
        torch.testing.assert_close(load_field(tmp_path / name, dtype=torch.float64), luma, rtol=1e-14, atol=0)
    grey = np.repeat(rgb[..., :1], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    expected = torch.from_numpy(grey[..., 0].astype(np.float64))
    torch.testing.assert_close(
        load_field(tmp_path / "grey.png", dtype=torch.float64), expected, rtol=1e-14, atol=0
    )


def test_jpeg_is_read(tmp_path):
    ramp = np.add.outer(np.arange(H), 4 * np.arange(W)).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "f.jpg", quality=95)
    assert (load_field(tmp_path / "f.jpg") - torch.from_numpy(ramp).float()).abs().max() < 8


def test_pages_of_a_tiff_are_a_stack(tmp_path, array):
    pages = [Image.fromarray((array + i).astype(np.float32)) for i in range(3)]
    pages[0].save(tmp_path / "f.tif", save_all=True, append_images=pages[1:])
    expected = torch.from_numpy((array + 1).astype(np.float32))
    assert torch.equal(load_field(tmp_path / "f.tif", index=1), expected)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".mat"])
def test_one_field_of_a_stack(tmp_path, array, suffix):
    stack = np.stack([array, 2 * array, 3 * array])
    path = save(tmp_path / f"f{suffix}", "w", stack)
    field = read_field(path, index=2, dtype=torch.float64)
    assert torch.equal(field.values, torch.from_numpy(3 * array))
    assert field.source.index == 2
    with pytest.raises(ValueError, match=re.escape(f"(3, {H}, {W}), a stack of 3 fields") + ".*--index I"):
        load_field(path)
    for index in (-1, 3):
        with pytest.raises(ValueError, match=f"`index` must be from 0 to 2 for .*got {index}"):
            load_field(path, index=index)
    single = save(tmp_path / f"single{suffix}", "w", stack[:1])
    assert torch.equal(load_field(single, dtype=torch.float64), torch.from_numpy(array))


@pytest.mark.parametrize("index", [1.0, "1", True])
def test_an_index_is_an_integer(index):
    with pytest.raises(TypeError, match="`index` must be an integer"):
        load_field(index=index)


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".mat"])
def test_the_one_array_that_may_be_a_field_is_taken_and_others_by_name(tmp_path, array, suffix):
    path = tmp_path / f"f{suffix}"

    def write(**arrays):
        if suffix == ".npz":
            np.savez(path, **arrays)
        elif suffix == ".mat":
            scipy.io.savemat(path, arrays)
        else:
            with h5py.File(path, "w") as file:
                for name, value in arrays.items():
                    file[name] = value

    write(vorticity=array, times=np.arange(5.0), viscosity=1e-4)
    field = read_field(path, dtype=torch.float64)
    assert torch.equal(field.values, torch.from_numpy(array))
    assert field.source.dataset == "vorticity"
    write(u=array, v=2 * array)
    with pytest.raises(ValueError, match=rf"several arrays: u \({H}, {W}\) float64; v .*--dataset NAME"):
        load_field(path)
    assert torch.equal(load_field(path, dataset="v", dtype=torch.float64), torch.from_numpy(2 * array))
    with pytest.raises(ValueError, match=rf"holds no array 'w'; it holds u \({H}, {W}\) float64; v"):
        load_field(path, dataset="w")
    write(a=np.arange(3.0), b=np.arange(4.0))
    with pytest.raises(ValueError, match="several arrays: a "):
        load_field(path)


def test_datasets_in_groups_are_found(tmp_path, array):
    save(tmp_path / "f.h5", "run/fields/w", array)
    assert read_field(tmp_path / "f.h5", dataset="/run/fields/w").source.dataset == "run/fields/w"
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_group("run")
    with pytest.raises(ValueError, match=r"empty\.h5 holds no array"):
        load_field(tmp_path / "empty.h5")


def test_python_objects_beside_a_field_do_no_harm(tmp_path, array):
    np.savez(tmp_path / "f.npz", w=array, notes=np.array([{"a": 1}], dtype=object))
    assert torch.equal(load_field(tmp_path / "f.npz", dtype=torch.float64), torch.from_numpy(array))
    with pytest.raises(ValueError, match=r"must hold real numbers, got the dtype object"):
        load_field(tmp_path / "f.npz", dataset="notes")


def bad(array, *entries):
    array = array.copy()
    for (row, column), value in entries:
        array[row, column] = value
    return array


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a: a + 1j, r"must be real, got complex128: take the real part"),
        (
            lambda a: bad(a, ((3, 7), np.nan), ((5, 0), np.nan)),
            "got 2 NaN of 480 values, the first in row 3, column 7",
        ),
        (lambda a: bad(a, ((9, 1), -np.inf)), "got 1 infinite of 480 values, the first in row 9, column 1"),
        (lambda a: bad(a, ((2, 1), np.inf), ((2, 0), np.nan)), "1 NaN and 1 infinite .* row 2, column 0"),
        (lambda a: np.full((H, W), 3.5), r"must vary, got the constant 3\.5"),
        (lambda a: 1e6 + a, r"vary more than float32 rounds, got a spread of .* subtract the mean.*float64"),
        (lambda a: 1e300 * a, r"must fit float32, got values up to .*e\+300"),
        (lambda a: a[:15], r"at least 16 x 16 pixels, got the shape \(15, 24\)"),
        (lambda a: a[0], r"must have the axes \(H, W\), or \(N, H, W\) for a stack, got the shape \(24,\)"),
        (lambda a: a[None, None], r"got the shape \(1, 1, 20, 24\)"),
        (lambda a: np.array(3.0), r"got the shape \(\)"),
        (lambda a: np.empty((0, 20, 24)), r"a stack of 0 fields"),
        (lambda a: a.astype("S8"), r"must hold real numbers, got the dtype \|S8"),
        (lambda a: a.astype(object), r"cannot be read as \.npy: it holds Python objects"),
        (lambda a: a.astype([("u", "f8"), ("v", "f8")]), r"must hold real numbers, got the dtype \[\('u'"),
        (lambda a: a.astype("datetime64[s]"), r"must hold real numbers, got the dtype datetime64"),
    ],
)
def test_what_is_no_field_is_refused_with_the_reason(tmp_path, array, make, message):
    with np.errstate(all="ignore"):
        np.save(tmp_path / "f.npy", make(array))
    with pytest.raises(ValueError, match=message) as caught:
        load_field(tmp_path / "f.npy")
    assert "f.npy" in str(caught.value)


def test_float64_takes_what_float32_cannot(tmp_path, array):
    for value in (1e6 + array, 1e300 * array):
        np.save(tmp_path / "f.npy", value)
        assert torch.equal(load_field(tmp_path / "f.npy", dtype=torch.float64), torch.from_numpy(value))


def test_an_index_for_a_single_field_is_refused(tmp_path, array):
    np.save(tmp_path / "f.npy", array)
    with pytest.raises(ValueError, match=r"`index` must not be given for the single field"):
        load_field(tmp_path / "f.npy", index=0)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".mat", ".png", ".tif", ".jpg"])
@pytest.mark.parametrize("damage", ["garbage", "empty", "truncated"])
def test_a_damaged_file_is_named(tmp_path, array, suffix, damage):
    path = tmp_path / f"f{suffix}"
    if suffix in (".png", ".tif", ".jpg"):
        Image.fromarray((50 * np.abs(array)).astype(np.uint8)).save(path)
    else:
        save(path, "w", array)
    whole = path.read_bytes()
    path.write_bytes({"garbage": b"not a field" * 99, "empty": b"", "truncated": whole[: len(whole) // 2]}[damage])
    with pytest.raises(ValueError, match=rf"f\{suffix} cannot be read as \{suffix}: ."):
        load_field(path)


def test_unknown_suffixes_folders_and_missing_files(tmp_path):
    (tmp_path / "f.xyz").touch()
    with pytest.raises(ValueError, match=r"f\.xyz has the suffix '\.xyz'; a field is read from \.npy, \.npz"):
        load_field(tmp_path / "f.xyz")
    (tmp_path / "field").touch()
    with pytest.raises(ValueError, match="has no suffix; a field is read from"):
        load_field(tmp_path / "field")
    with pytest.raises(ValueError, match="is a folder, not a file"):
        load_field(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.npy \(looked for in"):
        load_field(tmp_path / "none.npy")


@pytest.mark.parametrize("dtype", [torch.float16, torch.complex64, torch.int32])
def test_only_two_dtypes_are_offered(dtype):
    with pytest.raises(TypeError, match=r"`dtype` must be torch\.float32 or torch\.float64"):
        load_field(dtype=dtype)


def test_arrays_in_memory_are_checked_alike(array):
    from_array = as_field(array, dtype=torch.float64)
    from_tensor = as_field(torch.from_numpy(array).requires_grad_(), dtype=torch.float64)
    assert torch.equal(from_array.values, from_tensor.values)
    assert not from_tensor.values.requires_grad
    assert from_array.source == from_tensor.source
    assert from_array.source.path == "array in memory"
    before = from_array.values.clone()
    array += 1  # the field is a copy
    assert torch.equal(from_array.values, before)
    again = as_field(from_array)
    assert again.values.dtype is torch.float32
    assert again.source == from_array.source
    assert as_field(torch.from_numpy(array).bfloat16()).source.stored_dtype == "float32"
    with pytest.raises(TypeError, match="`field` must be a tensor, an array or a Field, got list"):
        as_field([[1.0]])
    with pytest.raises(ValueError, match=r"`field` must have the axes \(H, W\), got the shape \(1, 20, 24\)"):
        as_field(array[None])
    with pytest.raises(ValueError, match="`field` must be finite, got 480 NaN"):
        as_field(array * np.nan)


def test_the_embedded_field_is_a_vorticity_field():
    field = read_field(dtype=torch.float64)
    assert isinstance(field, Field)
    assert field.source.path == "embedded vorticity_256.h5"
    assert field.values.shape == (256, 256)
    # The curl of a periodic velocity has no mean.
    assert abs(field.values.mean()) < 1e-3 * field.values.std()
