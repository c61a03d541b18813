"""Mean products of the first and second layer of wavelet coefficients, for the rows of a table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn

from phasewave.core.bump import BumpSteerable
from phasewave.core.fourier import Band
from phasewave.core.phases import modulus
from phasewave.core.recompute import recomputed
from phasewave.turbulence.covariances import Shape
from phasewave.turbulence.masks import seen
from phasewave.turbulence.pyramid import Pyramid
from phasewave.turbulence.scattering_table import ScatteringKind, ScatteringMoment
from phasewave.turbulence.windowed_wavelets import WindowedWavelets, window_mean
from phasewave.turbulence.windows import check_overlap, layer_window


class ScatteringSums(nn.Module):
    r"""Means of the rows of a table, not yet divided by anything.

    For each wavelet :math:`\psi_3` the spectra of ``x`` and of all moduli of the same and finer scales are
    multiplied by it and cut to its box; by Parseval one Gram matrix holds every mean product. Under a mask the
    moduli less their means are zero where they see gaps, the products are taken in space, and each counts where
    neither wavelet of either layer sees gaps.

    Parameters
    ----------
    wavelets : WindowedWavelets
        The first layer.
    table : sequence of ScatteringMoment
        The rows; all oriented, or all harmonics, after the mean and the low-pass.
    recompute : bool
        Keep the spectra of the moduli alone for the backward pass, and compute the rest again wavelet by wavelet.

    Raises
    ------
    ValueError
        If a scale keeps too few pixels under the mask.
    """

    picks: torch.Tensor
    signs: torch.Tensor
    rows: torch.Tensor
    odd: torch.Tensor
    waves: torch.Tensor

    def __init__(
        self, wavelets: WindowedWavelets, table: Sequence[ScatteringMoment], *, recompute: bool = False
    ) -> None:
        super().__init__()
        self.wavelets, self.recompute = wavelets, recompute
        self.boxes = self._boxes()
        self.bands = nn.ModuleDict()
        for scale in range(wavelets.n_scales):
            grids = dict.fromkeys((wavelets.shape, *wavelets.grids[: scale + 1]))
            for (angle, support), grid in itertools.product(enumerate(wavelets.pyramid.wavelets(scale)), grids):
                band = Band([support], grid, self.boxes[scale][angle], dtype=wavelets.dtype)
                self.bands[_key(scale, angle, grid)] = band
        self._index(table)
        if wavelets.fill is not None:
            self._add_windows(wavelets.fill.mask.cpu())

    def _boxes(self) -> list[list[Shape]]:
        """Grid of what the wavelets of each scale filter: as many points as it has frequencies."""
        w = self.wavelets
        if w.fill is None:
            scales = [w.pyramid.wavelets(scale) for scale in range(w.n_scales)]
            return [[(s.extent[0], s.extent[1]) for s in of_scale] for of_scale in scales]
        # To be transformed back, smooth sizes.
        tight = Pyramid(w.shape, BumpSteerable(w.n_angles), n_scales=w.n_scales, oversampling=0, dtype=w.dtype)
        return [[grid] * w.n_angles for grid in tight.levels]

    def _index(self, table: Sequence[ScatteringMoment]) -> None:
        """Where the means of each row are among all that are computed, and how its harmonic is made of them."""
        L = self.wavelets.n_angles
        orbits = {(row.kind, row.scales, row.angles): None for row in table}
        number = {orbit: place for place, orbit in enumerate(orbits)}
        highest = max((row.harmonic for row in table if row.harmonic is not None), default=None)
        turns = range(1 if highest is None else L)
        places = [[self._place(*orbit, turn) for turn in turns] for orbit in orbits]
        picks, signs = torch.tensor(places).unbind(-1)
        self.register_buffer("picks", picks, persistent=False)
        self.register_buffer("signs", signs.to(self.wavelets.dtype), persistent=False)
        rows = [number[row.kind, row.scales, row.angles] for row in table]
        p = torch.tensor([row.harmonic or 0 for row in table])
        angle = math.pi / L * torch.outer(p.to(torch.float64), torch.arange(len(turns), dtype=torch.float64))
        # Over the second half turn q is conjugate: even harmonics are of its real part, odd of the imaginary one.
        waves = torch.polar(torch.full_like(angle, 1 / len(turns)), -angle)
        waves = torch.where(p[:, None] % 2 == 0, waves, 1j * waves)
        self.register_buffer("rows", torch.tensor(rows), persistent=False)
        self.register_buffer("odd", p % 2 == 1, persistent=False)
        self.register_buffer("waves", torch.view_as_real(waves).to(self.wavelets.dtype), persistent=False)
        self.oriented = highest is None

    def _place(
        self, kind: ScatteringKind, scales: tuple[int, ...], angles: tuple[int, ...], turn: int
    ) -> tuple[int, int]:
        """Place of an oriented mean after all wavelets turned by some steps, and -1 if it is conjugated."""
        J, L = self.wavelets.n_scales, self.wavelets.n_angles
        if kind in ("mean", "L"):
            return int(kind == "L"), 1
        turned = [(angle + turn) % L for angle in angles]
        sign = -1 if (angles[-1] + turn) // L % 2 else 1
        if kind == "S1":
            return 2 + scales[0] * L + turned[0], 1
        before = 2 + J * L + sum(L * self._size(scale) ** 2 for scale in range(scales[-1]))
        size = self._size(scales[-1])
        first, second = {
            "S2": lambda: (0, 0),
            "C01": lambda: (0, 1 + scales[0] * L + turned[0]),
            "C11": lambda: (1 + scales[0] * L + turned[0], 1 + scales[1] * L + turned[1]),
        }[kind]()
        return before + (turned[-1] * size + first) * size + second, sign

    def _size(self, scale: int) -> int:
        """Number of fields that are filtered by the wavelets of a scale: ``x`` and the moduli so far."""
        return 1 + (scale + 1) * self.wavelets.n_angles

    def _add_windows(self, mask: torch.Tensor) -> None:
        pyramid, dtype = self.wavelets.pyramid, self.wavelets.dtype
        inside = []
        for scale, grid in enumerate(self.wavelets.grids):
            kept = seen(mask, pyramid.wavelets(scale), grid).all(0)
            self.register_buffer(f"kept_{scale}", kept.to(dtype), persistent=False)
            inside.append(seen(mask, pyramid.wavelets(scale), mask.shape).all(0))
        for scale, (box, *_) in enumerate(self.boxes):
            layers = [mask, *inside[: scale + 1]]
            for layer in layers:
                if not bool(layer.any()):
                    check_overlap(0.0, self.wavelets.shape, scale)
            windows = torch.stack([layer_window(layer, pyramid, scale, box) for layer in layers], dim=1)
            flat = windows.flatten(2)
            overlaps = flat @ flat.mT / flat.shape[-1]
            check_overlap(float(overlaps.min()), self.wavelets.shape, scale)
            counts = torch.tensor([1, *[self.wavelets.n_angles] * (scale + 1)])
            for axis in (1, 2):
                overlaps = overlaps.repeat_interleave(counts, dim=axis)
            self.register_buffer(f"windows_{scale}", windows.to(dtype), persistent=False)
            self.register_buffer(f"overlaps_{scale}", overlaps.to(dtype), persistent=False)

    def forward(self, fields: torch.Tensor, mean: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        r"""The means.

        Parameters
        ----------
        fields : torch.Tensor
            Shape ``(n, H, W)``.
        mean : torch.Tensor, optional
            What the low-pass varies about; each field's own mean by default.

        Returns
        -------
        rows : torch.Tensor
            Complex, shape ``(n, n_rows)``.
        powers : torch.Tensor
            :math:`\langle |x*\psi|^2 \rangle`, real, shape ``(n, n_scales, n_angles)``.
        """
        w = self.wavelets
        spectrum = w(fields)
        low, window = w.low_pass(spectrum), w.low_pass_window()
        own = fields.mean((-2, -1)) if w.fill is None else fields[:, w.fill.mask].mean(-1)
        about = own[:, None, None] if mean is None else mean
        values = [torch.stack((own, window_mean((low - about).square(), window)), dim=-1)]
        moduli, powers = [], []
        for scale in range(w.n_scales):
            first, size = self._kept(self._modulus, scale, spectrum)
            values.append(first)
            moduli.append(size)
        grams = []
        for scale, boxes in enumerate(self.boxes):
            sources = (spectrum[:, None], *moduli[: scale + 1])
            alone = [self._kept(self._products, scale, angle, *sources) for angle in range(len(boxes))]
            gram = torch.stack(alone, dim=1)
            if w.fill is not None:
                gram = gram / self.get_buffer(f"overlaps_{scale}")
            powers.append(gram[..., 0, 0].real)
            grams.append(gram.flatten(1))
        every = torch.cat([torch.cat(values, dim=-1).to(grams[0].dtype), *grams], dim=-1)
        return self._of_rows(every), torch.stack(powers, dim=1)

    def _kept(self, step: Callable[..., Any], *inputs: Any) -> Any:
        """Result of a step, which keeps nothing but its inputs for the backward pass if that is asked for."""
        if not self.recompute:
            return step(*inputs)
        return recomputed(step, *inputs)

    def _modulus(self, scale: int, spectrum: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means of the moduli of a scale, and their spectra."""
        w = self.wavelets
        size = modulus(torch.fft.ifft2(w.coefficients(spectrum, scale)))
        mean = window_mean(size, w.window(scale))
        if w.fill is not None:
            size = (size - mean[..., None, None]) * self.get_buffer(f"kept_{scale}")
        return mean, torch.fft.fft2(size)

    def _products(self, scale: int, angle: int, *sources: torch.Tensor) -> torch.Tensor:
        """Mean products of all that one wavelet filters: ``(n, size, size)``, of the windows too under a mask."""
        bands = [cast(Band, self.bands[_key(scale, angle, source.shape[-2:])]) for source in sources]
        filtered = [band(source)[:, :, 0] for band, source in zip(bands, sources, strict=True)]
        points = math.prod(self.boxes[scale][angle])
        if self.wavelets.fill is None:
            return _gram(torch.cat(filtered, dim=1).flatten(2)) / points**2
        windows = self.get_buffer(f"windows_{scale}")[angle]
        alone = [torch.fft.ifft2(z) * window for z, window in zip(filtered, windows, strict=True)]
        return _gram(torch.cat(alone, dim=1).flatten(2)) / points

    def _of_rows(self, every: torch.Tensor) -> torch.Tensor:
        turned = every.index_select(1, self.picks.flatten()).unflatten(1, self.picks.shape)
        if self.oriented:
            return turned[:, :, 0]
        turned = turned.index_select(1, self.rows)
        parts = torch.where(self.odd[:, None], turned.imag * self.signs[self.rows], turned.real)
        return (parts * torch.view_as_complex(self.waves)).sum(-1)


class _Gram(torch.autograd.Function):
    """``a a^H``, whose gradient is one product, and not the sum of two."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(a)
        return a @ a.mH

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (a,) = ctx.saved_tensors
        return (gradient + gradient.mH) @ a


def _gram(a: torch.Tensor) -> torch.Tensor:
    return cast(torch.Tensor, _Gram.apply(a))


def _key(scale: int, angle: int, grid: Sequence[int]) -> str:
    return f"{scale} {angle} from {grid[0]}x{grid[1]}"
