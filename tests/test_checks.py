"""Checks at the boundaries and the text of their messages."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from phasewave import checks


def raises(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def test_fail():
    with raises(ValueError, "`x` must be small, got 'big'"):
        checks.fail("x", "be small", "big")


@pytest.mark.parametrize("value", [3, np.int64(3), torch.tensor(3)])
def test_integer(value):
    number = checks.integer("n", value, minimum=3, maximum=3)
    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (2, ValueError, "`n` must be an integer between 3 and 5, got 2"),
        (6, ValueError, "`n` must be an integer between 3 and 5, got 6"),
        (4.0, TypeError, "`n` must be an integer, got 4.0"),
        (True, TypeError, "`n` must be an integer, got True"),
        ("4", TypeError, "`n` must be an integer, got '4'"),
        (None, TypeError, "`n` must be an integer, got None"),
        (torch.tensor(4.0), TypeError, "`n` must be an integer, got tensor(4.)"),
        (np.float64(4.0), TypeError, "`n` must be an integer, got np.float64(4.0)"),
        (np.bool_(True), TypeError, "`n` must be an integer, got np.True_"),
    ],
)
def test_not_an_integer_in_range(value, error, message):
    with raises(error, message):
        checks.integer("n", value, minimum=3, maximum=5)


def test_integer_without_maximum():
    assert checks.integer("n", 10**30, minimum=0) == 10**30
    with raises(ValueError, "`n` must be an integer >= 0, got -1"):
        checks.integer("n", -1, minimum=0)


def test_choice():
    assert checks.choice("border", "zero", ("zero", "reflect")) == "zero"
    with raises(ValueError, "`border` must be one of 'zero', 'reflect', got 'Zero'"):
        checks.choice("border", "Zero", ("zero", "reflect"))


def test_shapes():
    assert checks.plane_shape("shape", [16, np.int64(17)]) == (16, 17)
    assert all(type(n) is int for n in checks.plane_shape("shape", torch.Size([20, 21])))
    assert checks.grid_shape("shape", (3, 4, 5), n_axes=3, minimum=3) == (3, 4, 5)


@pytest.mark.parametrize("shape", [(255, 8), (16,), (16, 16, 16), (16.0, 16), (True, 16), (16, "16")])
def test_bad_plane_shapes(shape):
    with raises(ValueError, f"`shape` must be 2 integers >= 16, got {shape}"):
        checks.plane_shape("shape", shape)


def test_bad_grid_shape():
    with raises(ValueError, "`grid` must be 3 integers >= 2, got (1, 2, 3)"):
        checks.grid_shape("grid", (1, 2, 3), n_axes=3, minimum=2)


@pytest.mark.parametrize("shape", [16, None])
def test_shape_that_is_no_sequence(shape):
    with raises(TypeError, f"`shape` must be 2 integers >= 16, got {shape}"):
        checks.plane_shape("shape", shape)


def test_real_field():
    x = torch.zeros(3, 4, 5, dtype=torch.float64)
    assert checks.real_field("x", x) is x
    assert checks.real_field("x", x, (4, 5), dtype=torch.float64) is x
    assert checks.real_field("x", x, torch.Size([3, 4, 5])) is x


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((4, 5)), TypeError, "`x` must be a torch.Tensor, got ndarray"),
        (torch.zeros(4, 5, dtype=torch.int32), TypeError, "`x` must be of a real floating dtype, got torch.int32"),
        (
            torch.zeros(4, 5, dtype=torch.complex64),
            TypeError,
            "`x` must be of a real floating dtype, got torch.complex64",
        ),
        (
            torch.zeros(4, 5).double(),
            TypeError,
            "`x` must be of dtype torch.float32 like the module, got torch.float64",
        ),
        (torch.zeros(5, 4), ValueError, "`x` must have last axes (4, 5), got (5, 4)"),
        (torch.zeros(5), ValueError, "`x` must have last axes (4, 5), got (5,)"),
        (torch.zeros(()), ValueError, "`x` must have last axes (4, 5), got ()"),
    ],
)
def test_bad_fields(x, error, message):
    with raises(error, message):
        checks.real_field("x", x, (4, 5), dtype=torch.float32)


def test_real_field_looks_at_no_value():
    """A check of values would make a GPU wait; the meta device has none to look at."""
    checks.real_field("x", torch.empty(4, 5, device="meta"), (4, 5), dtype=torch.float32)
    checks.real_field("x", torch.full((4, 5), torch.nan), (4, 5))


def test_finite():
    x = torch.tensor([1.0, -2.0])
    assert checks.finite("x", x) is x
    bad = torch.tensor([1.0, torch.nan, torch.inf, -torch.inf])
    with raises(ValueError, "`x` must be finite, got 3 NaN or infinite values of 4"):
        checks.finite("x", bad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_real_dtype_is_given_back(dtype):
    assert checks.real_dtype("dtype", dtype) is dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.complex64, torch.int64])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match=rf"^`kind` must be torch.float32 or torch.float64, got {dtype}$"):
        checks.real_dtype("kind", dtype)
