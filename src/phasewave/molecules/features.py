"""`SolidScattering`: rotation-invariant features of molecules, for torch and for scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from torch import Tensor

from phasewave.checks import choice, fail, integer
from phasewave.molecules.atom_scattering import AtomScattering
from phasewave.molecules.columns import ScatteringColumn
from phasewave.molecules.compiling import one_blas_thread
from phasewave.molecules.density import DEFAULT_SIGMA, charges
from phasewave.molecules.first_order import ArrangedMolecule
from phasewave.molecules.orders import scattering_of
from phasewave.molecules.plan import ScatteringPlan
from phasewave.molecules.structures import Molecules, as_molecules

if TYPE_CHECKING:
    from ase import Atoms


class SolidScattering(TransformerMixin, BaseEstimator, torch.nn.Module):
    r"""Solid-harmonic scattering: integrals that do not change when a molecule moves, turns or is mirrored.

    A molecule is the density :math:`\rho_c(r) = \sum_a q_{c,a}\, g_\sigma(r - r_a)` of each channel ``c``, with
    ``g`` a normalised Gaussian. With the wavelets of `phasewave.core.solid.SolidHarmonicWavelets`,

    .. math::

        S^0 = \int \rho^q, \qquad
        S^1_{j,l} = \int U_{j,l}^q, \quad U_{j,l} = \Big(\sum_m |\rho * \psi_{j,l,m}|^2\Big)^{1/2}, \qquad
        S^2_{j,j',l} = \int \Big(\sum_m |U_{j,l} * \psi_{j',l,m}|^2\Big)^{q/2}, \quad j < j' .

    The convolutions of order 1 are known in closed form, in free space; the integrals are sums over a lattice that
    moves with the molecule.

    Parameters
    ----------
    channels : sequence of str
        Densities, see `phasewave.molecules.density.charge_table`: ``"all"``, ``"valence"``, ``"core"``,
        ``"atom_valence"``, an element as ``"C"``, or all but one as ``"not C"``.
    second_order_channels : sequence of str, optional
        Those of ``channels`` that order 2 works on, which is more than half of the cost of a channel; by default
        all.
    n_scales : int
        Number of scales ``j``, of widths ``sigma 2^j``.
    max_degree : int
        Largest degree ``l`` of the harmonics.
    powers : sequence of float
        Exponents ``q``, positive.
    max_order : int
        Largest order, 0, 1 or 2.
    sigma : float
        Width of the density's Gaussians and of the wavelets of scale 0, Angstrom.
    at_atoms : AtomScattering, optional
        Adds its columns, after all others: the moduli of order 1 read at the atoms.
    step : float
        Convergence knob: the cube root of the volume of a node of the lattice, in units of the width of the
        Gaussians on it, within the molecule.
    tile : int
        Points in flight, times channels, which bounds the memory; the default suits a CPU, a GPU wants 10 times
        more.
    max_points : int
        Most nodes that a molecule may need over all lattices.
    dtype : {"float32", "float64"}
        In which `transform` computes. `forward` computes in the dtype of the positions.

    Notes
    -----
    In float32 on a CPU, without gradients, orders 1 and 2 are compiled when they are first used, which takes some
    seconds once, and work on PyTorch's threads; else they are PyTorch's.

    Units: charges in e, lengths in Angstrom; a column of power q is in (e/A^3)^q A^3. Molecules are worked one by
    one: the features of one do not depend on the others of a batch. The modulus of degree l >= 1 is smoothed to
    :math:`(U_l^2 + \epsilon_l\, U_0^2)^{1/2}`, ``U_0`` the same path of degree 0 and
    :math:`\epsilon_l` a millionth of their usual ratio, so that gradients are finite
    where it vanishes.

    References
    ----------
    Eickenberg, Exarchakis, Hirn, Mallat, Thiry, "Solid harmonic wavelet scattering for predictions of molecule
    properties", J. Chem. Phys. 148, 241732 (2018).
    """

    def __init__(
        self,
        *,
        channels: Sequence[str] = ("all", "valence", "core"),
        second_order_channels: Sequence[str] | None = None,
        n_scales: int = 3,
        max_degree: int = 3,
        powers: Sequence[float] = (0.5, 1.0, 2.0, 3.0),
        max_order: int = 2,
        sigma: float = DEFAULT_SIGMA,
        at_atoms: AtomScattering | None = None,
        step: float = 0.45,
        tile: int = 131072,
        max_points: int = 20_000_000,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        torch.nn.Module.__init__(self)
        self.channels = channels
        self.second_order_channels = second_order_channels
        self.n_scales = n_scales
        self.max_degree = max_degree
        self.powers = powers
        self.max_order = max_order
        self.sigma = sigma
        self.at_atoms = at_atoms
        self.step = step
        self.tile = tile
        self.max_points = max_points
        self.dtype = dtype

    @property
    def plan(self) -> ScatteringPlan:
        """What follows from the parameters alone.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range.
        """
        channels, powers = self.channels, self.powers
        chosen = channels if self.second_order_channels is None else self.second_order_channels
        for name, names in (("channels", channels), ("second_order_channels", chosen)):
            if isinstance(names, str) or not isinstance(names, Iterable):
                fail(name, "be different names in a list, at least one", names)
        if not isinstance(powers, Iterable) or isinstance(powers, str):
            fail("powers", "be positive numbers in a list, at least one", powers)
        if self.at_atoms is not None:
            if not isinstance(self.at_atoms, AtomScattering):
                kind = type(self.at_atoms).__name__
                raise TypeError(f"`at_atoms` must be an AtomScattering or None, got {kind}")
            self.at_atoms.check()
        choice("dtype", self.dtype, ("float32", "float64"))
        integer("tile", self.tile, minimum=1)
        integer("max_points", self.max_points, minimum=1)
        return _plan(
            tuple(channels),
            tuple(chosen),
            self.n_scales,
            self.max_degree,
            tuple(powers),
            self.max_order,
            self.sigma,
            self.step,
        )

    @property
    def table(self) -> tuple[ScatteringColumn, ...]:
        """What each column is."""
        columns = self.plan.columns
        return columns if self.at_atoms is None else columns + self.at_atoms.table

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return len(self.table)

    def fit(self, X: Molecules | Iterable[Atoms], y: object = None) -> SolidScattering:
        """Check the parameters and the molecules; nothing is learnt.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range or a molecule cannot be used.
        """
        self.check_elements(as_molecules(X))
        return self

    def check_elements(self, molecules: Molecules) -> None:
        """Do nothing if the channels know all elements of molecules.

        Raises
        ------
        TypeError, ValueError
            If one is not known, or a parameter is out of range.
        """
        charges(molecules.numbers, self.plan.charge_table, self.plan.channels)
        if self.at_atoms is not None:
            self.at_atoms.check_molecules(molecules)

    def __sklearn_is_fitted__(self) -> bool:
        """Nothing is learnt, so it is always fitted."""
        return True

    def transform(self, X: Molecules | Iterable[Atoms]) -> np.ndarray:
        """Return the features of molecules as an array of ``dtype``, ``(n_molecules, n_features)``.

        Raises
        ------
        TypeError, ValueError
            As `forward`, and if the molecules cannot be used.
        """
        molecules = as_molecules(X)
        self.plan  # noqa: B018  (checks the parameters before dtype is used)
        with torch.inference_mode():
            return self.forward(molecules.to(dtype=getattr(torch, self.dtype))).cpu().numpy()

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns, as ``valence_j0_j2_l3_q0.5``."""
        return np.array([column.name for column in self.table], dtype=object)

    def forward(self, molecules: Molecules) -> Tensor:
        """Return the features of molecules, differentiable with respect to their positions.

        Parameters
        ----------
        molecules : Molecules
            Any number, of any sizes.

        Returns
        -------
        torch.Tensor
            ``(n_molecules, n_features)``, of the dtype and device of the positions. Where gradients are on, tiles
            are computed again in the backward pass.

        Raises
        ------
        TypeError
            If these are no `Molecules`.
        ValueError
            If a channel does not know an element, or a molecule needs more than ``max_points`` nodes.
        """
        if not isinstance(molecules, Molecules):
            raise TypeError(f"`molecules` must be Molecules, got {type(molecules).__name__}")
        plan = self.plan
        positions = molecules.positions
        all_charges = plan.unit * charges(molecules.numbers, plan.charge_table, plan.channels).to(positions)
        bounds, numbers = molecules.offsets.tolist(), molecules.numbers.cpu()
        rows = []
        tracked = torch.is_grad_enabled() and positions.requires_grad
        with torch.set_grad_enabled(tracked), one_blas_thread():
            for i in range(len(molecules)):
                atoms = slice(bounds[i], bounds[i + 1])
                molecule = ArrangedMolecule.arrange(numbers[atoms], all_charges[:, atoms], positions[atoms])
                n_points = plan.n_points(molecule.extents)
                if n_points > self.max_points:
                    sizes = ", ".join(f"{high - low:.1f}" for low, high in molecule.extents)
                    raise ValueError(
                        f"`max_points` must be at least {n_points} for molecule {i} of {len(molecule.along)} "
                        f"atoms ({sizes} Angstrom), got {self.max_points}: raise it, or take a larger "
                        "`step` or `sigma`"
                    )
                rows.append(scattering_of(molecule, plan, tile=self.tile))
        if not rows:
            return positions.new_zeros(0, self.n_features)
        integrals = torch.stack(rows)
        if self.at_atoms is None:
            return integrals
        return torch.cat([integrals, self.at_atoms.forward(molecules)], 1)


@lru_cache(maxsize=32)
def _plan(
    channels: tuple[str, ...],
    second_order_channels: tuple[str, ...],
    n_scales: int,
    max_degree: int,
    powers: tuple[float, ...],
    max_order: int,
    sigma: float,
    step: float,
) -> ScatteringPlan:
    if not powers or len(set(powers)) < len(powers) or not all(0 < q < math.inf for q in powers):
        fail("powers", "be different positive numbers in a list, at least one", powers)
    return ScatteringPlan(channels, second_order_channels, n_scales, max_degree, powers, max_order, sigma, step)
