"""Phase-harmonic moments of real fields, each scale at its own resolution."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import nn

from phasewave.checks import fail, integer, plane_shape, real_field
from phasewave.core.bump import BumpSteerable
from phasewave.turbulence.covariances import Shape
from phasewave.turbulence.fill import Fill
from phasewave.turbulence.masks import observed_mask
from phasewave.turbulence.moment_table import (
    PYWPH_CLASSES,
    Channel,
    Moment,
    MomentClass,
    MomentSet,
    channels_of,
)
from phasewave.turbulence.paired_moments import PairedMoments
from phasewave.turbulence.plain_moments import PlainMoments
from phasewave.turbulence.pyramid import Pyramid
from phasewave.turbulence.scales import floored
from phasewave.turbulence.wavelet_moments import WaveletMoments


class PhaseHarmonicMoments(nn.Module):
    r"""Covariances of phase harmonics of wavelet coefficients, and one-point statistics.

    .. math:: C(\tau) = \langle ([x*\psi_\lambda]^k(u+\tau) - m)\,
        \overline{([x*\psi_{\lambda'}]^{k'}(u) - m')} \rangle / (s\, s')

    with :math:`[z]^k = |z| e^{ik\arg z}`, means over the periodic grid, :math:`m` the mean of ``x``'s own
    channel and :math:`s = 1`, or both fixed from a target by `standardized`. `MomentSet` lists the classes; the
    default ones are those of pywph 1.1.3, coefficient by coefficient (periodic boundary; ``norm=None``, or
    ``norm="auto"`` once standardised).

    Each scale lives on its own grid. Shifts are phases of cropped cross-spectra, so only ``[x*psi]^k`` with
    ``k >= 2`` costs a Fourier transform a pair of scales. Coefficients and their covariances ``S11`` are exact; a
    modulus or a harmonic is not band-limited: its moments differ from those at full resolution by up to 1e-3
    of the largest of their class at ``oversampling=1``, 1e-2 at 0, 2e-4 at 2, and not at all from ``n_scales`` on.

    At 256x256, 7 scales and 4 angles, forward and backward take about 200 complex FFTs of that size and 140 MB
    a sample.

    Parameters
    ----------
    shape : pair of int
        Sizes of the fields, each at least 16 and ``2^n_scales``.
    n_scales : int
        Number of scales, one an octave from the finest.
    n_angles : int
        Orientations over half a turn.
    n_shifts, shift_angles : int
        Shifts of radius ``2^n``, ``n = 1 .. n_shifts``, in ``2 shift_angles`` directions (``dn`` and ``A`` of
        pywph).
    classes : sequence of MomentClass
        Which moments; the default is pywph's set.
    n_quantiles : int
        Bins of the class ``"quantiles"``.
    quantile_scales : sequence of int
        Scales of the low-passes whose quantiles are taken too.
    oversampling : int
        Octaves of resolution above the wavelets' own at each scale. Each costs 4 times the pixels.
    chunk : int, optional
        Samples at a time; then harmonics (all, of a masked set) are also computed again in the backward pass, one
        scale at a time. This bounds the memory and changes no value. By default all samples at once.
    dtype : torch.dtype
        ``torch.float32`` or ``torch.float64``, of the fields.

    Attributes
    ----------
    table : tuple of Moment
        What each moment is.

    Raises
    ------
    TypeError
        If the dtype is not one of the two, or a number is not an integer.
    ValueError
        If the shape is too small for the scales, or an argument is out of range.

    Examples
    --------
    >>> moments = PhaseHarmonicMoments((64, 64), n_scales=4, classes=("S11", "S00"))
    >>> moments(torch.randn(3, 64, 64)).shape
    torch.Size([3, 288])
    """

    rows: torch.Tensor
    scales: torch.Tensor
    means: torch.Tensor | None
    deviations: torch.Tensor | None

    def __init__(
        self,
        shape: Shape,
        *,
        n_scales: int,
        n_angles: int = 4,
        n_shifts: int = 2,
        shift_angles: int = 4,
        classes: Sequence[MomentClass] = PYWPH_CLASSES,
        n_quantiles: int = 64,
        quantile_scales: Sequence[int] = (),
        oversampling: int = 1,
        chunk: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"`dtype` must be torch.float32 or torch.float64, got {dtype!r}")
        if chunk is not None:
            integer("chunk", chunk, minimum=1)
        self.settings = MomentSet(
            n_scales=n_scales,
            n_angles=n_angles,
            n_shifts=n_shifts,
            shift_angles=shift_angles,
            classes=tuple(classes),
            n_quantiles=n_quantiles,
            quantile_scales=tuple(quantile_scales),
        )
        self.family = BumpSteerable(n_angles)
        self.oversampling, self.chunk = oversampling, chunk
        self.pyramid = Pyramid(shape, self.family, n_scales=n_scales, oversampling=oversampling, dtype=dtype)
        self.shape = self.pyramid.shape
        if n_quantiles > math.prod(self.shape):
            fail("n_quantiles", "be at most the number of pixels", n_quantiles)
        self.table: tuple[Moment, ...] = self.settings.table()
        self.channels: tuple[Channel, ...] = channels_of(self.table)
        self.register_buffer("means", None)
        self.register_buffer("deviations", None)
        self._build(None)

    def _build(self, mask: torch.Tensor | None) -> None:
        """Prepare the two kinds of rows."""
        wavelet = [n for n, row in enumerate(self.table) if row.first.source == "wavelet"]
        plain = [n for n, row in enumerate(self.table) if row.first.source != "wavelet"]
        self.fill = None if mask is None else Fill(mask)
        self.wavelets: WaveletMoments | PairedMoments | None = None
        self.plain: PlainMoments | None = None
        order, scales = [], [1.0] * len(self.table)
        if wavelet:
            rows = [self.table[n] for n in wavelet]
            n_angles = self.settings.n_angles
            if mask is None:
                self.wavelets = WaveletMoments(self.pyramid, rows, n_angles=n_angles)
            else:
                self.wavelets = PairedMoments(self.pyramid, rows, n_angles=n_angles, mask=mask)
            order += [wavelet[n] for n in self.wavelets.order]
            for number, count in zip(order, self.wavelets.counts, strict=True):
                scales[number] = count
        dtype = self.pyramid.dtype
        if plain:
            rows = [self.table[n] for n in plain]
            self.plain = PlainMoments(self.shape, self.family, rows, dtype=dtype, mask=mask)
            order += [plain[n] for n in self.plain.order]
        self.register_buffer("rows", torch.tensor(order).argsort(), persistent=False)
        self.register_buffer("scales", torch.tensor(scales, dtype=dtype), persistent=False)

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return len(self.table)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields.

        Parameters
        ----------
        x : torch.Tensor
            Real, of the module's dtype, shape ``(..., H, W)``.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(..., n_moments)``; the classes S00, C00, L, one_point and quantiles are real.

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
        means = None if self.means is None else dict(zip(self.channels, self.means, strict=True))
        parts = []
        if self.wavelets is not None:
            parts.append(self.wavelets(spectrum, means, self.chunk))
        if self.plain is not None:
            parts.append(self.plain(fields, spectrum, means).to(spectrum.dtype))
        values = torch.cat(parts, dim=-1).index_select(-1, self.rows) / self.scales
        if self.deviations is not None:
            values = values / self.deviations
        return values.view(*x.shape[:-2], len(self.table))

    def standardized(self, target: torch.Tensor) -> PhaseHarmonicMoments:
        """The same moments with means and standard deviations fixed from a target.

        Every covariance then subtracts the target's means of its two channels and is divided by their standard
        deviations, so that matching it also matches the means; a power is divided by the field's standard
        deviation to that power, a quantile likewise after the mean. A channel that hardly varies in the target is
        divided by a floor (`phasewave.turbulence.scales.floored`).

        Parameters
        ----------
        target : torch.Tensor
            One field or several, shape ``(..., H, W)``; means are taken over all of them.

        Returns
        -------
        PhaseHarmonicMoments
            A new module; this one is unchanged.

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
        means, deviations = (
            torch.stack([statistics[channel][which] for channel in self.channels]) for which in range(2)
        )
        deviations = floored(deviations)
        at = {channel: number for number, channel in enumerate(self.channels)}
        factors = []
        for row in self.table:
            first, second = deviations[at[row.first]], deviations[at[row.second]]
            factors.append(first**row.order if row.kind == "one_point" else first)
            if not row.order:
                factors[-1] = first * second
        module = copy.deepcopy(self)
        module.means, module.deviations = means, torch.stack(factors)
        return module

    def resized(self, shape: Sequence[int]) -> PhaseHarmonicMoments:
        """The same moments, and means and deviations, of whole fields of another size and the same pixels.

        Parameters
        ----------
        shape : pair of int
            The new sizes. A mask does not carry over.

        Raises
        ------
        TypeError, ValueError
            As the constructor: if it is not two sizes, or too small for the scales.
        """
        known = self.settings
        module = PhaseHarmonicMoments(
            plane_shape("shape", shape),
            n_scales=known.n_scales,
            n_angles=known.n_angles,
            n_shifts=known.n_shifts,
            shift_angles=known.shift_angles,
            classes=known.classes,
            n_quantiles=known.n_quantiles,
            quantile_scales=known.quantile_scales,
            oversampling=self.oversampling,
            chunk=self.chunk,
            dtype=self.scales.dtype,
        ).to(self.scales.device)
        module.means, module.deviations = self.means, self.deviations
        return module

    def masked(self, mask: torch.Tensor) -> PhaseHarmonicMoments:
        """Estimates of the same moments from fields that are known only where a mask is True.

        Gaps are filled smoothly, and a channel counts where its wavelet sees observed pixels (`masks`);
        `PairedMoments` states the estimate. One-point moments and quantiles take observed values alone.

        Parameters
        ----------
        mask : torch.Tensor
            Boolean, shape ``(H, W)``, True where fields are observed. It replaces one given before.

        Returns
        -------
        PhaseHarmonicMoments
            With the means and deviations of this one; values in gaps may be anything, NaN too.

        Raises
        ------
        TypeError
            If the mask is not boolean.
        ValueError
            If its shape is not that of the fields, it is False everywhere, or a scale keeps too few pixels.
        """
        observed = observed_mask(mask, self.shape)
        module = copy.deepcopy(self)
        module._build(observed)
        return module.to(self.scales)

    def _spectrum(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Check the fields; return them with one batch axis, and their FFT."""
        real_field("x", x, self.shape, dtype=self.scales.dtype)
        if self.fill is not None:
            x = self.fill(x)
        fields = x.reshape(math.prod(x.shape[:-2]), *self.shape)
        # Some FFT libraries refuse an empty batch.
        empty = fields.new_zeros((0, *self.shape), dtype=x.dtype.to_complex())
        return fields, torch.fft.fft2(fields) if len(fields) else empty
