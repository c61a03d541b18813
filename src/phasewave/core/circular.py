"""Circular harmonics: isotropic band-passes times angular momenta, the planar siblings of solid harmonics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from phasewave.checks import integer
from phasewave.core.bump import CENTRAL_FREQUENCY, BumpSteerable
from phasewave.core.fourier import Support
from phasewave.core.grids import smooth_size


@dataclass(frozen=True)
class CircularHarmonics:
    r"""Circular-harmonic wavelets, angular momenta 0 to ``max_momentum``.

    .. math::
        \hat\chi_{i,m}(\omega) = (-1)^m\, B(|\omega| / \xi_i)\, e^{i m \arg\omega}, \qquad
        \xi_i = 0.85\pi\, 2^{-i/q}, \qquad
        B(r) = \exp\!\left[\frac{-(r - 1)^2}{1 - (r - 1)^2}\right] 1_{0 < r < 2}

    A rotation of the field by ``t`` turns the coefficient of momentum ``m`` by the phase ``m t``, so moduli do not
    change: ``m = 0`` sees cores and rings, which oriented wavelets cut into arcs. The angle is measured from axis
    1 towards axis 0. For real fields negative momenta are conjugates of these.

    Parameters
    ----------
    max_momentum : int
        Largest angular momentum.
    scales_per_octave : int
        Number ``q`` of scales an octave.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not an integer or is out of range.
    """

    max_momentum: int = 4
    scales_per_octave: int = 2

    def __post_init__(self) -> None:
        integer("max_momentum", self.max_momentum, minimum=0)
        integer("scales_per_octave", self.scales_per_octave, minimum=1)

    @property
    def n_filters(self) -> int:
        """Number of wavelets at each scale: one a momentum."""
        return self.max_momentum + 1

    def dilation(self, scale: int) -> float:
        """Factor ``2^(i/q)`` by which the wavelets of a scale are wider than those of scale 0."""
        return 2.0 ** (scale / self.scales_per_octave)

    def grid(self, shape: tuple[int, int], scale: int, *, room: float = 1.0) -> tuple[int, int]:
        """Smallest grid of fast sizes that holds a scale's band ``|omega| < 1.7 pi / dilation`` unaliased.

        Parameters
        ----------
        shape : pair of int
            The field's grid, which is never exceeded.
        scale : int
            Scale index ``i``.
        room : float
            Factor of frequencies to leave for what a modulus adds to the band.
        """
        reach = 1.75 * room / self.dilation(scale)
        height, width = (min(n, smooth_size(math.ceil(n * reach), multiple=2)) for n in shape)
        return height, width

    def wavelets(self, shape: tuple[int, ...], scale: int, *, tolerance: float) -> tuple[Support, ...]:
        """The wavelets of one scale on a grid, on the box that holds their ring.

        Parameters
        ----------
        shape : tuple of int
            Two grid sizes.
        scale : int
            Scale index ``i``.
        tolerance : float
            Amplitude, relative to the peak 1, under which the ring is cut.

        Returns
        -------
        tuple of Support
            One a momentum, complex128 (real only for momentum 0, stored as complex beside the others).
        """
        xi = CENTRAL_FREQUENCY / self.dilation(scale)
        depth = -math.log(tolerance)
        radius = xi * (1 + math.sqrt(depth / (1 + depth)))
        last = [math.floor(radius * n / (2 * math.pi)) for n in shape]
        omega_0, omega_1 = torch.meshgrid(
            *(
                2 * math.pi / n * torch.arange(-k, k + 1, dtype=torch.float64)
                for n, k in zip(shape, last, strict=True)
            ),
            indexing="ij",
        )
        distance = torch.hypot(omega_0, omega_1)
        offset = (distance / xi - 1) ** 2
        inside = (distance > 0) & (offset < 1)
        ring = torch.where(inside, torch.exp(-offset / (1 - torch.where(inside, offset, 0))), 0)
        direction = torch.complex(omega_1, omega_0) / torch.where(inside, distance, 1)
        start = tuple(-k for k in last)
        return tuple(Support(start, (-1) ** m * ring * direction**m) for m in range(self.n_filters))

    def low_pass(self, omega: torch.Tensor, n_scales: int) -> torch.Tensor:
        r"""Axis profile of the Gaussian low-pass below the last scale, that of `BumpSteerable` at its dilation.

        Parameters
        ----------
        omega : torch.Tensor
            Angular frequencies, radians per pixel; any real value.
        n_scales : int
            Number of scales.
        """
        return BumpSteerable().low_pass(omega * self.dilation(n_scales - 1), 1)
