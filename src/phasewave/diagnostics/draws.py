"""White noise whose sample i depends on the seed and i alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from phasewave.checks import integer


def white_draws(n: int, shape: Sequence[int], *, seed: int, first: int = 0, stream: int = 0) -> torch.Tensor:
    """Independent standard normal arrays, drawn on the CPU in float64.

    Parameters
    ----------
    n : int
        At least 0.
    shape : sequence of int
        Of one array.
    seed : int
        At least 0.
    first : int
        Number of the first array, at least 0.
    stream : int
        Draws for different purposes from one seed are independent if this differs.

    Returns
    -------
    torch.Tensor (n, *shape), float64
        The array of number i is a function of ``(seed, stream, i)``, whatever ``n`` and ``first`` are.

    Raises
    ------
    TypeError, ValueError
        If ``n``, ``seed``, ``first`` or ``stream`` is not an integer at least 0.
    """
    count = integer("n", n, minimum=0)
    root = integer("seed", seed, minimum=0)
    start = integer("first", first, minimum=0)
    number = integer("stream", stream, minimum=0)
    draws = torch.empty(count, *shape, dtype=torch.float64)
    for i in range(count):
        word = np.random.SeedSequence(root, spawn_key=(number, start + i)).generate_state(1, np.uint64)[0]
        torch.randn(tuple(shape), generator=torch.Generator().manual_seed(int(word)), out=draws[i])
    return draws
