"""Bump steerable wavelets (Mallat, Zhang & Rochette 2020; Zhang & Mallat 2021) and their Gaussian low-pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from phasewave.checks import integer
from phasewave.core.fourier import Support

CENTRAL_FREQUENCY = 0.85 * math.pi


@dataclass(frozen=True)
class BumpSteerable:
    r"""Bump steerable wavelets: compactly supported in Fourier, ``n_angles`` orientations over half a turn.

    .. math::
        \hat\psi(\omega) = c\, \exp\!\left[\frac{-(|\omega| - \xi)^2}{\xi^2 - (|\omega| - \xi)^2}\right]
        1_{0 < |\omega| < 2\xi}\; \cos^{L-1}(\arg\omega)\, 1_{|\arg\omega| < \pi/2}, \qquad
        \hat\psi_{j,l}(\omega) = \hat\psi(2^j R_{-l\pi/L}\,\omega)

    with :math:`\xi = 0.85\pi` and :math:`c = 2^{L-1}(L-1)! / (1.29 \sqrt{L\,(2L-2)!})`. They are real in
    Fourier, on a half disc, hence complex in space. The scale 0 reaches past the Nyquist frequency and is
    sampled, that is, repeated every :math:`2\pi`. The angle is measured from axis 1 towards axis 0.

    Parameters
    ----------
    n_angles : int
        Number ``L`` of orientations in ``[0, pi)``; real fields need no more.

    Raises
    ------
    ValueError
        If ``n_angles < 1``.
    """

    n_angles: int = 4

    def __post_init__(self) -> None:
        integer("n_angles", self.n_angles, minimum=1)

    @property
    def n_filters(self) -> int:
        """Number of wavelets at each scale."""
        return self.n_angles

    @property
    def angles(self) -> tuple[float, ...]:
        """Orientation of each wavelet, in radians from axis 1 to axis 0."""
        return tuple(math.pi * l / self.n_angles for l in range(self.n_angles))

    def dilation(self, scale: int) -> float:
        """Factor ``2^j`` by which the wavelets of a scale are wider than those of scale 0."""
        return 2.0**scale

    def wavelet(self, omega_0: torch.Tensor, omega_1: torch.Tensor, scale: int, angle: int) -> torch.Tensor:
        r"""Fourier transform :math:`\hat\psi_{j,l}` on the plane, before it is sampled.

        Parameters
        ----------
        omega_0, omega_1 : torch.Tensor
            Angular frequencies along each axis in radians per pixel, broadcastable, float64.
        scale, angle : int
            ``j`` and ``l``.
        """
        power, theta = self.n_angles - 1, self.angles[angle]
        radius = torch.hypot(omega_0, omega_1) * 2**scale
        along = (math.sin(theta) * omega_0 + math.cos(theta) * omega_1) * 2**scale
        inside = (radius > 0) & (radius < 2 * CENTRAL_FREQUENCY) & (along >= 0)
        safe = torch.where(inside, radius, CENTRAL_FREQUENCY)
        offset = (safe - CENTRAL_FREQUENCY) ** 2
        bump = torch.exp(-offset / (CENTRAL_FREQUENCY**2 - offset))
        amplitude = 2**power * math.factorial(power) / 1.29
        amplitude /= math.sqrt(self.n_angles * math.factorial(2 * power))
        return torch.where(inside, amplitude * bump * (along / safe) ** power, 0.0)

    def wavelets(self, shape: tuple[int, ...], scale: int, *, tolerance: float) -> tuple[Support, ...]:
        """The wavelets of one scale on a grid, each on the box that holds its half disc.

        Parameters
        ----------
        shape : tuple of int
            Two grid sizes.
        scale : int
            Scale index ``j``.
        tolerance : float
            Amplitude, relative to the peak, under which the bump is cut.

        Returns
        -------
        tuple of Support
            One an angle, real float64.
        """
        depth = -math.log(tolerance)
        radius = CENTRAL_FREQUENCY * (1 + math.sqrt(depth / (1 + depth))) / 2**scale
        supports = []
        for angle, theta in enumerate(self.angles):
            axes, start = [], []
            for n, cosine in zip(shape, (math.sin(theta), math.cos(theta)), strict=True):
                # A half disc reaches its radius on the side it faces, and radius * sin of the angle behind.
                behind = radius * math.sqrt(max(0.0, 1 - cosine**2))
                step = 2 * math.pi / n
                first = math.ceil((-behind if cosine > 1e-12 else -radius) / step)
                stop = math.floor((behind if cosine < -1e-12 else radius) / step) + 1
                axes.append(step * torch.arange(first, stop, dtype=torch.float64))
                start.append(first)
            values = self.wavelet(axes[0][:, None], axes[1][None, :], scale, angle)
            supports.append(Support(tuple(start), values))
        return tuple(supports)

    def low_pass(self, omega: torch.Tensor, n_scales: int) -> torch.Tensor:
        r"""Axis profile of the Gaussian low-pass :math:`\exp(-\sigma^2 |\omega|^2 / 2)` of unit sum.

        Its width is :math:`\sigma = 2^{J-2} / (0.496 \cdot 2^{-0.55}\, \xi)` pixels.

        Parameters
        ----------
        omega : torch.Tensor
            Angular frequencies, radians per pixel; any real value.
        n_scales : int
            Number ``J`` of scales, of any sign.
        """
        sigma = 2.0 ** (n_scales - 2) / (0.496 * 2**-0.55 * CENTRAL_FREQUENCY)
        return torch.exp(-0.5 * (sigma * omega) ** 2)
