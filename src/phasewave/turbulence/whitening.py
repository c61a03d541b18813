"""Moments of a field whose spectrum has been made flat, so that every wavelet measures its own frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from phasewave.checks import fail
from phasewave.core.grids import angular_frequencies
from phasewave.turbulence.copies import sharing_copy
from phasewave.turbulence.fill import Fill
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.interface import MomentRow, Moments

WIDTH = 0.3
"""Standard deviation of the Gaussian that smooths the logarithm of the spectrum, in units of ln(omega)."""
FLOOR = 1e-10
"""Share of the largest power below which power is taken for rounding, and not raised further."""


@dataclass(frozen=True)
class WhitenedMoment:
    """One moment of the whitened field.

    Attributes
    ----------
    row : MomentRow
        What it is.
    """

    row: MomentRow

    @property
    def kind(self) -> str:
        """The moment's class."""
        return self.row.kind


class Whitened(nn.Module):
    r"""A set of moments of the field divided by the square root of its smooth isotropic spectrum.

    .. math:: \phi(x) = \text{part}(y), \qquad
              y = F^{-1} \big( \bar S(|\omega|)^{-1/2} F x \big)

    with :math:`\ln \bar S` the logarithm of a target's mean power over shells of frequency, smoothed by local
    linear regression in :math:`\ln|\omega|` with a Gaussian of width 0.3, and S at least 1e-10 of its maximum.
    The spectrum of turbulence is so steep that a wavelet an octave wide sees little but the lowest frequencies of
    its band: the finest structure, which the eye sees in the Laplacian, is in no moment of ``x``. In ``y`` every
    band counts.

    Before `standardized`, the spectrum is taken to be flat: ``y = x``.

    Parameters
    ----------
    part : torch.nn.Module
        A set of moments (`phasewave.turbulence.interface.Moments`).

    Attributes
    ----------
    table : tuple of WhitenedMoment

    Notes
    -----
    Cost: two FFTs of the field more than the part's.
    """

    response: Tensor | None

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part
        self.fill: Fill | None = None
        # ln(omega) and ln(S) of the target, from which the response on any grid follows.
        self.profile: tuple[np.ndarray, np.ndarray] | None = None
        self.register_buffer("response", None, persistent=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the fields."""
        return self._set.shape

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return self._set.n_moments

    @property
    def is_complex(self) -> bool:
        """Whether the moments are complex numbers."""
        return self._set.is_complex

    @property
    def table(self) -> tuple[WhitenedMoment, ...]:
        """What each moment is."""
        return tuple(WhitenedMoment(row) for row in self._set.table)

    def forward(self, x: Tensor) -> Tensor:
        """Moments of fields ``(..., H, W)``: those of the part, shape ``(..., n_moments)``."""
        moments: Tensor = self.part(self._whiten(x))
        return moments

    def standardized(self, target: Tensor) -> Whitened:
        """The same moments with the spectrum, the means and the deviations of a target ``(..., H, W)``.

        Raises
        ------
        TypeError, ValueError
            As the part; also if the field does not vary.
        """
        module = sharing_copy(self)
        mask = None if self.fill is None else self.fill.mask
        spectrum = GaussianModel(target, mask=mask).spectrum.cpu()
        if not float(spectrum.max()) > 0:
            fail("target", "vary over space", "a constant field")
        module.profile = _profile(spectrum)
        module._respond(target)
        module.part = cast(nn.Module, self._set.standardized(module._whiten(target)))
        return module

    def resized(self, shape: Sequence[int]) -> Whitened:
        """The same moments of fields of another size, in units of the same spectrum.

        Raises
        ------
        TypeError, ValueError
            As the part.
        """
        module = sharing_copy(self)
        module.part = cast(nn.Module, self._set.resized(shape))
        module.fill = None
        if self.response is not None:
            module._respond(self.response)
        return module

    def masked(self, mask: Tensor) -> Whitened:
        """Estimates of the same moments from fields known where ``mask`` is True: gaps are filled, then whitened.

        Raises
        ------
        TypeError, ValueError
            As the part.
        """
        module = sharing_copy(self)
        module.part = cast(nn.Module, self._set.masked(mask))
        module.fill = Fill(mask)
        return module

    @property
    def _set(self) -> Moments:
        return cast(Moments, self.part)

    def _whiten(self, x: Tensor) -> Tensor:
        filled = x if self.fill is None else self.fill(x)
        if self.response is None or x.numel() == 0:
            return filled
        return torch.fft.irfft2(torch.fft.rfft2(filled) * self.response, s=self.shape)

    def _respond(self, like: Tensor) -> None:
        """Sample the response on the grid of the part, on the device and in the dtype of a tensor."""
        if self.profile is None:
            return
        omega_0, omega_1 = angular_frequencies(self.shape, real=True)
        radius = torch.hypot(omega_0.expand(-1, omega_1.shape[-1]), omega_1.expand(omega_0.shape[0], -1))
        logarithm = radius.clamp(min=1e-9).log().numpy()
        power = torch.from_numpy(np.exp(np.interp(logarithm, *self.profile)))
        self.response = power.rsqrt().to(like)


def _profile(spectrum: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed ``ln S`` of a spectrum ``(H, W)`` at ``ln(omega)``, one value a shell of one frequency spacing."""
    omega_0, omega_1 = angular_frequencies((spectrum.shape[0], spectrum.shape[1]))
    spacing = 2 * math.pi / min(spectrum.shape)
    radius = torch.hypot(omega_0, omega_1).numpy().ravel()
    shell = np.maximum(np.rint(radius / spacing).astype(int), 1)
    inside = radius > 0
    counts = np.bincount(shell[inside])[1:]
    power = np.bincount(shell[inside], spectrum.numpy().ravel()[inside])[1:]
    present = np.flatnonzero(counts)
    means = power[present] / counts[present]
    logarithm = np.log(np.maximum(means, FLOOR * means.max()))
    omega = np.log(spacing * (present + 1))
    smooth = _local_line(omega, logarithm, counts[present])
    return omega, np.maximum(smooth, smooth.max() + math.log(FLOOR))


def _local_line(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Value at each point of the line fitted around it: exact on straight lines, whatever the weights."""
    away = x - x[:, None]
    kernel = weights * np.exp(-0.5 * (away / WIDTH) ** 2)
    total, first, second = ((kernel * away**power).sum(axis=1) for power in (0, 1, 2))
    return (second * (kernel @ y) - first * ((kernel * away) @ y)) / (total * second - first**2)
