"""Samples in HDF5: one dataset ``samples`` [N, H, W], with where they come from as attributes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from phasewave.runs.atomic import replacing
from phasewave.runs.record import jsonable, versions


@dataclass(frozen=True)
class SampleFile:
    """What `read_samples` returns.

    Parameters
    ----------
    samples : torch.Tensor
        float32, (N, H, W).
    source, settings, versions : dict
        What the samples were made from, how, and by which versions.
    seed : int
        The seed of the run.
    extra : dict of str to torch.Tensor
        The file's other datasets.
    """

    samples: torch.Tensor
    source: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    seed: int
    extra: dict[str, torch.Tensor]


def write_samples(
    path: str | os.PathLike[str],
    samples: torch.Tensor,
    *,
    source: Mapping[str, Any],
    settings: Mapping[str, Any],
    seed: int,
    extra: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write samples to an HDF5 file, atomically.

    Parameters
    ----------
    path : path-like
        The file, made or replaced.
    samples : torch.Tensor
        Real, (N, H, W); stored as float32 in the dataset ``samples``.
    source, settings : Mapping
        What the samples were made from and how (JSON-able); stored as JSON text in attributes.
    seed : int
        Stored as an attribute.
    extra : Mapping of str to torch.Tensor, optional
        Further datasets, such as the target; stored in their own dtype.

    Raises
    ------
    TypeError
        If ``samples`` is not a real floating tensor, or an attribute has no JSON form.
    ValueError
        If ``samples`` has not three axes, or ``extra`` names ``samples``.
    OSError
        If the file cannot be written (a full disk is named); no half file is left.
    """
    if not isinstance(samples, torch.Tensor) or not samples.is_floating_point():
        kind = samples.dtype if isinstance(samples, torch.Tensor) else type(samples).__name__
        raise TypeError(f"`samples` must be a real floating tensor, got {kind}")
    if samples.ndim != 3:
        raise ValueError(f"`samples` must have the axes (N, H, W), got the shape {tuple(samples.shape)}")
    others = {} if extra is None else dict(extra)
    if "samples" in others:
        raise ValueError("`extra` must not name `samples`: that dataset is the samples themselves")
    with replacing(path) as stream, h5py.File(stream, "w") as file:
        file.create_dataset("samples", data=samples.detach().cpu().to(torch.float32).numpy())
        for name, tensor in others.items():
            file.create_dataset(name, data=tensor.detach().cpu().resolve_conj().numpy())
        file.attrs["seed"] = seed
        for name, value in (("source", source), ("settings", settings), ("versions", versions())):
            file.attrs[name] = json.dumps(jsonable(value, name), allow_nan=False)


def read_samples(path: str | os.PathLike[str]) -> SampleFile:
    """Read what `write_samples` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, no HDF5 file, or not one of samples.
    """
    where = Path(path)
    if not where.is_file():
        raise FileNotFoundError(f"there is no file {where}")
    try:
        with h5py.File(where, "r") as file:
            texts = {name: json.loads(file.attrs[name]) for name in ("source", "settings", "versions")}
            tensors = {name: torch.from_numpy(np.asarray(file[name][()])) for name in file}
            return SampleFile(tensors.pop("samples"), seed=int(file.attrs["seed"]), extra=tensors, **texts)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ValueError(f"{where} is not a readable file of samples: {error}") from error
