"""New vorticity fields from one: the Gaussian model, and the maximum-entropy model of wavelet moments.

Run ``python examples/01_turbulence.py`` (a few minutes on 2 cores) or with ``--quick`` (seconds, a smaller field);
it draws ``turbulence.png`` in the current folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import phasewave as pw
from phasewave.turbulence.figure import draw_synthesis


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a 64x64 cut and few evaluations")
    options = parser.parse_args()

    field = pw.load_field()
    if options.quick:
        field = field[:64, :64]
    settings = pw.SynthesisSettings(max_evaluations=30 if options.quick else 120)
    # Of a small field, a smaller set: never more moments than pixels.
    moments = settings.build(field.shape, field.dtype)
    sampler = pw.MaxEntropySampler(
        moments,
        tolerance=settings.tolerance,
        max_evaluations=settings.max_evaluations,
        exponent=settings.exponent,
    )
    result = sampler.sample(field, n_samples=2, seed=0)
    gaussian = pw.GaussianModel(field).sample(2, seed=0)

    report = pw.compare(result.samples, field, gaussian=gaussian, in_loss=settings.in_loss())
    for name in ("flatness_error", "minkowski_error", "wasserstein"):
        samples, model = (report[part][name]["mean"] for part in ("samples", "gaussian"))
        print(f"{name}: samples {samples:.3f}, Gaussian {model:.3f}")
    draw_synthesis(field, gaussian[0], result.samples, report, Path("turbulence.png"))
    print("wrote turbulence.png")


if __name__ == "__main__":
    main()
