"""The settings of the main job: which moments, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from phasewave.checks import choice
from phasewave.turbulence.band_powers import BandPowers
from phasewave.turbulence.circular_moments import CircularMoments
from phasewave.turbulence.joint import JointMoments
from phasewave.turbulence.marginals import Marginals
from phasewave.turbulence.moment_table import PYWPH_CLASSES
from phasewave.turbulence.moments import PhaseHarmonicMoments

MomentChoice = Literal["circular", "pywph"]


@dataclass(frozen=True)
class SynthesisSettings:
    """What determines the samples besides the field and the seed, and when to stop.

    Attributes
    ----------
    moments : {"circular", "pywph"}
        ``"circular"``: `CircularMoments`, the phase harmonics of oriented wavelets, `Marginals` and `BandPowers`,
        about 4e4 moments that bring back vortices and filaments. ``"pywph"``: pywph's phase harmonics and the
        one-point moments, about 3e3.
    n_scales : int
        Octaves.
    n_angles : int
        Orientations of the oriented wavelets.
    tolerance : float
        A sample has converged when its relative loss is at most this.
    max_evaluations : int
        Evaluations of the moments allowed to each sample, those before a resumption included.
    chunk : int or None
        Samples evaluated at a time (memory); None for all. With 1, sample i of a seed does not depend, to
        the last bit, on how many there are.
    """

    moments: MomentChoice = "circular"
    n_scales: int = 5
    n_angles: int = 8
    tolerance: float = 3e-4
    max_evaluations: int = 500
    chunk: int | None = 1

    def __post_init__(self) -> None:
        choice("moments", self.moments, get_args(MomentChoice))

    def build(self, shape: tuple[int, ...], dtype: torch.dtype) -> nn.Module:
        """Return the moments for fields of this shape and dtype.

        Raises
        ------
        TypeError, ValueError
            As the modules of the moments.
        """
        height, width = shape
        classes = PYWPH_CLASSES
        oriented = PhaseHarmonicMoments(
            (height, width),
            n_scales=self.n_scales,
            n_angles=self.n_angles,
            classes=(*classes, "one_point") if self.moments == "pywph" else (*classes, "C00"),
            dtype=dtype,
        )
        if self.moments == "pywph":
            return oriented
        circular = CircularMoments(
            (height, width), n_scales=self.n_scales, smoothings=self._smoothings(height * width), dtype=dtype
        )
        marginals = Marginals((height, width), n_scales=self.n_scales, dtype=dtype)
        powers = BandPowers((height, width), dtype=dtype)
        return JointMoments([circular, oriented, marginals, powers], weights=(1.0, 1.0, 1.0, 10.0))

    def in_loss(self) -> list[str]:
        """Names of the report's statistics that the moments fix."""
        one_point = ["kurtosis", "mean", "skewness", "standard_deviation"]
        return sorted([*one_point, "spectrum_error", *(["wasserstein"] if self.moments == "circular" else [])])

    def _smoothings(self, n_pixels: int) -> tuple[float, ...]:
        """As many widths of the covariances as keep their number under half of the pixels' (one at least)."""
        n_channels = 16 * (2 * self.n_scales - 1)
        allowed = n_pixels // (n_channels * (n_channels + 1))
        return (0.0, 2.0, 5.0)[: max(1, min(3, allowed))]
