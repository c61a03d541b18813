"""Rows of a table of rectifier moments, from the covariances of all phases: as they are, or their harmonics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from phasewave.core.phases import rectifier_harmonic
from phasewave.turbulence.layer_covariances import LayerCovariances
from phasewave.turbulence.rectifier_table import RectifierChannel, RectifierMoment, kept_harmonics


class RectifierSums(nn.Module):
    """The linear map from means and covariances of all rectified phases to the rows of a table.

    Parameters
    ----------
    table : sequence of RectifierMoment
        The rows, means first, all of one view.
    layers : LayerCovariances
        Places of the covariances: channel ``l * n_phases + a`` at each scale.
    n_scales, n_angles, n_phases : int
        What the channels are of.
    dtype : torch.dtype
        Real dtype.
    """

    blocks: torch.Tensor
    parts: torch.Tensor
    singles: torch.Tensor
    rows: torch.Tensor
    channels: torch.Tensor

    def __init__(
        self,
        table: Sequence[RectifierMoment],
        layers: LayerCovariances,
        *,
        n_scales: int,
        n_angles: int,
        n_phases: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.n_scales, self.n_angles, self.n_phases = n_scales, n_angles, n_phases
        self.phases = table[0].first.view == "phases"
        kept = kept_harmonics(n_phases)
        self.numbers = list(range(n_phases)) if self.phases else kept
        # The second channel of a covariance may be a conjugate harmonic.
        signed = self.numbers if self.phases else [*kept, *(-k for k in kept if 0 < k < n_phases / 2)]
        angle = (
            2 * math.pi / n_phases * torch.outer(torch.tensor(signed), torch.arange(n_phases)).to(torch.float64)
        )
        scale = torch.tensor([n_phases * rectifier_harmonic(k) for k in signed], dtype=torch.float64)
        waves = torch.polar((1 / scale)[:, None].expand(angle.shape).abs(), -angle) * scale.sign()[:, None]
        self.register_buffer("parts", torch.view_as_real(waves).to(dtype), persistent=False)
        means = [row for row in table if row.kind == "R1"]
        covariances = [row for row in table if row.kind != "R1"]
        singles = [self._channel(row.first) for row in means]
        self.register_buffer("singles", torch.tensor(singles), persistent=False)
        pairs: dict[tuple[int, int, int, int], int] = {}
        rows = []
        for row in covariances:
            a, b = row.first, row.second
            pair = pairs.setdefault((a.scale, a.angle, b.scale, b.angle), len(pairs))
            place = (pair * len(self.numbers) + self.numbers.index(a.number)) * len(signed)
            rows.append(place + signed.index(b.number))
        self.register_buffer("rows", torch.tensor(rows), persistent=False)
        blocks = torch.tensor([self._block(layers, *pair) for pair in pairs])
        self.register_buffer("blocks", blocks, persistent=False)
        # A mean has one channel: the number past the last stands for none.
        none = n_scales * n_angles * len(self.numbers)
        channels = [[number, none] for number in singles]
        channels += [[self._channel(row.first), self._channel(row.second)] for row in covariances]
        self.register_buffer("channels", torch.tensor(channels), persistent=False)

    def forward(self, means: torch.Tensor, covariances: torch.Tensor) -> torch.Tensor:
        """The rows.

        Parameters
        ----------
        means : torch.Tensor
            Of every channel, shape ``(n, n_scales * n_angles * n_phases)``.
        covariances : torch.Tensor
            At the places of the layers, real, shape ``(n, n_covariances)``.

        Returns
        -------
        torch.Tensor
            Shape ``(n, n_rows)``; real for phases, complex for harmonics.
        """
        blocks = covariances.index_select(1, self.blocks.flatten()).unflatten(1, self.blocks.shape)
        if not self.phases:
            waves = self.waves
            first = waves[: len(self.numbers)]
            means = (means.unflatten(1, (-1, self.n_phases)).to(waves.dtype) @ first.mT).flatten(1)
            blocks = first @ blocks.to(waves.dtype) @ waves.mH
        return torch.cat(
            (means.index_select(1, self.singles), blocks.flatten(1).index_select(1, self.rows)), dim=1
        )

    @property
    def waves(self) -> torch.Tensor:
        """Matrix from the phases of a coefficient to the harmonics of the view, and then their conjugates."""
        return torch.view_as_complex(self.parts)

    def viewed(self, rectified: torch.Tensor) -> torch.Tensor:
        """Channels of the view from ``(n, n_angles * n_phases, *grid)``: ``(n, n_angles * n_numbers, *grid)``."""
        if self.phases:
            return rectified
        first = self.waves[: len(self.numbers)]
        phases = rectified.unflatten(1, (self.n_angles, self.n_phases)).to(first.dtype)
        return torch.einsum("ka,nlayx->nlkyx", first, phases).flatten(1, 2)

    def overlaps(self, covariances: torch.Tensor) -> torch.Tensor:
        """What each row is of, from mean products of windows at the places of the layers; 1 for a mean."""
        of_pair = covariances[self.blocks[:, 0, 0]]
        width = self.parts.shape[0] * len(self.numbers)
        return torch.cat((torch.ones_like(covariances[: len(self.singles)]), of_pair[self.rows // width]))

    def products(self, deviations: torch.Tensor) -> torch.Tensor:
        """Product of the deviations ``(n_scales, n_angles * n_numbers)`` of the two channels of each row."""
        flat = deviations.flatten()
        return torch.cat((flat, torch.ones_like(flat[:1])))[self.channels].prod(dim=1)

    def _channel(self, channel: RectifierChannel) -> int:
        """Number of a channel; those of a wavelet half a turn away are conjugate, their phases negative."""
        turned = channel.angle % self.n_angles
        number = abs(channel.number)
        if self.phases and turned != channel.angle:
            number = -number % self.n_phases
        return (channel.scale * self.n_angles + turned) * len(self.numbers) + self.numbers.index(number)

    def _block(self, layers: LayerCovariances, scale: int, angle: int, other: int, turned: int) -> list[list[int]]:
        """Places of the covariances of all phases of two coefficients."""
        sign = 1 if turned == turned % self.n_angles else -1
        second = turned % self.n_angles * self.n_phases
        return [
            [
                layers.index(scale, angle * self.n_phases + a, other, second + sign * b % self.n_phases)
                for b in range(self.n_phases)
            ]
            for a in range(self.n_phases)
        ]
