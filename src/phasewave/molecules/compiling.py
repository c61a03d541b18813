"""Functions compiled for the CPU by numba, and the sums that the compiled orders 1 and 2 share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import scipy.linalg  # noqa: F401  (has the library that compiled products of matrices call)
import torch
from numba import njit
from threadpoolctl import ThreadpoolController

Job = TypeVar("Job")
Function = TypeVar("Function", bound=Callable[..., Any])
_FREEDOM = {"reassoc", "contract", "nsz", "arcp"}  # to sum in another order; NaN and infinity stay what they are
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _FREEDOM}


def compiled(function: Function) -> Function:
    """Compile a function when it is first called, and keep the result on disk where that can be written to."""
    try:
        kernel: Function = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder for it
        kernel = njit(**_OPTIONS)(function)
    return kernel


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Within it, products of matrices in compiled functions take one thread each: they are small."""
    return _libraries().limit(limits=1, user_api="blas")


def share_out(work: Callable[[Job], None], jobs: Sequence[Job]) -> None:
    """Do jobs, which must not depend on each other, on PyTorch's threads; compiled functions run side by side."""
    n_threads = min(torch.get_num_threads(), len(jobs))
    if n_threads < 2:
        for job in jobs:
            work(job)
        return
    with ThreadPoolExecutor(n_threads) as threads:
        list(threads.map(work, jobs))


@compiled
def power_sum(weight: Any, squared: Any, modulus: Any, power: Any) -> Any:
    """Sum weights times a power of the modulus, of arrays ``(n,)``."""
    total = np.float32(0)
    if power == 0.5:
        for p in range(len(weight)):
            total += weight[p] * np.sqrt(modulus[p])
    elif power == 1:
        for p in range(len(weight)):
            total += weight[p] * modulus[p]
    elif power == 2:
        for p in range(len(weight)):
            total += weight[p] * squared[p]
    elif power == 3:
        for p in range(len(weight)):
            total += weight[p] * squared[p] * modulus[p]
    else:
        for p in range(len(weight)):
            total += weight[p] * modulus[p] ** power
    return total
