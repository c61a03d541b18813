"""Where a command computes."""

from __future__ import annotations

import torch


def choose_device(name: str, *, local_rank: int | None = None) -> torch.device:
    """Return the device of that name; ``auto`` is a GPU if there is one, else the CPU.

    Parameters
    ----------
    name : str
    local_rank : int, optional
        Of several processes on one machine, the number of this one: ``auto`` gives each a GPU in turn.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda" if local_rank is None else f"cuda:{local_rank % torch.cuda.device_count()}")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"`device` must be auto, cpu, cuda or cuda:N, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"`device` must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"`device` must exist, got {name!r}: {torch.cuda.device_count()} GPUs are visible here")
    return device
