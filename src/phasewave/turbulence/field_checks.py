"""What every array must pass to be taken as a field: kind, axes, finite values."""

from __future__ import annotations

import numpy as np
import torch


def check_kind(dtype: np.dtype, label: str) -> None:
    """Refuse an array that is complex or does not hold numbers.

    Raises
    ------
    ValueError
        Named by ``label``.
    """
    if dtype.kind == "c":
        raise ValueError(
            f"{label} must be real, got {dtype}: take the real part, the imaginary part or the modulus first"
        )
    if dtype.kind not in "biuf":
        raise ValueError(f"{label} must hold real numbers, got the dtype {dtype}")


def check_axes(shape: tuple[int, ...], label: str, index: int | None) -> None:
    """Refuse an array that is no plane, or of a stack the choice that is missing or out of range.

    Raises
    ------
    ValueError
        Named by ``label``.
    """
    shape = tuple(shape)
    if len(shape) == 3 and index is None and shape[0] != 1:
        raise ValueError(
            f"{label} has the shape {shape}, a stack of {shape[0]} fields along its first axis: "
            "choose one with --index I (index=I), counted from 0"
        )
    if len(shape) == 3 and index is not None and not 0 <= index < shape[0]:
        raise ValueError(f"`index` must be from 0 to {shape[0] - 1} for {label} of shape {shape}, got {index}")
    if len(shape) == 2 and index is not None:
        raise ValueError(f"`index` must not be given for the single field {label} of shape {shape}, got {index}")
    if len(shape) not in (2, 3):
        raise ValueError(f"{label} must have the axes (H, W), or (N, H, W) for a stack, got the shape {shape}")


def filled(array: np.ndarray, mask: torch.Tensor, label: str) -> np.ndarray:
    """Return the array with the mean of what is observed where the mask is False.

    Raises
    ------
    ValueError
        If the mask has another shape, or values that are observed are not finite.
    """
    observed = mask.cpu().numpy()
    if observed.shape != array.shape:
        raise ValueError(f"`mask` must have the shape {array.shape} of {label}, got {observed.shape}")
    values = array[observed].astype(np.float64)
    check_finite(values[None], label)
    return np.where(observed, array.astype(np.float64), values.mean() if values.size else 0.0)


def check_finite(array: np.ndarray, label: str) -> None:
    """Refuse NaN and infinite values; the message counts them and tells where the first one is.

    Raises
    ------
    ValueError
        Named by ``label``.
    """
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    n_nan = int(np.isnan(array).sum())
    n_infinite = int(bad.sum()) - n_nan
    counts = [f"{n} {kind}" for n, kind in ((n_nan, "NaN"), (n_infinite, "infinite")) if n]
    row, column = (int(i) for i in np.argwhere(bad)[0])
    raise ValueError(
        f"{label} must be finite, got {' and '.join(counts)} of {array.size} values, the first in row {row}, "
        f"column {column}: fill or cut them out first"
    )
