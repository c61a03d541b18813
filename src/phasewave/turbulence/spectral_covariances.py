"""Covariances of many real channels on grids of many sizes, smoothed at several widths, as matrix products."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

REACH = 3.2
"""Frequencies past ``REACH / sigma`` are left out: the Gaussian has fallen to exp(-REACH^2 / 2) = 6e-3 there."""
BLOCK = 2**14
"""Frequencies whose products are summed at once."""


class SpectralCovariances(nn.Module):
    r"""Smoothed covariances from half spectra, by Parseval.

    .. math:: C_\sigma(a, b) = \sum_{\omega \ne 0} e^{-\sigma^2 |\omega|^2 / 2}\, \mathrm{Re}\,
        \hat a(\omega) \overline{\hat b(\omega)}

    with spectra divided by the number of pixels. A pair of scales meets on the frequencies of the coarser one.
    `WindowedCovariances` estimates the same from parts of the fields.

    Parameters
    ----------
    shape : pair of int
        Grid of the field, which fixes the frequencies.
    grids : sequence of pair of int
        Grid of each scale, coarser and coarser.
    n_channels : int
        Channels of each scale.
    smoothings : tuple of float
        Widths :math:`\sigma` in pixels.
    origin : bool
        Whether :math:`\omega = 0` counts: for fields whose means are subtracted otherwise.
    dtype : torch.dtype
        Real dtype.
    """

    lower: torch.Tensor

    def __init__(
        self,
        shape: Sequence[int],
        grids: Sequence[Sequence[int]],
        *,
        n_channels: int,
        smoothings: tuple[float, ...],
        origin: bool = False,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.shape, self.grids = shape, grids
        self.n_channels, self.smoothings, self.dtype = n_channels, smoothings, dtype
        self.boxes: list[list[tuple[int, int]]] = []
        for number, sigma in enumerate(smoothings):
            boxes = []
            for scale, grid in enumerate(grids):
                box = tuple(_largest(n, m, sigma) for n, m in zip(shape, grid, strict=True))
                weights = _weights(shape, box, sigma)
                weights[box[0], 0] = float(origin)
                self.register_buffer(f"weights_{number}_{scale}", weights.to(dtype), persistent=False)
                boxes.append((box[0], box[1]))
            self.boxes.append(boxes)
        lower = torch.tril_indices(n_channels, n_channels)
        self.register_buffer("lower", lower[0] * n_channels + lower[1], persistent=False)

    def pairs(self) -> Iterator[tuple[float, int, int]]:
        """Width and numbers of the two channels of each covariance, in the order of `forward`."""
        count = self.n_channels
        rows, columns = torch.tril_indices(count, count).tolist()
        for sigma in self.smoothings:
            for scale in range(len(self.grids)):
                start = scale * count
                yield from ((sigma, a, start + b) for a in range(start) for b in range(count))
                yield from ((sigma, start + a, start + b) for a, b in zip(rows, columns, strict=True))

    def forward(self, spectra: Sequence[torch.Tensor]) -> torch.Tensor:
        """Covariances of all pairs; differentiable once.

        Nothing but the spectra is kept for the backward pass, and little more is made: products are summed over
        blocks of frequencies.

        Parameters
        ----------
        spectra : sequence of torch.Tensor
            For each scale, complex half spectra of shape ``(n, n_channels, m_0, m_1 // 2 + 1)``.

        Returns
        -------
        torch.Tensor
            Real, shape ``(n, n_pairs)``, as in `pairs`.
        """
        values: torch.Tensor = _Products.apply(self, *spectra)
        return values

    def boxes_of_pairs(self) -> Iterator[tuple[int, tuple[int, int], torch.Tensor]]:
        """Scale, box and squared weights of each run of `pairs`: a scale with the finer ones at one width."""
        for number, boxes in enumerate(self.boxes):
            for scale, box in enumerate(boxes):
                yield scale, box, self.get_buffer(f"weights_{number}_{scale}").square()

    @staticmethod
    def variances(spectrum: torch.Tensor) -> torch.Tensor:
        """Variance of each channel of one scale: ``(n, C, m_0, m_1 // 2 + 1) -> (n, C)``."""
        rows, columns = spectrum.shape[-2:]
        # The last column of an even grid is its Nyquist frequency; of an odd one, it is held back just the same.
        box = ((rows - 1) // 2, columns - 2)
        weights = _weights((rows, 2 * columns), box, 0.0).to(spectrum.real)
        return _real_rows(_centred(spectrum, box) * weights).square().sum(dim=-1)


class _Products(torch.autograd.Function):
    """`SpectralCovariances.forward`, whose gradients are added up in place block by block."""

    @staticmethod
    def forward(ctx: Any, module: SpectralCovariances, *spectra: torch.Tensor) -> torch.Tensor:
        ctx.module = module
        ctx.save_for_backward(*spectra)
        values = []
        for scale, box, weights in module.boxes_of_pairs():
            held, count = spectra[: scale + 1], module.n_channels
            sums = spectra[0].real.new_zeros((len(spectra[0]), (scale + 1) * count, count))
            for rows, own in _blocks(box):
                parts = _joined(held, rows, box)
                sums += _real_rows(parts) @ _real_rows(parts[:, -count:] * weights[own]).mT
            values.append(sums[:, : scale * count].flatten(1))
            values.append(sums[:, scale * count :].flatten(1).index_select(1, module.lower))
        return torch.cat(values, dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        module, spectra = ctx.module, ctx.saved_tensors
        count, start = module.n_channels, 0
        gradients = [torch.zeros_like(spectrum) for spectrum in spectra]
        for scale, box, weights in module.boxes_of_pairs():
            crossed = gradient[:, start : start + scale * count**2].unflatten(1, (-1, count))
            start += scale * count**2
            same = gradient.new_zeros((len(gradient), count**2))
            same[:, module.lower] = gradient[:, start : start + len(module.lower)]
            start += len(module.lower)
            of_sums = torch.cat((crossed, same.unflatten(1, (count, count))), dim=1)
            for rows, own in _blocks(box):
                parts = _joined(spectra[: scale + 1], rows, box)
                first = of_sums @ _real_rows(parts[:, -count:] * weights[own])
                second = (of_sums.mT @ _real_rows(parts)).view(len(parts), count, *parts.shape[2:], 2)
                first = first.view(*parts.shape, 2)
                first[:, -count:] += second * weights[own][..., None]
                for into, part in zip(gradients, torch.view_as_complex(first).split(count, dim=1), strict=False):
                    into[..., rows, : box[1] + 1] += part
        return None, *gradients


def _blocks(box: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Rows of a spectrum in FFT order, and of the weights of a box, few at a time: 0 .. k_0, then -k_0 .. -1."""
    step = max(1, BLOCK // (box[1] + 1))
    for first in range(0, box[0] + 1, step):
        last = min(first + step, box[0] + 1)
        yield slice(first, last), slice(box[0] + first, box[0] + last)
    for first in range(-box[0], 0, step):
        last = min(first + step, 0)
        yield slice(first, last or None), slice(box[0] + first, box[0] + last)


def _joined(spectra: Sequence[torch.Tensor], rows: slice, box: tuple[int, int]) -> torch.Tensor:
    """Some rows of the channels of several scales: ``(n, channels of all, h, w)``."""
    return torch.cat([spectrum[..., rows, : box[1] + 1] for spectrum in spectra], dim=1)


def _largest(n: int, m: int, sigma: float) -> int:
    """Largest frequency index that a grid of ``m`` points holds below Nyquist and the smoothing leaves."""
    held = (m - 1) // 2
    return held if sigma == 0 else min(held, max(1, math.floor(REACH / sigma * n / (2 * math.pi))))


def _weights(shape: Sequence[int], box: Sequence[int], sigma: float) -> torch.Tensor:
    """Square roots of the Gaussian on the box, times sqrt(2) for the frequencies that stand for two; 0 at 0."""
    k0 = torch.arange(-box[0], box[0] + 1, dtype=torch.float64)[:, None]
    k1 = torch.arange(box[1] + 1, dtype=torch.float64)
    square = (2 * math.pi * k0 / shape[0]) ** 2 + (2 * math.pi * k1 / shape[1]) ** 2
    weights = torch.exp(-0.25 * sigma**2 * square) * (1 + (k1 > 0).to(k1)).sqrt()
    weights[box[0], 0] = 0
    return weights


def _centred(spectrum: torch.Tensor, box: tuple[int, int]) -> torch.Tensor:
    """Frequencies ``-k_0 .. k_0`` and ``0 .. k_1`` of a half spectrum in FFT order."""
    width = box[1] + 1
    return torch.cat((spectrum[..., -box[0] :, :width], spectrum[..., : box[0] + 1, :width]), dim=-2)


def _real_rows(z: torch.Tensor) -> torch.Tensor:
    """Complex ``(n, C, h, w)`` as real ``(n, C, 2 h w)``."""
    return torch.view_as_real(z).flatten(2)
