"""Phase-harmonic moments of real fields: the named classes, pywph's by default."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from phasewave.checks import fail
from phasewave.turbulence.covariances import Shape
from phasewave.turbulence.moment_table import PYWPH_CLASSES, MomentClass, MomentSet
from phasewave.turbulence.table_moments import TableMoments


class PhaseHarmonicMoments(TableMoments):
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
        self.settings = MomentSet(
            n_scales=n_scales,
            n_angles=n_angles,
            n_shifts=n_shifts,
            shift_angles=shift_angles,
            classes=tuple(classes),
            n_quantiles=n_quantiles,
            quantile_scales=tuple(quantile_scales),
        )
        super().__init__(
            shape,
            self.settings.table(),
            n_scales=n_scales,
            n_angles=n_angles,
            oversampling=oversampling,
            chunk=chunk,
            dtype=dtype,
        )
        if n_quantiles > math.prod(self.shape):
            fail("n_quantiles", "be at most the number of pixels", n_quantiles)
