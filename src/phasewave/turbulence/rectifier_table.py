"""What each rectifier moment is: one record a moment, in the view of phases or of their harmonics."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

RectifierKind = Literal["R1", "R", "RC"]
RectifierView = Literal["phases", "harmonics"]


@dataclass(frozen=True)
class RectifierChannel:
    """A rectified wavelet coefficient, or a harmonic of its phases.

    Attributes
    ----------
    scale, angle : int
        ``j`` and ``l``. An angle outside ``0 .. n_angles - 1`` is that of the wavelet half a turn away, whose
        coefficients are the conjugate ones.
    view : {"phases", "harmonics"}
        What the number is.
    number : int
        ``a`` of the phase ``2 pi a / A``, or the harmonic ``k``.
    """

    scale: int
    angle: int
    view: RectifierView
    number: int


@dataclass(frozen=True)
class RectifierMoment:
    """One moment.

    Attributes
    ----------
    kind : {"R1", "R", "RC"}
        The mean of a channel; the covariance ``mean_u a(u) conj(b(u))`` of two channels of one scale; of two
        scales, the finer first.
    first, second : RectifierChannel
        The channels; a mean has one, repeated.
    """

    kind: RectifierKind
    first: RectifierChannel
    second: RectifierChannel


def kept_harmonics(n_phases: int) -> list[int]:
    """Harmonics >= 0 of ``n_phases`` rectified phases that do not vanish: 0, 1 and the even ones."""
    return [0, 1, *range(2, n_phases // 2 + 1, 2)]


def wavelet_pairs(n_scales: int, n_angles: int, angle_reach: int) -> list[tuple[int, int, int, int]]:
    """Scale and angle of the first wavelet, scale and angle of the second, of every pair."""
    steps = list({step % n_angles: step for step in range(-angle_reach, angle_reach + 1)}.values())
    pairs = []
    for j, angle in itertools.product(range(n_scales), range(n_angles)):
        # Of one scale each pair once: the second angle is the first or follows it by less than half a turn.
        ahead = sorted({step % n_angles for step in steps if 2 * (step % n_angles) < n_angles})
        pairs += [(j, angle, j, angle + step) for step in ahead]
        if 2 * angle < n_angles and any(2 * (step % n_angles) == n_angles for step in steps):
            pairs.append((j, angle, j, angle + n_angles // 2))
    for j, other in itertools.combinations(range(n_scales), 2):
        pairs += [(j, angle, other, angle + step) for angle in range(n_angles) for step in steps]
    return pairs


def rectifier_table(
    n_scales: int, n_angles: int, *, n_phases: int, angle_reach: int, view: RectifierView
) -> tuple[RectifierMoment, ...]:
    """Every moment: the means, then the covariances pair after pair of wavelets."""
    rows = []
    if view == "phases":
        # rho(a) - rho(-a) = a has no mean, so that the phases of the other half turn have the same means.
        singles: list[int] = list(range(n_phases // 2))
    else:
        singles = [k for k in kept_harmonics(n_phases) if k != 1]
    for j, angle, number in itertools.product(range(n_scales), range(n_angles), singles):
        channel = RectifierChannel(j, angle, view, number)
        rows.append(RectifierMoment("R1", channel, channel))
    for j, angle, other, turned in wavelet_pairs(n_scales, n_angles, angle_reach):
        same = (j, angle) == (other, turned)
        numbers = _phases(n_phases, same) if view == "phases" else _harmonics(n_phases, same)
        for a, b in numbers:
            first, second = RectifierChannel(j, angle, view, a), RectifierChannel(other, turned, view, b)
            rows.append(RectifierMoment("R" if j == other else "RC", first, second))
    return tuple(rows)


def _phases(n_phases: int, same: bool) -> Iterator[tuple[int, int]]:
    for a, b in itertools.product(range(n_phases), repeat=2):
        if not same or a <= b:
            yield a, b


def _harmonics(n_phases: int, same: bool) -> Iterator[tuple[int, int]]:
    """Pairs of harmonics of which none is the conjugate of another."""
    kept = kept_harmonics(n_phases)
    for first, second in itertools.product(kept, repeat=2):
        if same and first > second:
            continue
        yield first, second
        if 0 < first < n_phases / 2 and 0 < second < n_phases / 2:
            yield first, -second
