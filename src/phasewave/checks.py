"""Checks at the boundaries, with one message format: what it must be, and what was given."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Sequence
from typing import NoReturn

import torch


def fail(name: str, must: str, got: object) -> NoReturn:
    """Raise the package's standard error: "`name` must ..., got ...".

    Raises
    ------
    ValueError
        Always.
    """
    raise ValueError(f"`{name}` must {must}, got {got!r}")


def integer(name: str, value: object, *, minimum: int, maximum: int | None = None) -> int:
    """Return ``value`` as an int within ``[minimum, maximum]``.

    Raises
    ------
    TypeError
        If it is not an integer (a bool is not one).
    ValueError
        If it is out of range.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"`{name}` must be an integer, got {value!r}")
    if number < minimum or (maximum is not None and number > maximum):
        limit = f">= {minimum}" if maximum is None else f"between {minimum} and {maximum}"
        fail(name, f"be an integer {limit}", number)
    return number


def choice(name: str, value: str, allowed: Collection[str]) -> str:
    """Return ``value`` if it is one of ``allowed``.

    Raises
    ------
    ValueError
        If it is not.
    """
    if value not in allowed:
        fail(name, f"be one of {', '.join(map(repr, allowed))}", value)
    return value


def plane_shape(name: str, shape: Sequence[int], *, minimum: int = 16) -> tuple[int, int]:
    """Return ``shape`` as a height and a width, each at least ``minimum``.

    Raises
    ------
    TypeError
        If it is not a sequence.
    ValueError
        If there are not two sizes or one is too small.
    """
    height, width = grid_shape(name, shape, n_axes=2, minimum=minimum)
    return height, width


def grid_shape(name: str, shape: Sequence[int], *, n_axes: int, minimum: int = 16) -> tuple[int, ...]:
    """Return ``shape`` as a tuple of ``n_axes`` integers, each at least ``minimum``.

    Raises
    ------
    TypeError
        If it is not a sequence.
    ValueError
        If the number of axes or a size is wrong.
    """
    if not isinstance(shape, Iterable):
        raise TypeError(f"`{name}` must be {n_axes} integers >= {minimum}, got {shape!r}")
    sizes = tuple(shape)
    if len(sizes) != n_axes or any(
        isinstance(n, bool) or not hasattr(n, "__index__") or n < minimum for n in sizes
    ):
        fail(name, f"be {n_axes} integers >= {minimum}", sizes)
    return tuple(int(n) for n in sizes)


def real_field(
    name: str, x: torch.Tensor, shape: Sequence[int] | None = None, *, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Return ``x`` if it is a real floating tensor (of ``dtype``) whose last axes are ``shape``.

    Values are not looked at: a finiteness check would force a GPU to synchronise.

    Raises
    ------
    TypeError
        If it is not a tensor, or not of a real floating dtype, or not of ``dtype``.
    ValueError
        If its last axes are not ``shape``.
    """
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"`{name}` must be a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(f"`{name}` must be of a real floating dtype, got {x.dtype}")
    if dtype is not None and x.dtype != dtype:
        raise TypeError(f"`{name}` must be of dtype {dtype} like the module, got {x.dtype}")
    if shape is not None and tuple(x.shape[-len(shape) :]) != tuple(shape):
        fail(name, f"have last axes {tuple(shape)}", tuple(x.shape))
    return x


def real_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    """Return ``dtype`` if it is one in which the package computes.

    Raises
    ------
    TypeError
        If it is not float32 or float64.
    """
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"`{name}` must be torch.float32 or torch.float64, got {dtype!r}")
    return dtype


def finite(name: str, x: torch.Tensor) -> torch.Tensor:
    """Return ``x`` if every value is finite (for use at the edge of the program, not in a forward).

    Raises
    ------
    ValueError
        If some values are NaN or infinite; the message counts them.
    """
    bad = int((~torch.isfinite(x)).sum())
    if bad:
        raise ValueError(f"`{name}` must be finite, got {bad} NaN or infinite values of {x.numel()}")
    return x
