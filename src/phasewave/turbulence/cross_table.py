"""What each cross-moment of several fields is: one record a moment."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

CrossKind = Literal["X11", "X00", "X01", "X10", "XC00", "XC01", "XL"]


@dataclass(frozen=True)
class SkyChannel:
    """A channel of one of the fields.

    Attributes
    ----------
    field : int
        Which field.
    source : {"wavelet", "lowpass"}
        ``x * psi_{j,l}``, or ``x * phi_J``.
    scale : int
        ``j``; the number of scales for the low-pass.
    angle : int
        ``l``, an angle of ``l pi / n_angles`` from axis 1. Outside ``0 .. n_angles - 1`` it is the wavelet half a
        turn away, whose coefficients are the conjugate ones.
    harmonic : int
        0 for the modulus less its mean, 1 for the coefficients.
    """

    field: int
    source: Literal["wavelet", "lowpass"]
    scale: int
    angle: int = 0
    harmonic: int = 1


@dataclass(frozen=True)
class CrossMoment:
    """One moment: the covariance ``mean_u a(u) conj(b(u))`` of channels of two fields.

    Attributes
    ----------
    kind : CrossKind
        Its class.
    first, second : SkyChannel
        ``a`` and ``b``; the finer scale is the first.
    """

    kind: CrossKind
    first: SkyChannel
    second: SkyChannel


def cross_table(n_fields: int, n_scales: int, n_angles: int, angle_reach: int) -> tuple[CrossMoment, ...]:
    """Every cross-moment, pair of fields after pair of fields, class after class."""
    steps = list({step % n_angles: step for step in range(-angle_reach, angle_reach + 1)}.values())
    rows: list[CrossMoment] = []
    for a, b in itertools.combinations(range(n_fields), 2):
        for kind, k, other in (("X11", 1, 1), ("X00", 0, 0), ("X01", 0, 1), ("X10", 1, 0)):
            for j, angle in itertools.product(range(n_scales), range(n_angles)):
                first = SkyChannel(a, "wavelet", j, angle, k)
                seconds = [SkyChannel(b, "wavelet", j, angle + step, other) for step in steps]
                rows += [CrossMoment(kind, first, second) for second in seconds]  # type: ignore[arg-type]
        rows += _across(a, b, n_scales, n_angles)
        low = (SkyChannel(field, "lowpass", n_scales) for field in (a, b))
        rows.append(CrossMoment("XL", *low))
    return tuple(rows)


def _across(a: int, b: int, n_scales: int, n_angles: int) -> Iterator[CrossMoment]:
    """Moduli of one field with the moduli and the coefficients of coarser scales of the other, both ways."""
    kinds: tuple[tuple[CrossKind, int], ...] = (("XC00", 0), ("XC01", 1))
    for kind, harmonic in kinds:
        for fine, coarse in ((a, b), (b, a)):
            for j, other in itertools.combinations(range(n_scales), 2):
                for angle, step in itertools.product(range(n_angles), range(n_angles)):
                    first = SkyChannel(fine, "wavelet", j, angle, 0)
                    turned = angle + step - n_angles // 2
                    yield CrossMoment(kind, first, SkyChannel(coarse, "wavelet", other, turned, harmonic))
