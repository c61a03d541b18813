"""Less memory for more time: results whose intermediate values are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch.utils.checkpoint import checkpoint

Result = TypeVar("Result")


def recomputed(function: Callable[..., Result], *arguments: object) -> Result:
    """Return ``function(*arguments)``, of which autograd keeps the arguments alone.

    Parameters
    ----------
    function : callable
        Deterministic; without a hidden state.
    *arguments : object
        Tensors, or what the function takes beside them.
    """
    result: Result = checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
    return result
