"""What each phase-harmonic moment is: one record a moment, and the tables of the named classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from phasewave.checks import choice, fail, integer

MomentClass = Literal["S11", "S00", "S01", "C00", "C01", "Cphase", "L", "one_point", "quantiles"]
PYWPH_CLASSES: tuple[MomentClass, ...] = ("S11", "S00", "S01", "C01", "Cphase", "L")
N_POWERS = 4


@dataclass(frozen=True)
class Channel:
    """A field that moments are taken of.

    Attributes
    ----------
    source : {"wavelet", "lowpass", "field"}
        ``x * psi_{j,l}``, ``x * phi_j`` less its mean, or ``x`` itself.
    scale : int
        ``j``; 0 for the field.
    angle : int
        ``l``, an angle of ``l pi / n_angles`` from axis 1; 0 where there is none.
    harmonic : int
        ``k`` of the phase harmonic: 0 is the modulus, 1 the field itself, ``-k`` the conjugate of ``k``, which is
        the harmonic ``k`` of the opposite angle.
    """

    source: Literal["wavelet", "lowpass", "field"]
    scale: int = 0
    angle: int = 0
    harmonic: int = 1


@dataclass(frozen=True)
class Moment:
    """One moment.

    Attributes
    ----------
    kind : str
        Its class: a `MomentClass` of the sets below, or any other word.
    first, second : Channel
        A covariance is ``mean_u a(u + shift) conj(b(u))`` of the two, less their means. One-point moments
        have one channel, repeated.
    shift : pair of int
        In pixels, axis 0 first.
    order : int
        One-point moments: the power, or the number of the quantile bin, from 1. 0 for covariances.
    bins : int
        Quantiles: how many bins there are. 0 for the others.
    """

    kind: str
    first: Channel
    second: Channel
    shift: tuple[int, int] = (0, 0)
    order: int = 0
    bins: int = 0


@dataclass(frozen=True)
class MomentSet:
    r"""Which moments: the numbers that, with the classes, fix a table.

    Covariances :math:`C(\tau) = \langle [x*\psi]^k(u + \tau)\, \overline{[x*\psi']^{k'}(u)} \rangle`, the
    classes of Allys et al. 2020 and Regaldo-Saint Blancard et al. 2021 (the names and members of pywph):

    ============= =====================================================================================
    S11, S00      one wavelet, ``k = k' = 1`` or ``0``; zero shift and the shifts of a half plane
    S01           one wavelet, ``(0, 1)``, zero shift
    C00           ``j < j'``, ``(0, 0)``, ``-L//2 <= l' - l < L//2``, zero shift
    C01           the same pairs, ``(0, 1)``; with all shifts where ``l' = l``
    Cphase        ``j < j'``, ``l' = l``, ``(1, 2^(j'-j))``, shifts with ``n <= J - 1 - j'``
    L             low-passes of scales ``-1 .. J//4``: ``(0, 0)``, ``(0, 1)``, ``(1, 1)``, zero shift
    one_point     mean of the field, then the central powers 2, 3, 4
    quantiles     means of the sorted values of the field in bins of equal size, likewise of low-passes
    ============= =====================================================================================

    ``n_angles = 4``, ``n_shifts = 2`` and the first six without C00 are 3,105 moments at 7 scales;
    ``n_angles = 8`` at 5 scales 3,345.

    Attributes
    ----------
    n_scales, n_angles : int
        ``J`` and ``L``.
    n_shifts : int
        ``dn``: shifts of radius ``2^n`` pixels for ``n = 1 .. dn``, beside the zero shift.
    shift_angles : int
        ``A``: shifts in ``2 A`` directions, steps of ``pi / A`` from the second wavelet's angle.
    classes : tuple of MomentClass
        The classes above, in the order of the table.
    n_quantiles : int
        Bins of the class ``"quantiles"``.
    quantile_scales : tuple of int
        Low-pass scales whose quantiles are taken too, beside those of the field.
    """

    n_scales: int
    n_angles: int = 4
    n_shifts: int = 2
    shift_angles: int = 4
    classes: tuple[MomentClass, ...] = PYWPH_CLASSES
    n_quantiles: int = 64
    quantile_scales: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        integer("n_scales", self.n_scales, minimum=1)
        integer("n_angles", self.n_angles, minimum=1)
        integer("n_shifts", self.n_shifts, minimum=0)
        integer("shift_angles", self.shift_angles, minimum=1)
        integer("n_quantiles", self.n_quantiles, minimum=1)
        for scale in self.quantile_scales:
            integer("quantile_scales", scale, minimum=-1, maximum=self.n_scales)
        if not self.classes or len(set(self.classes)) != len(self.classes):
            fail("classes", "be one or more different classes", self.classes)
        for kind in self.classes:
            choice("classes", kind, get_args(MomentClass))

    def table(self) -> tuple[Moment, ...]:
        """Every moment, class after class."""
        return tuple(row for kind in self.classes for row in _CLASSES[kind](self))


def _shift(s: MomentSet, angle: int, radius: int, step: int) -> tuple[int, int]:
    """Shift in pixels of radius ``2^radius`` at the angle of the wavelet less ``step`` steps."""
    direction = math.pi * angle / s.n_angles - math.pi * step / s.shift_angles
    length = 2**radius
    return round(length * math.sin(direction)), round(length * math.cos(direction))


def _shifts(s: MomentSet, angle: int, n_radii: int, n_steps: int) -> list[tuple[int, int]]:
    moved = [_shift(s, angle, n, a) for n in range(1, n_radii + 1) for a in range(n_steps)]
    return [(0, 0), *moved]


def _wavelet(scale: int, angle: int, harmonic: int) -> Channel:
    return Channel("wavelet", scale, angle, harmonic)


def _single(s: MomentSet, kind: MomentClass, harmonic: int) -> Iterator[Moment]:
    for j in range(s.n_scales):
        for angle in range(s.n_angles):
            channel = _wavelet(j, angle, harmonic)
            for shift in _shifts(s, angle, s.n_shifts, s.shift_angles):
                yield Moment(kind, channel, channel, shift)


def _s11(s: MomentSet) -> Iterator[Moment]:
    return _single(s, "S11", 1)


def _s00(s: MomentSet) -> Iterator[Moment]:
    return _single(s, "S00", 0)


def _s01(s: MomentSet) -> Iterator[Moment]:
    for j in range(s.n_scales):
        for angle in range(s.n_angles):
            yield Moment("S01", _wavelet(j, angle, 0), _wavelet(j, angle, 1))


def _scale_pairs(s: MomentSet) -> Iterator[tuple[int, int]]:
    for j in range(s.n_scales):
        for other in range(j + 1, s.n_scales):
            yield j, other


def _angle_pairs(s: MomentSet) -> Iterator[tuple[int, int]]:
    for angle in range(s.n_angles):
        for step in range(-(s.n_angles // 2), s.n_angles // 2):
            yield angle, angle + step


def _c00(s: MomentSet) -> Iterator[Moment]:
    for j, other in _scale_pairs(s):
        for angle, turned in _angle_pairs(s):
            yield Moment("C00", _wavelet(j, angle, 0), _wavelet(other, turned % s.n_angles, 0))


def _c01(s: MomentSet) -> Iterator[Moment]:
    for j, other in _scale_pairs(s):
        for angle, turned in _angle_pairs(s):
            radii = s.n_shifts if angle == turned else 0
            for shift in _shifts(s, turned, radii, 2 * s.shift_angles):
                yield Moment("C01", _wavelet(j, angle, 0), _wavelet(other, turned % s.n_angles, 1), shift)


def _cphase(s: MomentSet) -> Iterator[Moment]:
    for j, other in _scale_pairs(s):
        for angle in range(s.n_angles):
            radii = min(s.n_scales - 1 - other, s.n_shifts)
            for shift in _shifts(s, angle, radii, 2 * s.shift_angles):
                second = _wavelet(other, angle, 2 ** (other - j))
                yield Moment("Cphase", _wavelet(j, angle, 1), second, shift)


def _scaling(s: MomentSet) -> Iterator[Moment]:
    for j in range(-1, s.n_scales // 4 + 1):
        for k, other in ((0, 0), (0, 1), (1, 1)):
            yield Moment("L", Channel("lowpass", j, 0, k), Channel("lowpass", j, 0, other))


def _one_point(s: MomentSet) -> Iterator[Moment]:
    for power in range(1, N_POWERS + 1):
        yield Moment("one_point", Channel("field"), Channel("field"), order=power)


def _quantiles(s: MomentSet) -> Iterator[Moment]:
    for channel in (Channel("field"), *(Channel("lowpass", j) for j in s.quantile_scales)):
        for number in range(1, s.n_quantiles + 1):
            yield Moment("quantiles", channel, channel, order=number, bins=s.n_quantiles)


_CLASSES = {
    "S11": _s11,
    "S00": _s00,
    "S01": _s01,
    "C00": _c00,
    "C01": _c01,
    "Cphase": _cphase,
    "L": _scaling,
    "one_point": _one_point,
    "quantiles": _quantiles,
}


def channels_of(table: Sequence[Moment]) -> tuple[Channel, ...]:
    """The different channels of a table, in order of first use."""
    return tuple(dict.fromkeys(channel for row in table for channel in (row.first, row.second)))
