"""Separable roto-translation scattering of planar fields, depth first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import nn

from phasewave.checks import fail
from phasewave.core.bank import WaveletFamily
from phasewave.core.borders import Border
from phasewave.core.morlet import Morlet
from phasewave.core.phases import modulus
from phasewave.scattering.angular import angular_wavelets
from phasewave.scattering.paths import Layer, pooled_moduli
from phasewave.scattering.planar import Scattering2D


class RotoTranslationPath(NamedTuple):
    """One channel of a roto-translation scattering transform.

    Attributes
    ----------
    order : int
        Number of wavelet moduli: 0, 1 or 2.
    scales : tuple of int
        Scale index of each spatial wavelet.
    filters : tuple of int
        Orientation of each: of order 2 the first is the place on the circle of orientations at which the
        convolution along it is read, and the second the orientation of the spatial wavelet.
    angular : int
        Angular wavelet ``k`` from ``-K`` to ``K``, 0 the low-pass; 0 for the orders 0 and 1.
    """

    order: int
    scales: tuple[int, ...]
    filters: tuple[int, ...]
    angular: int


class RotoTranslationScattering2D(nn.Module):
    r"""Scattering whose second layer takes wavelets along space and along the orientations of the first.

    .. math::
        U_1(u, \theta_1) = |x * \psi_{j_1, \theta_1}|(u), \qquad
        S_2 = \big|U_1 \overset{u, \theta_1}{*} \big(\psi_{j_2, \theta_2}(u)\, \tilde\psi_k(\theta_1)\big)\big| *
        \phi_J, \; j_1 < j_2,

    with :math:`S_0 = x * \phi_J` and :math:`S_1 = U_1 * \phi_J` as for `Scattering2D`. Orientations are periodic
    over half a turn; nothing is averaged over :math:`\theta_1`. A turn of a periodic square field by 90 degrees
    turns the outputs and moves both orientations by ``L / 2`` (``L`` even); where :math:`\theta_2` wraps, ``k``
    becomes ``-k``. Without angular scales it is `Scattering2D`.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the fields, each at least 16, even or odd.
    n_scales : int
        Number ``J`` of scales; ``2^J`` at most the smaller side.
    n_angles : int
        Number ``L`` of orientations over half a turn.
    n_angular_scales : int
        Number ``K`` of octaves along the orientations, ``2^(K + 1) < 3 L``.
    border, oversampling, tight, chunk, dtype
        As for `Scattering2D`.
    family : callable
        Makes oriented wavelets from the number of angles, for example `Morlet`.

    Attributes
    ----------
    table : tuple of RotoTranslationPath
        What each output channel is; order 2 by scale, ``k``, place, scale, orientation.

    Raises
    ------
    ValueError
        If a parameter is out of range, or the family's wavelets are not ``L`` orientations.

    Notes
    -----
    Channels: :math:`1 + JL + (2K + 1) L^2 J (J - 1) / 2`. Cost: 2 K + 1 times that of `Scattering2D`, on complex
    fields. With ``tight=True`` a contraction up to the sampling of the output, as `Scattering2D`.

    References
    ----------
    Oyallon, Mallat, "Deep roto-translation scattering for object classification", CVPR 2015; Sifre, Mallat,
    "Rotation, scaling and deformation invariant scattering for texture discrimination", CVPR 2013.
    """

    angular: torch.Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_scales: int,
        n_angles: int = 8,
        n_angular_scales: int = 2,
        border: Border = "reflect",
        oversampling: int = 0,
        tight: bool = False,
        family: Callable[[int], WaveletFamily] = Morlet,
        chunk: int = 2**18,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if family(n_angles).n_filters != n_angles:
            fail("family", f"make {n_angles} orientations", family(n_angles))
        wavelets = angular_wavelets(n_angles, n_angular_scales)
        self.planar = Scattering2D(
            shape,
            n_scales=n_scales,
            n_angles=n_angles,
            border=border,
            oversampling=oversampling,
            tight=tight,
            family=family,
            chunk=chunk,
            dtype=dtype,
        )
        self.shape, self.n_scales, self.n_angles = self.planar.shape, n_scales, n_angles
        self.n_angular_scales = n_angular_scales
        self.register_buffer("angular", wavelets.to(dtype), persistent=False)
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
            u = modulus(torch.fft.ifft2(first.band(spectrum)))
            orders[1].append(first.pool(u))
            if children:
                whole = torch.fft.fft(torch.fft.fft2(u), dim=1)
                for wavelet in self.angular:
                    v = torch.fft.ifft(whole * wavelet[:, None, None], dim=1)
                    inner = pooled_moduli(v.flatten(0, 1), children, self.planar.chunk)
                    orders[2].append(inner.reshape(x.shape[0], -1, *inner.shape[-2:]))
        return torch.cat([part for order in orders for part in order], dim=1)

    def _table(self) -> tuple[RotoTranslationPath, ...]:
        lower = [RotoTranslationPath(*path, 0) for path in self.planar.table if path.order < 2]
        return (
            *lower,
            *(
                RotoTranslationPath(2, (j1, j2), (place, angle), k)
                for j1 in range(self.n_scales - 1)
                for k in range(-self.n_angular_scales, self.n_angular_scales + 1)
                for place in range(self.n_angles)
                for j2 in range(j1 + 1, self.n_scales)
                for angle in range(self.n_angles)
            ),
        )
