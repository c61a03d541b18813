"""Moments without wavelets: covariances of low-passes, powers and quantiles of the values at a point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import nn

from phasewave.checks import fail
from phasewave.core.bank import low_pass_profiles
from phasewave.core.bump import BumpSteerable
from phasewave.core.fourier import Band, Support
from phasewave.turbulence.covariances import Shape, ShiftedSums, square
from phasewave.turbulence.moment_table import N_POWERS, Channel, Moment
from phasewave.turbulence.windows import check_overlap, low_pass_window


class PlainMoments(nn.Module):
    """The rows of a table whose channels are low-passes or the field itself.

    Parameters
    ----------
    shape : pair of int
        Sizes of the fields.
    family : BumpSteerable
        States the low-pass.
    rows : sequence of Moment
        Of low-passes, without shift or of one low-pass with itself, of powers and of quantiles.
    dtype : torch.dtype
        Real dtype.
    mask : torch.Tensor, optional
        Boolean, the shape of the fields, True where they are observed: the field's values are then taken there
        alone, those of a low-pass where it sees observed pixels.

    Attributes
    ----------
    order : list of int
        Which row each output is.
    counts : list of float
        What each output is to be divided by: 1.

    Raises
    ------
    ValueError
        If a low-pass keeps too few pixels of the mask, or a quantile bin none.
    """

    def __init__(
        self,
        shape: Shape,
        family: BumpSteerable,
        rows: Sequence[Moment],
        *,
        dtype: torch.dtype,
        mask: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        used = dict.fromkeys(channel for row in rows for channel in (row.first, row.second))
        self.scales = sorted({channel.scale for channel in used if channel.source == "lowpass"})
        supports = [_low_pass(shape, family, scale) for scale in self.scales]
        if self.scales:
            self.band = Band(supports, shape, shape, dtype=dtype)
        self.masked = mask is not None
        if mask is not None:
            self._keep("field", mask)
            for scale, support in zip(self.scales, supports, strict=True):
                kept = low_pass_window(mask, support)
                check_overlap(float(kept.mean()), shape, scale)
                self._keep(f"lowpass_{scale}", kept)

        moved = {n: row for n, row in enumerate(rows) if row.order == 0 and row.kind == "low_pass"}
        self.shifts = nn.ModuleDict()
        ordered: list[int] = []
        for scale in dict.fromkeys(row.first.scale for row in moved.values()):
            members = [n for n, row in moved.items() if row.first.scale == scale]
            ordered += members
            shifts = [[rows[n].shift for n in members]]
            self.shifts[str(scale)] = sums = ShiftedSums(shifts, shape, shape, dtype=dtype)
            if self.masked:
                window = self._window(scale)
                overlaps = sums.of_energy(square(torch.fft.fft2(window))[None, None])[0].real
                check_overlap(float(overlaps.min()) / window.numel() ** 2, shape, scale)
                self.register_buffer(f"overlaps_{scale}", overlaps, persistent=False)

        pairs = [n for n, row in enumerate(rows) if row.order == 0 and n not in moved]
        self.grams: dict[int, list[tuple[int, int]]] = {}
        for scale in self.scales:
            members = [n for n in pairs if rows[n].first.scale == scale]
            ordered += members
            self.grams[scale] = [(rows[n].first.harmonic, rows[n].second.harmonic) for n in members]

        powers = [n for n, row in enumerate(rows) if row.kind == "one_point"]
        self.powers = [rows[n].order - 1 for n in powers]
        self.binned: dict[tuple[Channel, int], list[int]] = {}
        bins: list[int] = []
        for source in dict.fromkeys((row.first, row.bins) for row in rows if row.kind == "quantiles"):
            members = [n for n, row in enumerate(rows) if (row.first, row.bins) == source]
            self.binned[source] = [rows[n].order - 1 for n in members]
            bins += members
        self.order = [*ordered, *powers, *bins]
        self.counts = [1.0] * len(self.order)
        for channel, n_bins in self.binned:
            if self.masked and n_bins > len(self._kept(channel)):
                fail("mask", f"keep at least {n_bins} pixels for as many quantiles", len(self._kept(channel)))

    def _keep(self, source: str, kept: torch.Tensor) -> None:
        self.register_buffer(f"kept_{source}", kept.flatten().nonzero()[:, 0], persistent=False)

    def _kept(self, channel: Channel) -> torch.Tensor:
        return self.get_buffer("kept_field" if channel.source == "field" else f"kept_lowpass_{channel.scale}")

    def forward(
        self, x: torch.Tensor, spectrum: torch.Tensor, means: Mapping[Channel, torch.Tensor] | None
    ) -> torch.Tensor:
        """The moments in the order `order`.

        Parameters
        ----------
        x, spectrum : torch.Tensor
            The fields, gaps filled, and their FFT, shape ``(n, H, W)``.
        means : mapping, optional
            Fixed mean of every channel; ``None`` subtracts each field's own from covariances and powers.

        Returns
        -------
        torch.Tensor
            Real, shape ``(n, n_rows)``.
        """
        fields = self._fields(x, spectrum)
        values = [self._autocovariances(scale, x, spectrum, means) for scale in self.shifts]
        for scale, pairs in self.grams.items():
            channels = {k: Channel("lowpass", scale, 0, k) for pair in pairs for k in pair}
            centred = {k: _centred(fields[channel], channel, means) for k, channel in channels.items()}
            values += [(centred[k] * centred[other]).mean((-2, -1))[:, None] for k, other in pairs]
        if self.powers:
            field = fields[Channel("field")]
            field = field if means is None else field - means[Channel("field")].real
            values.append(central_powers(field, N_POWERS, centred=means is not None)[:, self.powers])
        for (channel, bins), picks in self.binned.items():
            field = fields[channel] if means is None else fields[channel] - means[channel].real
            values.append(quantile_means(field, bins)[:, picks])
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

    def _autocovariances(
        self, key: str, x: torch.Tensor, spectrum: torch.Tensor, means: Mapping[Channel, torch.Tensor] | None
    ) -> torch.Tensor:
        """Of one low-pass at its shifts."""
        scale = int(key)
        field = self._low_passes(x, spectrum)[:, self.scales.index(scale)]
        channel = Channel("lowpass", scale)
        sums = cast(ShiftedSums, self.shifts[key])
        if not self.masked:
            values = sums.of_energy(square(torch.fft.fft2(_centred(field, channel, means)))[:, None])
            return values.real / field[0].numel() ** 2
        kept = field.flatten(1).index_select(1, self._kept(channel)).mean(-1)[:, None, None]
        field = (field - (kept if means is None else means[channel].real)) * self._window(scale)
        values = sums.of_energy(square(torch.fft.fft2(field))[:, None])
        return values.real / self.get_buffer(f"overlaps_{scale}")

    def _window(self, scale: int) -> torch.Tensor:
        kept = self._kept(Channel("lowpass", scale))
        window = torch.zeros(math.prod(self.shape), dtype=self.band.weights.dtype, device=kept.device)
        return window.index_fill_(0, kept, 1).view(self.shape)

    def _low_passes(self, x: torch.Tensor, spectrum: torch.Tensor) -> torch.Tensor:
        """Low-passes less the mean of the observed pixels, ``(n, scales, H, W)``."""
        smooth = torch.fft.ifft2(self.band(spectrum)).real
        if not self.masked:
            return smooth
        seen = x.flatten(1).index_select(1, self._kept(Channel("field"))).mean(-1)
        return smooth + (x.mean((-2, -1)) - seen)[:, None, None, None]

    def _fields(self, x: torch.Tensor, spectrum: torch.Tensor) -> dict[Channel, torch.Tensor]:
        fields = {Channel("field"): x}
        if self.scales:
            for scale, smooth in zip(self.scales, self._low_passes(x, spectrum).unbind(1), strict=True):
                fields[Channel("lowpass", scale)] = smooth
                fields[Channel("lowpass", scale, 0, 0)] = smooth.abs()
        if not self.masked:
            return fields
        return {c: field.flatten(1).index_select(1, self._kept(c))[:, None] for c, field in fields.items()}


def _centred(field: torch.Tensor, channel: Channel, means: Mapping[Channel, torch.Tensor] | None) -> torch.Tensor:
    return field - (field.mean((-2, -1), keepdim=True) if means is None else means[channel].real)


def _low_pass(shape: Shape, family: BumpSteerable, scale: int) -> Support:
    """The sampled low-pass on the whole grid, without its mean."""
    rows, columns = low_pass_profiles(shape, family, scale + 2, images=3)
    response = rows[:, None] * columns
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
