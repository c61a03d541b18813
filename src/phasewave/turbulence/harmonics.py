"""Several phase harmonics of one field at once, with a lean backward pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from phasewave.core.phases import modulus_


def phase_harmonics(z: torch.Tensor, harmonics: Sequence[int]) -> tuple[torch.Tensor, ...]:
    r"""Phase harmonics :math:`[z]^k = |z| e^{ik \arg z}` for several ``k >= 1``; gradient 0 where ``z = 0``.

    Each power of the phase is the square of the last where ``k`` doubles. Only ``z`` is kept for the backward
    pass, which works in polar form: a gradient ``g`` of ``[z]^k`` gives
    :math:`e^{i\varphi} (\mathrm{Re}\, h + i k\, \mathrm{Im}\, h)` with :math:`h = g e^{-ik\varphi}`.

    Parameters
    ----------
    z : torch.Tensor
        Complex, any shape.
    harmonics : sequence of int
        Rising.

    Returns
    -------
    tuple of torch.Tensor
        One a harmonic, each of the shape of ``z``.
    """
    fields: tuple[torch.Tensor, ...] = _PhaseHarmonics.apply(z, tuple(harmonics))
    return fields


def _phase(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Modulus, and ``z / |z|``, 0 where ``z = 0``."""
    size = modulus_(z)
    inverse = torch.where(size > 0, size, math.inf).reciprocal_()
    return size, torch.view_as_complex(torch.view_as_real(z) * inverse[..., None])


def _powers(phase: torch.Tensor, harmonics: Sequence[int]) -> Iterator[torch.Tensor]:
    power, last = phase, 1
    for k in harmonics:
        while 2 * last <= k:
            power, last = power * power, 2 * last
        yield power if last == k else power * phase ** (k - last)


class _PhaseHarmonics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, harmonics: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
        ctx.harmonics = harmonics
        ctx.save_for_backward(z)
        size, phase = _phase(z)
        return tuple(
            torch.view_as_complex(torch.view_as_real(power) * size[..., None])
            for power in _powers(phase, harmonics)
        )

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (z,) = ctx.saved_tensors
        _, phase = _phase(z)
        conjugate = phase.conj().resolve_conj()
        total = torch.zeros_like(torch.view_as_real(z))
        for k, gradient, power in zip(ctx.harmonics, gradients, _powers(conjugate, ctx.harmonics), strict=True):
            weights = torch.tensor([1.0, k], dtype=total.dtype, device=total.device)
            total = total + torch.view_as_real(gradient * power) * weights
        return phase * torch.view_as_complex(total), None
