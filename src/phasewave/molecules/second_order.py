"""Order 2: integrals of the moduli of the wavelet transform of order 1's moduli, by separable contractions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from phasewave.molecules.first_order import recomputed
from phasewave.molecules.harmonic_fields import FLOOR, gaussian_powers
from phasewave.molecules.lattice import Lattice
from phasewave.molecules.power_sums import power_sums


@dataclass(frozen=True)
class Contraction:
    """Harmonics of one degree that share the parities of y and z, and one power of z.

    Attributes
    ----------
    degree : int
        The degree ``l``.
    group : int
        Which group of harmonics of this degree the result is added to.
    z_power : int
        The power of z.
    y_powers : slice
        The powers of y.
    coefficients : torch.Tensor
        ``(f, i, j)``: one row a harmonic of the group.
    """

    degree: int
    group: int
    z_power: int
    y_powers: slice
    coefficients: Tensor


def contractions(polynomials: Tensor) -> tuple[Contraction, ...]:
    """List what has to be contracted, degree by degree, so that no product with a zero is formed.

    Parameters
    ----------
    polynomials : torch.Tensor
        ``(n_harmonics, p, p, p)``, see `phasewave.core.solid.SolidHarmonicWavelets.polynomials`.
    """
    steps = []
    for l in range(polynomials.shape[1]):
        own = polynomials[l * l : (l + 1) ** 2]
        for group, (py, pz) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            members = (
                (own[:, :, py::2, pz::2] != 0).flatten(1).any(1) if min(own.shape[2:]) > max(py, pz) else None
            )
            if members is None or not bool(members.any()):
                continue
            for k in range(pz, l + 1, 2):
                powers = slice(py, l - k + 1, 2)
                coefficients = own[members][:, : l + 1, powers, k]
                if bool((coefficients != 0).any()):
                    steps.append(Contraction(l, group, k, powers, coefficients))
    return tuple(steps)


def second_order(
    sources: tuple[tuple[Tensor, Lattice], ...],
    target: Lattice,
    width: float,
    steps: tuple[Contraction, ...],
    *,
    smoothing: tuple[float, ...],
    powers: tuple[float, ...],
    tile: int,
) -> Tensor:
    r"""Integrate powers of :math:`(\sum_m |U_l * \psi_{l,m}|^2)^{1/2}` on one sublattice.

    Parameters
    ----------
    sources : tuple of (torch.Tensor, Lattice)
        Order 1's moduli ``U_l`` on each sublattice, ``(n_degrees, n_channels, n_x, n_y, n_z)``.
    target : Lattice
        The sublattice on which the result is integrated.
    width : float
        Width of the wavelets of the second layer, in the unit of the nodes.
    steps : tuple of Contraction
        What `contractions` made of the wavelets' polynomials.
    smoothing : tuple of float
        Part of the squared modulus of degree 0 that is added to those of each degree.
    powers : tuple of float
        Exponents ``q``.
    tile : int
        Points in flight.

    Returns
    -------
    torch.Tensor
        float64 ``(n_degrees, n_channels, n_powers)``.
    """
    like = sources[0][0]
    n_degrees, n_channels = like.shape[:2]
    x_weights, y_weights, z_weights = (axis.to(like) for axis in target.weights)
    parts, tables = [], []
    for moduli, source in sources:
        x, y, z = (_kernel(source, target, axis, width, n_degrees).to(like) for axis in range(3))
        tables.append(x)
        parts.append([_contract(moduli[step.degree], step, y, z) for step in steps])
    x = torch.cat(tables)
    partial = [torch.cat(part, 1) for part in zip(*parts, strict=True)]
    n_x, n_yz = len(x_weights), len(y_weights) * len(z_weights)
    plane = (y_weights[:, None] * z_weights).flatten()
    depth = max(1, tile // n_yz)
    total: Tensor | None = None
    for start in range(0, n_x, depth):
        part = slice(start, min(start + depth, n_x))
        weight = (x_weights[part, None] * plane).flatten()

        def work(x: Tensor, weight: Tensor, *partial: Tensor) -> Tensor:
            squared = _squared(x, steps, partial, smoothing)
            return power_sums(squared.view(n_degrees, n_channels, -1), weight, powers)[0]

        sums = recomputed(work, x[..., part], weight, *partial)
        total = sums if total is None else total + sums
    if total is None:
        raise ValueError("`target` must hold nodes")
    return total


def _kernel(source: Lattice, target: Lattice, axis: int, width: float, n_powers: int) -> Tensor:
    """One axis of the wavelets with the quadrature over the source, ``(n_source, power, n_target)``."""
    offsets = (target.nodes[axis] - source.nodes[axis][:, None]) / width
    return gaussian_powers(offsets, n_powers) * source.weights[axis][:, None, None]


def _contract(moduli: Tensor, step: Contraction, y: Tensor, z: Tensor) -> Tensor:
    """Contract z then y: ``(n_channels, n_x * j, Y * Z)``."""
    n_channels, n_x, n_y, n_z = moduli.shape
    table = y[:, step.y_powers].reshape(n_y, -1).T
    lines = moduli.reshape(-1, n_z) @ z[:, step.z_power]
    planes = table.expand(n_channels * n_x, -1, -1) @ lines.view(n_channels * n_x, n_y, -1)
    return planes.view(n_channels, -1, y.shape[-1] * z.shape[-1])


def _squared(
    x: Tensor, steps: tuple[Contraction, ...], partial: tuple[Tensor, ...], smoothing: tuple[float, ...]
) -> Tensor:
    """Contract x, add up what belongs to one harmonic, square and add up harmonics: ``(n_degrees, C, X * Y * Z)``."""
    fields: dict[tuple[int, int], Tensor] = {}
    for step, planes in zip(steps, partial, strict=True):
        n_fields, n_i, n_j = step.coefficients.shape
        table = torch.einsum("fij,niX->fXnj", step.coefficients, x[:, :n_i]).reshape(-1, len(x) * n_j)
        table = table.expand(len(planes), -1, -1)
        key = (step.degree, step.group)
        known = fields.get(key)
        fields[key] = torch.bmm(table, planes) if known is None else torch.baddbmm(known, table, planes)
    by_degree: list[Tensor] = []
    for (degree, _), field in fields.items():
        n_channels, n_rows, n_yz = field.shape
        squared = field.square().view(n_channels, -1, x.shape[-1] * n_yz).sum(1)
        if degree < len(by_degree):
            by_degree[degree] = by_degree[degree] + squared
        elif degree:
            by_degree.append(squared + smoothing[degree] * by_degree[0])
        else:
            by_degree.append(squared + FLOOR)
    return torch.stack(by_degree)
