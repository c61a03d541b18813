r"""Cross-spectra with phase harmonics, and spectra of moduli: the costly steps, each with a lean backward pass.

Both keep few fields and work in place. With :math:`z = |z| e^{i\varphi}`, a gradient ``g`` of :math:`[z]^k` gives
:math:`e^{i\varphi}(\mathrm{Re}\, h + i k\, \mathrm{Im}\, h)` with :math:`h = g\, e^{-ik\varphi}`; where ``z = 0`` it
is 0. Second derivatives go through the plain definitions, `plain_harmonic_sums` and `plain_modulus_spectrum`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from phasewave.core.fourier import Band
from phasewave.core.phases import modulus, phase_harmonic
from phasewave.turbulence.covariances import ShiftedSums

Pairs = Sequence[tuple[int, ShiftedSums]]


def plain_modulus_spectrum(coefficients: torch.Tensor, mean: torch.Tensor | None) -> torch.Tensor:
    """What `modulus_spectrum` computes, in differentiable steps."""
    size = modulus(torch.fft.ifft2(coefficients))
    return torch.fft.fft2(size - (size.mean((-2, -1), keepdim=True) if mean is None else mean))


def modulus_spectrum(coefficients: torch.Tensor, mean: torch.Tensor | None) -> torch.Tensor:
    """FFT of the modulus, less its mean.

    Parameters
    ----------
    coefficients : torch.Tensor
        FFT of complex fields, shape ``(..., n_0, n_1)``.
    mean : torch.Tensor, optional
        What to subtract, broadcastable; the mean of each field by default.

    Returns
    -------
    torch.Tensor
        Complex, the shape of ``coefficients``.
    """
    spectrum: torch.Tensor = _ModulusSpectrum.apply(coefficients, mean)
    return spectrum


def plain_harmonic_sums(
    spectrum: torch.Tensor, band: Band, pairs: Pairs, *firsts: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """What `harmonic_sums` computes, in differentiable steps."""
    z = torch.fft.ifft2(band(spectrum))
    return tuple(
        sums(first, torch.fft.fft2(phase_harmonic(z, k))) for (k, sums), first in zip(pairs, firsts, strict=True)
    )


def harmonic_sums(
    spectrum: torch.Tensor, band: Band, pairs: Pairs, *firsts: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    r"""Cross-spectra of channels with the phase harmonics of the same orientations, summed at shifts.

    Parameters
    ----------
    spectrum : torch.Tensor
        FFT of the fields, shape ``(n, H, W)``.
    band : Band
        Gives the coefficients ``z`` of all orientations on a grid.
    pairs : sequence of (int, ShiftedSums)
        The harmonics ``k >= 1``, rising, and the shifts at which each is paired.
    firsts : torch.Tensor
        Spectra of the channels that each is paired with, shape ``(n, n_channels, *grid)``.

    Returns
    -------
    tuple of torch.Tensor
        ``sums(first, fft2([z]^k))`` of every pair.
    """
    sums: tuple[torch.Tensor, ...] = _HarmonicSums.apply(spectrum, band, tuple(pairs), *firsts)
    return sums


def _inverse_size(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``|z|`` and ``1 / |z|``, the inverse finite where ``z = 0`` and ``z / |z|`` at most 1 everywhere."""
    parts = torch.view_as_real(z)
    squares = parts * parts
    square = squares[..., 0] + squares[..., 1]
    inverse = square.clamp_min(torch.finfo(square.dtype).tiny).rsqrt_()
    return square.mul_(inverse), inverse


def _replay(
    plain: Callable[..., Any], inputs: Sequence[Any], gradients: Sequence[torch.Tensor]
) -> list[torch.Tensor | None]:
    """Gradients of the plain definition, which can be differentiated again."""
    outputs = plain(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    wanted = [x for x in inputs if isinstance(x, torch.Tensor) and x.requires_grad]
    found = iter(torch.autograd.grad(outputs, wanted, gradients, create_graph=True))
    return [next(found) if isinstance(x, torch.Tensor) and x.requires_grad else None for x in inputs]


class _ModulusSpectrum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, coefficients: torch.Tensor, mean: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(coefficients, mean)
        size, _ = _inverse_size(torch.fft.ifft2(coefficients))
        size -= size.mean((-2, -1), keepdim=True) if mean is None else mean
        return torch.fft.fft2(size)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, None]:
        coefficients, mean = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _replay(plain_modulus_spectrum, (coefficients, mean), (gradient,))[0], None
        z = torch.fft.ifft2(coefficients)
        _, inverse = _inverse_size(z)
        inner = torch.fft.ifft2(gradient, norm="forward").real
        if mean is None:
            inner = inner - inner.mean((-2, -1), keepdim=True)
        return torch.fft.fft2(z.mul_((inner * inverse).to(z.dtype)), norm="forward"), None


class _HarmonicSums(torch.autograd.Function):
    """With ``Q = [z]^-k``, ``ifft2(Q)`` is the conjugate of ``fft2([z]^k)``: no conjugation is ever carried out."""

    @staticmethod
    def forward(
        ctx: Any,
        spectrum: torch.Tensor,
        band: Band,
        pairs: tuple[tuple[int, ShiftedSums], ...],
        *firsts: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        z = torch.fft.ifft2(band.apply_(spectrum, 0, band.n_filters))
        size, inverse = _inverse_size(z)
        phase = z.conj().resolve_conj().mul_(inverse.to(z.dtype))
        size = size.to(z.dtype)
        sums, harmonics = [], []
        power, last = phase, 1
        for (k, shifts), first in zip(pairs, firsts, strict=True):
            power, last = _raised(power, last, phase, k)
            harmonic = torch.fft.ifft2(power * size, norm="forward")
            harmonics.append(harmonic)
            sums.append(shifts.summed(harmonic * first))
        ctx.band, ctx.pairs = band, pairs
        ctx.save_for_backward(spectrum, phase, *harmonics, *firsts)
        return tuple(sums)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        spectrum, phase, *rest = ctx.saved_tensors
        harmonics, firsts = rest[: len(ctx.pairs)], rest[len(ctx.pairs) :]
        if torch.is_grad_enabled():
            inputs = (spectrum, ctx.band, ctx.pairs, *firsts)
            return tuple(_replay(plain_harmonic_sums, inputs, gradients))
        total = torch.zeros_like(phase)
        real, imaginary = torch.view_as_real(total).unbind(-1)
        of_firsts: list[torch.Tensor | None] = []
        power, last = phase, 1
        for (k, shifts), gradient, harmonic, first in zip(ctx.pairs, gradients, harmonics, firsts, strict=True):
            spread = shifts.spread(gradient)
            power, last = _raised(power, last, phase, k)
            inner = torch.fft.ifft2(first * spread, norm="forward").mul_(power)
            of_firsts.append(spread.mul_(harmonic).conj())
            parts = torch.view_as_real(inner)
            real.add_(parts[..., 0])
            imaginary.add_(parts[..., 1], alpha=k)
        of_field = torch.fft.fft2(total.mul_(phase.conj()), norm="forward")
        of_spectrum = torch.zeros_like(spectrum)
        ctx.band.accumulate_adjoint_(of_field, of_spectrum, 0, ctx.band.n_filters)
        return of_spectrum, None, None, *of_firsts


def _raised(power: torch.Tensor, last: int, phase: torch.Tensor, k: int) -> tuple[torch.Tensor, int]:
    """From ``phase ** last``, ``phase ** k`` in place (of the first power, in a copy)."""
    while 2 * last <= k:
        power = power * power if power is phase else power.mul_(power)
        last *= 2
    while last < k:
        power = power * phase if power is phase else power.mul_(phase)
        last += 1
    return power, k
