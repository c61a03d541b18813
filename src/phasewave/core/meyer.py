"""Band-limited steerable wavelets: analytic, alias-free at the critical sampling of each octave."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from phasewave.checks import integer
from phasewave.core.fourier import Support


@dataclass(frozen=True)
class MeyerSteerable:
    r"""Steerable wavelets between separable Meyer low-passes, ``n_angles`` orientations over half a turn.

    .. math::
        \hat\phi_j(\omega) = g(2^j \omega_0)\, g(2^j \omega_1), \qquad
        |\hat\psi_{j,l}(\omega)|^2 \propto \big(\hat\phi_j^2 - \hat\phi_{j+1}^2\big)(\omega)\;
        \cos^{2(L-1)}(\arg\omega - \theta_l)\; 1_{|\arg\omega - \theta_l| < \pi/2}

    with :math:`g(\omega) = 1` up to :math:`\pi/2`, :math:`\cos[\frac{\pi}{2} \nu(2|\omega|/\pi - 1)]` up to
    :math:`\pi` and 0 beyond, :math:`\nu(t) = t^4(35 - 84t + 70t^2 - 20t^3)`, and :math:`\hat\phi_0 = 1`. The
    squares telescope: with ``tight=True``, which cares for the frequencies that a grid has once and not twice, the
    frame is Parseval. Scale
    ``j`` has no frequency from :math:`\pi/2^j` on: it is sampled without aliasing on ``n / 2^j`` points an axis,
    so that `phasewave.core.transform.WaveletTransform` inverts exactly at ``oversampling=0``.

    Parameters
    ----------
    n_angles : int
        Number ``L`` of orientations in ``[0, pi)``; real fields need no more. The angle is measured from axis 1
        towards axis 0.

    Raises
    ------
    ValueError
        If ``n_angles < 1``.

    References
    ----------
    Y. Meyer, "Wavelets and operators" (1992), for the profile; Simoncelli & Freeman 1995, "The steerable
    pyramid", for the angles.
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

    def wavelets(self, shape: tuple[int, ...], scale: int, *, tolerance: float) -> tuple[Support, ...]:
        """The wavelets of one scale on a grid, each on the square below ``pi / 2^scale``.

        Parameters
        ----------
        shape : tuple of int
            Two grid sizes.
        scale : int
            Scale index ``j``.
        tolerance : float
            Not used: the support is exact.

        Returns
        -------
        tuple of Support
            One an angle, real float64.
        """
        axes, start = [], []
        for n in shape:
            # Scale 0 takes the Nyquist frequency of an even axis on both sides: the bank folds it onto one index.
            last = n // 2 if scale == 0 else math.ceil(n / 2 ** (scale + 1)) - 1
            axes.append(2 * math.pi / n * torch.arange(-last, last + 1, dtype=torch.float64))
            start.append(-last)
        omega_0, omega_1 = axes[0][:, None], axes[1][None, :]
        above = self.low_pass(omega_0, scale) * self.low_pass(omega_1, scale) if scale else 1.0
        below = self.low_pass(omega_0, scale + 1) * self.low_pass(omega_1, scale + 1)
        radial = torch.sqrt(above**2 - below**2)
        radius = torch.hypot(omega_0, omega_1)
        supports = []
        for theta in self.angles:
            along = math.sin(theta) * omega_0 + math.cos(theta) * omega_1
            cosine = torch.where(radius > 0, along / radius, 0.0)
            window = torch.where(cosine > -1e-12, cosine.clamp_min(0.0) ** (self.n_angles - 1), 0.0)
            supports.append(Support(tuple(start), math.sqrt(2) * radial * window))
        return tuple(supports)

    def low_pass(self, omega: torch.Tensor, n_scales: int) -> torch.Tensor:
        """Axis profile ``g(2^J omega)`` of the low-pass.

        Parameters
        ----------
        omega : torch.Tensor
            Angular frequencies, radians per pixel; any real value.
        n_scales : int
            Number ``J`` of scales, at least 1.
        """
        t = (2.0 ** (n_scales + 1) / math.pi * omega.abs() - 1).clamp(0, 1)
        nu = t**4 * (35 - 84 * t + 70 * t**2 - 20 * t**3)
        return torch.where(t < 1, torch.cos(0.5 * math.pi * nu), 0.0)
