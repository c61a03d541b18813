"""Covariances of many real channels on grids of many sizes, smoothed at several widths, as matrix products."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from phasewave.turbulence.recompute import recomputed

REACH = 3.2
"""Frequencies past ``REACH / sigma`` are left out: the Gaussian has fallen to exp(-REACH^2 / 2) = 6e-3 there."""


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

    def forward(self, spectra: Sequence[torch.Tensor], *, recompute: bool = False) -> torch.Tensor:
        """Covariances of all pairs.

        Parameters
        ----------
        spectra : sequence of torch.Tensor
            For each scale, complex half spectra of shape ``(n, n_channels, m_0, m_1 // 2 + 1)``.
        recompute : bool
            Crop and weigh the spectra again in the backward pass instead of keeping the results.

        Returns
        -------
        torch.Tensor
            Real, shape ``(n, n_pairs)``, as in `pairs`.
        """
        values = []
        for number, boxes in enumerate(self.boxes):
            held: list[torch.Tensor] = []
            for scale, box in enumerate(boxes):
                weights = self.get_buffer(f"weights_{number}_{scale}")
                if recompute:
                    values.append(recomputed(self._of_scale, weights, box, *spectra[: scale + 1]))
                    continue
                # The finer scales, cropped from what the last step left of them.
                held = [_narrowed(spectrum, box) for spectrum in held] + [_centred(spectra[scale], box)]
                values.append(self._products(weights, held))
        return torch.cat(values, dim=1)

    def _of_scale(self, weights: torch.Tensor, box: tuple[int, int], *spectra: torch.Tensor) -> torch.Tensor:
        return self._products(weights, [_centred(spectrum, box) for spectrum in spectra])

    def _products(self, weights: torch.Tensor, held: Sequence[torch.Tensor]) -> torch.Tensor:
        """Covariances of the channels of the last scale with all: ``(n, pairs)``."""
        flat = [_real_rows(spectrum * weights) for spectrum in held]
        same = flat[-1] @ flat[-1].transpose(1, 2)
        crossed = [rows @ flat[-1].transpose(1, 2) for rows in flat[:-1]]
        return torch.cat([*(c.flatten(1) for c in crossed), same.flatten(1).index_select(1, self.lower)], dim=1)

    @staticmethod
    def variances(spectrum: torch.Tensor) -> torch.Tensor:
        """Variance of each channel of one scale: ``(n, C, m_0, m_1 // 2 + 1) -> (n, C)``."""
        rows, columns = spectrum.shape[-2:]
        # The last column of an even grid is its Nyquist frequency; of an odd one, it is held back just the same.
        box = ((rows - 1) // 2, columns - 2)
        weights = _weights((rows, 2 * columns), box, 0.0).to(spectrum.real)
        return _real_rows(_centred(spectrum, box) * weights).square().sum(dim=-1)


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


def _narrowed(spectrum: torch.Tensor, box: tuple[int, int]) -> torch.Tensor:
    """The same of a half spectrum that is centred already."""
    middle = spectrum.shape[-2] // 2
    return spectrum[..., middle - box[0] : middle + box[0] + 1, : box[1] + 1]


def _real_rows(z: torch.Tensor) -> torch.Tensor:
    """Complex ``(n, C, h, w)`` as real ``(n, C, 2 h w)``."""
    return torch.view_as_real(z).flatten(2)
