"""What a generator's parameters make of a set of training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from phasewave.checks import fail, integer
from phasewave.images.dataset import MIN_SIZE
from phasewave.images.decoder import SparseDecoder
from phasewave.images.encoder import ScatteringEncoder
from phasewave.images.flow import FlowPrior
from phasewave.images.image_batches import check_images
from phasewave.images.node_axes import n_nodes
from phasewave.images.stages import Recipe
from phasewave.runs.training_records import TrainingSettings


def make_recipe(given: Mapping[str, Any], images: torch.Tensor) -> Recipe:
    """Return what a training on images like these makes, checked.

    Parameters
    ----------
    given : Mapping
        The parameters of an `ImageGenerator`, by name.
    images : torch.Tensor
        ``(n, C, H, W)``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range or does not fit the images, or there are too few of them.
    """

    def prior(encoder: ScatteringEncoder) -> FlowPrior:
        named = {"width": given["prior_width"], "depth": given["prior_depth"]}
        return FlowPrior(
            encoder.n_entries,
            n_nodes=n_nodes(encoder),
            **{k: v for k, v in named.items() if v is not None},
            seed=given["seed"],
        )

    check_images("images", images, minimum=3)
    n, n_channels, *sides = images.shape
    if min(sides) < MIN_SIZE:
        fail("images", f"have sides >= {MIN_SIZE}", tuple(sides))
    size, code_dim = given["size"], given["code_dim"]
    wanted = sides if size is None else [size] * 2 if isinstance(size, int) else list(size)
    if wanted != sides:
        fail("images", f"be of `size` {wanted[0]} x {wanted[1]}", f"{sides[0]} x {sides[1]}")
    doubled = n * (2 if given["mirror"] else 1)
    if doubled <= integer("code_dim", code_dim, minimum=1):
        fail(
            "images",
            f"hold more than `code_dim` = {given['code_dim']} training images (counting mirrored ones): lower "
            "`code_dim` or give more",
            doubled,
        )
    encoder = ScatteringEncoder(
        (sides[0], sides[1]),
        n_channels=n_channels,
        code_dim=code_dim,
        n_scales=given["n_scales"],
        n_angles=given["n_angles"],
        average=given["average"],
        order=given["order"],
    )
    integer("seed", given["seed"], minimum=0)
    training = TrainingSettings(
        batch_size=given["batch_size"],
        learning_rate=3e-3,
        schedule="cosine",
        max_epochs=given["epochs"],
        seed=given["seed"],
        precision=given["precision"],
    )
    prior_training = TrainingSettings(
        batch_size=2 * given["batch_size"],
        learning_rate=2e-3,
        averaging=0.998,
        schedule="cosine",
        max_epochs=given["prior_epochs"],
        seed=given["seed"],
    )

    def decoder(fitted: ScatteringEncoder) -> SparseDecoder:
        return SparseDecoder(fitted, n_atoms=given["n_atoms"], sparsity=given["sparsity"], seed=given["seed"])

    settings = {
        "encoder": encoder.settings,
        "decoder": decoder(encoder).settings,
        "prior": prior(encoder).settings,
        "decoder_training": asdict(training),
        "prior_training": asdict(prior_training),
        "mirror": given["mirror"],
    }
    return Recipe(encoder, decoder, prior, training, prior_training, given["mirror"], settings)
