"""The table of statistics that judge samples: what is measured, in which units, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from phasewave.turbulence.bispectrum import bispectrum_z
from phasewave.turbulence.increments import (
    dyadic_separations,
    flatness_error,
    gradient_kurtosis,
    laplacian_kurtosis,
    structure_functions,
)
from phasewave.turbulence.minkowski import minkowski_error
from phasewave.turbulence.onepoint import kurtosis, skewness, wasserstein
from phasewave.turbulence.similarity import max_cross_correlation
from phasewave.turbulence.spectra import spectrum_error
from phasewave.turbulence.vortices import q_skewness, vortex_cores


@dataclass(frozen=True)
class Statistic:
    """One row of the report.

    Parameters
    ----------
    name : str
        The key of the figure in the report.
    kind : {"distance", "value"}
        A distance to the target (0 is equal, the floor of real realisations is as good as it gets), or a
        value to be compared with the target's own.
    units : str
    definition : str
        What is computed, in one sentence.
    measure : Callable
        (fields (n, H, W), target (H', W')) -> (n,).
    """

    name: str
    kind: Literal["distance", "value"]
    units: str
    definition: str
    measure: Callable[[Tensor, Tensor], Tensor]


def structure_error(x: Tensor, target: Tensor) -> Tensor:
    r"""Return the mean relative error of the structure functions of orders 1 to 4.

    .. math:: \frac{1}{4 n} \sum_{p=1}^{4} \sum_r
              \left| \left( S_p^x(r) / S_p^{\text{target}}(r) \right)^{1/p} - 1 \right|

    over the target's n dyadic separations; the root makes all orders errors of an amplitude.

    Parameters
    ----------
    x : Tensor (..., H, W), real
    target : Tensor (H', W'), real

    Returns
    -------
    Tensor (...), float64
    """
    separations = dyadic_separations(target.shape[-2:])
    errors = [
        (structure_functions(x, separations, order=p) / structure_functions(target, separations, order=p))
        .pow(1 / p)
        .sub(1)
        .abs()
        for p in (1, 2, 3, 4)
    ]
    return torch.stack(errors).mean((0, -1))


STATISTICS: tuple[Statistic, ...] = (
    Statistic(
        "spectrum_error",
        "distance",
        "relative",
        "mean over 12 log-spaced bands of |P / P_target - 1|, P the power spectrum averaged over a band",
        spectrum_error,
    ),
    Statistic(
        "wasserstein",
        "distance",
        "target standard deviations",
        "Wasserstein-1 distance between the one-point laws",
        wasserstein,
    ),
    Statistic(
        "structure_error",
        "distance",
        "relative",
        "mean over dyadic separations and orders p = 1 to 4 of |(S_p / S_p,target)^(1/p) - 1|, both axes",
        structure_error,
    ),
    Statistic(
        "flatness_error",
        "distance",
        "relative",
        "mean over dyadic separations of |F / F_target - 1|, F the flatness of increments, both axes",
        flatness_error,
    ),
    Statistic(
        "bispectrum_z",
        "distance",
        "standard deviations of a Gaussian field's bispectrum",
        "mean over triangles of octave shells of |B - B_target| / sigma; 1.13 for two Gaussian fields",
        bispectrum_z,
    ),
    Statistic(
        "minkowski_error",
        "distance",
        "relative",
        "mean over area, boundary and Euler characteristic of the L1 error within 1 standard deviation",
        minkowski_error,
    ),
    Statistic(
        "minkowski_tails_error",
        "distance",
        "relative",
        "the same within 3 standard deviations",
        lambda x, target: minkowski_error(x, target, reach=3.0),
    ),
    Statistic(
        "cross_correlation",
        "distance",
        "1",
        "largest |correlation| with the target over all shifts: 1 is a copy, the floor is no copying",
        max_cross_correlation,
    ),
    Statistic("mean", "value", "field", "mean over space", lambda x, _: x.mean((-2, -1))),
    Statistic(
        "standard_deviation",
        "value",
        "field",
        "standard deviation over space",
        lambda x, _: x.std((-2, -1), correction=0),
    ),
    Statistic("skewness", "value", "1", "skewness of the values", lambda x, _: skewness(x)),
    Statistic("kurtosis", "value", "1", "kurtosis of the values, 3 if Gaussian", lambda x, _: kurtosis(x)),
    Statistic(
        "gradient_kurtosis",
        "value",
        "1",
        "kurtosis of the forward difference along the last axis",
        lambda x, _: gradient_kurtosis(x),
    ),
    Statistic(
        "gradient_kurtosis_rows",
        "value",
        "1",
        "kurtosis of the forward difference along the first axis",
        lambda x, _: gradient_kurtosis(x, axis=-2),
    ),
    Statistic(
        "laplacian_kurtosis",
        "value",
        "1",
        "kurtosis of the five-point Laplacian",
        lambda x, _: laplacian_kurtosis(x),
    ),
    Statistic(
        "q_skewness",
        "value",
        "1",
        "skewness of the Okubo-Weiss field, the field read as a vorticity",
        lambda x, _: q_skewness(x),
    ),
    Statistic(
        "vortex_cores",
        "value",
        "per 128 x 128 pixels",
        "round coherent regions of Q < -sigma_Q / 2, the field read as a vorticity",
        lambda x, _: vortex_cores(x),
    ),
)
