"""Checkpoints without pickle: nested dicts of tensors and plain values in one HDF5 file.

The file holds ``settings`` and ``tree`` (JSON text) and one dataset per tensor. Its HDF5 user block, the
first 512 bytes, holds the format's name, the length and the CRC-32 of the rest: HDF5 itself has no such
check, and a flipped bit can make it read for ever. Reading a checkpoint runs no code from the file.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import torch

from phasewave.runs.atomic import replacing
from phasewave.runs.record import jsonable

_FORMAT = "phasewave-checkpoint-1"
_HEADER_BYTES = 512
_BLOCK_BYTES = 1 << 20
_TENSOR = "tensor:"
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex64,
        torch.complex128,
    )
}


def save_checkpoint(
    path: str | os.PathLike[str], state: Mapping[str, Any], *, settings: Mapping[str, Any]
) -> None:
    """Write ``state`` to ``path``, atomically: a crash leaves the previous checkpoint or the new one.

    Parameters
    ----------
    path : path-like
        The file.
    state : Mapping
        Nested mappings, lists and tuples of tensors (any strided dtype of `torch.bool` to
        `torch.complex128`, `torch.bfloat16` included), numbers, text, booleans and None.
        NaN and infinities are kept. Tuples come back as lists, tensors on the device asked for.
    settings : Mapping
        What the state depends on (JSON-able); `load_checkpoint` refuses other settings.

    Raises
    ------
    TypeError
        If a part of ``state``, named in the message, cannot be stored.
    OSError
        If the file cannot be written.
    """
    tensors: list[torch.Tensor] = []
    tree = json.dumps(_pack(state, "state", tensors))
    text = json.dumps(jsonable(settings, "settings"))
    with replacing(path) as stream:
        with h5py.File(stream, "w", userblock_size=_HEADER_BYTES) as file:
            file.create_dataset("settings", data=text)
            file.create_dataset("tree", data=tree)
            for number, tensor in enumerate(tensors):
                dataset = file.create_dataset(f"tensors/{number}", data=_to_numpy(tensor))
                dataset.attrs["dtype"] = str(tensor.dtype).removeprefix("torch.")
        header = _header(stream)
        stream.seek(0)
        stream.write(header)


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    settings: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    settings : Mapping, optional
        The settings of the run that wants to go on; compared with those in the file.
    device : torch.device or str
        Where the tensors are put.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, corrupt or no checkpoint, or if it belongs to other settings; the message
        lists the settings that differ.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"there is no checkpoint {source}")
    wanted = None if settings is None else jsonable(settings, "settings")
    target = torch.empty(0, device=device).device  # fails here, not as a damaged file, if it does not exist
    try:
        with open(source, "rb") as stream:
            if stream.read(_HEADER_BYTES) != _header(stream):
                raise ValueError("its checksum is wrong")
        with h5py.File(source, "r") as file:
            stored = json.loads(file["settings"][()])
            changed = [] if wanted is None else differences(stored, wanted)
            state = None if changed else _unpack(json.loads(file["tree"][()]), file, target)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"the checkpoint {source} cannot be used ({error}): it is damaged or was not made here; "
            "delete it and start the run again"
        ) from error
    if state is None:
        raise ValueError(
            f"the checkpoint {source} was made with other settings: {'; '.join(changed)}. Resume with the "
            "same settings, or start a new run"
        )
    return state


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return one text for each entry in which two nested mappings of JSON values differ."""
    found = []
    for key in sorted({*before, *now}):
        name = f"{prefix}{key}"
        if key not in now or key not in before:
            there, here = (repr(side[key]) if key in side else "absent" for side in (before, now))
            found.append(f"{name} was {there}, now {here}")
        elif isinstance(before[key], Mapping) and isinstance(now[key], Mapping):
            found += differences(before[key], now[key], f"{name}.")
        elif before[key] != now[key]:
            found.append(f"{name} was {before[key]!r}, now {now[key]!r}")
    return found


def _pack(value: object, where: str, tensors: list[torch.Tensor]) -> Any:
    """Return ``value`` as JSON values, its tensors moved to ``tensors`` and replaced by their numbers."""
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or str(value.dtype).removeprefix("torch.") not in _DTYPES:
            raise TypeError(
                f"`{where}` must be a dense tensor of a common dtype, got {value.dtype}, {value.layout}"
            )
        tensors.append(value)
        return f"{_TENSOR}{len(tensors) - 1}"
    if isinstance(value, str):
        return f"text:{value}"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"`{where}` must have text keys, got {key!r}")
        return {key: _pack(part, f"{where}.{key}", tensors) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_pack(part, f"{where}[{i}]", tensors) for i, part in enumerate(value)]
    raise TypeError(
        f"`{where}` must be a tensor, a number, text, None, or a dict or list of them, got {type(value).__name__}"
    )


def _unpack(value: Any, file: h5py.File, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {key: _unpack(part, file, device) for key, part in value.items()}
    if isinstance(value, list):
        return [_unpack(part, file, device) for part in value]
    if isinstance(value, str) and value.startswith(_TENSOR):
        return _read_tensor(file[f"tensors/{value.removeprefix(_TENSOR)}"]).to(device)
    return value.removeprefix("text:") if isinstance(value, str) else value


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    # NumPy has no bfloat16: its bits travel as 16-bit integers.
    return plain.view(torch.int16).numpy() if plain.dtype is torch.bfloat16 else plain.numpy()


def _read_tensor(dataset: h5py.Dataset) -> torch.Tensor:
    tensor = torch.from_numpy(np.asarray(dataset[()]))
    dtype = _DTYPES[dataset.attrs["dtype"]]
    return tensor.view(dtype) if dtype is torch.bfloat16 else tensor


def _header(stream: BinaryIO) -> bytes:
    """Return the user block that belongs to the content of ``stream``."""
    stream.seek(_HEADER_BYTES)
    crc32 = 0
    while block := stream.read(_BLOCK_BYTES):
        crc32 = zlib.crc32(block, crc32)
    return f"{_FORMAT} bytes={stream.tell()} crc32={crc32:08x}\n".encode().ljust(_HEADER_BYTES, b"\0")
