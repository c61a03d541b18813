"""Phase-rectifier scattering of planar fields: rectified phases in place of moduli."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import nn

from phasewave.core.bank import WaveletFamily
from phasewave.core.borders import Border
from phasewave.core.morlet import Morlet
from phasewave.core.recompute import recomputed
from phasewave.scattering.nonlinearities import even_phases, normalised_phases
from phasewave.scattering.paths import Layer, Leaf
from phasewave.scattering.planar import Scattering2D


class RectifierPath(NamedTuple):
    r"""One channel of a phase-rectifier scattering transform.

    Attributes
    ----------
    order : int
        Number of rectifiers: 0, 1 or 2.
    scales, filters : tuple of int
        Scale and index within it of each wavelet.
    phases : tuple of int
        Index ``a`` of each phase :math:`2 \pi a / A`.
    """

    order: int
    scales: tuple[int, ...]
    filters: tuple[int, ...]
    phases: tuple[int, ...]


class PhaseRectifierScattering2D(nn.Module):
    r"""Scattering with rectified phases in place of moduli.

    .. math::
        U_1 = \tfrac{2}{\sqrt A}\, \rho(\mathrm{Re}\, e^{i \alpha_{a_1}} x * \psi_{j_1, l_1}), \quad
        U_2 = \tfrac{2}{\sqrt A}\, \rho(\mathrm{Re}\, e^{i \alpha_{a_2}} U_1 * \psi_{j_2, l_2}), \; j_1 < j_2,
        \qquad \alpha_a = 2 \pi a / A,

    and :math:`S_m = U_m * \phi_J`. Of a complex number the ``A`` values are a non-expansive map that keeps the
    norm, as the modulus is; along ``a`` their Fourier coefficients are the phase harmonics
    :math:`c_k |z| e^{i k \arg z}`, of which the mean is the modulus over :math:`\pi`.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the fields, each at least 16, even or odd.
    n_scales, n_angles : int
        Numbers ``J`` of scales and ``L`` of orientations over half a turn.
    n_phases : int
        Number ``A`` of phases, even and at least 4.
    max_order : int
        0, 1 or 2.
    border, tight, family, chunk, dtype
        As for `Scattering2D`.
    oversampling : int
        Octaves by which each scale's grid is finer than critical; a rectified wave has harmonics above its own
        frequency, so 1 here, not 0.

    Attributes
    ----------
    table : tuple of RectifierPath
        What each output channel is.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Channels: :math:`1 + JLA + (LA)^2 J (J - 1) / 2`. Cost: ``A`` times that of `Scattering2D`. The backward pass
    computes the second layer again.

    References
    ----------
    Mallat, Zhang, Rochette, "Phase harmonic correlations and convolutional neural networks", Information and
    Inference 9 (2020).
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_scales: int,
        n_angles: int = 4,
        n_phases: int = 4,
        max_order: int = 2,
        border: Border = "reflect",
        oversampling: int = 1,
        tight: bool = False,
        family: Callable[[int], WaveletFamily] = Morlet,
        chunk: int = 2**18,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.n_phases = even_phases(n_phases)
        self.planar = Scattering2D(
            shape,
            n_scales=n_scales,
            n_angles=n_angles,
            max_order=max_order,
            border=border,
            oversampling=oversampling,
            tight=tight,
            family=family,
            chunk=chunk,
            dtype=dtype,
        )
        self.shape, self.n_scales = self.planar.shape, n_scales
        self.table = self._table()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scattering coefficients.

        Parameters
        ----------
        x : torch.Tensor
            Real, shape ``(..., H, W)``.

        Returns
        -------
        torch.Tensor
            Real, shape ``(..., n_channels, h, w)``, channels as in ``table``.

        Raises
        ------
        TypeError
            If ``x`` is not a real tensor of the module's dtype.
        ValueError
            If its last axes are not ``shape``.
        """
        return self.planar.in_parts(x, len(self.table), self._scatter)

    def _scatter(self, x: torch.Tensor) -> torch.Tensor:
        x = self.planar.extend(x)
        spectrum = torch.fft.fft2(x)
        orders: tuple[list[torch.Tensor], ...] = ([self.planar.low(x)[:, None]], [], [])
        for first, children in zip(self.planar.first, cast(list[Layer], self.planar.second), strict=True):
            u = normalised_phases(torch.fft.ifft2(first.band(spectrum)), self.n_phases)
            orders[1].append(first.pool(u))
            if children:
                inputs = torch.fft.fft2(u).flatten(0, 1)
                inner = torch.cat(
                    [
                        recomputed(self._pooled, inputs, leaf, *group)
                        for leaf in children
                        for group in leaf.groups(self.n_phases * inputs.shape[0], self.planar.chunk)
                    ],
                    dim=1,
                )
                orders[2].append(inner.reshape(x.shape[0], -1, *inner.shape[-2:]))
        return torch.cat([part for order in orders for part in order], dim=1)

    def _pooled(self, spectrum: torch.Tensor, leaf: Leaf, first: int, last: int) -> torch.Tensor:
        return leaf.pool(normalised_phases(torch.fft.ifft2(leaf.band(spectrum, first, last)), self.n_phases))

    def _table(self) -> tuple[RectifierPath, ...]:
        phases, rows = range(self.n_phases), []
        for order, scales, filters in self.planar.table:
            if order == 0:
                rows.append(RectifierPath(0, (), (), ()))
            elif order == 1:
                rows += [RectifierPath(1, scales, filters, (a,)) for a in phases]
        first, n_filters = range(self.n_scales - 1 if self.planar.max_order == 2 else 0), self.planar.n_filters
        rows += [
            RectifierPath(2, (j1, j2), (f1, f2), (a1, a2))
            for j1 in first
            for f1 in range(n_filters)
            for a1 in phases
            for j2 in range(j1 + 1, self.n_scales)
            for f2 in range(n_filters)
            for a2 in phases
        ]
        return tuple(rows)
