"""Fixtures that all tests share."""

from __future__ import annotations

import resource
import signal
from contextlib import contextmanager

import matplotlib
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)  # the tests' transforms are too small for more to help


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator on the CPU."""
    return torch.Generator().manual_seed(20240607)


@pytest.fixture
def small_disk():
    """A block in which no file grows beyond 64 KiB: the next write fails as on a full disk."""

    @contextmanager
    def limited():
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)

    return limited
