"""The definition of the scattering transform, dense and slow: the reference of the tests beside it."""

from __future__ import annotations

import math

import numpy as np
import torch

from phasewave.core.bank import filter_bank
from phasewave.core.coefficients import ScatteringPath
from phasewave.core.morlet import Morlet


def scattering(x, n_scales, n_angles, *, max_order=2, tight=False) -> dict[ScatteringPath, torch.Tensor]:
    """Full-resolution ``|...|x * psi| ... * psi| * phi`` of periodic float64 fields, for each path."""
    shape = tuple(x.shape[-2:])
    bank = filter_bank(shape, Morlet(n_angles), n_scales=n_scales, tight=tight, tolerance=1e-16)
    wavelets = {(j, f): s.on_grid(shape) for j, fs in enumerate(bank.wavelets) for f, s in enumerate(fs)}
    phi = torch.outer(*bank.low_pass)

    def convolve(u, filter_):
        return torch.fft.ifft2(torch.fft.fft2(u) * filter_)

    layer, paths = {ScatteringPath(0, (), ()): x}, {}
    for order in range(max_order + 1):
        paths |= {path: convolve(u, phi).real for path, u in layer.items()}
        layer = {
            ScatteringPath(order + 1, (*path.scales, j), (*path.filters, f)): convolve(u, psi).abs()
            for path, u in layer.items()
            for (j, f), psi in wavelets.items()
            if not path.scales or j > path.scales[-1]
        }
    return paths


def sampled(u, points) -> torch.Tensor:
    """The trigonometric interpolant of ``(..., H, W)`` at ``points[0] x points[1]`` (pixels, not integers)."""
    spectrum = torch.fft.fft2(u)
    reads = []
    for n, at in zip(u.shape[-2:], points, strict=True):
        k = torch.from_numpy(np.rint(np.fft.fftfreq(n) * n))
        reads.append(torch.exp(2j * math.pi / n * torch.outer(at, k)) / n)
    return (reads[0] @ spectrum @ reads[1].t()).real


def output_points(shape, n_scales) -> list[torch.Tensor]:
    """Where a periodic transform of ``shape`` is sampled: ``ceil(n / 2^J)`` equally spaced points an axis."""
    counts = [math.ceil(n / 2**n_scales) for n in shape]
    return [torch.arange(m, dtype=torch.float64) * (n / m) for n, m in zip(shape, counts, strict=True)]


def planar(x, n_scales, n_angles, *, border="periodic", max_order=2, tight=False) -> torch.Tensor:
    """The scattering coefficients ``(..., n_channels, h, w)`` in the order of the table."""
    if border != "periodic":
        padded = [((n >> n_scales) + 2) << n_scales for n in x.shape[-2:]]
        margins = [((m - n) // 2, m - n - (m - n) // 2) for m, n in zip(padded, x.shape[-2:], strict=True)]
        mode = {"reflect": "reflect", "zero": "constant"}[border]
        x = torch.from_numpy(np.pad(x.numpy(), [(0, 0)] * (x.ndim - 2) + margins, mode=mode))
    paths = scattering(x, n_scales, n_angles, max_order=max_order, tight=tight)
    points = output_points(x.shape[-2:], n_scales)
    ordered = sorted(
        paths, key=lambda p: (p.order, *[item for pair in zip(p.scales, p.filters, strict=True) for item in pair])
    )
    out = torch.stack([sampled(paths[path], points) for path in ordered], dim=-3)
    return out if border == "periodic" else out[..., 1:-1, 1:-1]
