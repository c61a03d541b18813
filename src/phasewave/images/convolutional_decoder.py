"""Baseline: the convolutional decoder of the generative scattering network."""

from __future__ import annotations

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.images.image_batches import BATCH_SIZE, as_float
from phasewave.images.network_parts import ResizedConvolution, halved_sizes, image_shape
from phasewave.runs.trainable import TrainableNetwork, draw_weights


class ConvolutionalDecoder(TrainableNetwork):
    """Images from codes by a linear map, then alternating enlargements and convolutions.

    Linear to ``2^k width`` maps of at most 4 x 4 pixels, batch normalisation, rectifier; k times a bilinear
    enlargement by 2 (to the sizes that halving the image's gives), a 5 x 5 convolution that halves the number of
    maps, batch normalisation, rectifier; a 5 x 5 convolution to the colour planes and a sigmoid (the ``tanh`` of
    the source, moved to [0, 1]). k = 3 at 28 and 32 pixels, 4 at 64. Trained by `train_network` on (codes,
    images) with the mean absolute error.

    Parameters
    ----------
    code_dim : int
        Dimension d of the codes.
    size : int or tuple of int
        Height and width, each >= 8.
    n_channels : int
        1 or 3.
    width : int
        Maps before the last convolution; `network_parts.matching_width` finds that of a given number of weights.
    seed : int
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Source: Angles & Mallat 2018.
    """

    def __init__(
        self, code_dim: int, size: int | tuple[int, int], *, n_channels: int = 1, width: int = 32, seed: int = 0
    ) -> None:
        super().__init__()
        self.code_dim = integer("code_dim", code_dim, minimum=1)
        integer("width", width, minimum=1)
        self.n_channels, self.size = image_shape(size, n_channels)
        sizes = halved_sizes(self.size)[::-1]
        n_maps = [width << k for k in reversed(range(len(sizes)))]
        self._first = (n_maps[0], *sizes[0])
        on_meta = torch.get_default_device().type == "meta"  # only its sizes are asked for
        with torch.device("meta"):  # its own draw of weights would move the global generator
            self.enter = nn.Linear(code_dim, n_maps[0] * sizes[0][0] * sizes[0][1], bias=False)
            self.normalisation = nn.BatchNorm2d(n_maps[0])
            self.blocks = nn.Sequential(
                *(
                    ResizedConvolution(before, after, size=larger)
                    for before, after, larger in zip(n_maps[:-1], n_maps[1:], sizes[1:], strict=True)
                )
            )
            self.leave = nn.Conv2d(width, n_channels, 5, padding=2)
        if not on_meta:
            draw_weights(self, seed=seed)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return images (n, C, H, W) in [0, 1] of codes (n, d).

        Raises
        ------
        ValueError
            If the shape is wrong.
        """
        if codes.ndim != 2 or codes.shape[1] != self.code_dim:
            fail("codes", f"have the shape (n, {self.code_dim})", tuple(codes.shape))
        maps = self.enter(codes).reshape(-1, *self._first)
        return self.leave(self.blocks(self.normalisation(maps).relu())).sigmoid()

    def losses(self, *parts: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """Return the mean absolute error (n,) of each image, of (codes, images); ``noise`` is not used."""
        codes, images = parts
        return (self(codes) - as_float(images)).abs().flatten(1).mean(1)

    @torch.no_grad()
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the images of codes, in batches, with the normalisations' running statistics."""
        was_training = self.training
        self.eval()
        try:
            parts = [self(part) for part in codes.split(BATCH_SIZE)]
        finally:
            self.train(was_training)
        return torch.cat(parts)
