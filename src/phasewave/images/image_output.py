"""Images that a run makes, in HDF5: bytes are rounded values, so they are kept as float32."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import torch

from phasewave.runs.hdf5_writing import writing_hdf5
from phasewave.runs.record import jsonable, versions


def write_made(
    path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor], *, settings: Mapping[str, Any], seed: int
) -> None:
    """Write images and what belongs to them, each its own dataset; atomically.

    Parameters
    ----------
    path : path-like
    tensors : mapping of str to torch.Tensor
        Floating ones become float32, others stay as they are.
    settings : Mapping
        How they were made; JSON text in an attribute, as ``versions``.
    seed : int
        An attribute.

    Raises
    ------
    OSError
        If the file cannot be written; no half file is left.
    """
    with writing_hdf5(path) as file:
        for name, tensor in tensors.items():
            values = tensor.detach().cpu()
            file.create_dataset(name, data=(values.float() if values.is_floating_point() else values).numpy())
        file.attrs["seed"] = seed
        file.attrs["settings"] = json.dumps(jsonable(settings, "settings"), allow_nan=False)
        file.attrs["versions"] = json.dumps(versions())
