"""New vorticity fields from one: the Gaussian model, and the maximum-entropy model of phase harmonics.

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
    # Steered circular harmonics, oriented phase harmonics, one-point laws at every scale, power in log bands.
    n_scales = 3 if options.quick else 5
    moments = pw.JointMoments(
        [
            pw.CircularMoments(
                field.shape, n_scales=n_scales, smoothings=(0.0,) if options.quick else (0.0, 2.0, 5.0)
            ),
            pw.PhaseHarmonicMoments(field.shape, n_scales=n_scales, n_angles=4 if options.quick else 8),
            pw.Marginals(field.shape, n_scales=n_scales),
            pw.BandPowers(field.shape),
        ]
    )
    sampler = pw.MaxEntropySampler(moments, tolerance=3e-4, max_evaluations=30 if options.quick else 120)
    result = sampler.sample(field, n_samples=2, seed=0)
    gaussian = pw.GaussianModel(field).sample(2, seed=0)

    report = pw.compare(result.samples, field, gaussian=gaussian, in_loss=("wasserstein", "spectrum_error"))
    for name in ("flatness_error", "minkowski_error", "wasserstein"):
        samples, model = (report[part][name]["mean"] for part in ("samples", "gaussian"))
        print(f"{name}: samples {samples:.3f}, Gaussian {model:.3f}")
    draw_synthesis(field, gaussian[0], result.samples, report, Path("turbulence.png"))
    print("wrote turbulence.png")


if __name__ == "__main__":
    main()
