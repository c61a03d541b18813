"""Copies of modules that share what both leave unchanged."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def sharing_copy(module: Module) -> Module:
    """Return a copy of a module that shares its buffers: filters of large fields are large.

    Buffers may be replaced, in either, but not changed in place; to move or convert one module replaces them.
    """
    return copy.deepcopy(module, {id(buffer): buffer for buffer in module.buffers()})
