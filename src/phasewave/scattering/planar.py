"""Scattering transform of planar fields, orders 0 to 2, depth first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast, get_args

import torch
from torch import nn

from phasewave.checks import choice, fail, integer, plane_shape, real_dtype, real_field
from phasewave.core.bank import WaveletFamily, filter_bank, octaves
from phasewave.core.borders import Border, Extension
from phasewave.core.coefficients import ScatteringPath
from phasewave.core.fourier import Band
from phasewave.core.grids import subsampled_size
from phasewave.core.morlet import Morlet
from phasewave.core.phases import modulus
from phasewave.core.pool import pooling_matrix
from phasewave.core.transform import SUPPORT_TOLERANCE
from phasewave.scattering.paths import Layer, Leaf, Pool, pooled_moduli


class Scattering2D(nn.Module):
    r"""Scattering transform of planar fields.

    .. math::

        S_0 x = x * \phi_J, \quad
        S_1 x = |x * \psi_{j_1,l_1}| * \phi_J, \quad
        S_2 x = ||x * \psi_{j_1,l_1}| * \psi_{j_2,l_2}| * \phi_J, \; j_1 < j_2

    at ``ceil(n / 2^J)`` equally spaced points of a periodic axis of ``n`` pixels; with the other borders, every
    ``2^J`` pixels from the first multiple of ``2^J`` of the extended axis that lies about the field's first pixel,
    as kymatio does. The coefficients of scale ``j`` are computed on a grid of ``2^(j - o)``
    pixels, ``o`` the oversampling, and only on the spectral support of each wavelet.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the fields, each at least 16, even or odd.
    n_scales : int
        Number ``J`` of scales, octaves for `Morlet` and `BumpSteerable`; ``2^J`` at most the smaller side.
    n_angles : int
        Number ``L`` of orientations over half a turn.
    max_order : int
        0, 1 or 2.
    border : {"reflect", "periodic", "zero"}
        What the field is outside its borders.
    oversampling : int
        Octaves by which each scale's grid is finer than critical. At 0 (kymatio's sampling) aliasing changes
        order 2 by about 1 %; each further octave divides that by about 10 and costs 4 times the pixels.
    tight : bool
        Rescale the wavelets to a Parseval frame: with the low-pass read at every pixel the transform is then a
        contraction; at the output's sampling it need not be (1.18 for a wave at the output's Nyquist frequency).
    family : callable
        Makes the wavelet family from the number of angles, for example `Morlet`.
    chunk : int
        Complex coefficients worked on at a time; bounds the memory beside what a backward pass keeps.
    dtype : torch.dtype
        float32 or float64.

    Attributes
    ----------
    table : tuple of ScatteringPath
        What each output channel is.

    Raises
    ------
    ValueError
        If the shape, the number of scales, the order or the border is out of range.

    Notes
    -----
    Source: Mallat 2012; Bruna & Mallat 2013. Cost: about :math:`4/9\, n^2 L^2` complex pixels at order 2.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_scales: int,
        n_angles: int = 8,
        max_order: int = 2,
        border: Border = "reflect",
        oversampling: int = 0,
        tight: bool = False,
        family: Callable[[int], WaveletFamily] = Morlet,
        chunk: int = 2**18,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.shape = plane_shape("shape", shape)
        self.n_scales = integer("n_scales", n_scales, minimum=1)
        self.max_order = integer("max_order", max_order, minimum=0, maximum=2)
        choice("border", border, get_args(Border))
        self.chunk = integer("chunk", chunk, minimum=1)
        integer("oversampling", oversampling, minimum=0)
        wavelets = family(n_angles)
        levels = octaves(wavelets, n_scales)
        coarsest = levels[-1] + 1
        if 2**coarsest > min(self.shape):
            fail("n_scales", f"give an output step <= {min(self.shape)}, the smaller side", n_scales)
        real_dtype("dtype", dtype)

        self.padded, kept = self.shape, slice(None)
        if border != "periodic":
            height, width = (((n >> coarsest) + 2) << coarsest for n in self.shape)
            self.padded, kept = (height, width), slice(1, -1)
        self.extend = Extension(self.shape, self.padded, border=border)
        bank = filter_bank(
            self.padded, wavelets, n_scales=n_scales, tight=tight, tolerance=SUPPORT_TOLERANCE[dtype]
        )
        self.n_filters = len(bank.wavelets[0])
        grids = [self._grid(max(0, level - oversampling)) for level in levels]
        coarse = self._grid(coarsest)

        def pool(grid: tuple[int, ...]) -> Pool:
            matrices = [
                pooling_matrix(profile, m, h)[kept]
                for profile, m, h in zip(bank.low_pass, grid, coarse, strict=True)
            ]
            return Pool(*(matrix.to(dtype) for matrix in matrices))

        self.low = pool(self.padded)
        self.first = Layer()
        self.second = nn.ModuleList()
        for j1 in range(n_scales if self.max_order > 0 else 0):
            self.first.append(Leaf(Band(bank.wavelets[j1], self.padded, grids[j1], dtype=dtype), pool(grids[j1])))
            children = Layer()
            for j2 in range(j1 + 1, n_scales if self.max_order > 1 else 0):
                supports = bank.wavelets[j2]
                if grids[j1] != self.padded:
                    supports = tuple(support.clipped(grids[j1]) for support in supports)
                children.append(Leaf(Band(supports, grids[j1], grids[j2], dtype=dtype), pool(grids[j2])))
            self.second.append(children)
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
        return self.in_parts(x, len(self.table), self._scatter)

    def in_parts(
        self, x: torch.Tensor, n_channels: int, scatter: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Apply a transform on this one's grids to fields with any leading axes, in bounded memory.

        Parameters
        ----------
        x : torch.Tensor
            Real, shape ``(..., H, W)``.
        n_channels : int
            Of the result.
        scatter : callable
            From fields ``(n, H, W)``, a few at a time, to ``(n, n_channels, h, w)``.

        Raises
        ------
        TypeError
            If ``x`` is not a real tensor of the module's dtype.
        ValueError
            If its last axes are not ``shape``.
        """
        real_field("x", x, self.shape, dtype=self.low.rows.dtype)
        batch = x.shape[:-2]
        size = (n_channels, self.low.rows.shape[0], self.low.columns.shape[1])
        if 0 in batch:  # FFT libraries refuse an empty batch
            return x.new_zeros((*batch, *size))
        area = self.n_filters * self.padded[0] * self.padded[1]
        parts = x.reshape(-1, *self.shape).split(max(1, self.chunk // area))
        return torch.cat([scatter(part) for part in parts]).reshape(*batch, *size)

    def _scatter(self, x: torch.Tensor) -> torch.Tensor:
        x = self.extend(x)
        spectrum = torch.fft.fft2(x)
        orders: tuple[list[torch.Tensor], ...] = ([self.low(x)[:, None]], [], [])
        for first, children in zip(self.first, cast(list[Layer], self.second), strict=True):
            u = modulus(torch.fft.ifft2(first.band(spectrum)))
            orders[1].append(first.pool(u))
            if children:
                inner = pooled_moduli(torch.fft.fft2(u).flatten(0, 1), children, self.chunk)
                orders[2].append(inner.reshape(x.shape[0], -1, *inner.shape[-2:]))
        return torch.cat([part for order in orders for part in order], dim=1)

    def _grid(self, resolution: int) -> tuple[int, ...]:
        return tuple(subsampled_size(n, resolution) for n in self.padded)

    def _table(self) -> tuple[ScatteringPath, ...]:
        rows = [ScatteringPath(0, (), ())]
        if self.max_order > 0:
            rows += [ScatteringPath(1, (j,), (f,)) for j in range(self.n_scales) for f in range(self.n_filters)]
        if self.max_order > 1:
            rows += [
                ScatteringPath(2, (j1, j2), (f1, f2))
                for j1 in range(self.n_scales)
                for f1 in range(self.n_filters)
                for j2 in range(j1 + 1, self.n_scales)
                for f2 in range(self.n_filters)
            ]
        return tuple(rows)
