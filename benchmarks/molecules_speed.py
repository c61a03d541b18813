"""Speed, memory and error of `SolidScattering` on molecules of a data set, beside kymatio where it is installed.

Usage::

    OMP_NUM_THREADS=1 python benchmarks/molecules_speed.py qm9.h5 [--molecules 64] [--reference 8] [--kymatio 1]

The error of a column is its root mean square over molecules, of the difference from float64 at step 0.25, divided
by the root mean square of the column; printed are the 90th percentile over columns and the worst. ``--kymatio N``
also runs N molecules through kymatio 0.3.0 (torch, three channels, the grid of its QM7 example with its own units
for QM9) in the same process.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch

from phasewave.molecules.datasets import read_dataset
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.structures import Molecules


def seconds_of_kymatio(molecules: Molecules) -> float:
    import scipy.special

    if not hasattr(scipy.special, "sph_harm"):  # gone from SciPy 1.17; kymatio imports it
        scipy.special.sph_harm = lambda m, l, azimuth, polar: scipy.special.sph_harm_y(l, m, polar, azimuth)
    from kymatio.scattering3d.utils import generate_weighted_sum_of_gaussians
    from kymatio.torch import HarmonicScattering3D

    shape, powers = (192, 128, 96), [0.5, 1.0, 2.0, 3.0]
    scattering = HarmonicScattering3D(
        J=2, shape=shape, L=3, sigma_0=2, integral_powers=powers, max_order=2, method="integral"
    )
    grid = np.mgrid[tuple(slice(-n // 2, -n // 2 + n) for n in shape)].astype(np.float32)
    grid = np.fft.ifftshift(grid, axes=(1, 2, 3))
    start = time.perf_counter()
    for i in range(len(molecules)):
        one = molecules[i]
        positions = one.positions.numpy() - one.positions.numpy().mean(0)
        for _ in range(3):  # channels
            charges = one.numbers[None].numpy().astype(np.float32)
            density = generate_weighted_sum_of_gaussians(grid, positions[None] * 8.95, charges, 2.0)
            scattering(torch.from_numpy(density.astype(np.float32)))
    return (time.perf_counter() - start) / len(molecules)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--molecules", type=int, default=64)
    parser.add_argument("--reference", type=int, default=8)
    parser.add_argument("--kymatio", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=float, nargs="+", default=[0.5, 0.45, 0.4, 0.3])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    every = read_dataset(options.dataset).molecules
    generator = torch.Generator().manual_seed(0)
    molecules = every[torch.randperm(len(every), generator=generator)[: options.molecules]]
    few = molecules[: options.reference]
    exact = SolidScattering(step=0.25, dtype="float64").transform(few)
    kymatio = seconds_of_kymatio(molecules[: options.kymatio]) if options.kymatio else None
    if kymatio is not None:
        print(f"kymatio 0.3.0: {kymatio:.1f} s a molecule")
    print("| step | molecules/s (wall) | molecules/s (CPU time) | ratio to kymatio | error, 90 % | worst | peak |")
    print("|---|---|---|---|---|---|---|")
    for step in options.steps:
        features = SolidScattering(step=step)
        error = np.sqrt(((features.transform(few) - exact) ** 2).mean(0) / (exact**2).mean(0))
        wall, cpu = time.perf_counter(), time.process_time()
        features.transform(molecules)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        ratio = "" if kymatio is None else f"{kymatio * len(molecules) / wall:.0f}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"| {step} | {len(molecules) / wall:.1f} | {len(molecules) / cpu:.1f} | {ratio} "
            f"| {np.quantile(error, 0.9):.1e} | {error.max():.1e} | {peak:.0f} MB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
