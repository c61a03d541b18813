"""Holes in a vorticity field, filled: the Gaussian model given the observed pixels, and the maximum-entropy model.

Run ``python examples/01b_inpainting.py`` (some minutes on 2 cores) or with ``--quick`` (a smaller field); it draws
``inpainting.png`` in the current folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import phasewave as pw
from phasewave.turbulence.inpainting import Inpainter
from phasewave.turbulence.observation_figure import draw_inpainting
from phasewave.turbulence.observation_metrics import inpainting_metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a 64x64 cut, fewer moments and evaluations")
    options = parser.parse_args()

    truth = pw.load_field()
    if options.quick:
        truth = truth[:64, :64].contiguous()
    height, width = truth.shape
    row, column = torch.arange(height)[:, None], torch.arange(width)
    mask = torch.ones(height, width, dtype=torch.bool)
    for up, left, radius in ((0.3, 0.35, 0.14), (0.7, 0.65, 0.12), (0.68, 0.2, 0.08)):
        distance = torch.hypot((row - up * height).double(), (column - left * width).double())
        mask &= distance > radius * height
    observed = torch.where(mask, truth, torch.nan)

    if options.quick:
        moments = pw.JointMoments([pw.PhaseHarmonicMoments(truth.shape, n_scales=3)])
    else:
        moments = pw.JointMoments(
            [
                pw.CircularMoments(truth.shape, n_scales=5, smoothings=(0.0, 2.0, 5.0)),
                pw.PhaseHarmonicMoments(truth.shape, n_scales=5, n_angles=8),
            ]
        )
    inpainter = Inpainter(moments, max_evaluations=12 if options.quick else 80)
    result = inpainter.sample(observed, mask, n_samples=1 if options.quick else 2, seed=0)

    metrics = inpainting_metrics(result.samples, result.gaussian, result.mean, truth, mask, truth)
    for name in ("flatness_error", "minkowski_error"):
        fills, gaussian = (metrics["report"][part][name]["mean"] for part in ("samples", "gaussian"))
        print(f"{name} of the whole field: filled {fills:.3f}, Gaussian fill {gaussian:.3f}")
    draw_inpainting(truth, mask, result.gaussian, result.samples, metrics, Path("inpainting.png"), truth=truth)
    print("wrote inpainting.png")


if __name__ == "__main__":
    main()
