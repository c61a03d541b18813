"""What each column of the features is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class ScatteringColumn:
    """One feature of a molecule: the integral of a power of a modulus, or its sum over atoms.

    Attributes
    ----------
    order : int
        Number of wavelet moduli: 0, 1 or 2.
    channel : str
        Density channel.
    power : float
        Exponent ``q``.
    degree : int or None
        Degree ``l`` of the wavelets (order 1 and 2).
    scale : int, float or None
        Scale ``j`` of the first wavelet (order 1 and 2).
    scale2 : int or None
        Scale of the second wavelet (order 2).
    element : str or None
        Over whose atoms the power is summed; None of an integral over space.
    """

    order: int
    channel: str
    power: float
    degree: int | None = None
    scale: float | None = None
    scale2: int | None = None
    element: str | None = None

    @property
    def name(self) -> str:
        """A short name, as ``valence_j0_j2_l3_q0.5``."""
        parts = [self.channel.replace(" ", "_")]
        if self.element is not None:
            parts.append(f"at_{self.element}")
        for letter, value in (("j", self.scale), ("j", self.scale2), ("l", self.degree)):
            if value is not None:
                parts.append(f"{letter}{value:g}")
        return "_".join([*parts, f"q{self.power:g}"])


def scattering_columns(
    channels: tuple[str, ...],
    *,
    second_order_channels: tuple[str, ...],
    n_scales: int,
    max_degree: int,
    powers: tuple[float, ...],
    max_order: int,
) -> tuple[ScatteringColumn, ...]:
    """List the columns: by order, channel, scales, degree, power, the last running fastest."""
    degrees = range(max_degree + 1)
    columns = [ScatteringColumn(0, c, q) for c in channels for q in powers]
    if max_order >= 1:
        columns += [
            ScatteringColumn(1, c, q, l, j)
            for c in channels for j in range(n_scales) for l in degrees for q in powers
        ]  # fmt: skip
    if max_order >= 2:
        columns += [
            ScatteringColumn(2, c, q, l, j, j2)
            for c in second_order_channels for j, j2 in combinations(range(n_scales), 2)
            for l in degrees for q in powers
        ]  # fmt: skip
    return tuple(columns)
