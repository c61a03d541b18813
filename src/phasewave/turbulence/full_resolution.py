"""Moments at full resolution, one table row at a time: the plain definition, slow, to compare with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch

from phasewave.checks import fail, real_field
from phasewave.core.bump import BumpSteerable
from phasewave.core.grids import angular_frequencies
from phasewave.turbulence.moment_table import Channel, Moment, channels_of

Statistics = Mapping[Channel, tuple[complex, float]]
"""Mean and standard deviation of each channel."""


def channel_field(x: torch.Tensor, channel: Channel, family: BumpSteerable) -> torch.Tensor:
    """The field of a channel on every pixel.

    Parameters
    ----------
    x : torch.Tensor
        Real, shape ``(..., H, W)``.
    channel : Channel
        Which.
    family : BumpSteerable
        Its wavelets.

    Returns
    -------
    torch.Tensor
        Shape ``(..., H, W)``; complex for wavelets, real for the others.
    """
    if channel.source == "field":
        return x
    # A filter sampled in space repeats in Fourier: sum every cell of side 2 pi that reaches the grid.
    omega_0, omega_1 = angular_frequencies((x.shape[-2], x.shape[-1]))
    response = torch.zeros(x.shape[-2:], dtype=torch.float64)
    reach = 3 if channel.source == "lowpass" else 1
    cells = [2 * math.pi * cell for cell in range(-reach, reach + 1)]
    for shift_0, shift_1 in itertools.product(cells, repeat=2):
        if channel.source == "lowpass":
            profiles = (family.low_pass(w, channel.scale + 2) for w in (omega_0 + shift_0, omega_1 + shift_1))
            response += math.prod(profiles)
        else:
            response += family.wavelet(omega_0 + shift_0, omega_1 + shift_1, channel.scale, channel.angle)
    response[0, 0] = 0
    z = torch.fft.ifft2(torch.fft.fft2(x) * response.to(x))
    if channel.source == "lowpass":
        z = z.real
    if channel.harmonic == 0:
        return z.abs()
    return z if channel.harmonic == 1 else torch.polar(z.abs(), channel.harmonic * z.angle())


def channel_statistics(x: torch.Tensor, table: Sequence[Moment], family: BumpSteerable) -> Statistics:
    """Mean and standard deviation of every channel of a table over all values of ``x``, ``(..., H, W)``."""
    result = {}
    for channel in channels_of(table):
        field = channel_field(x, channel, family)
        mean = field.mean()
        result[channel] = (complex(mean), float((field - mean).abs().square().mean().sqrt()))
    return result


def moments_at_full_resolution(
    x: torch.Tensor,
    table: Sequence[Moment],
    family: BumpSteerable,
    *,
    statistics: Statistics | None = None,
) -> torch.Tensor:
    """Moments of one field by their definition.

    Parameters
    ----------
    x : torch.Tensor
        Real, shape ``(H, W)``; float64 for a reference.
    table : sequence of Moment
        Which moments.
    family : BumpSteerable
        The wavelets.
    statistics : mapping, optional
        Means to subtract and standard deviations to divide by (`channel_statistics` of a target). ``None``
        subtracts the means of ``x`` itself and divides by nothing.

    Returns
    -------
    torch.Tensor
        Complex, shape ``(len(table),)``.

    Raises
    ------
    ValueError
        If ``x`` has not two axes.
    """
    real_field("x", x)
    if x.ndim != 2:
        fail("x", "be one field of 2 axes", tuple(x.shape))
    fields = {channel: channel_field(x, channel, family) for channel in channels_of(table)}
    values = []
    for row in table:
        if row.order:
            value = _one_point(fields[row.first], row, statistics)
        else:
            a = _standardised(fields, row.first, statistics)
            b = _standardised(fields, row.second, statistics)
            moved = torch.roll(a, shifts=(-row.shift[0], -row.shift[1]), dims=(0, 1))
            value = (moved * b.conj()).mean()
        values.append(value.to(x.dtype.to_complex()))
    return torch.stack(values)


def _standardised(
    fields: Mapping[Channel, torch.Tensor], channel: Channel, statistics: Statistics | None
) -> torch.Tensor:
    field = fields[channel]
    if statistics is None:
        return field - field.mean()
    mean, std = statistics[channel]
    return (field - (mean if field.is_complex() else mean.real)) / std


def _one_point(field: torch.Tensor, row: Moment, statistics: Statistics | None) -> torch.Tensor:
    if statistics is not None:
        mean, std = statistics[row.first]
        field = (field - mean.real) / std
    if row.kind == "quantiles":
        # Bin b of n holds the sorted values of rank r with b n_pixels <= r n < (b + 1) n_pixels.
        ranks = torch.arange(field.numel())
        inside = torch.div(ranks * row.bins, field.numel(), rounding_mode="floor") == row.order - 1
        return field.flatten().sort().values[inside].mean()
    if row.order == 1:
        return field.mean()
    centred = field if statistics is not None else field - field.mean()
    return (centred**row.order).mean()
