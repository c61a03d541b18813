"""Covariances of any pairs of wavelet channels, also where only a part of the fields is observed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import nn

from phasewave.core.recompute import recomputed
from phasewave.turbulence.layers import Layer, Layers, Means, layer_of
from phasewave.turbulence.moment_table import Channel, Moment
from phasewave.turbulence.pair_sums import PairSums
from phasewave.turbulence.pyramid import Pyramid
from phasewave.turbulence.windows import check_overlap, layer_window


class PairedMoments(nn.Module):
    r"""Covariances between wavelet channels of a table: any harmonics, angles, scales and shifts.

    Every layer is computed once, on its own grid; a pair meets on the coarser one. `WaveletMoments` computes the
    tables of pywph in less time and memory.

    With a mask, each field less its mean is multiplied by the window :math:`w` of its wavelet, 0 where it sees a
    gap, and the covariance is

    .. math:: \sum_u (w a)(u + \tau)\, \overline{(w' b)(u)} \Big/ \sum_u w(u + \tau)\, w'(u)

    whose expectation for a stationary field is that of the unmasked one.

    Parameters
    ----------
    pyramid : Pyramid
        The wavelet transform; the filters that the rows need are added to it.
    rows : sequence of Moment
        Rows of wavelet channels.
    n_angles : int
        Orientations.
    mask : torch.Tensor, optional
        Boolean, the shape of the fields, True where they are observed.

    Attributes
    ----------
    order : list of int
        Which row each output is.
    counts : list of float
        What each output is to be divided by.

    Raises
    ------
    ValueError
        If a scale keeps too few pixels.
    """

    def __init__(
        self, pyramid: Pyramid, rows: Sequence[Moment], *, n_angles: int, mask: torch.Tensor | None = None
    ) -> None:
        super().__init__()
        grouped: dict[tuple[Layer, Layer], list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            grouped[layer_of(row.first), layer_of(row.second)].append(number)
        self.pairs = list(grouped)
        used = list(dict.fromkeys(layer for pair in self.pairs for layer in pair))
        self.layers = Layers(pyramid, used, n_angles=n_angles)
        if mask is not None:
            windows = {layer: layer_window(mask, pyramid, layer[0], self.layers.grid(layer)) for layer in used}
            self.layers = Layers(pyramid, used, n_angles=n_angles, windows=windows)
        self.sums = nn.ModuleList()
        self.order: list[int] = []
        self.counts: list[float] = []
        for (a, b), numbers in grouped.items():
            pairs = [(rows[n].first.angle, rows[n].second.angle, rows[n].shift) for n in numbers]
            grids = self.layers.grid(a), self.layers.grid(b)
            sums = PairSums(pairs, grids, pyramid.shape, n_channels=n_angles, dtype=pyramid.dtype)
            self.sums.append(sums)
            self.order += [numbers[local] for local in sums.order]
            self.counts += len(numbers) * [float(self.layers.points(a) * self.layers.points(b))]
        if mask is not None:
            self.counts = self._overlaps(rows)

    @torch.no_grad()
    def _overlaps(self, rows: Sequence[Moment]) -> list[float]:
        """Correlation of the two windows at the shift of each output, times the points of both grids."""
        windows = {layer: torch.fft.fft2(self.layers.window(layer))[None] for layer in self.layers.layers}
        overlaps = self._sums(windows)[0].real.tolist()
        for number, overlap, count in zip(self.order, overlaps, self.counts, strict=True):
            scale = max(rows[number].first.scale, rows[number].second.scale)
            check_overlap(overlap / count, self.layers.pyramid.shape, scale)
        return overlaps

    def _sums(self, layers: dict[Layer, torch.Tensor]) -> torch.Tensor:
        values = [sums(layers[a], layers[b]) for (a, b), sums in zip(self.pairs, self.sums, strict=True)]
        return torch.cat(values, dim=-1)

    def forward(self, spectrum: torch.Tensor, means: Means | None, chunk: int | None) -> torch.Tensor:
        """Sums over frequency in the order `order`.

        Parameters
        ----------
        spectrum : torch.Tensor
            FFT of the fields, shape ``(n, H, W)``.
        means : mapping, optional
            Fixed means of the channels; ``None`` subtracts each field's own.
        chunk : int, optional
            Samples at a time; then the backward pass computes all again, layer by layer.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, n_rows)``.
        """
        if chunk is None:
            return self._sums(self.layers(spectrum, means))
        if len(spectrum) <= chunk:
            return self._of_piece(spectrum, means)
        return torch.cat([recomputed(self._of_piece, piece, means) for piece in spectrum.split(chunk)])

    def _of_piece(self, spectrum: torch.Tensor, means: Means | None) -> torch.Tensor:
        return self._sums(self.layers(spectrum, means, recompute=True))

    def statistics(self, spectrum: torch.Tensor) -> dict[Channel, tuple[torch.Tensor, torch.Tensor]]:
        """Means and standard deviations of the channels (`Layers.statistics`)."""
        return self.layers.statistics(spectrum)
