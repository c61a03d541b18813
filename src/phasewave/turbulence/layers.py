"""Wavelet channels in layers: all orientations of one scale and one phase harmonic, as spectra on one grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from phasewave.core.phases import modulus, phase_harmonic
from phasewave.core.recompute import recomputed
from phasewave.turbulence.covariances import Shape, square
from phasewave.turbulence.harmonics import modulus_spectrum
from phasewave.turbulence.moment_table import Channel
from phasewave.turbulence.pyramid import Pyramid

Layer = tuple[int, int]
"""Scale and harmonic: the channels of all orientations."""
Means = Mapping[Channel, torch.Tensor]
"""Fixed mean of every channel, complex."""


def layer_of(channel: Channel) -> Layer:
    """The layer of a wavelet channel."""
    return channel.scale, channel.harmonic


class Layers(nn.Module):
    """Layers of a wavelet transform, each on the grid of its frequencies.

    The coefficients and the modulus of a scale live on the grid of its level, a harmonic ``k`` on that of level
    ``scale - log2(k)``, where the wavelets of its own frequency live.

    Parameters
    ----------
    pyramid : Pyramid
        The wavelet transform; the filters of the layers are added to it.
    layers : sequence of (int, int)
        Scale and harmonic of each.
    n_angles : int
        Orientations.
    windows : mapping, optional
        Weight >= 0 of every point of the grid of each layer, shape ``(n_angles, *grid)``, not all zero: what the
        fields are multiplied by, less their means. Without it every point counts.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        layers: Sequence[Layer],
        *,
        n_angles: int,
        windows: Mapping[Layer, torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.pyramid, self.layers, self.n_angles = pyramid, tuple(layers), n_angles
        for layer in self.layers:
            pyramid.add(layer[0], self.grid(layer))
        self.windowed = windows is not None
        for layer, window in (windows or {}).items():
            self.register_buffer(_key(layer), window.to(pyramid.dtype), persistent=False)

    def grid(self, layer: Layer) -> Shape:
        """Sizes of the grid of a layer."""
        scale, harmonic = layer
        return self.pyramid.levels[max(0, math.floor(scale - math.log2(max(1, abs(harmonic)))))]

    def points(self, layer: Layer) -> int:
        """Number of points of the grid of a layer."""
        return math.prod(self.grid(layer))

    def window(self, layer: Layer) -> torch.Tensor:
        """Window of a layer, shape ``(n_angles, *grid)``."""
        return self.get_buffer(_key(layer))

    def forward(
        self, spectrum: torch.Tensor, means: Means | None, *, recompute: bool = False
    ) -> dict[Layer, torch.Tensor]:
        """Spectra of the layers: of the fields less their means, times the windows.

        Coefficients are taken as they are: their mean is zero, in expectation if there are windows.

        Parameters
        ----------
        spectrum : torch.Tensor
            FFT of the fields, shape ``(n, H, W)``.
        means : mapping, optional
            Fixed means; ``None`` subtracts each field's own.
        recompute : bool
            Keep nothing but the spectra for the backward pass, which computes each layer again.

        Returns
        -------
        dict
            Of complex tensors of shape ``(n, n_angles, *grid)``.
        """
        if not recompute:
            return {layer: self._spectrum(spectrum, layer, means) for layer in self.layers}
        return {layer: recomputed(self._spectrum, spectrum, layer, means) for layer in self.layers}

    def _spectrum(self, spectrum: torch.Tensor, layer: Layer, means: Means | None) -> torch.Tensor:
        scale, k = layer
        coefficients = self.pyramid(spectrum, scale, self.grid(layer))
        window = self.window(layer) if self.windowed else None
        if k == 1 and window is None:
            return coefficients
        mean = self.mean(layer, means)
        if k == 0 and window is None:
            return modulus_spectrum(coefficients, mean)
        field = _harmonic(torch.fft.ifft2(coefficients), k)
        if abs(k) != 1:
            field = field - (_mean(field, window)[..., None, None] if mean is None else mean)
        return torch.fft.fft2(field if window is None else field * window)

    def mean(self, layer: Layer, means: Means | None) -> torch.Tensor | None:
        """Fixed means of the channels of a layer, broadcastable to their fields; of moduli real."""
        if means is None or abs(layer[1]) == 1:
            return None
        channels = [Channel("wavelet", layer[0], angle, layer[1]) for angle in range(self.n_angles)]
        # Channels of which no moment is taken need none.
        unused = torch.zeros_like(next(iter(means.values())))
        stacked = torch.stack([means.get(channel, unused) for channel in channels])[:, None, None]
        return stacked.real if layer[1] == 0 else stacked

    @torch.no_grad()
    def statistics(self, spectrum: torch.Tensor) -> dict[Channel, tuple[torch.Tensor, torch.Tensor]]:
        """Mean (0 of coefficients) and standard deviation over samples and pixels of every channel.

        Parameters
        ----------
        spectrum : torch.Tensor
            FFT of the fields, shape ``(n, H, W)``.

        Returns
        -------
        dict
            Of pairs of tensors with no axes.
        """
        result = {}
        for layer in self.layers:
            scale, k = layer
            z = torch.fft.ifft2(self.pyramid(spectrum, scale, self.grid(layer)))
            window = self.window(layer) if self.windowed else None
            power = _mean(square(z), window).mean(0)
            mean = _mean(_harmonic(z, k), window).mean(0)
            if abs(k) == 1:
                mean = torch.zeros_like(mean)
            deviation = (power - mean.abs() ** 2).clamp_min(0).sqrt()
            for angle in range(self.n_angles):
                result[Channel("wavelet", scale, angle, k)] = mean[angle], deviation[angle]
        return result


def _harmonic(z: torch.Tensor, k: int) -> torch.Tensor:
    return modulus(z) if k == 0 else phase_harmonic(z, k)


def _mean(field: torch.Tensor, window: torch.Tensor | None) -> torch.Tensor:
    """Means over the last two axes, weighted."""
    if window is None:
        return field.mean((-2, -1))
    return (field * window).sum((-2, -1)) / window.sum((-2, -1))


def _key(layer: Layer) -> str:
    return f"window_{layer[0]}_{layer[1]}"
