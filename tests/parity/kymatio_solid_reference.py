"""Make ``kymatio_solid_reference.npz``: HarmonicScattering3D of two molecules by kymatio 0.3.0, torch.

Run in an environment with kymatio==0.3.0 and the NumPy, SciPy and torch that it takes::

    python tests/parity/kymatio_solid_reference.py

Positions are scaled by 8.95 grid units an Angstrom, where the Gaussians have a width of 2 units. The file holds
atomic numbers and positions (Angstrom) of each molecule, the integrals of orders 1 and 2 of the density of all
electrons, ``(path, degree, power)`` with paths (0), (1), (0, 1), and those of order 0, in grid units.
"""

from pathlib import Path

import numpy as np
import scipy.special
import torch

if not hasattr(scipy.special, "sph_harm"):  # gone from SciPy 1.17; kymatio imports it
    scipy.special.sph_harm = lambda m, l, azimuth, polar: scipy.special.sph_harm_y(l, m, polar, azimuth)

from ase.build import molecule
from kymatio.scattering3d.backend.torch_backend import TorchBackend3D
from kymatio.scattering3d.utils import generate_weighted_sum_of_gaussians
from kymatio.torch import HarmonicScattering3D

UNITS, SIGMA, POWERS = 8.95, 2.0, [0.5, 1.0, 2.0, 3.0]
SHAPE = (96, 96, 96)


def integrals(name: str) -> dict[str, np.ndarray]:
    atoms = molecule(name)
    positions = atoms.positions - (atoms.positions.max(0) + atoms.positions.min(0)) / 2
    grid = np.mgrid[tuple(slice(-n // 2, -n // 2 + n) for n in SHAPE)].astype(np.float32)
    grid = np.fft.ifftshift(grid, axes=(1, 2, 3))
    charges = atoms.numbers[None].astype(np.float32)
    density = generate_weighted_sum_of_gaussians(grid, positions[None] * UNITS, charges, SIGMA)
    scattering = HarmonicScattering3D(
        J=1, shape=SHAPE, L=3, sigma_0=SIGMA, integral_powers=POWERS, max_order=2, method="integral"
    )
    x = torch.from_numpy(density.astype(np.float32))
    zero = TorchBackend3D.compute_integrals(x, POWERS)
    return {
        f"{name}_numbers": atoms.numbers,
        f"{name}_positions": positions,
        f"{name}_order_0": zero.numpy()[0],
        f"{name}_orders_1_2": scattering(x).numpy()[0],
    }


if __name__ == "__main__":
    stored = {key: array for name in ("H2O", "HCN") for key, array in integrals(name).items()}
    for key, array in stored.items():
        print(key, array.shape)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **stored)
