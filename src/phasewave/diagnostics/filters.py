"""What trained filters are made of: smooth and rough parts in space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from phasewave.checks import fail, finite, integer, real_field


@dataclass(frozen=True)
class LaplacianSpectrum:
    r"""Energy of filters on the eigenvectors of the grid's Laplacian.

    Attributes
    ----------
    eigenvalues : torch.Tensor (k^2,)
        :math:`\lambda`, rising; float64.
    energy : torch.Tensor (k^2,)
        :math:`c_\lambda = \langle (w \cdot \Psi_\lambda)^2 \rangle` over the channels. Within one eigenvalue the
        split between eigenvectors depends on their choice; sums over it do not.
    roughness : float or None
        Mean eigenvalue, weighted by the energy: 0 for constant filters. None for filters of zeros.
    """

    eigenvalues: torch.Tensor
    energy: torch.Tensor
    roughness: float | None

    def by_eigenvalue(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the distinct eigenvalues and the energy of each, which do not depend on the basis."""
        values, where = self.eigenvalues.round(decimals=9).unique(return_inverse=True)
        return values, torch.zeros_like(values).index_add(0, where, self.energy)

    def record(self) -> dict[str, object]:
        """The figures as plain numbers and lists."""
        return {
            "eigenvalues": self.eigenvalues.tolist(),
            "energy": self.energy.tolist(),
            "roughness": self.roughness,
        }


def laplacian_basis(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Eigenvalues and eigenvectors of the Laplacian of the square grid of neighbours.

    .. math:: \Psi_{ab}(y, x) = \psi_a(y) \psi_b(x), \quad
        \psi_a(x) \propto \cos \frac{a \pi (x + 1/2)}{k}, \quad
        \lambda_{ab} = 4 - 2 \cos \frac{a \pi}{k} - 2 \cos \frac{b \pi}{k}

    For ``k = 3`` the eigenvalues are 0, 1, 1, 2, 3, 3, 4, 4, 6.

    Parameters
    ----------
    size : int
        ``k``, pixels of a side, at least 1.

    Returns
    -------
    tuple of torch.Tensor
        Eigenvalues ``(k^2,)``, rising, and orthonormal eigenvectors ``(k^2, k, k)``, float64.

    Raises
    ------
    TypeError, ValueError
        If the size is not an integer at least 1.
    """
    k = integer("size", size, minimum=1)
    index = torch.arange(k, dtype=torch.float64)
    waves = torch.cos(index[:, None] * math.pi * (index + 0.5) / k)
    waves = waves / waves.norm(dim=1, keepdim=True)
    line = 4 * torch.sin(index * math.pi / (2 * k)).square()
    eigenvalues = (line[:, None] + line).flatten()
    order = eigenvalues.round(decimals=9).argsort(stable=True)
    vectors = torch.einsum("ay,bx->abyx", waves, waves).flatten(0, 1)
    return eigenvalues[order], vectors[order]


def laplacian_spectrum(weights: torch.Tensor) -> LaplacianSpectrum:
    r"""Energy of filters by spatial frequency, :math:`c_\lambda = \langle (w \cdot \Psi_\lambda)^2 \rangle`.

    Parameters
    ----------
    weights : torch.Tensor (..., k, k)
        Real floating, of a convolution; the mean is over all leading axes. Call it along a training to follow
        the filters.

    Returns
    -------
    LaplacianSpectrum

    Raises
    ------
    TypeError
        If the weights are not real floating.
    ValueError
        If the filters are not square, there are none, or values are not finite.

    Notes
    -----
    The energies sum to the mean squared norm of the filters. Source: Tomasini, Petrini, Cagnetta & Wyart 2022.

    Examples
    --------
    >>> values, energy = laplacian_spectrum(torch.ones(4, 1, 3, 3)).by_eigenvalue()
    >>> [round(c, 6) for c in energy.tolist()]
    [9.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    real_field("weights", weights)
    if weights.ndim < 2 or weights.shape[-1] != weights.shape[-2] or not weights.numel():
        fail("weights", "have the shape (..., k, k) of at least one filter", tuple(weights.shape))
    w = finite("weights", weights).detach().double().cpu()
    eigenvalues, vectors = laplacian_basis(w.shape[-1])
    energy = torch.einsum("nyx,lyx->nl", w.reshape(-1, *w.shape[-2:]), vectors).square().mean(0)
    total = float(energy.sum())
    roughness = float(energy @ eigenvalues) / total if total else None
    return LaplacianSpectrum(eigenvalues, energy, roughness)
