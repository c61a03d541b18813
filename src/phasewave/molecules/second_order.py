"""Order 2: integrals of the moduli of the wavelet transform of order 1's moduli, by separable contractions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from phasewave.core.recompute import recomputed
from phasewave.molecules.blurring import lattice_kernels
from phasewave.molecules.first_order import ArrangedMolecule
from phasewave.molecules.harmonic_fields import FLOOR
from phasewave.molecules.lattice import Lattice
from phasewave.molecules.power_sums import power_sums

# Fields on a bridge have the axes x, z, y: the longest comes last, where the products with it are fastest.


@dataclass(frozen=True)
class Contraction:
    """Harmonics of one degree ``l`` in terms of the monomials of that degree.

    Attributes
    ----------
    degree : int
        The degree ``l``.
    x_powers : torch.Tensor
        int64 ``(n_monomials,)``: the powers of x, for the monomials in the order of loops over the power of y and,
        within, of z.
    coefficients : torch.Tensor
        ``(2 l + 1, n_monomials)``.
    """

    degree: int
    x_powers: Tensor
    coefficients: Tensor


def contractions(polynomials: Tensor) -> tuple[Contraction, ...]:
    """List the harmonics degree by degree, but for degree 0.

    Parameters
    ----------
    polynomials : torch.Tensor
        ``(n_harmonics, p, p, p)``, see `phasewave.core.solid.SolidHarmonicWavelets.polynomials`.
    """
    steps = []
    for l in range(1, polynomials.shape[1]):
        own = polynomials[l * l : (l + 1) ** 2]
        monomials = [(l - j - k, j, k) for j in range(l + 1) for k in range(l - j + 1)]
        coefficients = torch.stack([own[:, i, j, k] for i, j, k in monomials], 1)
        steps.append(Contraction(l, torch.tensor([i for i, _, _ in monomials]), coefficients))
    return tuple(steps)


def second_order(
    fields: Tensor | None,
    source: Lattice,
    target: Lattice,
    width: float,
    steps: tuple[Contraction, ...],
    *,
    molecule: ArrangedMolecule,
    total_width: float,
    smoothing: tuple[float, ...],
    powers: tuple[float, ...],
    tile: int,
) -> Tensor:
    r"""Integrate powers of :math:`(\sum_m |V_l * \psi_{l,m}|^2)^{1/2}`.

    Parameters
    ----------
    fields : torch.Tensor or None
        ``(n_degrees - 1, n_channels, n_x, n_z, n_y)``: the ``V_l`` on ``source`` for ``l >= 1``; None if there is
        degree 0 alone, which takes no field: the density is positive, its modulus of degree 0 is itself blurred,
        and blurred again it is a sum of wider Gaussians.
    source, target : Lattice
        Where the fields are, and where the result is integrated.
    width : float
        Width of the wavelets, in the unit of the nodes.
    steps : tuple of Contraction
        What `contractions` made of the wavelets' polynomials.
    molecule : ArrangedMolecule
        Its atoms and charges, for degree 0.
    total_width : float
        Width of the atoms' Gaussians after both wavelets of degree 0.
    smoothing : tuple of float
        Part of the squared modulus of degree 0 that is added to those of each degree.
    powers : tuple of float
        Exponents ``q``.
    tile : int
        Points in flight, times channels.

    Returns
    -------
    torch.Tensor
        float64 ``(n_degrees, n_channels, n_powers)``.

    Notes
    -----
    Cost: the products with the last axis, which are most, are ``n_channels n_x`` for each node and monomial, of
    which there are ``(l + 1)(l + 2) / 2`` in a degree.
    """
    charges = molecule.charges
    n_channels, n_degrees = len(charges), len(steps) + 1
    n_x, n_y, n_z = target.shape
    a_x, a_y, a_z = molecule.gaussians(target, total_width, 1)
    a_x = charges[:, None] * (a_x[:, :, 0].transpose(1, 2) / ((2 * torch.pi) ** 1.5 * total_width**3))[:, None]
    n_lattices, n_rows = len(a_x), n_channels * n_x
    arguments: list[Tensor] = [a_x.flatten(1, 2), a_z[:, :, 0]]
    y = None
    if fields is not None:
        x, y, z = lattice_kernels(source, target, width, n_degrees, fields)
        arguments += [fields, z.transpose(2, 3)]
        arguments += [x[:, step.x_powers].transpose(2, 3).flatten(0, 1) for step in steps]
    x_weights, y_weights, z_weights = target.weights_like(charges)
    depth = max(1, tile // (n_lattices * n_rows * n_z))
    integrals = []
    for start in range(0, n_y, depth):
        part = slice(start, start + depth)
        weight = (z_weights[:, :, None] * y_weights[:, None, part]).flatten(1)

        def work(
            weight: Tensor, a_y: Tensor, y: Tensor | None, a_x: Tensor, a_z: Tensor, *sources: Tensor
        ) -> Tensor:
            lines = a_z[..., None] * a_y[:, :, None]
            first = a_x.bmm(lines.flatten(2)).square().add(FLOOR)
            squared = [first]
            if y is not None:
                fields, z, *xs = sources
                for step, field, x in zip(steps, fields, xs, strict=True):
                    own = _squared_modulus(field, x, y, z, step).view_as(first)
                    squared.append(own.add(first, alpha=smoothing[step.degree]).add(FLOOR))
            return power_sums(torch.cat(squared, 1), weight, powers)[0]

        y_part = None if y is None else y[..., part]
        integrals.append(recomputed(work, weight, a_y[:, :, 0, part], y_part, *arguments))
    total = torch.stack(integrals).double().sum(0).view(len(powers), n_lattices, n_degrees, n_channels, n_x)
    return torch.einsum("qhdcx,hx->dcq", total, x_weights.double())


def _squared_modulus(field: Tensor, x: Tensor, y: Tensor, z: Tensor, step: Contraction) -> Tensor:
    """Contract y, z and x, combine the monomials, square, add up.

    ``field`` is ``(c, n_x, n_z, n_y)``, ``x`` ``(h * monomial, X, n_x)``, ``y`` ``(h, j, n_y, Y)`` and ``z``
    ``(h, k, Z, n_z)``; the result is ``(h, c * X * Z * Y)``.
    """
    n_channels, n_x, n_z, n_y = field.shape
    n_lattices, n_lines, n_targets, n_powers = len(y), z.shape[2], y.shape[-1], step.degree + 1
    y = y[:, :n_powers].transpose(1, 2).reshape(n_lattices, n_y, n_powers * n_targets)
    lines = field.view(1, -1, n_y).expand(n_lattices, -1, -1).bmm(y)
    planes = []
    for own, kernels in zip(lines.view(n_lattices, -1, n_z, n_powers, n_targets), z, strict=True):
        for j in range(n_powers):
            kernel = kernels[: n_powers - j].reshape(-1, n_z).expand(len(own), -1, -1)
            plane = kernel.bmm(own[:, :, j]).view(n_channels, n_x, n_powers - j, n_lines * n_targets)
            planes.append(plane.permute(2, 0, 1, 3))
    every = torch.cat(planes).view(-1, n_x, n_lines * n_targets)
    monomials = x[:, None].expand(-1, n_channels, -1, -1).reshape(len(every), -1, n_x).bmm(every)
    coefficients = step.coefficients.expand(n_lattices, -1, -1)
    fields = coefficients.bmm(monomials.view(n_lattices, coefficients.shape[-1], -1))
    return (fields.square() if fields.requires_grad else fields.square_()).sum(1)
