"""White noise that depends on a seed and a number alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from phasewave import checks


def white_noise(n_samples: int, shape: Sequence[int], *, seed: int | torch.Generator) -> Tensor:
    """Draw standard normal fields on the CPU in float64; field i is a function of (seed, i) alone.

    Parameters
    ----------
    n_samples : int
    shape : sequence of int
        Shape of one field.
    seed : int >= 0, or torch.Generator
        A generator gives the integer: one draw from it.

    Returns
    -------
    Tensor (n_samples, *shape), float64
    """
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**62, (), generator=seed, device=seed.device))
    root = checks.integer("seed", seed, minimum=0)
    noise = torch.empty(n_samples, *shape, dtype=torch.float64)
    for i in range(n_samples):
        state = np.random.SeedSequence(root, spawn_key=(i,)).generate_state(1, np.uint64)[0]
        torch.randn(tuple(shape), generator=torch.Generator().manual_seed(int(state)), out=noise[i])
    return noise
