"""Memory and time of the default set of moments on one field: design, standardisation, one evaluation of the loss.

Usage, on Linux::

    python benchmarks/memory.py 1024

Prints, stage by stage, the resident memory afterwards and its peak meanwhile, from ``/proc``; and the number of
moments. The loss and its gradient are those of the main job.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from phasewave.turbulence.default_set import default_count, default_set
from phasewave.turbulence.energy import MomentMatching
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.moment_sizes import fitting_size

T = TypeVar("T")


def megabytes(name: str) -> float:
    """A line of ``/proc/self/status``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def stage(name: str, work: Callable[[], T]) -> T:
    """Run one stage and print its row."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    start = time.process_time()
    result = work()
    seconds = time.process_time() - start
    print(f"| {name} | {seconds:.1f} s | {megabytes('VmRSS'):.0f} MB | {megabytes('VmHWM'):.0f} MB |", flush=True)
    return result


def field(size: int, seed: int) -> torch.Tensor:
    """Logarithmic normal, of a spectrum k^-3."""
    noise = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    omega = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size))
    omega[0, 0] = math.inf
    smooth = torch.fft.irfft2(torch.fft.rfft2(noise) * omega**-1.5, s=(size, size))
    return (smooth / smooth.std()).exp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", type=int, nargs="?", default=1024, help="pixels a side")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shape = (options.size, options.size)
    size = fitting_size(shape, lambda size: default_count(shape, size), n_pixels=math.prod(shape))

    print(f"torch {torch.__version__}, {options.threads} thread(s), one field {shape}, float32")
    print("| stage | CPU time | resident after | peak |")
    print("|---|---|---|---|")
    target = stage("target", lambda: field(options.size, 0))
    moments = stage("the set", lambda: default_set(shape, size, torch.float32))
    moments = stage("standardised", lambda: moments.standardized(target))
    with torch.no_grad():
        values = stage("moments of the target", lambda: moments(target))
    start = stage("Gaussian start", lambda: GaussianModel(target).sample(1, seed=0))
    matching = MomentMatching(moments, values)
    stage("loss and gradient", lambda: matching.value_and_gradient(start))
    stage("loss and gradient again", lambda: matching.value_and_gradient(start))
    print(f"{moments.n_moments} moments; loss of the Gaussian model {float(matching(start)):.3g}")


if __name__ == "__main__":
    main()
