"""Images between images: a way between their codes, decoded step by step."""

from __future__ import annotations

from typing import Literal

import torch

from phasewave.images.decoder import CORRECTIONS_OF_NEW, SparseDecoder
from phasewave.images.flow import FlowPrior
from phasewave.images.ways import straight_ways, turned_ways

Way = Literal["codes", "noise"]
WAYS: tuple[Way, ...] = ("codes", "noise")


def images_between(
    decoder: SparseDecoder, prior: FlowPrior, start: torch.Tensor, end: torch.Tensor, *, steps: int, path: Way
) -> torch.Tensor:
    """Return the images on the ways from some codes to others.

    Parameters
    ----------
    decoder : SparseDecoder
        The nearer a code is to an end, so to a code that an image has, the more corrections it decodes it with.
    prior : FlowPrior
    start, end : torch.Tensor (n, n_entries)
        Codes.
    steps : int
        Images a way, those of ``start`` and ``end`` among them; at least 2.
    path : {"noise", "codes"}
        Through the noise that the prior makes of the codes, or straight from code to code.

    Returns
    -------
    torch.Tensor
        ``(n, steps, C, H, W)`` in [0, 1].
    """
    if path == "codes":
        codes = straight_ways(start, end, steps)
    else:
        noise = turned_ways(prior.noise(start), prior.noise(end), steps)
        codes = prior.codes(noise.flatten(0, 1)).unflatten(0, noise.shape[:2])
    images = []
    for k in range(steps):
        share = (2 * k / (steps - 1) - 1) ** 2  # 1 at the ends, 0 half-way
        n_corrections = round(CORRECTIONS_OF_NEW + share * (decoder.n_corrections - CORRECTIONS_OF_NEW))
        images.append(decoder.decode(codes[:, k], n_corrections=n_corrections).clamp(0, 1))
    return torch.stack(images, 1)
