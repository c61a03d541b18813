"""The generator beside simpler models of equal size, trained on the same images until their loss settles."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phasewave.images.convolutional_decoder import ConvolutionalDecoder
from phasewave.images.generator import ImageGenerator
from phasewave.images.network_parts import matching_width
from phasewave.images.pixel_gaussian import PixelGaussian
from phasewave.images.variational import VariationalAutoencoder
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.distributed import Ranks
from phasewave.runs.fingerprint import byte_sum
from phasewave.runs.network_training import train_network
from phasewave.runs.trainable import TrainableNetwork, n_parameters
from phasewave.runs.training_records import TrainingEnd, TrainingProgress, TrainingSettings

CNN, VAE = "CNN decoder", "VAE"
BASELINES = ("ridge from w", "pixel Gaussian", CNN, VAE)
_CODES = "codes"
CHECKPOINTS = {_CODES: "checkpoint_codes.h5", CNN: "checkpoint_cnn.h5", VAE: "checkpoint_vae.h5"}
"""The files in the folder of the checkpoints: the codes that one learns from, and the two that are trained."""


@dataclass(frozen=True)
class Model:
    """What can be compared: images to images, and numbers of images from noise.

    Attributes
    ----------
    name : str
    n_values : int
        Numbers learnt.
    reconstruct : callable
        Images (n, C, H, W) to images in [0, 1], on the CPU.
    generate : callable
        A number and a seed to images.
    training : dict or None
        How the training ended.
    """

    name: str
    n_values: int
    reconstruct: Callable[[torch.Tensor], torch.Tensor]
    generate: Callable[[int, int], torch.Tensor]
    training: dict[str, Any] | None = None


def own_model(generator: ImageGenerator) -> Model:
    """Return the generator as a model to compare."""
    return Model(
        "sparse dictionary",
        learnt_values(generator),
        lambda images: generator.reconstruct(images).cpu(),
        lambda n, seed: generator.generate(n, seed=seed),
    )


def learnt_values(generator: ImageGenerator) -> int:
    """Return how many numbers the decoder has learnt: the dictionary and the linear map."""
    decoder = generator.decoder_
    return n_parameters(decoder) + decoder.linear_.numel() + decoder.mean_.numel()


def make_baseline(
    name: str,
    generator: ImageGenerator,
    train: torch.Tensor,
    validation: torch.Tensor,
    *,
    max_epochs: int = 1000,
    checkpoints: str | os.PathLike[str] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    ranks: Ranks | None = None,
) -> Model:
    """Make a baseline, trained out where it is trained.

    Those that decode ``w`` get the generator's codes, and generate from its prior.

    Parameters
    ----------
    name : str
        One of `BASELINES`.
    generator : ImageGenerator
        Fitted; the networks get as many weights as its decoder has learnt, on its device.
    train, validation : torch.Tensor (n, C, H, W)
        The images that it was trained on.
    max_epochs : int
    checkpoints : path-like, optional
        A folder for `CHECKPOINTS`.
    progress, stop, ranks
        Of `train_network`.

    Raises
    ------
    KeyboardInterrupt
        If ``stop`` says so.
    ValueError
        If the images do not fit, or a checkpoint is of others.
    """
    folder = None if checkpoints is None else Path(checkpoints)
    team = Ranks() if ranks is None else ranks
    images = torch.cat([train, train.flip(-1)]) if generator.mirror else train
    if name == BASELINES[0]:
        return _ridge(generator)
    if name == BASELINES[1]:
        return _pixels(generator, images)
    network: TrainableNetwork
    size, n_channels, seed = generator.encoder_.size, generator.encoder_.n_channels, generator.seed
    parts: tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]
    if name == CNN:
        entries = generator.encoder_.n_entries

        def decoder(width: int) -> ConvolutionalDecoder:
            return ConvolutionalDecoder(entries, size, n_channels=n_channels, width=width, seed=seed)

        network = decoder(matching_width(decoder, learnt_values(generator)))
        codes = team.agree(lambda: _kept_codes(generator, images, validation, folder))
        parts = ((codes["train"], images), (codes["validation"], validation))
    else:
        d = generator.encoder_.code_dim

        def autoencoder(width: int) -> VariationalAutoencoder:
            return VariationalAutoencoder(d, size, n_channels=n_channels, width=width, seed=seed)

        network = autoencoder(matching_width(autoencoder, 2 * learnt_values(generator)))
        parts = ((images,), (validation,))
    network.to(generator.device)
    result = train_network(
        network,
        *parts,
        settings=TrainingSettings(max_epochs=max_epochs, seed=seed),
        checkpoint=None if folder is None else folder / CHECKPOINTS[name],
        progress=progress,
        stop=stop,
        ranks=team,
    )
    if result.end is TrainingEnd.INTERRUPTED:
        raise KeyboardInterrupt
    told: dict[str, Any] = {
        "end": result.end.value,
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "history": [list(row) for row in result.history],
    }
    if isinstance(network, ConvolutionalDecoder):
        return _convolutional(generator, network, told)
    return _variational(network, told)


def _kept_codes(
    generator: ImageGenerator, train: torch.Tensor, validation: torch.Tensor, folder: Path | None
) -> dict[str, Any]:
    """Return the codes of images; those of the file, if it is there: made anew, they may differ in a last bit."""
    encoder = generator.encoder_.state_dict().values()
    settings = {"images": [byte_sum(train), byte_sum(validation)], "encoder": sum(map(byte_sum, encoder))}
    path = None if folder is None else folder / CHECKPOINTS[_CODES]
    if path is not None and path.exists():
        return load_checkpoint(path, settings=settings)
    found = {"train": generator.encode(train).cpu(), "validation": generator.encode(validation).cpu()}
    if path is not None:
        save_checkpoint(path, found, settings=settings)
    return found


def _ridge(generator: ImageGenerator) -> Model:
    decoder = generator.decoder_

    def decode(codes: torch.Tensor) -> torch.Tensor:
        return decoder.linear(codes).clamp(0, 1).cpu()

    return Model(
        BASELINES[0],
        decoder.linear_.numel() + decoder.mean_.numel(),
        lambda images: decode(generator.encode(images)),
        lambda n, seed: decode(generator.draw_codes(n, seed=seed)),
    )


def _pixels(generator: ImageGenerator, images: torch.Tensor) -> Model:
    model = PixelGaussian(images, code_dim=generator.encoder_.code_dim)
    n_values = (model.code_dim + 1) * images[0].numel()
    return Model(BASELINES[1], n_values, model.reconstruct, lambda n, seed: model.generate(n, seed=seed))


def _convolutional(generator: ImageGenerator, network: ConvolutionalDecoder, training: Mapping[str, Any]) -> Model:
    def decode(codes: torch.Tensor) -> torch.Tensor:
        return network.decode(codes).cpu()

    return Model(
        CNN,
        n_parameters(network),
        lambda images: decode(generator.encode(images)),
        lambda n, seed: decode(generator.draw_codes(n, seed=seed)),
        dict(training),
    )


def _variational(network: VariationalAutoencoder, training: Mapping[str, Any]) -> Model:
    return Model(
        VAE,
        n_parameters(network),
        lambda images: network.reconstruct(images).cpu(),
        lambda n, seed: network.generate(n, seed=seed).cpu(),
        dict(training),
    )
