"""Quadrature in free space: a body-centred cubic lattice whose step grows outside the molecule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import softplus

Boxes = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Extents = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

# The step grows smoothly from 1 to 1 + GROWTH over about SOFTNESS widths, ONSET widths outside the box of the
# atoms, up to REACH + REACH_BY_STEP / step widths. Every value was chosen by measurement: with these the lattice
# has four times fewer nodes than a cubic one of constant step, at the same error in all powers from 1/2 to 3.
GROWTH = 6.0
ONSET = 2.0
SOFTNESS = 0.5
REACH, REACH_BY_STEP = 3.9, 0.6
CUBIC_REACH = 4.6
_INSIDE = 0.3  # nodes by which an atom may stand outside the box; so flat molecules are not at a jump of the box


@dataclass(frozen=True, eq=False)
class Axis:
    """The nodes along one axis; the same axis is one object, by which tables of it are kept.

    Attributes
    ----------
    nodes : torch.Tensor
        float64 ``(n_lattices, n)``, coordinates in the unit of length.
    weights : torch.Tensor
        float64 ``(n_lattices, n)``, of the quadrature.
    """

    nodes: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Lattice:
    """One or two cubic lattices of equal shape around a molecule.

    An integral is a sum, over the nodes of all lattices, of values times the weights of the three axes.

    Attributes
    ----------
    axes : tuple of three Axis
    """

    axes: tuple[Axis, Axis, Axis]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of nodes along each axis, of one lattice."""
        x, y, z = (axis.nodes.shape[1] for axis in self.axes)
        return x, y, z

    def weights_like(self, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The weights, of another tensor's dtype and device; not to be written."""
        x, y, z = (axis_weights(axis, other.dtype, other.device) for axis in self.axes)
        return x, y, z


@lru_cache(maxsize=8192)
@torch.inference_mode(False)
def axis_weights(axis: Axis, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The weights of an axis, of a dtype and device; not to be written."""
    return axis.weights.to(device, dtype)


@dataclass(frozen=True)
class LatticeRule:
    r"""Where the nodes are around a molecule, in units of the width ``s`` of the Gaussians to be resolved.

    With the period ``H`` the nodes along an axis are :math:`x(t) = H\,[t + g(t - b) - g(a - t)]`, where the atoms
    lie in about :math:`[Ha, Hb]`, ``a`` and ``b`` whole, and :math:`g(u) = 6 w \log(1 + e^{(u - u_0)/w})`,
    :math:`u_0 = 2 / H`, :math:`w = 1 / 2H`; the weights are :math:`dx/dt`. As the map is analytic the trapezoidal
    rule keeps its exponential convergence. A body-centred lattice is two of these, of ``t`` a quarter above and a
    quarter below whole numbers; for the same error it needs 1.41 times fewer nodes than a cubic one.

    Parameters
    ----------
    step : float
        Cube root of the volume of one node of the body-centred lattice inside the molecule, in widths.
    """

    step: float

    @property
    def period(self) -> float:
        """Step of each half of the body-centred lattice, in widths."""
        return self.step * 2 ** (1 / 3)

    def n_nodes(self, extents: Extents, width: float) -> int:
        """Number of nodes of the body-centred lattice."""
        margin = _margin(self.period)
        return 2 * math.prod(b - a + 1 + 2 * margin for a, b in _boxes(extents, self.period * width))

    def body_centred(self, extents: Extents, width: float) -> Lattice:
        """Both halves of the lattice.

        Parameters
        ----------
        extents : three pairs of float
            Lowest and highest coordinate of the atoms along each axis.
        width : float
            The width ``s``, in the unit of length.
        """
        boxes = _boxes(extents, self.period * width)
        x, y, z = (
            _axis(low, high, self.period, width, share)
            for (low, high), share in zip(boxes, (0.5, 1.0, 1.0), strict=True)
        )
        return Lattice((x, y, z))

    def cubic(self, extents: Extents, width: float) -> Lattice:
        """A simple cubic lattice of constant period ``step``, to ``CUBIC_REACH`` widths outside the atoms."""
        margin = math.ceil(CUBIC_REACH / self.step)
        unit = self.step * width
        x, y, z = (_even_axis(low - margin, high + margin, unit) for low, high in _boxes(extents, unit))
        return Lattice((x, y, z))


def _boxes(extents: Extents, unit: float) -> Boxes:
    """Whole numbers ``a <= b`` such that each extent lies in about ``[a, b]`` units."""
    lows = [math.floor(low / unit + _INSIDE) for low, _ in extents]
    highs = [math.ceil(high / unit - _INSIDE) for _, high in extents]
    x, y, z = ((a, max(a, b)) for a, b in zip(lows, highs, strict=True))
    return x, y, z


def _stretch(u: Tensor, period: float) -> tuple[Tensor, Tensor]:
    """The map ``g`` and its derivative, at distances in nodes."""
    softness, onset = SOFTNESS / period, ONSET / period
    v = (u - onset) / softness
    return GROWTH * softness * softplus(v, threshold=50.0), GROWTH * torch.sigmoid(v)


@lru_cache(maxsize=64)
def _margin(period: float) -> int:
    """Nodes to lay on either side of the box."""
    reach = REACH + REACH_BY_STEP * 2 ** (1 / 3) / period
    u = torch.arange(math.ceil(reach / period) + 1, dtype=torch.float64)
    return int((period * (u + _stretch(u, period)[0]) < reach).sum())


@lru_cache(maxsize=8192)
@torch.inference_mode(False)
def _axis(a: int, b: int, period: float, width: float, share: float) -> Axis:
    """Both halves of an axis whose atoms lie in ``[a, b]`` periods, the weights times ``share``."""
    margin = _margin(period)
    t = torch.arange(a - margin, b + margin + 1, dtype=torch.float64) + torch.tensor([[0.25], [-0.25]])
    above, above_slope = _stretch(t - b, period)
    below, below_slope = _stretch(a - t, period)
    unit = period * width
    return Axis(unit * (t + above - below), share * unit * (1 + above_slope + below_slope))


@lru_cache(maxsize=8192)
@torch.inference_mode(False)
def _even_axis(first: int, last: int, unit: float) -> Axis:
    nodes = unit * torch.arange(first, last + 1, dtype=torch.float64)[None]
    return Axis(nodes, torch.full_like(nodes, unit))
