"""Filled and denoised fields judged: against what was observed, and against the truth where it is known."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from phasewave.turbulence.onepoint import kurtosis, skewness
from phasewave.turbulence.report import compare
from phasewave.turbulence.spectra import band_spectrum, log_bands
from phasewave.turbulence.wiener import Noise

SEPARATIONS = (1, 2, 4, 8, 16)
LEVELS = 40


def region_statistics(fields: Tensor, region: Tensor) -> dict[str, Any]:
    r"""Return one-point statistics and increments of fields within a region of the plane.

    Parameters
    ----------
    fields : Tensor (n, H, W), real
    region : Tensor (H, W), bool
        Increments are taken where both pixels are in it, along both axes.

    Returns
    -------
    dict
        ``mean``, ``standard_deviation``, ``skewness``, ``kurtosis``; ``separation`` (pixels) with ``structure``
        (mean squared increment) and ``flatness`` (kurtosis about zero, 3 if Gaussian), a list each, None where
        the region has no such pairs. Averages over the fields.
    """
    x = fields.detach().to(torch.float64)
    values = x[:, region][:, None]
    structure, flatness = [], []
    for r in SEPARATIONS:
        increments = torch.cat(
            [(x.roll(-r, axis) - x)[:, region & region.roll(-r, axis - 1)] for axis in (1, 2)], dim=1
        )
        square = increments.square().mean(dim=1)
        structure.append(_number(square.mean()))
        flatness.append(_number((increments.pow(4).mean(dim=1) / square.square()).mean()))
    return {
        "mean": _number(values.mean()),
        "standard_deviation": _number(values.std(dim=(1, 2), correction=0).mean()),
        "skewness": _number(skewness(values).mean()),
        "kurtosis": _number(kurtosis(values).mean()),
        "separation": list(SEPARATIONS),
        "structure": structure,
        "flatness": flatness,
    }


def inpainting_metrics(
    samples: Tensor, gaussian: Tensor, mean: Tensor, observed: Tensor, mask: Tensor, truth: Tensor | None
) -> dict[str, Any]:
    """Return the figures of a filled field.

    Parameters
    ----------
    samples, gaussian : Tensor (n, H, W)
        Fills, and the Gaussian model's.
    mean : Tensor (H, W)
        The Gaussian model's conditional mean.
    observed : Tensor (H, W)
        The field, used where ``mask`` is True.
    mask : Tensor (H, W), bool
    truth : Tensor (H, W) or None

    Returns
    -------
    dict
        ``missing`` (share of the pixels); ``regions``: `region_statistics` of the observed pixels and, in the
        missing ones, of samples, gaussian, mean and truth; ``spread``: the deviation between fills over that of
        the observed pixels (None for one fill); with a truth ``error``: root mean square in the missing pixels
        over the deviation of the observed ones, of samples, gaussian and mean, and ``report``: `compare` of
        samples and gaussian with the truth.
    """
    missing = ~mask
    scale = observed[mask].to(torch.float64).std(correction=0)
    fills = {"samples": samples, "gaussian": gaussian, "mean": mean[None]}
    if truth is not None:
        fills["truth"] = truth[None]
    holes = samples[:, missing].to(torch.float64)
    metrics: dict[str, Any] = {
        "missing": _number(missing.to(torch.float64).mean()),
        "regions": {
            "observed": region_statistics(observed[None], mask),
            **{name: region_statistics(fields, missing) for name, fields in fills.items()},
        },
        "spread": _number(holes.var(dim=0).mean().sqrt() / scale) if len(samples) > 1 else None,
        "error": None,
        "report": None,
    }
    if truth is not None:
        metrics["error"] = {
            name: _number((fields - truth)[:, missing].to(torch.float64).square().mean().sqrt() / scale)
            for name, fields in fills.items()
            if name != "truth"
        }
        metrics["report"] = compare(samples, truth, gaussian=gaussian)
    return metrics


def denoising_metrics(
    samples: Tensor, wiener: Tensor, observed: Tensor, noise: Noise, truth: Tensor | None
) -> dict[str, Any]:
    """Return the figures of a denoised field.

    Parameters
    ----------
    samples : Tensor (n, H, W)
    wiener, observed : Tensor (H, W)
    noise : Noise
        In the units of the field.
    truth : Tensor (H, W) or None

    Returns
    -------
    dict
        ``noise_share``: standard deviation of the noise over that of the observed field; ``spectrum``: in log
        bands of ``frequency`` (radians per pixel) the power of observed, noise, samples, wiener, truth; of the
        ``residual`` that a sample leaves (observed minus sample, to be compared with the noise), and with a truth
        the power of the ``error`` of samples, wiener and observed. With a truth also ``error``: root mean square
        over the truth's deviation, and ``reports``: `compare` with the truth of samples, wiener and observed.
    """
    edges = log_bands(observed.shape)
    white = torch.fft.ifft2(noise.spectrum.sqrt()).real * math.sqrt(noise.spectrum.numel())
    fields = {"observed": observed[None], "samples": samples, "wiener": wiener[None]}

    def bands(x: Tensor) -> list[float | None]:
        return [_number(value) for value in band_spectrum(x.to(torch.float64), edges).mean(dim=0)]

    spectrum: dict[str, Any] = {
        "frequency": (edges[:-1] * edges[1:]).sqrt().tolist(),
        "noise": bands(white[None]),
        **{name: bands(x) for name, x in fields.items()},
        "residual": bands(observed - samples),
    }
    share = math.sqrt(noise.variance) / float(observed.to(torch.float64).std(correction=0))
    metrics: dict[str, Any] = {"noise_share": share, "spectrum": spectrum, "error": None, "reports": None}
    if truth is not None:
        scale = truth.to(torch.float64).std(correction=0)
        spectrum["truth"] = bands(truth[None])
        spectrum["error"] = {name: bands(x - truth) for name, x in fields.items()}
        metrics["error"] = {
            name: _number((x - truth).to(torch.float64).square().mean().sqrt() / scale)
            for name, x in fields.items()
        }
        metrics["reports"] = {name: compare(x, truth) for name, x in fields.items()}
    return metrics


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
