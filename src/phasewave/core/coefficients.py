"""Records that say what each output channel is."""

from __future__ import annotations

from typing import NamedTuple


class ScatteringPath(NamedTuple):
    """One channel of a scattering transform.

    Attributes
    ----------
    order : int
        Number of wavelet moduli: 0, 1 or 2.
    scales : tuple of int
        Scale index of each wavelet, in the order of application.
    filters : tuple of int
        Index of each wavelet within its scale (its angle).
    """

    order: int
    scales: tuple[int, ...]
    filters: tuple[int, ...]
