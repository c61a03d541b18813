"""Covariances of the phase harmonics of wavelet coefficients: which spectra are needed where, and their pairs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from phasewave.core.phases import modulus, phase_harmonic
from phasewave.turbulence.covariances import Covariances, Shape
from phasewave.turbulence.harmonics import harmonic_sums, modulus_spectrum
from phasewave.turbulence.moment_table import Channel, Moment
from phasewave.turbulence.pyramid import Pyramid

Layer = tuple[int, int]
"""Scale and harmonic: the channels of all orientations."""


class WaveletMoments(nn.Module):
    """Covariances between wavelet channels of a table.

    The coefficients and the modulus of a scale live on the grid of its level, a harmonic ``k`` on that of level
    ``scale - log2(k)``, where the wavelets of its own frequency live; a pair meets on the coarser grid.

    Parameters
    ----------
    pyramid : Pyramid
        The wavelet transform; the filters that the rows need are added to it.
    rows : sequence of Moment
        Rows of wavelet channels; a harmonic ``k >= 2`` may be second only, after a channel of ``k`` 0 or 1.
    n_angles : int
        Orientations.

    Attributes
    ----------
    order : list of int
        Which row each output is.
    """

    counts: torch.Tensor

    def __init__(self, pyramid: Pyramid, rows: Sequence[Moment], *, n_angles: int) -> None:
        super().__init__()
        self.pyramid, self.n_angles = pyramid, n_angles
        grouped: dict[tuple[Layer, Layer], list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            grouped[_layer(row.first), _layer(row.second)].append(number)
        self.pairs = list(grouped)
        used = sorted({layer for pair in self.pairs for layer in pair})
        self.grids = {layer: pyramid.levels[_level(layer)] for layer in used}
        self.grids |= {(scale, 1): pyramid.levels[scale] for scale, k in used if k == 0}
        for (scale, _), grid in self.grids.items():
            pyramid.add(scale, grid)

        self.covariances = nn.ModuleList()
        self.order: list[int] = []
        counts = []
        for (a, b), numbers in grouped.items():
            members = [(rows[n].first.angle, rows[n].second.angle, rows[n].shift) for n in numbers]
            grid = min(self.grids[a], self.grids[b], key=math.prod)
            covariances = Covariances(members, grid, pyramid.shape, n_channels=n_angles, dtype=pyramid.dtype)
            self.covariances.append(covariances)
            self.order.extend(numbers[local] for local in covariances.order)
            counts += len(numbers) * [float(math.prod(self.grids[a])) * math.prod(self.grids[b])]
        self.register_buffer("counts", torch.tensor(counts, dtype=pyramid.dtype), persistent=False)
        self.units = self._units()

    def _units(self) -> list[tuple[int, Shape, list[int]]]:
        """Scale, grid, and the numbers of the pairs with its harmonics there, rising: what is made at once."""
        units: dict[tuple[int, Shape], list[int]] = defaultdict(list)
        for number, (_, second) in enumerate(self.pairs):
            if second[1] >= 2:
                units[second[0], self.grids[second]].append(number)
        return [
            (scale, grid, sorted(numbers, key=lambda number: self.pairs[number][1][1]))
            for (scale, grid), numbers in units.items()
        ]

    def forward(
        self, spectrum: torch.Tensor, means: dict[Channel, torch.Tensor] | None, chunk: int | None
    ) -> torch.Tensor:
        """Covariances in the order `order`.

        Parameters
        ----------
        spectrum : torch.Tensor
            FFT of the fields, shape ``(n, H, W)``.
        means : dict, optional
            Fixed mean of every modulus; ``None`` subtracts each field's own.
        chunk : int, optional
            Samples at a time in the harmonics, which are then computed again in the backward pass.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, n_rows)``.
        """
        layers: dict[Layer, torch.Tensor] = {}
        for scale in sorted({scale for scale, k in self.grids if k < 2}):
            self._add_layers(layers, spectrum, scale, means)
        sums: dict[int, torch.Tensor] = {}
        for number, (a, b) in enumerate(self.pairs):
            if b[1] < 2:
                sums[number] = self.covariances[number](layers[a], layers[b])
        for scale, grid, numbers in self.units:
            firsts = [layers[self.pairs[number][0]] for number in numbers]
            sums |= zip(numbers, self._chunked(spectrum, scale, grid, numbers, firsts, chunk), strict=True)
        return torch.cat([sums[number] for number in range(len(self.pairs))], dim=-1) / self.counts

    def _add_layers(
        self,
        layers: dict[Layer, torch.Tensor],
        spectrum: torch.Tensor,
        scale: int,
        means: dict[Channel, torch.Tensor] | None,
    ) -> None:
        coefficients = self.pyramid(spectrum, scale, self.grids[scale, 1])
        layers[scale, 1] = coefficients
        if (scale, 0) in self.grids:
            mean = None
            if means is not None:
                channels = [Channel("wavelet", scale, angle, 0) for angle in range(self.n_angles)]
                mean = torch.stack([means[channel] for channel in channels])[:, None, None]
            layers[scale, 0] = modulus_spectrum(coefficients, mean)

    def _chunked(
        self,
        spectrum: torch.Tensor,
        scale: int,
        grid: Shape,
        numbers: list[int],
        firsts: list[torch.Tensor],
        chunk: int | None,
    ) -> list[torch.Tensor]:
        if chunk is None:
            return list(self._unit(scale, grid, numbers, spectrum, *firsts))
        parts = []
        for start in range(0, len(spectrum), chunk):
            some = slice(start, start + chunk)
            parts.append(
                checkpoint(
                    self._unit,
                    scale,
                    grid,
                    numbers,
                    spectrum[some],
                    *[first[some] for first in firsts],
                    use_reentrant=False,
                    preserve_rng_state=False,
                )
            )
        return [torch.cat(part) for part in zip(*parts, strict=True)]

    def _unit(
        self, scale: int, grid: Shape, numbers: list[int], spectrum: torch.Tensor, *firsts: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Covariances of one scale's harmonics on one grid with the channels they pair with."""
        band = self.pyramid.band(scale, grid)
        pairs = [(self.pairs[number][1][1], self.covariances[number].shifted) for number in numbers]
        sums: tuple[torch.Tensor, ...] = harmonic_sums(spectrum, band, pairs, *firsts)
        return sums

    @torch.no_grad()
    def statistics(self, spectrum: torch.Tensor) -> dict[Channel, tuple[torch.Tensor, torch.Tensor]]:
        """Mean (of moduli; 0 for the others) and standard deviation over samples and pixels of every channel.

        Parameters
        ----------
        spectrum : torch.Tensor
            FFT of the fields, shape ``(n, H, W)``.

        Returns
        -------
        dict
            Of pairs of tensors with no axes.
        """
        result = {}
        for (scale, k), grid in self.grids.items():
            z = torch.fft.ifft2(self.pyramid(spectrum, scale, grid))
            power = torch.view_as_real(z).square().sum(-1).mean((0, -2, -1))
            field = modulus(z) if k == 0 else phase_harmonic(z, k)
            mean = field.mean((0, -2, -1))
            deviation = (power - mean.abs() ** 2).clamp_min(0).sqrt()
            # Other channels pair with coefficients, which have no mean, so that theirs drops out.
            fixed = mean if k == 0 else torch.zeros_like(deviation)
            for angle in range(self.n_angles):
                result[Channel("wavelet", scale, angle, k)] = fixed[angle], deviation[angle]
        return result


def _layer(channel: Channel) -> Layer:
    return channel.scale, channel.harmonic


def _level(layer: Layer) -> int:
    scale, harmonic = layer
    return max(0, math.floor(scale - math.log2(max(1, harmonic))))
