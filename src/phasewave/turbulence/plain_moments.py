"""Moments without wavelets: covariances of low-passes, powers and quantiles of the values at a point."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from phasewave.core.bump import BumpSteerable
from phasewave.core.fourier import Band, Support
from phasewave.core.grids import signed_frequencies
from phasewave.turbulence.moment_table import N_POWERS, Channel, Moment

Shape = tuple[int, int]


class PlainMoments(nn.Module):
    """The rows of a table whose channels are low-passes or the field itself.

    Parameters
    ----------
    shape : pair of int
        Sizes of the fields.
    family : BumpSteerable
        States the low-pass.
    rows : sequence of Moment
        Of the classes L, one_point and quantiles.
    dtype : torch.dtype
        Real dtype.

    Attributes
    ----------
    order : list of int
        Which row each output is.
    """

    picks: torch.Tensor

    def __init__(self, shape: Shape, family: BumpSteerable, rows: Sequence[Moment], *, dtype: torch.dtype) -> None:
        super().__init__()
        used = dict.fromkeys(channel for row in rows for channel in (row.first, row.second))
        self.scales = sorted({channel.scale for channel in used if channel.source == "lowpass"})
        if self.scales:
            supports = [_low_pass(shape, family, scale) for scale in self.scales]
            self.band = Band(supports, shape, shape, dtype=dtype)

        pairs = [n for n, row in enumerate(rows) if row.order == 0]
        self.channels = list(dict.fromkeys(c for n in pairs for c in (rows[n].first, rows[n].second)))
        at = {channel: number for number, channel in enumerate(self.channels)}
        picks = [at[rows[n].first] * len(at) + at[rows[n].second] for n in pairs]
        self.register_buffer("picks", torch.tensor(picks, dtype=torch.int64), persistent=False)

        powers = [n for n, row in enumerate(rows) if row.kind == "one_point"]
        self.powers = bool(powers)
        binned = [n for n, row in enumerate(rows) if row.kind == "quantiles"]
        self.binned = list(dict.fromkeys((rows[n].first, rows[n].bins) for n in binned))
        self.order = [*pairs, *powers, *binned]

    def forward(
        self, x: torch.Tensor, spectrum: torch.Tensor, means: dict[Channel, torch.Tensor] | None
    ) -> torch.Tensor:
        """The moments in the order `order`.

        Parameters
        ----------
        x, spectrum : torch.Tensor
            The fields and their FFT, shape ``(n, H, W)``.
        means : dict, optional
            Fixed mean of every channel; ``None`` subtracts each field's own from covariances and powers.

        Returns
        -------
        torch.Tensor
            Real, shape ``(n, n_rows)``.
        """
        fields = self._fields(x, spectrum)
        values = []
        if self.channels:
            stack = torch.stack([_centred(fields[c], c, means) for c in self.channels], dim=1).flatten(2)
            gram = stack @ stack.mT / stack.shape[-1]
            values.append(gram.flatten(1).index_select(1, self.picks))
        if self.powers:
            field = x if means is None else x - means[Channel("field")]
            values.append(central_powers(field, N_POWERS, centred=means is not None))
        for channel, bins in self.binned:
            field = fields[channel] if means is None else fields[channel] - means[channel]
            values.append(quantile_means(field, bins))
        return torch.cat(values, dim=-1)

    @torch.no_grad()
    def statistics(
        self, x: torch.Tensor, spectrum: torch.Tensor
    ) -> dict[Channel, tuple[torch.Tensor, torch.Tensor]]:
        """Mean and standard deviation over samples and pixels of every channel of the rows."""
        result = {}
        for channel, field in self._fields(x, spectrum).items():
            mean = field.mean()
            result[channel] = mean, (field - mean).square().mean().sqrt()
        return result

    def _fields(self, x: torch.Tensor, spectrum: torch.Tensor) -> dict[Channel, torch.Tensor]:
        fields = {Channel("field"): x}
        if self.scales:
            smooth = torch.fft.ifft2(self.band(spectrum)).real
            for number, scale in enumerate(self.scales):
                fields[Channel("lowpass", scale)] = smooth[:, number]
                fields[Channel("lowpass", scale, 0, 0)] = smooth[:, number].abs()
        return fields


def _centred(field: torch.Tensor, channel: Channel, means: dict[Channel, torch.Tensor] | None) -> torch.Tensor:
    return field - (field.mean((-2, -1), keepdim=True) if means is None else means[channel])


def _low_pass(shape: Shape, family: BumpSteerable, scale: int) -> Support:
    """The sampled low-pass on the whole grid, without its mean."""
    cells = 2 * math.pi * torch.arange(-3, 4, dtype=torch.float64)[:, None]
    profiles = [
        family.low_pass(cells + 2 * math.pi / n * signed_frequencies(n).to(torch.float64), scale + 2).sum(dim=0)
        for n in shape
    ]
    response = profiles[0][:, None] * profiles[1]
    response[0, 0] = 0
    return Support((-(shape[0] // 2), -(shape[1] // 2)), torch.fft.fftshift(response))


def central_powers(x: torch.Tensor, highest: int, *, centred: bool) -> torch.Tensor:
    """Mean of the field, then means of the powers 2 to ``highest`` of its deviation from the mean.

    Parameters
    ----------
    x : torch.Tensor
        Real, shape ``(n, H, W)``.
    highest : int
        Highest power.
    centred : bool
        Take ``x`` as the deviation, rather than ``x`` less its own mean.

    Returns
    -------
    torch.Tensor
        Shape ``(n, highest)``.
    """
    mean = x.mean((-2, -1), keepdim=True)
    deviation = x if centred else x - mean
    square = deviation * deviation
    values, power = [mean[..., 0, 0]], deviation
    for number in range(2, highest + 1):
        power = square if number == 2 else power * deviation
        values.append(power.mean((-2, -1)))
    return torch.stack(values, dim=-1)


def quantile_means(x: torch.Tensor, n_bins: int) -> torch.Tensor:
    """Means of the sorted values in ``n_bins`` bins of equal number (to within one): the inverse PDF.

    Bin ``b`` holds the values of rank ``r`` with ``b n <= r n_bins < (b + 1) n`` for ``n`` pixels.

    Parameters
    ----------
    x : torch.Tensor
        Real, shape ``(n, H, W)``.
    n_bins : int
        At most the number of pixels.

    Returns
    -------
    torch.Tensor
        Shape ``(n, n_bins)``. The gradient goes to each value through its rank.
    """
    values = x.flatten(1).sort(dim=-1).values
    ranks = torch.arange(values.shape[-1], device=x.device)
    bins = torch.div(ranks * n_bins, values.shape[-1], rounding_mode="floor")
    sizes = torch.zeros(n_bins, dtype=x.dtype, device=x.device).index_add_(0, bins, torch.ones_like(values[0]))
    sums = values.new_zeros((len(values), n_bins)).index_add(1, bins, values)
    return sums / sizes
