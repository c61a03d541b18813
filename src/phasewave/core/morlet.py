"""Oriented Morlet wavelets in the plane, with the definition that kymatio uses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from phasewave.checks import fail, integer
from phasewave.core.fourier import Support


@dataclass(frozen=True)
class Morlet:
    r"""Morlet wavelets: a modulated elongated Gaussian made to have zero mean.

    .. math::

        \psi(u) = \frac{s}{2\pi\sigma^2} e^{-(u_e^2 + s^2 u_\perp^2)/2\sigma^2}\,(e^{i \xi u_e} - K),
        \qquad \psi_{j,\theta}(u) = 2^{-2j}\psi(2^{-j} r_{-\theta} u)

    sampled on the pixel grid (in Fourier: summed over the cells of side :math:`2\pi`), with ``u_e`` along
    :math:`(\cos\theta, \sin\theta)` on (axis 0, axis 1) and :math:`\theta_l = (\lfloor L/2 \rfloor - 1 - l)\pi/L`.
    In Fourier it is real. The low-pass is the Gaussian of width :math:`\sigma 2^{J-1}`.

    Parameters
    ----------
    n_angles : int
        Number ``L`` of orientations over half a turn.
    sigma : float
        Width of the envelope at scale 0, in pixels.
    xi : float
        Central frequency at scale 0, in radians per pixel.
    slant : float, optional
        Ratio of the envelope's width along the wave to across it; ``4 / n_angles`` by default.

    Notes
    -----
    kymatio 0.3.0 rounds pi to 3.1415 in its normalisation, so its filters, low-pass included, are larger by the
    factor ``pi / 3.1415``.
    """

    n_angles: int = 8
    sigma: float = 0.8
    xi: float = 3 * math.pi / 4
    slant: float | None = None

    def __post_init__(self) -> None:
        integer("n_angles", self.n_angles, minimum=1)
        for name in ("sigma", "xi"):
            if not getattr(self, name) > 0:
                fail(name, "be positive", getattr(self, name))
        if self.slant is not None and not self.slant > 0:
            fail("slant", "be positive", self.slant)

    @property
    def n_filters(self) -> int:
        """Number of wavelets at each scale."""
        return self.n_angles

    @property
    def angles(self) -> tuple[float, ...]:
        """Orientation of each wavelet, in radians from axis 0 to axis 1."""
        return tuple((self.n_angles // 2 - 1 - l) * math.pi / self.n_angles for l in range(self.n_angles))

    def dilation(self, scale: int) -> float:
        """Factor ``2^j`` by which the wavelets of a scale are wider than those of scale 0."""
        return 2.0**scale

    def wavelets(self, shape: tuple[int, ...], scale: int, *, tolerance: float) -> tuple[Support, ...]:
        """The wavelets of one scale on a grid, each on the box where it exceeds ``tolerance``.

        Parameters
        ----------
        shape : tuple of int
            Two grid sizes.
        scale : int
            Scale index ``j``.
        tolerance : float
            Amplitude, relative to the peak 1, under which the Gaussians are cut.

        Returns
        -------
        tuple of Support
            One a angle, real float64.
        """
        return tuple(self._wavelet(shape, scale, angle, tolerance) for angle in self.angles)

    def low_pass(self, omega: torch.Tensor, n_scales: int) -> torch.Tensor:
        r"""Axis profile :math:`g` of the separable low-pass :math:`\hat\phi_J(\omega) = g(\omega_0) g(\omega_1)`.

        Parameters
        ----------
        omega : torch.Tensor
            Angular frequencies, radians per pixel; any real value (cells are summed by the caller).
        n_scales : int
            Number ``J`` of scales.
        """
        return torch.exp(-0.5 * (self.sigma * 2.0 ** (n_scales - 1) * omega) ** 2)

    def _wavelet(self, shape: tuple[int, ...], scale: int, angle: float, tolerance: float) -> Support:
        slant = 4 / self.n_angles if self.slant is None else self.slant
        sigma, xi = self.sigma * 2.0**scale, self.xi / 2.0**scale
        along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        # The envelope is exp(-w^T Q w / 2); as Q e = sigma^2 e along the wave, shifting it by xi e multiplies it
        # by exp(sigma^2 xi (e.w - xi / 2)), a product of one factor an axis.
        q00, q01, q11 = (
            sigma**2 * (along[a] * along[b] + across[a] * across[b] / slant**2)
            for a, b in ((0, 0), (0, 1), (1, 1))
        )

        def wavelet(w0: torch.Tensor, w1: torch.Tensor, correction: float) -> torch.Tensor:
            envelope = (-0.5 * q00 * w0**2 - 0.5 * q11 * w1**2).addcmul(w0 * -q01, w1).exp_()
            tilt0 = torch.exp(sigma**2 * xi * (along[0] * w0 - xi / 2))
            tilt1 = torch.exp(sigma**2 * xi * along[1] * w1)
            return envelope.mul_((tilt0 * tilt1).sub_(correction))

        def cells_sum(shift: float) -> float:
            w0, w1 = (2 * math.pi * torch.arange(-2, 3, dtype=torch.float64) - shift * e for e in along)
            w0 = w0[:, None]
            return float(torch.exp(-0.5 * (q00 * w0**2 + 2 * q01 * w0 * w1 + q11 * w1**2)).sum())

        correction = cells_sum(xi) / cells_sum(0.0)

        axes, start = [], []
        for n, e, p in zip(shape, along, across, strict=True):
            width = math.hypot(e, slant * p) / sigma
            wave = width * _gaussian_radius(1.0, tolerance)
            mean = width * _gaussian_radius(correction, tolerance)
            step = 2 * math.pi / n
            first = math.ceil(min(xi * e - wave, -mean) / step)
            stop = math.floor(max(xi * e + wave, mean) / step) + 1
            axes.append(step * torch.arange(first, stop, dtype=torch.float64))
            start.append(first)
        return Support(tuple(start), wavelet(axes[0][:, None], axes[1], correction))


def _gaussian_radius(amplitude: float, tolerance: float) -> float:
    """Radius, in standard deviations, inside which ``amplitude`` times a Gaussian exceeds ``tolerance``."""
    return math.sqrt(2 * math.log(amplitude / tolerance)) if amplitude > tolerance else 0.0
