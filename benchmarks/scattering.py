"""Scattering2D against kymatio's torch backend, at equal filters, padding and sampling.

Run in an environment with the peers of ``benchmarks/requirements.txt``::

    python benchmarks/scattering.py            # all cases; kymatio's 512x512 bank alone takes minutes
    python benchmarks/scattering.py --quick    # the two small cases

Rows: seconds to build the bank, median ratio of wall time kymatio / phasewave over interleaved rounds, relative
difference of the outputs (kymatio rounds pi to 3.1415, which alone makes 9e-5), and peak memory of forward +
backward in processes of their own.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import torch
from kymatio.torch import Scattering2D as KymatioScattering2D
from timing import interleaved, peak_memory, ratio

from phasewave.scattering.planar import Scattering2D


class Case(NamedTuple):
    """One row of the table."""

    size: int
    n_scales: int
    batch: int
    rounds: int


CASES = (Case(32, 2, 128, 15), Case(256, 5, 1, 15), Case(256, 5, 8, 5), Case(512, 6, 1, 5))

MEMORY = """
import torch
torch.set_num_threads({threads})
from {module} import Scattering2D
transform = Scattering2D({arguments})
x = torch.randn({batch}, {size}, {size}, requires_grad=True)
start()
transform(x).square().sum().backward()
"""


def measure(case: Case, threads: int) -> str:
    size, n_scales, batch, rounds = case
    start = time.perf_counter()
    ours = Scattering2D((size, size), n_scales=n_scales)
    built = time.perf_counter() - start
    start = time.perf_counter()
    theirs = KymatioScattering2D(n_scales, (size, size))
    built_by_peer = time.perf_counter() - start

    x = torch.randn(batch, size, size, generator=torch.Generator().manual_seed(0))
    difference = float((ours(x) - theirs(x)).norm() / theirs(x).norm())

    def backward(transform: torch.nn.Module) -> None:
        leaf = x.clone().requires_grad_()
        transform(leaf).square().sum().backward()

    seconds = interleaved(
        {
            "forward": lambda: ours(x),
            "peer forward": lambda: theirs(x),
            "backward": lambda: backward(ours),
            "peer backward": lambda: backward(theirs),
        },
        rounds,
    )
    memory = [
        peak_memory(MEMORY.format(threads=threads, module=module, arguments=arguments, batch=batch, size=size))
        for module, arguments in (
            ("phasewave.scattering.planar", f"({size}, {size}), n_scales={n_scales}"),
            ("kymatio.torch", f"{n_scales}, ({size}, {size})"),
        )
    ]
    forward = ratio(seconds["peer forward"], seconds["forward"])
    both = ratio(seconds["peer backward"], seconds["backward"])
    return (
        f"| {size}x{size} J={n_scales} L=8 batch {batch} | {built:.2f} / {built_by_peer:.1f} s | {forward:.1f} x "
        f"| {both:.1f} x | {difference:.1e} | {memory[0]:.0f} / {memory[1]:.0f} MB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="only the first two cases")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s); kymatio / phasewave")
    print("| case | bank | forward | forward+backward | difference | peak memory |")
    print("|---|---|---|---|---|---|")
    for case in CASES[:2] if options.quick else CASES:
        print(measure(case, options.threads), flush=True)


if __name__ == "__main__":
    main()
