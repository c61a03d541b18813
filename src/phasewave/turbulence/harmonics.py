r"""Cross-spectra with phase harmonics, and spectra of moduli: the costly steps, each with a lean backward pass.

Both keep few fields and work in place. With :math:`z = |z| e^{i\varphi}`, a gradient ``g`` of :math:`[z]^k`
gives :math:`e^{i\varphi}(\mathrm{Re}\, h + i k\, \mathrm{Im}\, h)` with :math:`h = g\, e^{-ik\varphi}`; where
X
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from phasewave.core.fourier import Band
from phasewave.core.phases import modulus, phase_harmonic
from phasewave.turbulence.covariances import ShiftedSums


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


class Unit(NamedTuple):
    """Harmonics of one scale on a grid, and what they are paired with.

    Attributes
    ----------
    band : Band
        Gives the coefficients of all orientations on the grid.
    harmonics : tuple of int
        Rising.
    sums : tuple of ShiftedSums
        The shifts of the pair of each harmonic.
    slots : tuple of int
        Which of the given first spectra each is paired with.
    numbers : tuple of int
        What the caller calls the pairs.
    """

    band: Band
    harmonics: tuple[int, ...]
    sums: tuple[ShiftedSums, ...]
    slots: tuple[int, ...]
    numbers: tuple[int, ...]


def plain_harmonic_sums(
    spectrum: torch.Tensor, units: tuple[Unit, ...], *firsts: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """What `harmonic_sums` computes, in differentiable steps."""
    values = []
    for unit in units:
        z = torch.fft.ifft2(unit.band(spectrum))
        for k, sums, slot in zip(unit.harmonics, unit.sums, unit.slots, strict=True):
            values.append(sums(firsts[slot] * torch.fft.fft2(phase_harmonic(z, k)).conj()))
    return tuple(values)


def harmonic_sums(
    spectrum: torch.Tensor, units: tuple[Unit, ...], *firsts: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    r"""Cross-spectra of channels with the phase harmonics of the same orientations, summed at shifts.

    Parameters
    ----------
    spectrum : torch.Tensor
        FFT of the fields, shape ``(n, H, W)``.
    units : tuple of Unit
        The harmonics, all on one grid.
    firsts : torch.Tensor
        Spectra of the channels they are paired with, shape ``(n, n_channels, *grid)``.

    Returns
    -------
    tuple of torch.Tensor
        Shifted sums of ``first conj(fft2([z]^k))``, one a pair, unit after unit.
    """
    sums: tuple[torch.Tensor, ...] = _HarmonicSums.apply(spectrum, units, *firsts)
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
    """With ``Q = [z]^-k``, ``ifft2(Q)`` is the conjugate of ``fft2([z]^k)``: nothing needs conjugation."""

    @staticmethod
    def forward(
        ctx: Any, spectrum: torch.Tensor, units: tuple[Unit, ...], *firsts: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        values, kept = [], []
        scratch = torch.empty_like(firsts[0])
        for unit in units:
            z = torch.fft.ifft2(unit.band.apply_(spectrum, 0, unit.band.n_filters))
            size, inverse = _inverse_size(z)
            phase = z.conj_physical_().mul_(inverse.to(z.dtype))
            size = size.to(z.dtype)
            kept.append(phase)
            power, last = phase, 1
            for k, sums, slot in zip(unit.harmonics, unit.sums, unit.slots, strict=True):
                power, last = _raised(power, last, phase, k)
                kept.append(torch.fft.ifft2(torch.mul(power, size, out=scratch), norm="forward"))
                values.append(sums(torch.mul(kept[-1], firsts[slot], out=scratch)))
        ctx.units, ctx.n_firsts = units, len(firsts)
        ctx.save_for_backward(spectrum, *firsts, *kept)
        return tuple(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        spectrum, *rest = ctx.saved_tensors
        firsts, kept = rest[: ctx.n_firsts], iter(rest[ctx.n_firsts :])
        if torch.is_grad_enabled():
            return tuple(_replay(plain_harmonic_sums, (spectrum, ctx.units, *firsts), gradients))
        of_spectrum = torch.zeros_like(spectrum)
        # Conjugates of the gradients: they add up without conjugating any term.
        of_firsts = [torch.zeros_like(first) for first in firsts]
        left = iter(gradients)
        for unit in ctx.units:
            phase = next(kept)
            total = torch.zeros_like(phase)
            real, imaginary = torch.view_as_real(total).unbind(-1)
            power, last = phase, 1
            for k, sums, slot in zip(unit.harmonics, unit.sums, unit.slots, strict=True):
                spread = sums.spread(next(left))
                of_firsts[slot].addcmul_(spread, next(kept))
                power, last = _raised(power, last, phase, k)
                inner = torch.fft.ifft2(spread.mul_(firsts[slot]), norm="forward").mul_(power)
                parts = torch.view_as_real(inner)
                real.add_(parts[..., 0])
                imaginary.add_(parts[..., 1], alpha=k)
            of_field = torch.fft.fft2(total.mul_(phase.conj()), norm="forward")
            unit.band.accumulate_adjoint_(of_field, of_spectrum, 0, unit.band.n_filters)
        return of_spectrum, None, *(gradient.conj_physical_() for gradient in of_firsts)


def _raised(power: torch.Tensor, last: int, phase: torch.Tensor, k: int) -> tuple[torch.Tensor, int]:
    """From ``phase ** last``, ``phase ** k`` in place (of the first power, in a copy)."""
    while 2 * last <= k:
        power = power * power if power is phase else power.mul_(power)
        last *= 2
    while last < k:
        power = power * phase if power is phase else power.mul_(phase)
        last += 1
    return power, k
