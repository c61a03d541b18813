"""`AtomScattering`: moduli of a molecule's wavelet transform read where its atoms are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import atomic_numbers
from sklearn.base import BaseEstimator, TransformerMixin
from torch import Tensor

from phasewave.checks import fail, integer
from phasewave.core.solid import SolidHarmonicWavelets, normalisation
from phasewave.molecules.columns import ScatteringColumn
from phasewave.molecules.density import DEFAULT_SIGMA, charge_table, charges
from phasewave.molecules.elements import check_elements
from phasewave.molecules.harmonic_fields import FLOOR, smoothing
from phasewave.molecules.pairs import direction_harmonics, molecule_chunks
from phasewave.molecules.power_sums import power_of
from phasewave.molecules.structures import Molecules, as_molecules

if TYPE_CHECKING:
    from ase import Atoms


class AtomScattering(TransformerMixin, BaseEstimator):
    r"""Order 1 of solid-harmonic scattering, summed over the atoms of each element instead of over space.

    With the densities and the moduli ``U`` of `SolidScattering`,

    .. math::

        A_{e,c,j,l,q} = \sum_{k:\, z_k = e} U_{c,j,l}(r_k)^q, \qquad
        U_{c,j,l} = \Big(\sum_m |\rho_c * \psi_{j,l,m}|^2\Big)^{1/2},

    the correlation of ``U^q`` with the point density of the element. There is no lattice: the values are exact, do
    not change at all when a molecule moves, turns or is mirrored, and cost a small part of an integral's. They say
    how the surroundings of the atoms differ, which integrals over space say less well.

    Parameters
    ----------
    elements : sequence of str
        Whose atoms are read: all that occur in the molecules.
    channels : sequence of str
        Densities, see `phasewave.molecules.density.charge_table`.
    n_scales : int
        Scales, two to an octave: ``j = 0, 0.5, 1, ...``, of widths ``sigma 2^j``.
    max_degree : int
        Largest degree ``l`` of the harmonics.
    powers : sequence of float
        Exponents ``q``, positive.
    sigma : float
        Width of the density's Gaussians and of the wavelets of scale 0, Angstrom.
    tile : int
        Pairs of atoms in flight: bounds the memory.

    Notes
    -----
    Units: charges in e, lengths in Angstrom; a column of power q is in (e/A^3)^q. Moduli are smoothed where they
    vanish, as those of `SolidScattering` are, so gradients are finite. Cost for a molecule of n atoms:
    ``n^2 n_channels n_scales (L+1)^2``.
    """

    def __init__(
        self,
        *,
        elements: Sequence[str] = ("H", "C", "N", "O", "F"),
        channels: Sequence[str] = ("all", "valence", "core", "atom_valence"),
        n_scales: int = 6,
        max_degree: int = 5,
        powers: Sequence[float] = (0.5, 1.0, 2.0, 3.0),
        sigma: float = DEFAULT_SIGMA,
        tile: int = 8192,
    ) -> None:
        self.elements = elements
        self.channels = channels
        self.n_scales = n_scales
        self.max_degree = max_degree
        self.powers = powers
        self.sigma = sigma
        self.tile = tile

    @property
    def table(self) -> tuple[ScatteringColumn, ...]:
        """What each column is.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range.
        """
        self.check()
        return _columns(
            tuple(self.elements), tuple(self.channels), self.n_scales, self.max_degree, tuple(self.powers)
        )

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return len(self.table)

    def check(self) -> None:
        """Do nothing if the parameters can be used.

        Raises
        ------
        TypeError, ValueError
            If one is out of range.
        """
        for name in ("elements", "channels", "powers"):
            values = getattr(self, name)
            listed = [] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)
            if not listed or len(set(listed)) < len(listed):
                fail(name, "be different values in a list, at least one", values)
        unknown = [symbol for symbol in self.elements if atomic_numbers.get(symbol, 0) < 1]
        if unknown:
            fail("elements", "be symbols of elements, as C", unknown[0])
        if not all(isinstance(q, (int, float)) and 0 < q < math.inf for q in self.powers):
            fail("powers", "be different positive numbers in a list, at least one", self.powers)
        integer("n_scales", self.n_scales, minimum=1, maximum=20)
        integer("max_degree", self.max_degree, minimum=0, maximum=12)
        integer("tile", self.tile, minimum=1)
        if not (isinstance(self.sigma, (int, float)) and 0 < self.sigma < math.inf):
            fail("sigma", "be a positive width in Angstrom", self.sigma)
        charge_table(self.channels)

    def check_molecules(self, molecules: Molecules) -> None:
        """Do nothing if these molecules can be worked.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range, an element is not among ``elements``, or a channel does not know it.
        """
        self.check()
        known = [atomic_numbers[symbol] for symbol in self.elements]
        check_elements(molecules, known, which="among `elements`")
        self._charges(molecules)

    def fit(self, X: Molecules | Iterable[Atoms], y: object = None) -> AtomScattering:
        """Check the parameters and the molecules; nothing is learnt.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range or a molecule cannot be used.
        """
        self.check_molecules(as_molecules(X))
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Nothing is learnt, so it is always fitted."""
        return True

    def transform(self, X: Molecules | Iterable[Atoms]) -> np.ndarray:
        """Return the features of molecules, float32 (n_molecules, n_features), computed in float64.

        Raises
        ------
        TypeError, ValueError
            As `forward`, and if the molecules cannot be used.
        """
        with torch.inference_mode():
            return self.forward(as_molecules(X).to(dtype=torch.float64)).float().cpu().numpy()

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns, as ``valence_at_C_j0.5_l3_q2``."""
        return np.array([column.name for column in self.table], dtype=object)

    def forward(self, molecules: Molecules) -> Tensor:
        """Return the features (n_molecules, n_features), differentiable, of the positions' dtype and device.

        Raises
        ------
        ValueError
            If an element is not among ``elements``, or a channel does not know it.
        """
        self.check_molecules(molecules)
        parts = [self._sums(part) for part in molecule_chunks(molecules, self.tile)]
        return torch.cat(parts) if parts else molecules.positions.new_zeros(0, self.n_features)

    def moduli(self, molecules: Molecules) -> Tensor:
        """Return ``U^2`` at all atoms, (n_atoms, n_channels, n_scales, max_degree + 1)."""
        positions, sizes = molecules.positions, molecules.sizes[molecules.owner]
        place = torch.arange(int(sizes.max()), device=positions.device)
        near = place < sizes[:, None]
        around = (molecules.offsets[:-1][molecules.owner][:, None] + place).clamp(max=molecules.n_atoms - 1)
        offsets = positions[around] - positions[:, None]
        charge = self._charges(molecules).to(positions)
        charge = charge[:, around] * near  # channel, atom, neighbour: those of other molecules count nothing
        scales = _scales(self.n_scales, self.max_degree, float(self.sigma))
        factors, exponents, least = (table.to(positions) for table in scales)
        gaussians = torch.exp(offsets.square().sum(-1)[:, None] * exponents[:, None])
        sources = (charge.transpose(0, 1)[:, :, None] * gaussians[:, None]).flatten(1, 2)
        harmonics = direction_harmonics(offsets.flatten(0, 1), self.max_degree).view(*around.shape, -1)
        fields = (sources @ harmonics).square()
        degrees = [part.sum(-1) for part in fields.split([2 * l + 1 for l in range(self.max_degree + 1)], -1)]
        squared = torch.stack(degrees, -1).view(len(around), len(charge), self.n_scales, -1) * factors
        return squared + least * squared[..., :1] + FLOOR

    def _sums(self, molecules: Molecules) -> Tensor:
        squared = self.moduli(molecules)
        modulus = squared.sqrt()
        values = torch.stack([power_of(modulus, squared, q) for q in self.powers], -1).flatten(1)
        numbers = torch.tensor([atomic_numbers[symbol] for symbol in self.elements], device=values.device)
        element = (molecules.numbers[:, None] == numbers).to(torch.int64).argmax(1)
        sums = values.new_zeros(len(molecules) * len(numbers), values.shape[1])
        sums = sums.index_add(0, molecules.owner * len(numbers) + element, values)
        return sums.view(len(molecules), -1)

    def _charges(self, molecules: Molecules) -> Tensor:
        return charges(molecules.numbers, _charge_table(tuple(self.channels)), self.channels)


def _scale_numbers(n_scales: int) -> list[float]:
    return [k / 2 for k in range(n_scales)]


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _charge_table(channels: tuple[str, ...]) -> Tensor:
    return charge_table(channels)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _scales(n_scales: int, max_degree: int, sigma: float) -> tuple[Tensor, ...]:
    """Return of each scale by what squares of fields are multiplied, -1 / 2 s^2, and the smoothing, by degree."""
    wavelets = SolidHarmonicWavelets(max_degree, sigma)
    factors, exponents, least = [], [], []
    for j in _scale_numbers(n_scales):
        s = wavelets.blurred_width(j, sigma)
        exponents.append(-0.5 / s**2)
        heights = [normalisation(l) * (wavelets.width(j) / s) ** l * s ** (-3 - l) for l in range(max_degree + 1)]
        # the harmonics have been scaled to sum_m Y^2 = 1
        factors.append([height**2 * (2 * l + 1) / (4 * math.pi) for l, height in enumerate(heights)])
        least.append(smoothing(wavelets, j, sigma))
    return tuple(torch.tensor(table, dtype=torch.float64) for table in (factors, exponents, least))


@lru_cache(maxsize=8)
def _columns(
    elements: tuple[str, ...], channels: tuple[str, ...], n_scales: int, max_degree: int, powers: tuple[float, ...]
) -> tuple[ScatteringColumn, ...]:
    return tuple(
        ScatteringColumn(1, channel, q, l, j, element=element)
        for element in elements for channel in channels for j in _scale_numbers(n_scales)
        for l in range(max_degree + 1) for q in powers
    )  # fmt: skip


def parameters_of(features: AtomScattering) -> dict[str, Any]:
    """Return the parameters that values depend on, JSON-able."""
    features.check()
    return {
        "elements": list(features.elements),
        "channels": list(features.channels),
        "n_scales": int(features.n_scales),
        "max_degree": int(features.max_degree),
        "powers": [float(q) for q in features.powers],
        "sigma": float(features.sigma),
    }
