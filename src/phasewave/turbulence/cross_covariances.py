"""Covariances of the rows of a table of cross-moments, from the channels of all fields and scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from phasewave.turbulence.cross_table import CrossMoment, SkyChannel
from phasewave.turbulence.layer_covariances import LayerCovariances


class CrossCovariances(nn.Module):
    """Mean products of the two channels of every row.

    Parameters
    ----------
    table : sequence of CrossMoment
        The rows.
    n_fields, n_scales, n_angles : int
        What the channels are of.
    dtype : torch.dtype
        Real dtype.
    """

    picks: torch.Tensor
    signs: torch.Tensor

    def __init__(
        self, table: Sequence[CrossMoment], *, n_fields: int, n_scales: int, n_angles: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.table = tuple(table)
        self.n_fields, self.n_scales, self.n_angles = n_fields, n_scales, n_angles
        n_channels = n_fields * n_angles
        self.layers = LayerCovariances(n_scales, n_channels, 2 * n_channels)
        places = [self._place(row) for row in table]
        self.register_buffer("picks", torch.tensor([place for place, _ in places]), persistent=False)
        signs = [-1.0 if conjugate else 1.0 for _, conjugate in places]
        self.register_buffer("signs", torch.tensor(signs, dtype=dtype), persistent=False)

    def forward(
        self,
        coefficients: Sequence[torch.Tensor],
        spectra: Sequence[torch.Tensor],
        moduli: Sequence[torch.Tensor],
        low: torch.Tensor,
    ) -> torch.Tensor:
        """The covariances.

        Parameters
        ----------
        coefficients, spectra, moduli : sequence of torch.Tensor
            For each scale, complex, shape ``(n, n_fields * n_angles, *grid)``: wavelet coefficients, their FFT
            and the FFT of their moduli less the means, both over the number of points.
        low : torch.Tensor
            The low-passes less their means, shape ``(n, n_fields, H, W)``.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, n_rows)``.
        """
        values = []
        for z in coefficients:
            flat = z.flatten(2)
            values += [(flat @ other).flatten(1) / flat.shape[-1] for other in (flat.mH, flat.mT)]
        seconds = [torch.cat(pair, dim=1) for pair in zip(spectra, moduli, strict=True)]
        values.append(self.layers(moduli, seconds))
        flat = low.flatten(2)
        values.append(((flat @ flat.mT).flatten(1) / flat.shape[-1]).to(low.dtype.to_complex()))
        picked = torch.cat(values, dim=1).index_select(1, self.picks)
        return torch.complex(picked.real, picked.imag * self.signs)

    def products(self, deviations: torch.Tensor) -> torch.Tensor:
        """Product of the deviations of the two channels of each row.

        Parameters
        ----------
        deviations : torch.Tensor
            Shape ``(n_fields, n_scales * 2 * n_angles + 1)``: of moduli, then coefficients, scale after scale,
            and of the low-pass at last.
        """
        at = [[self._number(channel) for channel in (row.first, row.second)] for row in self.table]
        return deviations.flatten()[torch.tensor(at, device=deviations.device)].prod(dim=1)

    def _number(self, channel: SkyChannel) -> int:
        own = 2 * self.n_scales * self.n_angles + 1
        if channel.source == "lowpass":
            return channel.field * own + own - 1
        layer = 2 * channel.scale + channel.harmonic
        return channel.field * own + layer * self.n_angles + channel.angle % self.n_angles

    def _place(self, row: CrossMoment) -> tuple[int, bool]:
        """Where the covariance of a row is among all that are computed, and whether it is conjugated."""
        n_channels = self.n_fields * self.n_angles
        a, b = row.first, row.second
        first, second = (c.field * self.n_angles + c.angle % self.n_angles for c in (a, b))
        # Half a turn away the coefficients are conjugate.
        around = b.angle != b.angle % self.n_angles
        crossed = 2 * self.n_scales * n_channels**2
        if row.kind == "X11":
            return ((2 * a.scale + around) * n_channels + first) * n_channels + second, False
        if row.kind == "X10":
            return crossed + self.layers.index(a.scale, second, a.scale, first), True
        if row.kind == "XL":
            return crossed + self.layers.n_covariances + a.field * self.n_fields + b.field, False
        second += n_channels * (b.harmonic == 0)
        return crossed + self.layers.index(a.scale, first, b.scale, second), around
