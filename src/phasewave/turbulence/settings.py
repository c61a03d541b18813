"""The settings of the main job: which moments, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from phasewave.checks import choice, integer
from phasewave.turbulence.cross_moments import CrossMoments
from phasewave.turbulence.cross_table import cross_table
from phasewave.turbulence.default_set import default_count, default_set
from phasewave.turbulence.each_field import EachField
from phasewave.turbulence.joint import JointMoments
from phasewave.turbulence.moment_sizes import MAX_SCALES, MomentSize, fitting_size
from phasewave.turbulence.moment_table import PYWPH_CLASSES, MomentClass, MomentSet
from phasewave.turbulence.moments import PhaseHarmonicMoments
from phasewave.turbulence.named_sets import build_named, count_named

MomentChoice = Literal[
    "circular",
    "pywph",
    "zhang-mallat-a",
    "zhang-mallat-b",
    "zhang-mallat-c",
    "zhang-mallat-d",
    "scattering-covariances",
]

_PYWPH: tuple[MomentClass, ...] = (*PYWPH_CLASSES, "one_point")
_CROSS_ANGLES = 4


@dataclass(frozen=True)
class SynthesisSettings:
    """What determines the samples besides the field and the seed, and when to stop.

    Attributes
    ----------
    moments : MomentChoice
        ``"circular"``: `default_set`, about 4.6e4 moments that bring back vortices and filaments.
        ``"pywph"``: pywph's phase harmonics and the one-point moments, about 3e3. ``"zhang-mallat-a"`` to
        ``"-d"`` and ``"scattering-covariances"``: `phasewave.turbulence.named_sets`. Of several fields of one sky
        every field has its set, and `CrossMoments` join them.
    n_scales : int or None
        Octaves; None: 5, or what the field can bear (`fitting_size`).
    n_angles : int or None
        Orientations of the oriented wavelets; None: 8, or what the field can bear.
    tolerance : float, or Mapping of str to float
        A sample has converged when its relative loss is at most this; or those of all classes of moments, as
        `MaxEntropySampler` explains.
    max_evaluations : int
        Evaluations of the moments allowed to each sample, those before a resumption included.
    chunk : int or None
        Samples evaluated at a time (memory); None for all. With 1, sample i of a seed does not depend, to
        the last bit, on how many there are.
    """

    moments: MomentChoice = "circular"
    n_scales: int | None = None
    n_angles: int | None = None
    tolerance: float | Mapping[str, float] = 1.5e-4
    max_evaluations: int = 500
    chunk: int | None = 1

    def __post_init__(self) -> None:
        choice("moments", self.moments, get_args(MomentChoice))
        for name in ("n_scales", "n_angles"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), minimum=1)

    def size(self, shape: tuple[int, int], *, n_fields: int = 1) -> MomentSize:
        """Return the size of the set for fields of a shape, several of one sky if ``n_fields`` is above 1."""
        n_pixels = n_fields * math.prod(shape)
        return fitting_size(
            shape,
            lambda size: self._count(size, shape, n_fields),
            n_pixels=n_pixels,
            n_scales=self.n_scales,
            n_angles=self.n_angles,
        )

    def reduction(self, shape: tuple[int, int], *, n_fields: int = 1) -> str | None:
        """Say how the set is smaller than for a large field, and why; None if it is not."""
        size = self.size(shape, n_fields=n_fields)
        full = MomentSize(
            MAX_SCALES if self.n_scales is None else self.n_scales, 8 if self.n_angles is None else self.n_angles
        )
        now, whole = (self._count(each, shape, n_fields) for each in (size, full))
        if now == whole:
            return None
        n_pixels = n_fields * math.prod(shape)
        reason = (
            f"no more than the {n_pixels} pixels" if now <= n_pixels else f"as few as can be for {n_pixels} pixels"
        )
        return f"{size.n_scales} scales, {size.n_angles} angles, about {now} moments instead of {whole}: {reason}"

    def build(self, shape: tuple[int, ...], dtype: torch.dtype, *, n_fields: int = 1) -> nn.Module:
        """Return the moments for fields of this shape and dtype.

        Parameters
        ----------
        shape : pair of int
            Of the target or of the samples, whichever is smaller: `resized` makes them fit the other.
        dtype : torch.dtype
        n_fields : int
            Number of fields of one sky.

        Raises
        ------
        TypeError, ValueError
            As the modules of the moments.
        """
        height, width = shape
        size = self.size((height, width), n_fields=n_fields)
        if n_fields == 1:
            return self._one((height, width), size, dtype)
        fields = EachField([self._one((height, width), size, dtype) for _ in range(n_fields)])
        angles = min(_CROSS_ANGLES, size.n_angles)
        cross = CrossMoments(
            (height, width), n_fields=n_fields, n_scales=size.n_scales, n_angles=angles, dtype=dtype
        )
        return JointMoments([fields, cross])

    @property
    def exponent(self) -> float:
        """Exponent of the sampler's preconditioner that suits the weights of the set."""
        return 0.5 if self.moments == "circular" else 1.0

    def in_loss(self) -> list[str]:
        """Names of the report's statistics that the moments fix."""
        if self.moments != "circular" and self.moments != "pywph":
            return ["spectrum_error", "standard_deviation"]
        one_point = ["kurtosis", "mean", "skewness", "standard_deviation"]
        return sorted([*one_point, "spectrum_error", *(["wasserstein"] if self.moments == "circular" else [])])

    def _one(self, shape: tuple[int, int], size: MomentSize, dtype: torch.dtype) -> nn.Module:
        """Return the moments of one field."""
        if self.moments != "circular" and self.moments != "pywph":
            numbers = {"n_scales": size.n_scales, "n_angles": size.n_angles}
            return build_named(self.moments, shape, **numbers, dtype=dtype)
        if self.moments == "circular":
            return default_set(shape, size, dtype)
        return PhaseHarmonicMoments(
            shape, n_scales=size.n_scales, n_angles=size.n_angles, classes=_PYWPH, dtype=dtype
        )

    def _count(self, size: MomentSize, shape: tuple[int, int], n_fields: int) -> int:
        """Return the number of real moments of a set, or a little more."""
        if self.moments == "circular":
            count = default_count(shape, size)
        elif self.moments == "pywph":
            count = 2 * len(MomentSet(n_scales=size.n_scales, n_angles=size.n_angles, classes=_PYWPH).table())
        else:
            count = count_named(self.moments, n_scales=size.n_scales, n_angles=size.n_angles)
        if n_fields == 1:
            return count
        angles = min(_CROSS_ANGLES, size.n_angles)
        return n_fields * count + 2 * len(cross_table(n_fields, size.n_scales, angles, min(1, angles // 2)))
