"""Pooling of frame networks: average, anti-alias, keep every S-th sample; and its exact Lipschitz constant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from phasewave.checks import fail, integer
from phasewave.core.fourier import Support
from phasewave.core.grids import angular_frequencies, signed_frequencies


@dataclass(frozen=True)
class Pooling:
    r"""Pooling :math:`f \mapsto S^{d/2} (P f)(S \cdot)` of periodic planar fields.

    ``P`` averages by ``weights`` along both axes and, with ``anti_alias``, keeps the frequencies alone that the
    coarse grid of ``ceil(n / S)`` points carries (its Nyquist frequency by half).

    Parameters
    ----------
    factor : int
        ``S``; 1 keeps all samples.
    weights : tuple of float
        Of neighbouring samples along an axis; ``(1,)`` averages nothing and ``(0.5, 0.5)`` pairs.
    anti_alias : bool
        Without it, naive decimation: the constant is then up to ``S``, which few frames admit.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """

    factor: int = 1
    weights: tuple[float, ...] = (1.0,)
    anti_alias: bool = True

    def __post_init__(self) -> None:
        integer("factor", self.factor, minimum=1)
        if not self.weights or not all(math.isfinite(w) for w in self.weights):
            fail("weights", "be finite numbers, at least one", self.weights)

    def coarse(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Grid after pooling."""
        return -(-shape[0] // self.factor), -(-shape[1] // self.factor)

    def multiplier(self, shape: tuple[int, int]) -> Support:
        r"""The map in Fourier, with its factor :math:`S^{d/2}`, as a filter to fold onto the coarse grid."""
        coarse, axes = self.coarse(shape), []
        for n, m, omega in zip(shape, coarse, angular_frequencies(shape), strict=True):
            delays = torch.outer(torch.arange(len(self.weights), dtype=torch.float64), omega.flatten())
            weights = torch.tensor(self.weights, dtype=torch.complex128)
            transfer = weights @ torch.polar(torch.ones_like(delays), -delays)
            if self.anti_alias and m < n:
                twice = 2 * signed_frequencies(n).abs()
                transfer = transfer * ((twice < m).double() + 0.5 * (twice == m))
            axes.append(torch.fft.fftshift(transfer) * math.sqrt(n / m))
        return Support((-(shape[0] // 2), -(shape[1] // 2)), axes[0][:, None] * axes[1])

    def lipschitz(self, shape: tuple[int, int]) -> float:
        """The constant ``R`` on a grid: the norm of the map, exact."""
        coarse, energy = self.coarse(shape), self.multiplier(shape).values.abs().square()
        for axis, (n, m) in enumerate(zip(shape, coarse, strict=True)):
            alias = torch.remainder(torch.arange(n) - n // 2, m)
            energy = energy.new_zeros((*energy.shape[:axis], m, *energy.shape[axis + 1 :])).index_add_(
                axis, alias, energy
            )
        norm = math.sqrt(math.prod(coarse) / math.prod(shape))
        return norm * math.sqrt(float(energy.max()))
