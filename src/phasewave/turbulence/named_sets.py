"""The sets of moments of other works, by name."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from phasewave.turbulence.scattering_covariances import ScatteringCovariances
from phasewave.turbulence.scattering_table import scattering_table
from phasewave.turbulence.zhang_mallat import ZhangMallatMoments
from phasewave.turbulence.zhang_mallat_table import ZhangMallatModel, ZhangMallatSet

NamedSet = Literal[
    "zhang-mallat-a", "zhang-mallat-b", "zhang-mallat-c", "zhang-mallat-d", "scattering-covariances"
]
"""Zhang and Mallat (2021), models A to D; Morel et al. (2022) and Cheng et al. (2023)."""

_MODELS: dict[str, ZhangMallatModel] = {
    "zhang-mallat-a": "A",
    "zhang-mallat-b": "B",
    "zhang-mallat-c": "C",
    "zhang-mallat-d": "D",
}

# Scattering covariances of 8 angles are 1.6e4, of 4 angles 2.2e3.
_SCATTERING_ANGLES = 4


def build_named(
    name: NamedSet, shape: tuple[int, int], *, n_scales: int, n_angles: int, dtype: torch.dtype
) -> nn.Module:
    """Return the set of that name; of scattering covariances there are 4 angles at most.

    Raises
    ------
    TypeError, ValueError
        As `ZhangMallatMoments` and `ScatteringCovariances`.
    """
    if name == "scattering-covariances":
        angles = min(n_angles, _SCATTERING_ANGLES)
        return ScatteringCovariances(shape, n_scales=n_scales, n_angles=angles, dtype=dtype)
    return ZhangMallatMoments(shape, model=_MODELS[name], n_scales=n_scales, n_angles=n_angles, dtype=dtype)


def count_named(name: NamedSet, *, n_scales: int, n_angles: int) -> int:
    """Return the number of real numbers in the set of that name; of ``zhang-mallat-d`` an upper bound."""
    if name == "scattering-covariances":
        return 2 * len(scattering_table(n_scales, min(n_angles, _SCATTERING_ANGLES), None))
    numbers = ZhangMallatSet(model=_MODELS[name], n_scales=n_scales, n_angles=n_angles)
    if name == "zhang-mallat-d":
        classes = {difference[:3] for difference, _ in numbers.differences()}
        return 2 * (len(classes) * (n_angles + 1) + 1)
    return 2 * len(numbers.table())
