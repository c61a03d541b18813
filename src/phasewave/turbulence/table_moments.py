"""Moments of real fields that a table states, each scale at its own resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from phasewave.checks import fail, integer, plane_shape, real_dtype, real_field
from phasewave.core.bump import BumpSteerable
from phasewave.turbulence.copies import sharing_copy
from phasewave.turbulence.covariances import Shape
from phasewave.turbulence.fill import Fill
from phasewave.turbulence.masks import observed_mask
from phasewave.turbulence.moment_table import Channel, Moment, channels_of
from phasewave.turbulence.paired_moments import PairedMoments
from phasewave.turbulence.plain_moments import PlainMoments
from phasewave.turbulence.pyramid import Pyramid
from phasewave.turbulence.scales import floored
from phasewave.turbulence.wavelet_moments import WaveletMoments

if TYPE_CHECKING:
    from typing_extensions import Self


class TableMoments(nn.Module):
    r"""The moments of any table: covariances of phase harmonics, one-point moments and quantiles.

    .. math:: C(\tau) = \langle ([x*\psi_\lambda]^k(u+\tau) - m)\,
        \overline{([x*\psi_{\lambda'}]^{k'}(u) - m')} \rangle / (s\, s')

    with :math:`[z]^k = |z| e^{ik\arg z}`, means over the periodic grid, :math:`m` the mean of ``x``'s own channel
    and :math:`s = 1`, or both fixed from a target by `standardized`. Any scales, angles, harmonics (of any sign)
    and shifts may be paired.

    Coefficients and their covariances are exact. A modulus or a harmonic is not band-limited: its moments differ
    from those at full resolution by up to 1e-3 of the two standard deviations at ``oversampling=1``, 5e-3 at 0,
    2e-4 at 2, and not at all from ``n_scales`` on.

    Parameters
    ----------
    shape : pair of int
        Sizes of the fields, each at least 16 and ``2^n_scales``.
    table : sequence of Moment
        Which moments, in this order.
    n_scales : int
        Number of scales, one an octave from the finest.
    n_angles : int
        Orientations over half a turn.
    isotropic : bool
        Standardise the channels of all angles by one mean and one deviation.
    oversampling : int
        Octaves of resolution above the wavelets' own. Each costs 4 times the pixels.
    chunk : int, optional
        Samples at a time; then what was not kept is computed again in the backward pass. This bounds the memory
        and changes no value. By default all samples at once.
    dtype : torch.dtype
        ``torch.float32`` or ``torch.float64``, of the fields.

    Raises
    ------
    TypeError
        If the dtype is not one of the two, or a number is not an integer.
    ValueError
        If the shape is too small for the scales, or a row has a scale or an angle that there is not.

    Examples
    --------
    >>> table = [Moment("modulus", Channel("wavelet", 0, 1, 0), Channel("wavelet", 2, 3, 0), (4, 0))]
    >>> moments = TableMoments((64, 64), table, n_scales=3)
    >>> moments(torch.randn(5, 64, 64)).shape
    torch.Size([5, 1])
    """

    rows: torch.Tensor
    scales: torch.Tensor
    means: torch.Tensor | None
    deviations: torch.Tensor | None

    def __init__(
        self,
        shape: Shape,
        table: Sequence[Moment],
        *,
        n_scales: int,
        n_angles: int = 4,
        isotropic: bool = False,
        oversampling: int = 1,
        chunk: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        real_dtype("dtype", dtype)
        if chunk is not None:
            integer("chunk", chunk, minimum=1)
        self.family = BumpSteerable(n_angles)
        self.n_scales, self.oversampling, self.chunk, self.isotropic = n_scales, oversampling, chunk, isotropic
        self.table: tuple[Moment, ...] = tuple(table)
        self.channels: tuple[Channel, ...] = channels_of(self.table)
        for channel in self.channels:
            if channel.source == "wavelet" and not (channel.scale < n_scales and channel.angle < n_angles):
                fail("table", f"have scales under {n_scales} and angles under {n_angles}", channel)
        self.register_buffer("means", None)
        self.register_buffer("deviations", None)
        self._prepare(shape, None, dtype)

    def _prepare(self, shape: Shape, mask: torch.Tensor | None, dtype: torch.dtype) -> None:
        """Make the parts that compute the three kinds of rows."""
        pyramid = Pyramid(shape, self.family, n_scales=self.n_scales, oversampling=self.oversampling, dtype=dtype)
        self.pyramid, self.shape = pyramid, pyramid.shape
        self.fill = None if mask is None else Fill(mask)
        wavelet = [n for n, row in enumerate(self.table) if row.first.source == "wavelet"]
        plain = [n for n, row in enumerate(self.table) if row.first.source != "wavelet"]
        self.wavelets: WaveletMoments | PairedMoments | None = None
        self.plain: PlainMoments | None = None
        order, counts = [], []
        if wavelet:
            rows, n_angles = [self.table[n] for n in wavelet], self.family.n_angles
            if mask is None and WaveletMoments.takes(rows):
                self.wavelets = WaveletMoments(pyramid, rows, n_angles=n_angles)
            else:
                self.wavelets = PairedMoments(pyramid, rows, n_angles=n_angles, mask=mask)
            order += [wavelet[n] for n in self.wavelets.order]
            counts += self.wavelets.counts
        if plain:
            rows = [self.table[n] for n in plain]
            self.plain = PlainMoments(self.shape, self.family, rows, dtype=dtype, mask=mask)
            order += [plain[n] for n in self.plain.order]
            counts += self.plain.counts
        places = torch.tensor(order, dtype=torch.int64).argsort()
        self.register_buffer("rows", places, persistent=False)
        self.register_buffer("scales", torch.tensor(counts, dtype=dtype)[places], persistent=False)

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return len(self.table)

    @property
    def is_complex(self) -> bool:
        """Whether moments are complex numbers: True."""
        return True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields.

        Parameters
        ----------
        x : torch.Tensor
            Real, of the module's dtype, shape ``(..., H, W)``.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(..., n_moments)``; covariances of moduli, of low-passes,
            one-point moments and quantiles are real.

        Raises
        ------
        TypeError
            If ``x`` is not a real tensor of the module's dtype.
        ValueError
            If its last axes are not the module's shape.
        """
        fields, spectrum = self._spectrum(x)
        if len(fields) == 0:
            return spectrum.new_zeros((*x.shape[:-2], len(self.table)))
        means = None
        if self.means is not None:
            means = dict(zip(self.channels, torch.view_as_complex(self.means), strict=True))
        parts = []
        if self.wavelets is not None:
            parts.append(self.wavelets(spectrum, means, self.chunk))
        if self.plain is not None:
            parts.append(self.plain(fields, spectrum, means).to(spectrum.dtype))
        values = torch.cat(parts, dim=-1).index_select(-1, self.rows) / self.scales
        if self.deviations is not None:
            values = values / self.deviations
        return values.view(*x.shape[:-2], len(self.table))

    def standardized(self, target: torch.Tensor) -> Self:
        """The same moments with means and standard deviations fixed from a target.

        Every covariance then subtracts the target's means of its two channels and is divided by their standard
        deviations, so that matching it also matches the means; a power is divided by the field's standard
        deviation to that power, a quantile likewise after the mean. A channel that hardly varies is divided by a
        floor (`phasewave.turbulence.scales.floored`).

        Parameters
        ----------
        target : torch.Tensor
            One field or several, shape ``(..., H, W)``; means are taken over all of them.

        Raises
        ------
        TypeError, ValueError
            As `forward`; also if there is no field.
        """
        fields, spectrum = self._spectrum(target)
        if len(fields) == 0:
            fail("target", "hold at least one field", tuple(target.shape))
        statistics: dict[Channel, tuple[torch.Tensor, torch.Tensor]] = {}
        if self.wavelets is not None:
            statistics |= self.wavelets.statistics(spectrum)
        if self.plain is not None:
            statistics |= self.plain.statistics(fields, spectrum)
        chosen = [statistics[channel] for channel in self.channels]
        means = torch.stack([mean.to(spectrum.dtype) for mean, _ in chosen])
        deviations = torch.stack([deviation for _, deviation in chosen])
        if self.isotropic:
            means, deviations = self._pooled(means, deviations)
        deviations = floored(deviations)
        at = {channel: number for number, channel in enumerate(self.channels)}
        factors = []
        for row in self.table:
            first, second = deviations[at[row.first]], deviations[at[row.second]]
            factors.append(first**row.order if row.kind == "one_point" else first)
            if not row.order:
                factors[-1] = first * second
        module = sharing_copy(self)
        # Kept as pairs of reals, which `Module.to(dtype)` converts.
        module.means, module.deviations = torch.view_as_real(means), torch.stack(factors)
        return module

    def resized(self, shape: Sequence[int]) -> Self:
        """The same moments, and means and deviations, of whole fields of another size and the same pixels.

        A mask does not carry over.

        Raises
        ------
        TypeError, ValueError
            As the constructor: if it is not two sizes, or too small for the scales.
        """
        module = sharing_copy(self)
        module._prepare(plane_shape("shape", shape), None, self.scales.dtype)
        return module.to(self.scales)

    def masked(self, mask: torch.Tensor) -> Self:
        """Estimates of the same moments from fields that are known only where a mask is True.

        Gaps are filled smoothly, and a channel counts where its wavelet sees observed pixels (`masks`);
        `PairedMoments` states the estimate. One-point moments and quantiles take observed values alone.

        Parameters
        ----------
        mask : torch.Tensor
            Boolean, shape ``(H, W)``, True where fields are observed. It replaces one given before.

        Returns
        -------
        TableMoments
            With the means and deviations of this one; values in gaps may be anything, NaN too.

        Raises
        ------
        TypeError
            If the mask is not boolean.
        ValueError
            If its shape is not that of the fields, it is False everywhere, or a scale keeps too few pixels.
        """
        observed = observed_mask(mask, self.shape)
        module = sharing_copy(self)
        module._prepare(self.shape, observed, self.scales.dtype)
        return module.to(self.scales)

    def _pooled(self, means: torch.Tensor, deviations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and deviations over the angles as well; a harmonic ``-k`` has those of ``k``."""
        means, deviations = means.clone(), deviations.clone()
        groups: dict[tuple[str, int, int], dict[int, int]] = {}
        for number, channel in enumerate(self.channels):
            groups.setdefault(_level(channel), {}).setdefault(channel.angle, number)
        for level, members in groups.items():
            one, all_of = list(members.values()), [n for n, c in enumerate(self.channels) if _level(c) == level]
            mean = means[one].mean()
            square = (deviations[one].square() + means[one].abs().square()).mean()
            means[all_of], deviations[all_of] = mean, (square - mean.abs().square()).clamp_min(0).sqrt()
        return means, deviations

    def _spectrum(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Check the fields; return them with one batch axis, and their FFT."""
        real_field("x", x, self.shape, dtype=self.scales.dtype)
        if self.fill is not None:
            x = self.fill(x)
        fields = x.reshape(math.prod(x.shape[:-2]), *self.shape)
        # Some FFT libraries refuse an empty batch.
        empty = fields.new_zeros((0, *self.shape), dtype=x.dtype.to_complex())
        return fields, torch.fft.fft2(fields) if len(fields) else empty


def _level(channel: Channel) -> tuple[str, int, int]:
    return channel.source, channel.scale, abs(channel.harmonic)
