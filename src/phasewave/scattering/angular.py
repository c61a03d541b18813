"""Wavelets along an angle: periodic sequences of the orientations of a scattering layer."""

from __future__ import annotations

import math

import torch

from phasewave.checks import fail, integer
from phasewave.core.grids import signed_frequencies


def largest_angular_scale(n_angles: int) -> int:
    """Largest number ``K`` of octaves for ``L`` angles: that at which the low-pass is the mean alone."""
    return (3 * n_angles - 1).bit_length() - 2


def angular_wavelets(n_angles: int, n_scales: int) -> torch.Tensor:
    r"""Parseval frame of wavelets on ``L`` angles of a circle, in Fourier.

    With :math:`t(m) = \log_2(3L / 8|m|)`, the distance in octaves below the centre of the first wavelet, the frame
    has for :math:`k = 1, \dots, K` the analytic wavelets

    .. math::
        \hat\psi_k(m) = 1_{m > 0}\, \cos\!\big[\tfrac{\pi}{2} \min(1, |t_+(m) - (k - 1)|)\big], \qquad
        \hat\psi_{-k}(m) = \hat\psi_k(-m),

    and the low-pass :math:`\hat\psi_0 = (1 - \sum_k |\hat\psi_k|^2 + |\hat\psi_{-k}|^2)^{1/2}`, of the cosine's
    other half. The frequency ``L / 2`` of an even ``L`` is shared by both signs.

    Parameters
    ----------
    n_angles : int
        ``L``.
    n_scales : int
        Number ``K`` of octaves, ``2^(K + 1) < 3 L``; without any the low-pass is the identity.

    Returns
    -------
    torch.Tensor
        Shape ``(2 K + 1, L)``, float64: rows ``k = -K, ..., K``, columns in FFT order. The squares of each column
        sum to 1.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    The angular wavelets of Oyallon & Mallat 2015 with a Parseval profile in place of periodised Morlets.
    """
    integer("n_angles", n_angles, minimum=1)
    integer("n_scales", n_scales, minimum=0)
    if n_scales > largest_angular_scale(n_angles):
        fail("n_scales", f"be at most {largest_angular_scale(n_angles)} for {n_angles} angles", n_scales)
    m = signed_frequencies(n_angles).to(torch.float64)
    octave = torch.log2(3 * n_angles / (8 * m.abs())).clamp_min(0)  # infinite at the mean

    def window(distance: torch.Tensor) -> torch.Tensor:
        return torch.where(distance < 1, torch.cos(math.pi / 2 * distance.clamp_max(1)), 0.0)

    middle = 2 * m.abs() == n_angles
    up, down = ((sign * m > 0).double() + (0.5 - (sign * m > 0).double()) * middle for sign in (1, -1))
    windows = [window((octave - (k - 1)).abs()) for k in range(1, n_scales + 1)]
    low = window((n_scales - octave).clamp_min(0)) if n_scales else torch.ones_like(octave)
    rows = [w * down.sqrt() for w in reversed(windows)] + [low] + [w * up.sqrt() for w in windows]
    return torch.stack(rows)
