"""Partition of input space by a piecewise affine network: distances of codes, regions, slices as pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from phasewave.checks import fail, integer, real_field
from phasewave.diagnostics.splines import AffineSpline, Codes


@dataclass(frozen=True)
class Plane:
    """A plane of inputs: origin + s directions[0] + t directions[1].

    Attributes
    ----------
    origin : torch.Tensor (...)
    directions : torch.Tensor (2, ...)
    """

    origin: torch.Tensor
    directions: torch.Tensor

    @classmethod
    def through(cls, points: torch.Tensor) -> Plane:
        """The plane through three inputs (3, ...): origin in their mean, orthonormal directions.

        Raises
        ------
        TypeError, ValueError
            If they are not three inputs, or lie on one line.
        """
        real_field("points", points)
        if points.ndim < 2 or len(points) != 3 or points[0].numel() < 2:
            fail("points", "be three inputs of two values or more", tuple(points.shape))
        rows = points.detach().double().flatten(1)
        edges = rows[1:] - rows[0]
        basis, triangle = torch.linalg.qr(edges.mT)
        sizes = triangle.diagonal().abs()
        if not float(sizes.min()) > 1e-9 * float(edges.norm()):
            fail("points", "not lie on one line", "three that do")
        basis = basis * triangle.diagonal().sign()
        directions = basis.mT.reshape(2, *points.shape[1:])
        return cls(points.detach().mean(0), directions.to(points))

    def coordinates(self, points: torch.Tensor) -> torch.Tensor:
        """Coordinates s, t (n, 2) of the orthogonal projections of inputs (n, ...) on the plane."""
        away = (points - self.origin).flatten(1)
        return torch.linalg.lstsq(self.directions.flatten(1).mT, away.mT).solution.mT

    def points(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Inputs (n, ...) of coordinates (n, 2)."""
        return self.origin + torch.einsum("nk,k...->n...", coordinates.to(self.directions), self.directions)


@dataclass(frozen=True)
class PartitionSlice:
    """The regions that a square of a plane meets.

    Attributes
    ----------
    regions : torch.Tensor (size, size)
        int64: number of the region at each point, row by s and column by t, in order of first occurrence.
    axis : torch.Tensor (size,)
        Values of s and of t.
    """

    regions: torch.Tensor
    axis: torch.Tensor

    @property
    def n_regions(self) -> int:
        """How many regions the points see; small ones may lie between them."""
        return int(self.regions.max()) + 1

    def borders(self) -> torch.Tensor:
        """Which points (size, size) have another region below or to the right: the lines of the picture."""
        lines = torch.zeros_like(self.regions, dtype=torch.bool)
        lines[:-1] |= self.regions[:-1] != self.regions[1:]
        lines[:, :-1] |= self.regions[:, :-1] != self.regions[:, 1:]
        return lines


def code_distance(codes: Codes, others: Codes) -> torch.Tensor:
    r"""Vector-quantisation distance of regions: 1 - (number of equal entries) / (number of entries).

    Parameters
    ----------
    codes, others : tuple of torch.Tensor (n, K_l), (m, K_l)
        By `AffineSpline.codes`; or one of the tensors in a tuple, for one layer.

    Returns
    -------
    torch.Tensor (n, m)
        Float64, between 0 (one region) and 1.

    Raises
    ------
    ValueError
        If the codes are not of one network.

    Notes
    -----
    Cost: n m K. Source: Balestriero and Baraniuk 2018.
    """
    left, right = _joined("codes", codes), _joined("others", others)
    if left.shape[1] != right.shape[1]:
        fail("others", f"have {left.shape[1]} entries as `codes`", right.shape[1])
    differing = [(row != right).sum(1) for row in left]
    return torch.stack(differing).double() / left.shape[1]


def region_numbers(codes: Codes) -> torch.Tensor:
    """Number the regions of inputs in order of first occurrence.

    Parameters
    ----------
    codes : tuple of torch.Tensor (n, K_l)

    Returns
    -------
    torch.Tensor (n,)
        int64, from 0; equal exactly where all entries of the codes are.

    Raises
    ------
    ValueError
        If there are no codes.

    Notes
    -----
    Cost: n K, n log n.
    """
    return _numbered(torch.unique(_joined("codes", codes), dim=0, return_inverse=True)[1])


def partition_slice(
    network: nn.Sequential,
    plane: Plane,
    *,
    extent: float = 1.0,
    size: int = 256,
    depth: int | None = None,
    batch_size: int = 4096,
) -> PartitionSlice:
    r"""Cut the partition of input space by a square of a plane, :math:`|s|, |t| \le` ``extent``.

    Parameters
    ----------
    network : torch.nn.Sequential
        As `AffineSpline` takes.
    plane : Plane
        Of the shape of one input of the network.
    extent : float
    size : int
        Points a side, at least 2.
    depth : int, optional
        Use the codes of the first ``depth`` non-linearities only: deeper ones subdivide their regions.
    batch_size : int
        Points at a time.

    Returns
    -------
    PartitionSlice

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range or the network is not piecewise affine.

    Notes
    -----
    In a large network almost every point of a wide square has a region of its own: a small ``extent`` shows them.
    Codes are compared by two sums of 64 bits, which differ for two regions but with a probability below 1e-12.
    Cost: size^2 passes; memory of one batch of codes and of the picture.

    Examples
    --------
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> found = partition_slice(network, Plane.through(torch.randn(3, 4)), extent=3.0, size=32)
    >>> found.regions.shape
    torch.Size([32, 32])
    """
    spline = AffineSpline(network)
    integer("size", size, minimum=2)
    integer("batch_size", batch_size, minimum=1)
    if not extent > 0:
        fail("extent", "be > 0", extent)
    axis = torch.linspace(-extent, extent, size, dtype=torch.float64, device=plane.origin.device)
    grid = torch.cartesian_prod(axis, axis)
    sums = []
    for part in grid.split(batch_size):
        codes = spline.codes(plane.points(part))
        if depth is not None:
            integer("depth", depth, minimum=1, maximum=len(codes))
            codes = codes[:depth]
        sums.append(_sums(_joined("network's codes", codes)))
    regions = _numbered(torch.unique(torch.cat(sums), dim=0, return_inverse=True)[1])
    return PartitionSlice(regions.view(size, size), axis)


def _joined(name: str, codes: Codes) -> torch.Tensor:
    if len(codes) == 0 or sum(code.shape[1] for code in codes) == 0:
        fail(name, "have one entry or more", "none")
    return torch.cat(list(codes), 1)


def _numbered(inverse: torch.Tensor) -> torch.Tensor:
    n = len(inverse)
    first = torch.full((int(inverse.max()) + 1,), n, dtype=torch.int64, device=inverse.device)
    first.scatter_reduce_(0, inverse, torch.arange(n, device=inverse.device), "amin")
    return first.argsort().argsort()[inverse]


def _sums(codes: torch.Tensor) -> torch.Tensor:
    """Two sums of the entries with random odd weights, modulo 2^64."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randint(-(2**62), 2**62, (codes.shape[1], 2), generator=generator) * 2 + 1
    weights = weights.to(codes.device)
    # Not a product of matrices: CUDA has none for integers.
    return torch.stack([(codes * weights[:, k]).sum(1) for k in range(2)], 1)
