"""What each circular moment is: one record a channel, one a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ChannelKind = Literal["isotropic", "modulus", "steered", "director", "flux"]

N_SPIN = 4
"""Channels of a scale that are parts of spin fields; they are the last ones."""


@dataclass(frozen=True)
class CircularChannel:
    """A real field made from the circular-harmonic coefficients ``c_m`` of one scale.

    Attributes
    ----------
    kind : {"isotropic", "modulus", "steered", "director", "flux"}
        ``c_0``; ``|c_m|``; ``c_m conj(p)^m`` with ``p`` the phase of ``c_1`` (the local gradient's direction);
        the spin-2 field ``|c_1| p^2`` and the spin-1 field ``c_0 p``, each turned to a scalar by the directions
        of its frequencies.
    scale : int
        Scale index, half octaves from the finest.
    momentum : int
        ``m``; the spin of a director or a flux.
    part : {"real", "imaginary"}
        Which part of a complex channel; of a spin field its gradient (E) and curl (B) part.
    """

    kind: ChannelKind
    scale: int
    momentum: int
    part: Literal["real", "imaginary"] = "real"


@dataclass(frozen=True)
class CircularMoment:
    """One moment: the mean of a channel, or a covariance of two.

    Attributes
    ----------
    first, second : CircularChannel
        The channels; ``second`` is ``first`` for a mean.
    smoothing : float or None
        Width in pixels of the Gaussian between the two, 0 for the covariance at one point; None for a mean.
    """

    first: CircularChannel
    second: CircularChannel
    smoothing: float | None

    @property
    def kind(self) -> str:
        """``"circular_mean"`` or ``"circular"``."""
        return "circular_mean" if self.smoothing is None else "circular"


def channels_of_scale(scale: int, max_momentum: int) -> list[CircularChannel]:
    """The channels of a scale in the order in which `CircularMoments` makes them: spin fields last, E then B."""
    channels = [CircularChannel("isotropic", scale, 0)]
    channels += [CircularChannel("modulus", scale, m) for m in range(max_momentum + 1)]
    for m in range(2, max_momentum + 1):
        channels += [
            CircularChannel("steered", scale, m, "real"),
            CircularChannel("steered", scale, m, "imaginary"),
        ]
    channels += [CircularChannel("director", scale, 2, "real"), CircularChannel("flux", scale, 1, "real")]
    channels += [
        CircularChannel("director", scale, 2, "imaginary"),
        CircularChannel("flux", scale, 1, "imaginary"),
    ]
    return channels
