"""What each scattering covariance is: one record a moment."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

ScatteringKind = Literal["mean", "L", "S1", "S2", "C01", "C11"]


@dataclass(frozen=True)
class ScatteringMoment:
    r"""One moment.

    Attributes
    ----------
    kind : {"mean", "L", "S1", "S2", "C01", "C11"}
        Its class: :math:`\langle x \rangle`, the variance of :math:`x * \phi_J`, :math:`\langle|x*\psi_1|\rangle`,
        :math:`\langle|x*\psi_1|^2\rangle`, :math:`\langle x*\psi_2\, \overline{|x*\psi_1|*\psi_2}\rangle`,
        :math:`\langle |x*\psi_1|*\psi_3\, \overline{|x*\psi_2|*\psi_3}\rangle`.
    scales : tuple of int
        Scale of each wavelet, never falling.
    angles : tuple of int
        Angle of each wavelet in steps of ``pi / n_angles``; of a harmonic, relative to the first, which is 0. A
        wavelet half a turn away from another has the conjugate coefficients.
    harmonic : int or None
        Harmonic ``p`` along the angle of the first wavelet, all others turning with it; 0 is the mean over
        rotations. None for a moment of one orientation.
    """

    kind: ScatteringKind
    scales: tuple[int, ...] = ()
    angles: tuple[int, ...] = ()
    harmonic: int | None = None


def scattering_table(n_scales: int, n_angles: int, max_harmonic: int | None) -> tuple[ScatteringMoment, ...]:
    """Every moment, class after class."""
    rows = [ScatteringMoment("mean"), ScatteringMoment("L", (n_scales,))]
    for kind, scales, angles in _oriented(n_scales, n_angles):
        if max_harmonic is None:
            rows.append(ScatteringMoment(kind, scales, angles))
            continue
        mirrored = kind == "C11" and scales[0] == scales[1] and (angles[1] - angles[0]) % n_angles > n_angles // 2
        if angles[0] or mirrored:
            continue
        # What is real has even harmonics alone.
        real = len(angles) == 1 or (kind == "C11" and scales[0] == scales[1] and angles[1] == 0)
        harmonics = range(0, max_harmonic + 1, 2 if real else 1)
        rows += [ScatteringMoment(kind, scales, angles, p) for p in harmonics]
    return tuple(rows)


def _oriented(J: int, L: int) -> Iterator[tuple[ScatteringKind, tuple[int, ...], tuple[int, ...]]]:
    """Kind, scales and angles of every oriented moment; covariances of one scale only once."""
    firsts: tuple[ScatteringKind, ...] = ("S1", "S2")
    for kind in firsts:
        for j, angle in itertools.product(range(J), range(L)):
            yield kind, (j,), (angle,)
    for scales in itertools.combinations_with_replacement(range(J), 2):
        for angles in itertools.product(range(L), repeat=2):
            yield "C01", scales, angles
    for triple in itertools.combinations_with_replacement(range(J), 3):
        for a, b, c in itertools.product(range(L), repeat=3):
            if triple[0] < triple[1] or a <= b:
                yield "C11", triple, (a, b, c)
