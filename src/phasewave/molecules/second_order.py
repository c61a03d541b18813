"""Order 2: integrals of the moduli of the wavelet transform of order 1's moduli, by separable contractions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from phasewave.core.recompute import recomputed
from phasewave.molecules.first_order import ArrangedMolecule
from phasewave.molecules.harmonic_fields import FLOOR, gaussian_powers
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


def blurred(
    sources: tuple[tuple[Tensor, Lattice], ...], target: Lattice, width: float, *, from_bridge: bool
) -> Tensor:
    """Convolve with a normalised Gaussian, from lattices that together make a quadrature to a bridge.

    Parameters
    ----------
    sources : tuple of (torch.Tensor, Lattice)
        Fields ``(..., n_x, n_y, n_z)``, or ``(..., n_x, n_z, n_y)`` of a bridge, and their lattices.
    target : Lattice
        Where the result is wanted.
    width : float
        Width of the Gaussian, in the unit of the nodes.
    from_bridge : bool
        Whether the source is a bridge itself.

    Returns
    -------
    torch.Tensor
        ``(..., N_x, N_z, N_y)``.
    """
    total: Tensor | None = None
    for fields, source in sources:
        x, y, z = (kernel[0] for kernel in _kernels(source, target, width, 1, fields))
        n_x, n_y, n_z = source.shape
        if from_bridge:
            planes = (fields.reshape(-1, n_y) @ y).view(-1, n_z, y.shape[1])
            planes = z.T.expand(len(planes), -1, -1).bmm(planes)
        else:
            planes = (fields.reshape(-1, n_z) @ z).view(-1, n_y, z.shape[1])
            planes = planes.transpose(1, 2).bmm(y.expand(len(planes), -1, -1))
        planes = planes.view(-1, n_x, z.shape[1] * y.shape[1])
        kernel = x.T.expand(len(planes), -1, -1)
        total = kernel.bmm(planes) if total is None else torch.baddbmm(total, kernel, planes)
    if total is None:
        raise ValueError("`sources` must not be empty")
    n_x, n_y, n_z = target.shape
    return total.view(*sources[0][0].shape[:-3], n_x, n_z, n_y) / ((2 * torch.pi) ** 1.5 * width**3)


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
    r"""Integrate powers of :math:`(\sum_m |V_l * \psi_{l,m}|^2)^{1/2}` on one lattice.

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
        Points in flight.

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
    a_x, a_y, a_z = molecule.gaussians(target, total_width, 1)
    a_x = charges[:, None] * (a_x[:, 0].T / ((2 * torch.pi) ** 1.5 * total_width**3))
    arguments: list[Tensor] = [a_x.reshape(-1, len(a_y)), a_z[:, 0]]
    y = None
    if fields is not None:
        x, y, z = _kernels(source, target, width, n_degrees, fields)
        arguments += [fields, z.transpose(1, 2)]
        arguments += [x[step.x_powers].transpose(1, 2) for step in steps]
    u_weights, v_weights, w_weights = (axis.to(charges) for axis in target.weights)
    n_x, n_y, n_z = target.shape
    depth = max(1, tile // (n_x * n_z))
    integrals = []
    for start in range(0, n_y, depth):
        part = slice(start, start + depth)
        weight = (u_weights[:, None, None] * (w_weights[:, None] * v_weights[part])).flatten()

        def work(
            weight: Tensor, a_y: Tensor, y: Tensor | None, a_x: Tensor, a_z: Tensor, *sources: Tensor
        ) -> Tensor:
            lines = a_z[:, :, None] * a_y[:, None]
            first = (a_x @ lines.flatten(1)).square().add(FLOOR).view(n_channels, -1)
            squared = [first]
            if y is not None:
                fields, z, *xs = sources
                for step, field, x in zip(steps, fields, xs, strict=True):
                    own = _squared_modulus(field, x, y, z, step).view(n_channels, -1)
                    squared.append(own + (first * smoothing[step.degree] + FLOOR))
            return power_sums(torch.stack(squared), weight, powers)[0]

        y_part = None if y is None else y[:, :, part]
        integrals.append(recomputed(work, weight, a_y[:, 0, part], y_part, *arguments))
    return torch.stack(integrals).double().sum(0).view(n_degrees, n_channels, len(powers))


def _kernels(source: Lattice, target: Lattice, width: float, n_powers: int, like: Tensor) -> list[Tensor]:
    """The wavelets axis by axis, ``(power, n_source, n_target)``, with the weights of the source."""
    pairs = list(zip(source.nodes, target.nodes, strict=True))
    offsets = torch.cat([((end - start[:, None]) / width).flatten() for start, end in pairs])
    tables = gaussian_powers(offsets.to(like), n_powers).split([len(start) * len(end) for start, end in pairs], -1)
    return [
        table.view(n_powers, len(start), len(end)) * weights.to(like)[:, None]
        for table, (start, end), weights in zip(tables, pairs, source.weights, strict=True)
    ]


def _squared_modulus(field: Tensor, x: Tensor, y: Tensor, z: Tensor, step: Contraction) -> Tensor:
    """Contract y, z and x, combine the monomials, square, add up.

    ``field`` is ``(c, n_x, n_z, n_y)``, ``x`` ``(monomial, X, n_x)``, ``y`` ``(j, n_y, Y)`` and ``z``
    ``(k, Z, n_z)``; the result has ``c * X * Z * Y`` values.
    """
    n_channels, n_x, n_z, n_y = field.shape
    n_powers, n_lines, n_targets = step.degree + 1, z.shape[1], y.shape[-1]
    lines = field.reshape(-1, n_y) @ y[:n_powers].transpose(0, 1).reshape(n_y, -1)
    lines = lines.view(n_channels * n_x, n_z, n_powers, n_targets)
    planes = []
    for j in range(n_powers):
        kernel = z[: n_powers - j].reshape(-1, n_z).expand(n_channels * n_x, -1, -1)
        plane = kernel.bmm(lines[:, :, j]).view(n_channels, n_x, n_powers - j, n_lines * n_targets)
        planes.append(plane.permute(2, 0, 1, 3))
    every = torch.cat(planes)
    kernels = x[:, None].expand(-1, n_channels, -1, -1).reshape(-1, x.shape[1], n_x)
    monomials = kernels.bmm(every.view(len(every) * n_channels, n_x, -1)).view(len(every), -1)
    fields = step.coefficients @ monomials
    return (fields.square() if fields.requires_grad else fields.square_()).sum(0)
