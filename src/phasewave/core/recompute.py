"""Less memory for more time: results whose intermediate values are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.utils.checkpoint import checkpoint

Result = TypeVar("Result")


def recomputed(function: Callable[..., Result], *arguments: object) -> Result:
    """Return ``function(*arguments)``, of which autograd, where it is on, keeps the arguments alone.

    Parameters
    ----------
    function : callable
        Deterministic; without a hidden state.
    *arguments : object
        Tensors, or what the function takes beside them.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    result: Result = checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
    return result
