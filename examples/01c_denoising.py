"""White noise removed from a vorticity field: the Wiener filter, and a field with the moments behind the noise.

Run ``python examples/01c_denoising.py`` (some minutes on 2 cores) or with ``--quick`` (a smaller field); it draws
``denoising.png`` in the current folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import phasewave as pw
from phasewave.turbulence.denoising import Denoiser
from phasewave.turbulence.observation_figure import draw_denoising
from phasewave.turbulence.observation_metrics import denoising_metrics
from phasewave.turbulence.wiener import as_noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a 64x64 cut, fewer moments and evaluations")
    options = parser.parse_args()

    truth = pw.load_field()
    if options.quick:
        truth = truth[:64, :64].contiguous()
    sigma = 0.25 * float(truth.std())
    observed = truth + sigma * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))

    if options.quick:
        moments = pw.JointMoments([pw.PhaseHarmonicMoments(truth.shape, n_scales=3)])
    else:
        moments = pw.JointMoments(
            [
                pw.CircularMoments(truth.shape, n_scales=5, smoothings=(0.0, 2.0, 5.0)),
                pw.PhaseHarmonicMoments(truth.shape, n_scales=5, n_angles=8),
            ]
        )
    denoiser = Denoiser(moments, sigma, max_evaluations=8 if options.quick else 30)
    result = denoiser.sample(observed, seed=0)

    metrics = denoising_metrics(result.samples, result.wiener, observed, as_noise(sigma, truth.shape), truth)
    for name in ("flatness_error", "minkowski_error", "spectrum_error"):
        figures = (f"{part} {report['samples'][name]['mean']:.3f}" for part, report in metrics["reports"].items())
        print(f"{name}: {', '.join(figures)}")
    draw_denoising(observed, result.wiener, result.samples, metrics, Path("denoising.png"), truth=truth)
    print("wrote denoising.png")


if __name__ == "__main__":
    main()
