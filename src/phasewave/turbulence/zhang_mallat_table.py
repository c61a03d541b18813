"""The moments of Zhang & Mallat's models: which covariances are different, and their sums over the angle."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from phasewave.checks import choice, fail, integer
from phasewave.turbulence.moment_table import Channel, Moment

ZhangMallatModel = Literal["A", "B", "C", "D"]


@dataclass(frozen=True)
class AngularMoment:
    r"""A sum of covariances over the angles, at one frequency of their difference.

    .. math:: \hat C_q = \sum_\delta c_\delta\, e^{i\pi q\delta/L}, \qquad
        c_\delta = \frac{1}{2L} \sum_{l} C(\lambda_l, \lambda'_{l+\delta})

    over the ``2 L`` angles of a turn: the covariance of the Fourier coefficients of the two channels along the
    angle, orthonormal.

    Attributes
    ----------
    kind : str
        Its class.
    first, second : Channel
        Their scales and harmonics; the angle is 0.
    frequency : int
        ``q``.
    """

    kind: str
    first: Channel
    second: Channel
    frequency: int


class Difference(NamedTuple):
    """What the covariances that are summed over the angle share."""

    kind: str
    first: Channel
    second: Channel
    step: int


@dataclass(frozen=True)
class ZhangMallatSet:
    r"""The numbers that fix the covariances of a model.

    With the ``2 L`` orientations of a full turn, where :math:`x*\psi_{j,l+L}` is the conjugate of
    :math:`x*\psi_{j,l}`, and pairs of harmonics ``(k, k')``:

    ========= =========================================================================== ===============
    class     pairs                                                                       models
    ========= =========================================================================== ===============
    S11       ``j' = j``, (1, 1), ``|l' - l| <= dl``                                      A (dl = 0) B C D
    S10       ``j' = j``, (1, 0), ``|l' - l| <= dl``                                      B C D
    S00       ``j' = j``, (0, 0), ``|l' - l| <= dl``                                      B C D
    C00 ...   ``j < j' <= j + dj``, (0, k) for k in `harmonics`, ``|l' - l| <= dl``       C D
    Cphase    ``j < j' <= j + dj``, ``(1, 2^(j'-j))``, ``|l' - l| <= dl``                 C D
    low_pass  :math:`x*\phi_J`, the scaling function below all scales                    A B C D
    ========= =========================================================================== ===============

    at zero shift, and in A, B, C also S11 and S00 at ``l' = l`` at the shifts ``2^j n`` and the low-pass at
    ``2^(J-1) n``, with n in the half plane of ``[-dn, dn]^2``. D sums over the angle (`AngularMoment`).

    Covariances that are equal, or conjugate, for every real field are listed once. Counted as the authors do, all
    angles of the turn, 14 shifts for 12 and two numbers for a complex value, ``J = 5, L = 8, dn = 2`` are 6,895
    numbers for B, 10,927 for C, 5,839 for C with ``dl = 1``, and 769 for D.

    Attributes
    ----------
    model : {"A", "B", "C", "D"}
        Gaussian; within a scale; with neighbouring scales; isotropic.
    n_scales, n_angles : int
        ``J`` and ``L``.
    scale_reach : int
        ``dj``.
    angle_reach : int, optional
        ``dl``, in steps of ``pi / L``; by default ``L / 2``. A has 0 and D all angles.
    shift_reach : int
        ``dn``; D has no shifts.
    harmonics : tuple of int
        Harmonics of the coarser scale that moduli of the finer are paired with.
    """

    model: ZhangMallatModel = "C"
    n_scales: int = 5
    n_angles: int = 8
    scale_reach: int = 1
    angle_reach: int | None = None
    shift_reach: int = 2
    harmonics: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        choice("model", self.model, get_args(ZhangMallatModel))
        integer("n_scales", self.n_scales, minimum=1)
        integer("n_angles", self.n_angles, minimum=1)
        integer("scale_reach", self.scale_reach, minimum=0)
        integer("shift_reach", self.shift_reach, minimum=0)
        if self.angle_reach is not None:
            integer("angle_reach", self.angle_reach, minimum=0, maximum=self.n_angles)
        for harmonic in self.harmonics:
            integer("harmonics", harmonic, minimum=0)
        if len(set(self.harmonics)) != len(self.harmonics):
            fail("harmonics", "be different", self.harmonics)

    @property
    def n_steps(self) -> int:
        """``dl`` of the model."""
        if self.model in ("A", "D"):
            return 0 if self.model == "A" else self.n_angles
        return self.n_angles // 2 if self.angle_reach is None else self.angle_reach

    def table(self) -> tuple[Moment, ...]:
        """Every covariance once; of D, those that are summed."""
        return tuple(dict.fromkeys(canonical(row, self.n_angles) for row in self.listed()))

    def listed(self) -> Iterator[Moment]:
        """All covariances of all angles of the full turn, as the authors list them."""
        for kind, (j, k), (other, harmonic) in self._layers():
            for angle, step in itertools.product(range(2 * self.n_angles), self.steps()):
                turned = (angle + step) % (2 * self.n_angles)
                first, second = Channel("wavelet", j, angle, k), Channel("wavelet", other, turned, harmonic)
                shifts = self.shifts(j) if first == second else [(0, 0)]
                yield from (Moment(kind, first, second, shift) for shift in shifts)
        low_pass = Channel("lowpass", self.n_scales - 2)
        for shift in self.shifts(self.n_scales - 1):
            yield Moment("low_pass", low_pass, low_pass, shift)

    def steps(self) -> list[int]:
        """Differences of angles, each once around the turn."""
        return sorted({step % (2 * self.n_angles) for step in range(-self.n_steps, self.n_steps + 1)})

    def shifts(self, scale: int) -> list[tuple[int, int]]:
        """Zero, and the shifts of a scale in a closed half plane: ``(0, n)`` comes with ``(0, -n)``."""
        reach = 0 if self.model == "D" else self.shift_reach
        moved = itertools.product(range(reach + 1), range(-reach, reach + 1))
        return [(0, 0), *((2**scale * n, 2**scale * m) for n, m in moved if (n, m) != (0, 0))]

    def differences(self) -> Iterator[tuple[Difference, list[Moment]]]:
        """The covariances of each class and difference of angles, over half a turn: D sums their real parts."""
        for kind, (j, k), (other, harmonic) in self._layers():
            for step in self.steps():
                rows = []
                for angle in range(self.n_angles):
                    turned = (angle + step) % (2 * self.n_angles)
                    first, second = Channel("wavelet", j, angle, k), Channel("wavelet", other, turned, harmonic)
                    rows.append(canonical(Moment(kind, first, second), self.n_angles))
                yield (
                    Difference(kind, Channel("wavelet", j, 0, k), Channel("wavelet", other, 0, harmonic), step),
                    rows,
                )

    def _layers(self) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
        """Class, and scale and harmonic of both."""
        within = {"S11": (1, 1)} if self.model == "A" else {"S10": (1, 0), "S11": (1, 1), "S00": (0, 0)}
        for kind, (k, harmonic) in within.items():
            yield from ((kind, (j, k), (j, harmonic)) for j in range(self.n_scales))
        if self.model in ("A", "B"):
            return
        pairs = [
            (j, other)
            for j in range(self.n_scales)
            for other in range(j + 1, min(j + self.scale_reach + 1, self.n_scales))
        ]
        for k in self.harmonics:
            yield from ((f"C0{k}", (j, 0), (other, k)) for j, other in pairs)
        yield from (("Cphase", (j, 1), (other, 2 ** (other - j))) for j, other in pairs)


def canonical(row: Moment, n_angles: int) -> Moment:
    r"""The one of a covariance and its equals for real fields that stands in the tables.

    The channel of an opposite angle is the conjugate; :math:`C(a, b, \tau)` is the conjugate of
    :math:`C(\bar a, \bar b, \tau)` and of :math:`C(b, a, -\tau)`, which is taken of two channels of one scale and
    one harmonic.

    Parameters
    ----------
    row : Moment
        Angles in ``[0, 2 n_angles)``.
    n_angles : int
        ``L``.

    Returns
    -------
    Moment
        Angles in ``[0, n_angles)``.
    """
    if row.first.source != "wavelet":
        return min(row, _swapped(row), key=lambda one: one.shift < (0, 0))
    folded = Moment(row.kind, _folded(row.first, n_angles), _folded(row.second, n_angles), row.shift)
    equals = [folded, _conjugated(folded)]
    if row.first.scale == row.second.scale and abs(row.first.harmonic) == abs(row.second.harmonic):
        equals += [_swapped(one) for one in equals]
    return min(
        equals,
        key=lambda one: (
            one.first.harmonic < 0,
            one.first.harmonic == 0 and one.second.harmonic < 0,
            one.first.angle,
            one.second.angle,
            one.shift < (0, 0),
        ),
    )


def _folded(channel: Channel, n_angles: int) -> Channel:
    if channel.angle < n_angles:
        return channel
    return Channel("wavelet", channel.scale, channel.angle - n_angles, -channel.harmonic)


def _conjugated(row: Moment) -> Moment:
    first, second = (
        Channel("wavelet", channel.scale, channel.angle, -channel.harmonic) for channel in (row.first, row.second)
    )
    return Moment(row.kind, first, second, row.shift)


def _swapped(row: Moment) -> Moment:
    return Moment(row.kind, row.second, row.first, (-row.shift[0], -row.shift[1]))
