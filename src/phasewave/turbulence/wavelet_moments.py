"""Covariances of the phase harmonics of wavelet coefficients: which spectra are needed where, and their pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from phasewave.core.recompute import recomputed
from phasewave.turbulence.covariances import Covariances, Shape, ShiftedSums, cropped_and_joined, square
from phasewave.turbulence.harmonics import Unit, harmonic_sums, modulus_spectrum
from phasewave.turbulence.layers import Layer, Layers, Means, layer_of
from phasewave.turbulence.moment_table import Channel, Moment
from phasewave.turbulence.pyramid import Pyramid


class WaveletMoments(nn.Module):
    """Covariances between wavelet channels of a table, with little work and memory.

    A layer lives on its own grid (`Layers`); a pair meets on the coarser one. Three kinds of pairs: a field with
    itself; moduli with the coefficients or the modulus of the same or a coarser scale; coefficients with a
    harmonic ``k >= 2`` of a coarser scale, of the same orientation. `PairedMoments` takes any pairs.

    Parameters
    ----------
    pyramid : Pyramid
        The wavelet transform; the filters that the rows need are added to it.
    rows : sequence of Moment
        Rows of wavelet channels, of those kinds.
    n_angles : int
        Orientations.

    Attributes
    ----------
    order : list of int
        Which row each output is.
    counts : list of float
        What each output is to be divided by: the product of the numbers of points of its two grids.
    """

    def __init__(self, pyramid: Pyramid, rows: Sequence[Moment], *, n_angles: int) -> None:
        super().__init__()
        self.pyramid, self.n_angles, self.rows = pyramid, n_angles, rows
        grouped: dict[tuple[Layer, Layer], list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            grouped[layer_of(row.first), layer_of(row.second)].append(number)
        used = list(dict.fromkeys(layer for pair in grouped for layer in pair))
        self.layers = Layers(pyramid, used, n_angles=n_angles)
        self.scales = sorted({scale for scale, k in used if k < 2})

        self.order: list[int] = []
        self.counts: list[float] = []
        self.own = [a for a, b in grouped if a == b]
        self.own_sums = nn.ModuleList()
        for layer in self.own:
            self.own_sums.append(self._shifted_sums(grouped[layer, layer]))
        self.phases = [(a, b) for a, b in grouped if b[1] >= 2]
        self.phase_sums = nn.ModuleList(self._shifted_sums(grouped[pair]) for pair in self.phases)
        for a, b in [(layer, layer) for layer in self.own] + self.phases:
            self.order += self._by_angle(grouped[a, b])
            self.counts += len(grouped[a, b]) * [self._count(a, b)]

        crossed = [(a, b) for a, b in grouped if a != b and b[1] < 2]
        self.stacked = any(a[0] != b[0] for a, b in crossed)
        self.seconds = sorted({b for _, b in crossed})
        self.covariances = nn.ModuleList()
        for second in self.seconds:
            numbers = [number for a, b in crossed if b == second for number in grouped[a, b]]
            self.covariances.append(covariances := self._covariances(second, numbers))
            ordered = [numbers[local] for local in covariances.order]
            self.order += ordered
            self.counts += [self._count(layer_of(rows[n].first), second) for n in ordered]

    @staticmethod
    def takes(rows: Sequence[Moment]) -> bool:
        """Whether the rows are all of the three kinds, and no scale under the coarsest is left out."""
        scales = {channel.scale for row in rows for channel in (row.first, row.second) if channel.harmonic < 2}
        return all(map(_taken, rows)) and scales == set(range(max(scales, default=-1) + 1))

    def _count(self, first: Layer, second: Layer) -> float:
        return float(self.layers.points(first) * self.layers.points(second))

    def _by_angle(self, numbers: Sequence[int]) -> list[int]:
        return sorted(numbers, key=lambda number: self.rows[number].first.angle)

    def _shifted_sums(self, numbers: Sequence[int]) -> ShiftedSums:
        shifts: list[list[tuple[int, int]]] = [[] for _ in range(self.n_angles)]
        for number in numbers:
            shifts[self.rows[number].first.angle].append(self.rows[number].shift)
        grid = self.layers.grid(layer_of(self.rows[numbers[0]].second))
        return ShiftedSums(shifts, grid, self.pyramid.shape, dtype=self.pyramid.dtype)

    def _covariances(self, second: Layer, numbers: Sequence[int]) -> Covariances:
        finest = 0 if self.stacked else second[0]
        members = []
        for number in numbers:
            row = self.rows[number]
            members.append((row.first.scale - finest, row.first.angle, row.second.angle, row.shift))
        return Covariances(
            members,
            self.layers.grid(second),
            self.pyramid.shape,
            n_layers=second[0] - finest + 1,
            n_channels=self.n_angles,
            dtype=self.pyramid.dtype,
        )

    def forward(self, spectrum: torch.Tensor, means: Means | None, chunk: int | None) -> torch.Tensor:
        """Sums over frequency in the order `order`.

        Parameters
        ----------
        spectrum : torch.Tensor
            FFT of the fields, shape ``(n, H, W)``.
        means : mapping, optional
            Fixed means of the channels; ``None`` subtracts each field's own.
        chunk : int, optional
            Samples at a time in the harmonics, which are then computed again in the backward pass.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, n_rows)``.
        """
        layers: dict[Layer, torch.Tensor] = {}
        for scale in self.scales:
            layers[scale, 1] = coefficients = self.pyramid(spectrum, scale, self.layers.grid((scale, 1)))
            known = (scale, 0) in self.layers.layers
            if self.stacked or known:
                mean = self.layers.mean((scale, 0), means) if known else None
                layers[scale, 0] = modulus_spectrum(coefficients, mean)
        sums = [
            cast(ShiftedSums, shifted).of_energy(square(layers[layer]))
            for layer, shifted in zip(self.own, self.own_sums, strict=True)
        ]
        sums += self._harmonics(spectrum, layers, chunk)

        moduli, top = None, -1
        for second, covariances in zip(self.seconds, self.covariances, strict=True):
            scale = second[0]
            if self.stacked:
                for level in range(top + 1, scale + 1):
                    moduli = cropped_and_joined(moduli, layers[level, 0])
            elif scale != top:
                moduli = layers[scale, 0][:, None]
            top = scale
            sums.append(covariances(moduli, layers[second]))
        return torch.cat(sums, dim=-1)

    def _harmonics(
        self, spectrum: torch.Tensor, layers: dict[Layer, torch.Tensor], chunk: int | None
    ) -> list[torch.Tensor]:
        """Sums of the pairs with harmonics: all scales of a grid at once, or some samples of one scale."""
        parts: dict[int, list[torch.Tensor]] = {}
        for numbers in self._batches(by_scale=chunk is not None):
            firsts = {a: layers[a] for a in dict.fromkeys(self.phases[n][0] for n in numbers)}
            units = self._units(numbers, list(firsts))
            if chunk is None:
                results = [harmonic_sums(spectrum, units, *firsts.values())]
            else:
                pieces = zip(*(x.split(chunk) for x in (spectrum, *firsts.values())), strict=True)
                results = [recomputed(harmonic_sums, piece, units, *some) for piece, *some in pieces]
            ordered = [number for unit in units for number in unit.numbers]
            for number, *values in zip(ordered, *results, strict=True):
                parts[number] = values
        return [torch.cat(parts[number]) for number in range(len(self.phases))]

    def _batches(self, *, by_scale: bool) -> list[list[int]]:
        """Numbers of the pairs with harmonics that are computed at once."""
        batches: dict[tuple[Shape, int], list[int]] = defaultdict(list)
        for number, (_, second) in enumerate(self.phases):
            batches[self.layers.grid(second), second[0] if by_scale else 0].append(number)
        return list(batches.values())

    def _units(self, numbers: Sequence[int], slots: Sequence[Layer]) -> tuple[Unit, ...]:
        """One unit a scale, its harmonics rising."""
        units = []
        for scale in dict.fromkeys(self.phases[number][1][0] for number in numbers):
            members = [number for number in numbers if self.phases[number][1][0] == scale]
            members.sort(key=lambda number: self.phases[number][1][1])
            band = self.pyramid.band(scale, self.layers.grid(self.phases[members[0]][1]))
            harmonics = tuple(self.phases[number][1][1] for number in members)
            at = tuple(slots.index(self.phases[number][0]) for number in members)
            sums = tuple(cast(ShiftedSums, self.phase_sums[number]) for number in members)
            units.append(Unit(band, harmonics, sums, at, tuple(members)))
        return tuple(units)

    def statistics(self, spectrum: torch.Tensor) -> dict[Channel, tuple[torch.Tensor, torch.Tensor]]:
        """Means and standard deviations of the channels (`Layers.statistics`)."""
        return self.layers.statistics(spectrum)


def _taken(row: Moment) -> bool:
    a, b, aligned = row.first, row.second, row.first.angle == row.second.angle
    if a.harmonic == 1:
        own = layer_of(a) == layer_of(b)
        return aligned and (own or (b.scale > a.scale and b.harmonic == 2 ** (b.scale - a.scale)))
    if a.harmonic != 0 or b.harmonic not in (0, 1) or a.scale > b.scale:
        return False
    return aligned or (row.shift == (0, 0) and layer_of(a) != layer_of(b))
