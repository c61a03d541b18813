"""Slow float64 reference of solid-harmonic scattering: Fourier transforms on one fine cubic grid a scale.

The density's and the wavelets' Fourier transforms are exact,

    rho^(k) = sum_a q_a e^{-i k.r_a - sigma^2 k^2 / 2},
    psi^_{jlm}(k) = (-i)^l (2 pi)^{3/2} c_l (sigma_j |k|)^l Y_lm(k) e^{-sigma_j^2 k^2 / 2},

the harmonics are SciPy's complex ones, and the box is so wide that its periodic images are below rounding of the
results. Nothing here is shared with the package.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import sph_harm_y


def constant(l: int) -> float:
    if l % 2:
        return 1 / (2 ** ((l + 3) / 2) * math.sqrt(math.pi * (2 * l + 1)) * math.factorial((l + 1) // 2))
    double = math.prod(range(l + 1, 0, -2))
    return 1 / (2 * math.pi * math.sqrt(l + 0.5) * double)


class Grid:
    """A periodic cube about the molecule."""

    def __init__(self, positions: np.ndarray, step: float, padding: float) -> None:
        centre = (positions.max(0) + positions.min(0)) / 2
        n = math.ceil((np.ptp(positions, axis=0).max() + 2 * padding) / step)
        self.n, self.step = n + n % 2, step
        self.positions = positions - centre + self.n * step / 2
        k = 2 * np.pi * np.fft.fftfreq(self.n, step)
        self.k = np.meshgrid(k, k, k, indexing="ij", sparse=True)
        self.square = self.k[0] ** 2 + self.k[1] ** 2 + self.k[2] ** 2
        self.radius = np.sqrt(self.square)
        shape = self.square.shape
        self.polar = np.arctan2(np.hypot(self.k[0], self.k[1]), np.broadcast_to(self.k[2], shape))
        self.azimuth = np.arctan2(np.broadcast_to(self.k[1], shape), np.broadcast_to(self.k[0], shape))

    def density(self, charges: np.ndarray, sigma: float) -> np.ndarray:
        """Fourier transform, as np.fft.fftn of its samples."""
        waves = [np.exp(-1j * self.k[i].ravel() * self.positions[:, i : i + 1]) for i in range(3)]
        total = np.einsum("a,ax,ay,az->xyz", charges, *waves, optimize=True)
        return total * np.exp(-0.5 * sigma**2 * self.square) / self.step**3

    def modulus(self, transform: np.ndarray, l: int, sigma: float) -> np.ndarray:
        """sqrt(sum_m |x * psi_lm|^2) of what has this Fourier transform."""
        radial = (
            (2 * np.pi) ** 1.5 * constant(l) * (sigma * self.radius) ** l * np.exp(-0.5 * sigma**2 * self.square)
        )
        total = 0.0
        for m in range(-l, l + 1):
            field = np.fft.ifftn(transform * radial * sph_harm_y(l, m, self.polar, self.azimuth))
            total = total + field.real**2 + field.imag**2
        return np.sqrt(total)

    def integrals(self, field: np.ndarray, powers: tuple[float, ...]) -> list[float]:
        return [float((field**q).sum()) * self.step**3 for q in powers]


def reference(
    charges: np.ndarray,
    positions: np.ndarray,
    *,
    sigma: float,
    n_scales: int,
    max_degree: int,
    powers: tuple[float, ...],
    step: float,
    padding: float,
) -> dict[tuple[int, ...], list[float]]:
    """Integrals of one channel of one molecule.

    Keys: ``()`` for order 0, ``(j, l)`` for order 1, ``(j, j2, l)`` for order 2; values: one a power. ``step`` and
    ``padding`` are in units of the width of the Gaussians of each path.
    """
    results = {}
    grid = Grid(positions, step * sigma, padding * sigma)
    field = np.fft.ifftn(grid.density(charges, sigma)).real
    results[()] = grid.integrals(np.maximum(field, 0.0), powers)
    for j in range(n_scales):
        width = math.hypot(sigma * 2**j, sigma)
        for last in range(j, n_scales):
            wide = width if last == j else math.hypot(width, sigma * 2**last)
            grid = Grid(positions, step * width, padding * wide)
            transform = grid.density(charges, sigma)
            for l in range(max_degree + 1):
                first = grid.modulus(transform, l, sigma * 2**j)
                if last == j:
                    results[j, l] = grid.integrals(first, powers)
                else:
                    second = grid.modulus(np.fft.fftn(first), l, sigma * 2**last)
                    results[j, last, l] = grid.integrals(second, powers)
    return results
