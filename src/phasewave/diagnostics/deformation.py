"""Stability of a representation to smooth deformations, beside its stability to white noise of the same size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from phasewave.checks import choice, fail, finite, integer, real_field
from phasewave.diagnostics.diffeomorphisms import Diffeomorphisms
from phasewave.diagnostics.distances import pair_distances, quotient, squared_distances
from phasewave.diagnostics.draws import white_draws
from phasewave.diagnostics.representations import Representation, represent
from phasewave.diagnostics.warping import deform

NoiseNorm = Literal["each", "mean"]


@dataclass(frozen=True)
class DeformationStability:
    r"""How much a representation changes under deformations and under noise.

    Attributes
    ----------
    deformation, deformation_median : float or None
        :math:`D_f`: squared change under a deformation, over the squared distance between two images; ratio of
        the means and of the medians. None where the denominator is zero, here and below.
    noise, noise_median : float or None
        :math:`G_f`: the same under white noise.
    relative, relative_median : float or None
        :math:`R_f = D_f / G_f`; 1 for every isometry with the noise of each image.
    displacement : float
        Root mean square displacement of the pixels, drawn.
    change : float
        Root mean square over images of :math:`\|\tau x - x\|`.
    one_to_one : float
        Fraction of the deformations that fold nowhere (seen at the pixels).
    """

    deformation: float | None
    deformation_median: float | None
    noise: float | None
    noise_median: float | None
    relative: float | None
    relative_median: float | None
    displacement: float
    change: float
    one_to_one: float


def deformation_stability(
    function: Representation,
    images: torch.Tensor,
    *,
    law: Diffeomorphisms,
    noise: NoiseNorm = "each",
    n_draws: int = 1,
    seed: int = 0,
    batch_size: int = 256,
) -> DeformationStability:
    r"""Measure stability to deformations, absolute and relative to noise.

    .. math:: D_f = \frac{\langle \|f(\tau x) - f(x)\|^2 \rangle}{\langle \|f(x) - f(z)\|^2 \rangle}, \quad
        G_f = \frac{\langle \|f(x + \eta) - f(x)\|^2 \rangle}{\langle \|f(x) - f(z)\|^2 \rangle}, \quad
        R_f = D_f / G_f

    Parameters
    ----------
    function : callable
        ``f``, images to ``(n, ...)``; a module is used in its evaluation mode.
    images : torch.Tensor (n, C, H, H)
        At least 2, real floating.
    law : Diffeomorphisms
        Of the deformations; its size is that of the images.
    noise : {"each", "mean"}
        Norm of the isotropic noise: :math:`\|\tau x - x\|` of the image at hand, or its mean over images and
        draws. With the mean, an isometry has :math:`R_f = \langle \|\tau x - x\|^2 \rangle /
        \langle \|\tau x - x\| \rangle^2 \ge 1`.
    n_draws : int
        Deformations, and noises, of each image.
    seed : int
        At least 0; with it the figures do not depend on the batch size.
    batch_size : int
        Images at a time.

    Returns
    -------
    DeformationStability

    Raises
    ------
    TypeError
        If the images are not real floating.
    ValueError
        If a shape or an option is out of range, or values are not finite.

    Notes
    -----
    A small :math:`R_f` is no proof of a good representation: a low-pass kills white noise faster than what a
    deformation leaves, so that mere averaging has :math:`R_f > 1`. Read :math:`D_f` beside it.

    Source: Petrini, Favero, Geiger & Wyart 2021. Cost: ``1 + 2 n_draws`` passes, and all pairs of images.

    Examples
    --------
    >>> images = torch.rand(8, 1, 16, 16)
    >>> law = Diffeomorphisms.of_displacement(16, 0.5)
    >>> stability = deformation_stability(torch.nn.Identity(), images, law=law)
    >>> round(stability.relative, 4)
    1.0
    """
    choice("noise", noise, get_args(NoiseNorm))
    draws = integer("n_draws", n_draws, minimum=1)
    step = integer("batch_size", batch_size, minimum=1)
    _check_images(images, law.size)
    coefficients = law.coefficients(draws * len(images), seed=seed).unflatten(0, (draws, len(images)))
    fixed = None
    if noise == "mean":
        norms = [(moved - x).flatten(1).norm(dim=1) for _, x, moved in _moved(images, law, coefficients, step)]
        fixed = float(torch.cat(norms).double().mean())
    reference = represent(function, images, batch_size=step)
    finite("function's values", reference)
    by_deformation, by_noise, changes, squared_field = [], [], [], 0.0
    for start, x, moved in _moved(images, law, coefficients, step):
        draw, first = divmod(start, len(images))
        there = reference[first : first + len(x)]
        change = (moved - x).flatten(1).norm(dim=1)
        target = change if fixed is None else torch.full_like(change, fixed)
        eta = white_draws(len(x), x.shape[1:], seed=seed, first=start, stream=1).to(x)
        eta *= (target / eta.flatten(1).norm(dim=1))[:, None, None, None]
        by_deformation.append(squared_distances(represent(function, moved, batch_size=step), there))
        by_noise.append(squared_distances(represent(function, x + eta, batch_size=step), there))
        changes.append(change.double())
        field = law.field(coefficients[draw, first : first + len(x)])
        squared_field += float(field.square().sum()) / law.size**2
    mean, median = pair_distances(reference)
    d, g = torch.cat(by_deformation), torch.cat(by_noise)
    flat = coefficients.flatten(0, 1)
    unfolded = [bool((law.jacobian(c) > 0).all()) for c in flat]
    return DeformationStability(
        deformation=quotient(float(d.mean()), mean),
        deformation_median=quotient(float(d.median()), median),
        noise=quotient(float(g.mean()), mean),
        noise_median=quotient(float(g.median()), median),
        relative=quotient(float(d.mean()), float(g.mean())),
        relative_median=quotient(float(d.median()), float(g.median())),
        displacement=math.sqrt(squared_field / len(flat)),
        change=float(torch.cat(changes).square().mean().sqrt()),
        one_to_one=sum(unfolded) / len(unfolded),
    )


def _check_images(images: torch.Tensor, size: int) -> None:
    real_field("images", images)
    if images.ndim != 4 or len(images) < 2 or images.shape[1] < 1 or tuple(images.shape[-2:]) != (size, size):
        fail("images", f"have the shape (n >= 2, C, {size}, {size}) of the law", tuple(images.shape))
    finite("images", images)


def _moved(
    images: torch.Tensor, law: Diffeomorphisms, coefficients: torch.Tensor, step: int
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Images by parts, once a draw, with the number of the first and the deformed ones."""
    for draw, drawn in enumerate(coefficients):
        for first in range(0, len(images), step):
            x = images[first : first + step]
            field = law.field(drawn[first : first + step]).to(images.device)
            yield draw * len(images) + first, x, deform(x, field)
