"""Solid-harmonic wavelets in three dimensions, and their convolution with a Gaussian in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch

from phasewave.checks import fail, integer


@dataclass(frozen=True)
class SolidHarmonicWavelets:
    r"""Wavelets that are a real solid harmonic times a Gaussian, dyadic in scale.

    .. math::

        \psi_{j,l,m}(r) = c_l\, \sigma_j^{-3}\, |r/\sigma_j|^l\, Y_{lm}(r/|r|)\, e^{-|r|^2/2\sigma_j^2},
        \qquad \sigma_j = 2^j \sigma, \qquad m = -l, \ldots, l

    with orthonormal real harmonics and

    .. math::

        c_l = \frac{1}{2\pi\sqrt{l+1/2}\,(l+1)!!} \;(l\ \text{even}), \qquad
        c_l = \frac{1}{2^{(l+3)/2}\sqrt{\pi(2l+1)}\,((l+1)/2)!} \;(l\ \text{odd}),

    so that the wavelet of degree 0 has unit integral. A normalised Gaussian of width ``b`` turns a wavelet into
    another of the same harmonic:

    .. math::

        g_b * \psi_{j,l,m}(r) = c_l (\sigma_j/s)^l\, s^{-3}\, |r/s|^l\, Y_{lm}\, e^{-|r|^2/2s^2},
        \qquad s^2 = \sigma_j^2 + b^2 .

    Parameters
    ----------
    max_degree : int
        Largest degree ``l``.
    sigma : float
        Width at scale 0.

    Raises
    ------
    TypeError, ValueError
        If ``max_degree`` is no integer in 0..12, or ``sigma`` is not positive.

    Notes
    -----
    The definition and the constants are those of Eickenberg, Exarchakis, Hirn, Mallat and Thiry, "Solid
    harmonic wavelet scattering for predictions of molecule properties" (2018). A sum of squares over ``m`` is the
    same for real and for complex harmonics.
    """

    max_degree: int = 3
    sigma: float = 1.0

    def __post_init__(self) -> None:
        integer("max_degree", self.max_degree, minimum=0, maximum=12)
        if not (self.sigma > 0 and math.isfinite(self.sigma)):
            fail("sigma", "be positive", self.sigma)

    @property
    def n_harmonics(self) -> int:
        """Number of harmonics of all degrees, ``(max_degree + 1)^2``."""
        return (self.max_degree + 1) ** 2

    def width(self, scale: float) -> float:
        """Width ``sigma_j`` of the wavelets of one scale."""
        return self.sigma * 2.0**scale

    def blurred_width(self, scale: float, blur: float) -> float:
        """Width ``s`` of the wavelets of one scale after a Gaussian of width ``blur``."""
        return math.hypot(self.width(scale), blur)

    def polynomials(self, scale: float, *, blur: float = 0.0) -> torch.Tensor:
        r"""Coefficients of the polynomials ``P`` in :math:`g_b * \psi = P(r/s) e^{-|r|^2/2s^2}`.

        Parameters
        ----------
        scale : float
            Scale index ``j``; fractions lie between octaves.
        blur : float
            Width ``b`` of the Gaussian; 0 gives the wavelets themselves.

        Returns
        -------
        torch.Tensor
            float64 ``(n_harmonics, p, p, p)`` with ``p = max_degree + 1``: entry ``[l^2 + l + m, i, j, k]``
            multiplies ``(x/s)^i (y/s)^j (z/s)^k``.
        """
        s = self.blurred_width(scale, blur)
        factors = [
            normalisation(l) * (self.width(scale) / s) ** l / s**3
            for l in range(self.max_degree + 1)
            for _ in range(2 * l + 1)
        ]
        return solid_harmonics(self.max_degree) * torch.tensor(factors, dtype=torch.float64)[:, None, None, None]

    def energy(self, degree: int, scale: float, *, blur: float = 0.0) -> float:
        r"""Closed form of the integral of the squared orbit of one wavelet.

        .. math::

            \int \sum_m |g_b * \psi_{j,l,m}|^2
            = \tfrac12\, c_l^2\, (2l+1)\, \Gamma(l + \tfrac32)\, (\sigma_j/s)^{2l}\, s^{-3}

        Parameters
        ----------
        degree : int
        scale : float
            The wavelet's degree ``l`` and scale ``j``.
        blur : float
            Width ``b`` of the Gaussian; 0 for the wavelet itself.
        """
        s = self.blurred_width(scale, blur)
        shape = normalisation(degree) ** 2 * (2 * degree + 1) * math.gamma(degree + 1.5) / 2
        return shape * (self.width(scale) / s) ** (2 * degree) / s**3


def normalisation(degree: int) -> float:
    """Constant ``c_l`` of the wavelets of one degree, see `SolidHarmonicWavelets`."""
    if degree % 2:
        half = (degree + 1) // 2
        return 1 / (2 ** (half + 1) * math.sqrt(math.pi * (2 * degree + 1)) * math.factorial(half))
    return 1 / (2 * math.pi * math.sqrt(degree + 0.5) * math.prod(range(degree + 1, 0, -2)))


@cache
def solid_harmonics(max_degree: int) -> torch.Tensor:
    r"""Real solid harmonics :math:`|r|^l Y_{lm}` as polynomials in ``x, y, z``.

    .. math::

        |r|^l Y_{lm} = N_{lm}\, A_m(x, y) \sum_k (-1)^k 2^{-l} \binom{l}{k} \binom{2l-2k}{l}
        \frac{(l-2k)!}{(l-2k-|m|)!}\, |r|^{2k} z^{l-2k-|m|}

    with ``A_m`` the real part of :math:`(x + iy)^m` for ``m >= 0`` and the imaginary part of
    :math:`(x + iy)^{|m|}` for ``m < 0``; orthonormal on the sphere.

    Parameters
    ----------
    max_degree : int
        Largest degree.

    Returns
    -------
    torch.Tensor
        float64 ``((max_degree + 1)^2, p, p, p)``, ``p = max_degree + 1``, indexed as in
        `SolidHarmonicWavelets.polynomials`. Shared between calls: do not write into it.
    """
    table = torch.zeros((max_degree + 1) ** 2, *(max_degree + 1,) * 3, dtype=torch.float64)
    for l in range(max_degree + 1):
        for m in range(-l, l + 1):
            for powers, coefficient in _harmonic(l, m).items():
                i, j, k = powers
                table[l * l + l + m, i, j, k] = coefficient
    return table


def _harmonic(l: int, m: int) -> dict[tuple[int, int, int], float]:
    order = abs(m)
    norm = math.sqrt((2 * l + 1) / (4 * math.pi) * math.factorial(l - order) / math.factorial(l + order))
    norm *= math.sqrt(2) if m else 1.0
    terms: dict[tuple[int, int, int], float] = {}
    for k in range((l - order) // 2 + 1):
        height = l - 2 * k - order
        legendre = (-1) ** k * math.comb(l, k) * math.comb(2 * l - 2 * k, l) / 2**l
        legendre *= math.factorial(l - 2 * k) / math.factorial(height)
        for a in range(k + 1):  # |r|^2k = sum over a + b + c = k
            for b in range(k - a + 1):
                c = k - a - b
                radial = math.factorial(k) / (math.factorial(a) * math.factorial(b) * math.factorial(c))
                for t in range(int(m < 0), order + 1, 2):  # powers of y in A_m
                    azimuth = (-1) ** (t // 2) * math.comb(order, t)
                    powers = (order - t + 2 * a, t + 2 * b, height + 2 * c)
                    terms[powers] = terms.get(powers, 0.0) + norm * legendre * radial * azimuth
    return terms
