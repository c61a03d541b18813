"""PhaseHarmonicMoments against pywph: the same moments, periodic boundary, normalised by a target.

Run in an environment with the peers of ``benchmarks/requirements.txt``::

    python benchmarks/moments.py            # the settings of the literature at 256x256; some minutes
    python benchmarks/moments.py --quick    # 128x128

Rows: number of complex moments, median wall seconds of pywph and of phasewave and the median of their ratio over
interleaved rounds, the largest difference from pywph in float64 relative to the largest moment of the class (of
the raw moments: float32 at each scale's own resolution, and float64 at full resolution), and the peak memory of
forward + backward in processes of their own. pywph goes backward chunk by chunk, as its documentation does.

A second table has pywph's set at 8 angles beside the other sets, which pywph does not have, each standardised by a
target: real numbers, median wall seconds of forward and of forward + backward, peak memory of the latter.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import NamedTuple, get_args

import pywph
import torch
from timing import interleaved, peak_memory, ratio

from phasewave.turbulence.interface import Moments
from phasewave.turbulence.moments import PhaseHarmonicMoments
from phasewave.turbulence.settings import MomentChoice, SynthesisSettings

FULL = 10


class Case(NamedTuple):
    """One row of the table."""

    size: int
    n_scales: int
    n_angles: int
    rounds: int


CASES = (Case(256, 7, 4, 5), Case(256, 5, 8, 3))
QUICK = (Case(128, 5, 4, 5),)

FIELD = """
import torch
torch.set_num_threads({threads})
noise = torch.randn({size}, {size}, generator=torch.Generator().manual_seed({seed}))
smooth = noise + noise.roll(1, 0) + noise.roll(1, 1) + noise.roll(2, 0)
x = (smooth / smooth.std()).exp().sqrt()
"""
OURS = """
from phasewave.turbulence.moments import PhaseHarmonicMoments
moments = PhaseHarmonicMoments(({size}, {size}), n_scales={n_scales}, n_angles={n_angles}).standardized(x)
leaf = x.clone().requires_grad_()
start()
torch.view_as_real(moments(leaf)).square().sum().backward()
"""
PEER = """
import pywph
operator = pywph.WPHOp({size}, {size}, {n_scales}, L={n_angles}, dn=2)
start()
leaf, n_chunks = operator.preconfigure(x.clone(), requires_grad=True)
for number in range(n_chunks):
    values, _ = operator.apply(leaf, number, norm="auto", ret_indices=True)
    values.abs().square().sum().backward(retain_graph=True)
"""


SET = """
import sys
sys.path.insert(0, {folder!r})
from moments import named_set
moments = named_set({name!r}, {size}).standardized(x)
leaf = x.clone().requires_grad_()
start()
values = moments(leaf)
(torch.view_as_real(values) if values.is_complex() else values).square().sum().backward()
"""


def named_set(name: str, size: int) -> Moments:
    """A set as the main job makes it: 5 octaves, 8 angles; 4 of scattering covariances."""
    settings = SynthesisSettings(moments=name, n_scales=5, n_angles=8)
    return settings.build((size, size), torch.float32)


def measure_set(name: str, size: int, rounds: int, threads: int) -> str:
    x, y = field(size, 0), field(size, 1)
    moments = named_set(name, size).standardized(x)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return moments(y)

    def backward() -> None:
        values = moments(y.clone().requires_grad_())
        (torch.view_as_real(values) if values.is_complex() else values).square().sum().backward()

    seconds = interleaved({"forward": forward, "backward": backward}, rounds)
    names = {"threads": threads, "size": size, "seed": 1, "name": name, "folder": str(Path(__file__).parent)}
    memory = peak_memory((FIELD + SET).format(**names))
    count = moments.n_moments * (2 if moments.is_complex else 1)
    middle = {what: statistics.median(values) for what, values in seconds.items()}
    return f"| {name} | {count} | {middle['forward']:.3f} s | {middle['backward']:.3f} s | {memory:.0f} MB |"


def field(size: int, seed: int) -> torch.Tensor:
    noise = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    smooth = noise + noise.roll(1, 0) + noise.roll(1, 1) + noise.roll(2, 0)
    return (smooth / smooth.std()).exp().sqrt()


def difference(moments: PhaseHarmonicMoments, values: torch.Tensor, expected: torch.Tensor) -> float:
    kinds = [row.kind for row in moments.table]
    errors = []
    for kind in dict.fromkeys(kinds):
        rows = [number for number, other in enumerate(kinds) if other == kind]
        errors.append((values[rows] - expected[rows]).abs().max() / expected[rows].abs().max())
    return float(max(errors))


def differences(case: Case, x: torch.Tensor) -> tuple[float, float]:
    """Of the fast path in float32 and of the full resolution in float64, from pywph in float64."""
    shape, settings = (case.size, case.size), {"n_scales": case.n_scales, "n_angles": case.n_angles}
    operator = pywph.WPHOp(*shape, case.n_scales, L=case.n_angles, dn=2, precision="double")
    with torch.no_grad():
        expected = operator.apply(x.double())
        fast = PhaseHarmonicMoments(shape, **settings)
        full = PhaseHarmonicMoments(shape, **settings, oversampling=FULL, dtype=torch.float64)
        return (
            difference(fast, fast(x).to(expected.dtype), expected),
            difference(full, full(x.double()), expected),
        )


def measure(case: Case, threads: int) -> str:
    size, n_scales, n_angles, rounds = case
    x, y = field(size, 0), field(size, 1)
    ours = PhaseHarmonicMoments((size, size), n_scales=n_scales, n_angles=n_angles).standardized(x)
    operator = pywph.WPHOp(size, size, n_scales, L=n_angles, dn=2)
    operator.apply(x, norm="auto")

    def forward() -> None:
        with torch.no_grad():
            ours(y)

    def peer_forward() -> None:
        with torch.no_grad():
            operator.apply(y, norm="auto")

    def backward() -> None:
        leaf = y.clone().requires_grad_()
        torch.view_as_real(ours(leaf)).square().sum().backward()

    def peer_backward() -> None:
        leaf, n_chunks = operator.preconfigure(y.clone(), requires_grad=True)
        for number in range(n_chunks):
            values, _ = operator.apply(leaf, number, norm="auto", ret_indices=True)
            values.abs().square().sum().backward(retain_graph=True)

    seconds = interleaved(
        {
            "forward": forward,
            "peer forward": peer_forward,
            "backward": backward,
            "peer backward": peer_backward,
        },
        rounds,
    )
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    fast, full = differences(case, y)
    names = {"threads": threads, "size": size, "seed": 1, "n_scales": n_scales, "n_angles": n_angles}
    memory = [peak_memory((FIELD + code).format(**names)) for code in (OURS, PEER)]
    return (
        f"| {size}x{size} J={n_scales} L={n_angles} dn=2 | {ours.n_moments} "
        f"| {middle['peer forward']:.2f} / {middle['forward']:.3f} s "
        f"= {ratio(seconds['peer forward'], seconds['forward']):.1f} x "
        f"| {middle['peer backward']:.2f} / {middle['backward']:.3f} s "
        f"= {ratio(seconds['peer backward'], seconds['backward']):.1f} x "
        f"| {fast:.1e} | {full:.1e} | {memory[1]:.0f} / {memory[0]:.0f} MB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one small case")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s); pywph / phasewave")
    print("| case | moments | forward | forward+backward | fast float32 | full float64 | peak memory |")
    print("|---|---|---|---|---|---|---|")
    for case in QUICK if options.quick else CASES:
        print(measure(case, options.threads), flush=True)
    size, rounds = (128, 3) if options.quick else (256, 5)
    print(f"\n| set, {size}x{size}, J=5 | real numbers | forward | forward+backward | peak memory |")
    print("|---|---|---|---|---|")
    for name in get_args(MomentChoice):
        print(measure_set(name, size, rounds, options.threads), flush=True)


if __name__ == "__main__":
    main()
