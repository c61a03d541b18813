"""What a scattering's parameters fix once for all molecules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from phasewave.checks import fail, integer
from phasewave.core.solid import SolidHarmonicWavelets
from phasewave.molecules.columns import ScatteringColumn, scattering_columns
from phasewave.molecules.compiled_first_order import HarmonicTables
from phasewave.molecules.compiled_second_order import contraction_table
from phasewave.molecules.density import charge_table
from phasewave.molecules.harmonic_fields import HarmonicGroup, harmonic_groups, smoothing
from phasewave.molecules.lattice import Extents, Lattice, LatticeRule
from phasewave.molecules.mixing import Mixing, mixing
from phasewave.molecules.second_order import Contraction, contractions

# Steps of the lattices, in units of the one chosen, so that errors are alike: those of paths of a narrower first
# wavelet average over more zeros, but other paths start from the moduli of the middle scales.
_DENSITY_STEP = 1.25  # the density has no zeros: its integrals converge exponentially
_STEPS = (1.1, 0.9)  # order 1, scale by scale; 1 for those not listed
_STEPS2 = (1.15, 1.25)  # order 2, by j2 - j: 1 and more
_BRIDGE_SHARE = 0.4  # of a wavelet's squared width
_BRIDGE_STEP = 3.1


@dataclass(frozen=True)
class ScatteringPlan:
    """Wavelets, widths, lattices and columns; the parameters are those of `SolidScattering`.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """

    channels: tuple[str, ...]
    second_order_channels: tuple[str, ...]
    n_scales: int
    max_degree: int
    powers: tuple[float, ...]
    max_order: int
    blur: float
    step: float

    def __post_init__(self) -> None:
        integer("n_scales", self.n_scales, minimum=1, maximum=10)
        integer("max_degree", self.max_degree, minimum=0, maximum=12)
        integer("max_order", self.max_order, minimum=0, maximum=2)
        if not (isinstance(self.blur, (int, float)) and 0 < self.blur < math.inf):
            fail("sigma", "be a positive width in Angstrom", self.blur)
        if not (isinstance(self.step, (int, float)) and 0 < self.step <= 1):
            fail("step", "be in (0, 1]", self.step)
        self.charge_table  # noqa: B018  (checks the channels)
        chosen = self.second_order_channels
        if not chosen or not set(chosen) <= set(self.channels) or len(set(chosen)) < len(chosen):
            fail("second_order_channels", f"be different ones of {', '.join(self.channels)}, at least one", chosen)

    @cached_property
    def charge_table(self) -> Tensor:
        """Charges, channel by element."""
        return charge_table(self.channels)

    @cached_property
    def wavelets(self) -> SolidHarmonicWavelets:
        """The wavelets."""
        return SolidHarmonicWavelets(self.max_degree, self.blur)

    @cached_property
    def columns(self) -> tuple[ScatteringColumn, ...]:
        """What each column is."""
        return scattering_columns(
            self.channels,
            second_order_channels=self.second_order_channels,
            n_scales=self.n_scales,
            max_degree=self.max_degree,
            powers=self.powers,
            max_order=self.max_order,
        )

    @cached_property
    def second_order_rows(self) -> list[int]:
        """Where the channels of order 2 are among all."""
        return [self.channels.index(name) for name in self.second_order_channels]

    def width(self, scale: int) -> float:
        """Width of the Gaussians of order 1 at one scale, Angstrom."""
        return self.wavelets.blurred_width(scale, self.blur)

    def width2(self, scale: int, scale2: int) -> float:
        """Width for which the lattice of order 2 is laid, Angstrom."""
        return math.hypot(self.width(scale), self.wavelets.width(scale2))

    def density_lattice(self, extents: Extents) -> Lattice:
        """The lattice of order 0."""
        return LatticeRule(self.step * _DENSITY_STEP).body_centred(extents, self.blur)

    def lattice(self, extents: Extents, scale: int) -> Lattice:
        """The lattice on which order 1 is integrated at one scale."""
        return self._rule(scale).body_centred(extents, self.width(scale))

    def lattice2(self, extents: Extents, scale: int, scale2: int) -> Lattice:
        """The lattice on which order 2 is integrated."""
        return self._rule2(scale, scale2).body_centred(extents, self.width2(scale, scale2))

    def _rule(self, scale: int) -> LatticeRule:
        return LatticeRule(self.step * (_STEPS[scale] if scale < len(_STEPS) else 1.0))

    def _rule2(self, scale: int, scale2: int) -> LatticeRule:
        return LatticeRule(self.step * _STEPS2[min(scale2 - scale, len(_STEPS2)) - 1])

    @property
    def unit(self) -> float:
        """Power of two by which charges are multiplied, so that squares of tails are normal numbers in float32."""
        return 2.0**20 if max(self.powers) <= 4 else 1.0

    def n_points(self, extents: Extents) -> int:
        """Number of nodes of all lattices of a molecule, but for the bridges."""
        scales = range(self.n_scales)
        total = LatticeRule(self.step * _DENSITY_STEP).n_nodes(extents, self.blur)
        if self.max_order:
            total += sum(self._rule(j).n_nodes(extents, self.width(j)) for j in scales)
        pairs = combinations(scales, 2) if self.max_order > 1 else ()
        return total + sum(self._rule2(*pair).n_nodes(extents, self.width2(*pair)) for pair in pairs)

    def bridge_blur(self, scale2: int) -> float:
        """Width of the Gaussian that takes order 1's moduli to the bridge, Angstrom.

        A wavelet of width ``s`` is a Gaussian of width ``b`` convolved with a wavelet of width
        ``sqrt(s^2 - b^2)``. The first convolution, of one field, takes the moduli to a coarse cubic lattice, the
        bridge; the second one, of ``2l + 1`` fields, starts there.
        """
        return math.sqrt(_BRIDGE_SHARE) * self.wavelets.width(scale2)

    def bridge_width(self, scale2: int) -> float:
        """Width of the wavelets that remain to be applied on the bridge, Angstrom."""
        return math.sqrt(1 - _BRIDGE_SHARE) * self.wavelets.width(scale2)

    def bridge_lattice(self, extents: Extents, scale: int, scale2: int) -> Lattice:
        """The bridge: it resolves the product of the blurred moduli and the remaining wavelet.

        How well follows from ``step``, but is at least what the default gives: errors grow by 100 from a step 1.2
        times larger.
        """
        blurred, rest = math.hypot(self.width(scale), self.bridge_blur(scale2)), self.bridge_width(scale2)
        step = (
            min(self.step, 0.45) * _BRIDGE_STEP * rest / math.hypot(blurred, rest)
        )  # in units of the blurred width
        return LatticeRule(step).cubic(extents, blurred)

    def harmonic_groups(
        self, scale: int | None, dtype: torch.dtype, device: torch.device
    ) -> tuple[HarmonicGroup, ...]:
        """The wavelets of one scale, blurred by the density's Gaussian; for None that Gaussian itself."""
        wavelets, scale, blur = self._blurred_wavelets(scale)
        return _groups(wavelets, scale, blur, dtype, device)

    def harmonic_tables(self, scale: int | None) -> HarmonicTables:
        """The same for `phasewave.molecules.compiled_first_order`."""
        return _tables(*self._blurred_wavelets(scale))

    def _blurred_wavelets(self, scale: int | None) -> tuple[SolidHarmonicWavelets, int, float]:
        return (
            (SolidHarmonicWavelets(0, self.blur), 0, 0.0) if scale is None else (self.wavelets, scale, self.blur)
        )

    def mixing(self, elements: tuple[int, ...]) -> Mixing:
        """How the channels' fields add up in a molecule of these elements, ascending."""
        return _mixing(self.channels, elements)

    def smoothing2(self, scale: int, scale2: int) -> tuple[float, ...]:
        """How much of the squared modulus of degree 0 smooths those of other degrees, in order 2."""
        return smoothing(self.wavelets, scale2, self.width(scale))

    def contractions(self, scale2: int, dtype: torch.dtype, device: torch.device) -> tuple[Contraction, ...]:
        """The wavelets of one scale, as they are applied on the bridge."""
        return _contractions(self.wavelets, scale2, self.bridge_width(scale2), dtype, device)

    def contraction_table(self, scale2: int) -> np.ndarray:
        """The same for `phasewave.molecules.compiled_second_order`."""
        return _contraction_table(self.wavelets, scale2, self.bridge_width(scale2))


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def _groups(
    wavelets: SolidHarmonicWavelets, scale: int, blur: float, dtype: torch.dtype, device: torch.device
) -> tuple[HarmonicGroup, ...]:
    return tuple(
        HarmonicGroup(group.x_powers, *(t.to(device, dtype) for t in (group.coefficients, group.squares)))
        for group in harmonic_groups(wavelets, scale, blur)
    )


@lru_cache(maxsize=256)
def _contraction_table(wavelets: SolidHarmonicWavelets, scale: int, width: float) -> np.ndarray:
    return contraction_table(_contractions(wavelets, scale, width, torch.float32, torch.device("cpu")))


@lru_cache(maxsize=256)
def _tables(wavelets: SolidHarmonicWavelets, scale: int, blur: float) -> HarmonicTables:
    return HarmonicTables.of(harmonic_groups(wavelets, scale, blur))


@lru_cache(maxsize=1024)
def _mixing(channels: tuple[str, ...], elements: tuple[int, ...]) -> Mixing:
    return mixing(charge_table(channels)[:, list(elements)])


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def _contractions(
    wavelets: SolidHarmonicWavelets, scale: int, width: float, dtype: torch.dtype, device: torch.device
) -> tuple[Contraction, ...]:
    # A Gaussian turns harmonics of degree l and this width into (width / sigma)^l times the wavelets wanted.
    polynomials = wavelets.polynomials(scale)
    for l in range(wavelets.max_degree + 1):
        polynomials[l * l : (l + 1) ** 2] *= (wavelets.width(scale) / width) ** (l + 3)
    return tuple(
        Contraction(step.degree, step.x_powers.to(device), step.coefficients.to(device, dtype))
        for step in contractions(polynomials)
    )
