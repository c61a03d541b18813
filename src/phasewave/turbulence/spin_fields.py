"""Fields that turn with the plane, made scalars in Fourier by the directions of their frequencies."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from phasewave.core.grids import signed_frequencies


def directions(grid: Sequence[int], field: Sequence[int]) -> torch.Tensor:
    """``exp(-i s arg omega)`` for the spins 2 and 1, zero where it is not defined: at the origin, at Nyquist."""
    axes = [signed_frequencies(m).to(torch.float64) / n for m, n in zip(grid, field, strict=True)]
    omega_0, omega_1 = torch.meshgrid(*axes, indexing="ij")
    distance = torch.hypot(omega_0, omega_1)
    unit = torch.complex(omega_1, -omega_0) / torch.where(distance > 0, distance, 1)
    for axis, m in enumerate(grid):
        if m % 2 == 0:
            unit.select(axis, m // 2).zero_()
    return torch.stack((unit * unit, unit))


def split(spectrum: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Half spectra of the real and imaginary parts of the fields that have this spectrum."""
    half = spectrum.shape[-1] // 2 + 1
    mirrored = torch.roll(spectrum.flip((-2, -1)), (1, 1), dims=(-2, -1))[..., :half].conj()
    kept = spectrum[..., :half]
    return (kept + mirrored) / 2, (kept - mirrored) / 2j
