"""Two-sample tests: how well a judge tells real fields from other real fields, a Gaussian model, and samples.

Name real fields of one process (files, or one stack), and after ``--samples`` files of samples, such as the
samples.h5 of runs::

    python benchmarks/two_sample.py real0.npy real1.npy real2.npy real3.npy --judge strong --samples run/samples.h5

Rows: the balanced accuracy on held-out patches, the mean over the judge's seeds and their range, its confidence
interval, and the processor's seconds a judge. Every row is a test of the first half of the real fields against as
many others: the second half, Gaussian fields with their spectra, or samples. .5 is indistinguishable.
"""

from __future__ import annotations

import argparse
import time

import torch

from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.stacks import read_stack
from phasewave.turbulence.two_sample import two_sample_test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", nargs="+")
    parser.add_argument("--samples", nargs="*", default=[])
    parser.add_argument("--log", action="store_true", help="take the logarithm of the real fields first")
    parser.add_argument("--judge", choices=("weak", "strong"), default="weak")
    parser.add_argument("--judges", type=int, default=2, help="judges of a test; two hold out both ends in turn")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    fields = torch.cat([stack(path) for path in options.real])
    fields = fields.log() if options.log else fields
    half = max(1, len(fields) // 2)
    real = fields[:half]
    rows = {"other real fields": fields[half : 2 * half]} if len(fields) > 1 else {}
    rows["Gaussian model"] = torch.cat([GaussianModel(x).sample(1, seed=i) for i, x in enumerate(real)])
    rows.update({path: stack(path)[:half] for path in options.samples})
    print(f"| {options.judge}, {half} real | accuracy | judges | 95 % interval | processor s |")
    print("|---|---|---|---|---|")
    for name, others in rows.items():
        start = time.process_time()
        found = two_sample_test(real, others, judge=options.judge, n_judges=options.judges)
        seconds = (time.process_time() - start) / options.judges
        spread = f"{min(found.accuracies):.3f} to {max(found.accuracies):.3f}"
        low, high = found.interval
        label = f"{name} ({found.n_synthetic})"
        print(
            f"| {label} | {found.accuracy:.3f} | {spread} | {low:.2f} to {high:.2f} | {seconds:.0f} |", flush=True
        )


def stack(path: str) -> torch.Tensor:
    return torch.stack([field.values for field in read_stack(path)])


if __name__ == "__main__":
    main()
