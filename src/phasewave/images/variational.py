"""Baseline: a convolutional variational autoencoder."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.images.convolutional_decoder import ConvolutionalDecoder
from phasewave.images.image_batches import as_float, check_images, float_batches
from phasewave.images.network_parts import StridedConvolution, halved_sizes, image_shape
from phasewave.runs.shared_batches import per_sample
from phasewave.runs.trainable import TrainableNetwork, draw_weights


class VariationalAutoencoder(TrainableNetwork):
    r"""Convolutional encoder to a normal law of the code, `ConvolutionalDecoder` back.

    Minimises the negative evidence bound, per pixel value,

    .. math::

        \frac{1}{p} \left( \frac{|x - D(w)|^2}{2 \sigma^2} + p \log \sigma + \frac{p}{2} \log 2 \pi
        + \frac{1}{2} \sum_i (\mu_i^2 + s_i^2 - 1 - \log s_i^2) \right), \quad w = \mu + s g, \; g \sim N(0, I)

    with the deviation :math:`\sigma` of the pixels one learnt number, so that no weight between the two terms
    is to be chosen. The encoder mirrors the decoder: strided 5 x 5 convolutions, then a linear map.

    Parameters
    ----------
    code_dim : int
    size : int or tuple of int
        Height and width, each >= 8.
    n_channels : int
        1 or 3.
    width : int
        Maps at the size of the image; `network_parts.matching_width` finds that of a given number of weights.
    seed : int
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Sources: Kingma & Welling 2014; the learnt deviation: Rybkin et al. 2021.
    """

    def __init__(
        self, code_dim: int, size: int | tuple[int, int], *, n_channels: int = 1, width: int = 32, seed: int = 0
    ) -> None:
        super().__init__()
        self.code_dim = integer("code_dim", code_dim, minimum=1)
        integer("width", width, minimum=1)
        self.n_channels, self.size = image_shape(size, n_channels)
        sizes = halved_sizes(self.size)
        n_maps = [n_channels, *(width << k for k in range(1, len(sizes)))]
        on_meta = torch.get_default_device().type == "meta"  # only its sizes are asked for
        with torch.device("meta"):
            self.blocks = nn.Sequential(*(StridedConvolution(n, m) for n, m in itertools.pairwise(n_maps)))
            self.read = nn.Linear(n_maps[-1] * sizes[-1][0] * sizes[-1][1], 2 * code_dim)
            self.decoder = ConvolutionalDecoder(code_dim, self.size, n_channels=n_channels, width=width)
            self.log_deviation = nn.Parameter(torch.empty(()))
        if not on_meta:
            draw_weights(self, seed=seed)
            with torch.no_grad():
                self.read.weight.mul_(0.1)  # codes start near N(0, I)
                self.log_deviation.fill_(math.log(0.2))

    def law(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and logarithm of the variance (n, d) of the codes of float images."""
        mean, log_variance = self.read(self.blocks(2 * images - 1).flatten(1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 20)

    def losses(self, *parts: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """Return the negative evidence bound (n,) of each image, nats per pixel value, of (images,)."""
        (images,) = parts
        x = as_float(images)
        mean, log_variance = self.law(x)
        shape = mean.shape[1:]
        white = per_sample(lambda n: torch.randn(n, *shape, generator=noise), len(mean), noise=noise).to(mean)
        found = self.decoder(mean + (log_variance / 2).exp() * white)
        n_values = x[0].numel()
        error = (found - x).square().flatten(1).sum(1)
        fit = error / (2 * (2 * self.log_deviation).exp()) + n_values * (
            self.log_deviation + math.log(2 * math.pi) / 2
        )
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return (fit + divergence) / n_values

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return the means (n, d) of the codes of images (n, C, H, W).

        Raises
        ------
        TypeError, ValueError
            If they are not images of the network's shape.
        """
        check_images("images", images)
        if images.shape[1:] != (self.n_channels, *self.size):
            fail("images", f"be of shape {(self.n_channels, *self.size)}", tuple(images.shape[1:]))
        was_training = self.training
        self.eval()
        try:
            device = self.log_deviation.device
            parts = [self.law(part.float().to(device))[0] for part in float_batches(images)]
        finally:
            self.train(was_training)
        return torch.cat(parts)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the images (n, C, H, W), in [0, 1], of codes (n, d)."""
        return self.decoder.decode(codes)

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images of the mean codes of images."""
        return self.decode(self.encode(images))

    def generate(self, n_images: int, *, seed: int) -> torch.Tensor:
        """Return images (n_images, C, H, W) of white noise: the means, without the pixels' own noise."""
        integer("n_images", n_images, minimum=1)
        white = torch.randn(n_images, self.code_dim, generator=torch.Generator().manual_seed(seed))
        return self.decode(white.to(self.log_deviation.device))
