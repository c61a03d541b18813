"""Random smooth deformations of the square: the law of maximum entropy at a given gradient energy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from phasewave.checks import choice, fail, integer
from phasewave.diagnostics.draws import white_draws

DisplacementFormula = Literal["exact", "asymptotic"]


@dataclass(frozen=True)
class Diffeomorphisms:
    r"""Law of smooth random displacement fields of square images.

    .. math:: \tau_a(y, x) = n \sum_{i^2 + j^2 < (c + 1/2)^2} C^a_{ij} \sin(i \pi y) \sin(j \pi x), \quad
        C^a_{ij} \sim \mathcal{N}\left(0, \frac{T}{i^2 + j^2}\right)

    for the two components ``a``, in pixels, ``i, j >= 1``, at the pixel centres ``(k + 1/2) / n``. The field
    vanishes on the border of the square.

    Parameters
    ----------
    size : int
        ``n``, pixels of a side.
    temperature : float
        ``T`` > 0.
    cutoff : int
        ``c``, from 1 to ``n - 1``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Source: Petrini, Favero, Geiger & Wyart 2021.
    """

    size: int
    temperature: float
    cutoff: int = 3

    def __post_init__(self) -> None:
        size = integer("size", self.size, minimum=2)
        integer("cutoff", self.cutoff, minimum=1, maximum=size - 1)
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            fail("temperature", "be finite and > 0", self.temperature)

    @staticmethod
    def of_displacement(
        size: int, displacement: float, *, cutoff: int = 3, formula: DisplacementFormula = "exact"
    ) -> Diffeomorphisms:
        """The law of a typical displacement, in pixels.

        Parameters
        ----------
        size : int
        displacement : float
            Root mean square over pixels of the length of the displacement, > 0.
        cutoff : int
            At least 2 with the asymptotic formula.
        formula : {"exact", "asymptotic"}
            Which of `displacement` and `asymptotic_displacement` is to have that value; the second gives the
            temperatures of the publication, whose true displacement is 9 to 16 % smaller for cutoffs 3 to 30.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range.
        """
        choice("formula", formula, get_args(DisplacementFormula))
        if not (math.isfinite(displacement) and displacement > 0):
            fail("displacement", "be finite and > 0", displacement)
        unit = Diffeomorphisms(size, 1.0, cutoff)
        at_one = unit.displacement if formula == "exact" else unit.asymptotic_displacement
        return Diffeomorphisms(size, (displacement / at_one) ** 2, cutoff)

    @property
    def displacement(self) -> float:
        r"""Root mean square displacement in pixels, :math:`n \sqrt{T/2 \sum 1 / (i^2 + j^2)}`.

        Exact, over the pixels as over the square: the squared sines have the mean 1/2 at the pixel centres.
        """
        return self.size * math.sqrt(self.temperature * float(self._weights().square().sum()) / 2)

    @property
    def asymptotic_displacement(self) -> float:
        r"""The published form for large cutoffs, :math:`\frac{n}{2} \sqrt{\pi T \ln c}`.

        Too large by 19 % at cutoff 3, 14 % at 10 and 10 % at 30.

        Raises
        ------
        ValueError
            If the cutoff is 1.
        """
        return self.size / 2 * math.sqrt(math.pi * self.temperature * _log_cutoff(self.cutoff))

    def coefficients(self, n_samples: int, *, seed: int = 0) -> torch.Tensor:
        """Draw coefficients ``C``.

        Parameters
        ----------
        n_samples : int
            At least 0.
        seed : int
            At least 0.

        Returns
        -------
        torch.Tensor (n_samples, 2, c, c), float64
            Zero beyond the cutoff's disc. Sample i is a function of ``(seed, i)`` alone.

        Raises
        ------
        TypeError, ValueError
            If a number is not an integer at least 0.
        """
        white = white_draws(n_samples, (2, self.cutoff, self.cutoff), seed=seed)
        return white * (self._weights() * math.sqrt(self.temperature))

    def field(self, coefficients: torch.Tensor) -> torch.Tensor:
        """The displacement in pixels, ``(..., 2, n, n)``, of coefficients ``(..., 2, c, c)``."""
        sines = self._waves().to(coefficients)
        return self.size * (sines.T @ coefficients @ sines)

    def sample(self, n_samples: int, *, seed: int = 0) -> torch.Tensor:
        """Draw displacement fields, `field` of `coefficients`: ``(n_samples, 2, n, n)``, float64, in pixels."""
        return self.field(self.coefficients(n_samples, seed=seed))

    def jacobian(self, coefficients: torch.Tensor) -> torch.Tensor:
        r"""Determinant of the map's derivative at the pixels, :math:`\det(1 - \partial \tau)`.

        The map ``s -> s - tau(s)`` of the square, fixed on its border, is one to one if and only if the
        determinant is positive everywhere.

        Parameters
        ----------
        coefficients : torch.Tensor (..., 2, c, c)

        Returns
        -------
        torch.Tensor (..., n, n)
        """
        sines = self._waves().to(coefficients)
        slopes = self._waves(derivative=True).to(coefficients)
        by_row = slopes.T @ coefficients @ sines
        by_column = sines.T @ coefficients @ slopes
        return (1 - by_row[..., 0, :, :]) * (1 - by_column[..., 1, :, :]) - by_row[..., 1, :, :] * by_column[
            ..., 0, :, :
        ]

    def _weights(self) -> torch.Tensor:
        """``1 / sqrt(i^2 + j^2)`` within the disc, else 0: ``(c, c)``."""
        squares = torch.arange(1, self.cutoff + 1, dtype=torch.float64).square()
        radius = squares[:, None] + squares
        return radius.rsqrt() * (radius < (self.cutoff + 0.5) ** 2)

    def _waves(self, *, derivative: bool = False) -> torch.Tensor:
        """``sin(i pi x)`` at the pixel centres, or its derivative: ``(c, n)``."""
        waves = math.pi * torch.arange(1, self.cutoff + 1, dtype=torch.float64)[:, None]
        centres = (torch.arange(self.size, dtype=torch.float64) + 0.5) / self.size
        return waves * (waves * centres).cos() if derivative else (waves * centres).sin()


def temperature_range(size: int, cutoff: int) -> tuple[float, float]:
    r"""Temperatures between invisible and torn deformations.

    .. math:: \frac{1}{\pi n^2 \ln c} \le T \le \frac{4}{\pi^3 c^2 \ln c}

    At the lower end the asymptotic displacement is half a pixel; at the upper end a third (c = 3, n = 32) of the
    fields fold somewhere, beyond it most do.

    Parameters
    ----------
    size : int
        ``n``, at least 2.
    cutoff : int
        ``c``, at least 2.

    Returns
    -------
    tuple of float
        The lower end is above the upper where ``c > 2 n / pi``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Source: Petrini, Favero, Geiger & Wyart 2021.
    """
    n, c = integer("size", size, minimum=2), integer("cutoff", cutoff, minimum=2)
    return 1 / (math.pi * n**2 * math.log(c)), 4 / (math.pi**3 * c**2 * math.log(c))


def _log_cutoff(cutoff: int) -> float:
    return math.log(integer("cutoff", cutoff, minimum=2))
