"""Generators in one file without pickle: parameters, what was learned, the training's record."""

from __future__ import annotations

import os
from typing import Any

from sklearn.utils.validation import check_is_fitted

from phasewave.images.decoder import SparseDecoder
from phasewave.images.encoder import ScatteringEncoder
from phasewave.images.flow import FlowPrior
from phasewave.images.generator import ImageGenerator
from phasewave.images.stages import on_cpu
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.record import versions

_FORMAT = "phasewave-image-generator-1"


def save_generator(generator: ImageGenerator, path: str | os.PathLike[str]) -> None:
    """Write a fitted generator to ``path``, atomically, with all that decoding and generating need.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    OSError
        If the file cannot be written; what was there before is untouched.
    """
    check_is_fitted(generator, "prior_")
    state = {
        "format": _FORMAT,
        "parameters": generator.settings,
        "encoder": generator.encoder_.settings,
        "decoder": generator.decoder_.settings,
        "prior": generator.prior_.settings,
        "decoder_state": on_cpu(generator.decoder_.state_dict()),  # the encoder's is part of it
        "prior_state": on_cpu(generator.prior_.state_dict()),
        "training": generator.training_,
        "versions": versions(),
    }
    save_checkpoint(path, state, settings={"format": _FORMAT})


def load_generator(path: str | os.PathLike[str]) -> ImageGenerator:
    """Return the generator that `save_generator` wrote, on the CPU: the same images, bit for bit.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or no generator.
    """
    name = os.fspath(path)
    try:
        state = load_checkpoint(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no model {name}") from error
    except ValueError as error:
        raise ValueError(f"{name} cannot be read as a model: it is damaged or was not made here") from error
    if state.get("format") != _FORMAT:
        raise ValueError(f"{name} is no generator of images: it holds no {_FORMAT}")
    try:
        encoder = ScatteringEncoder(**_sized(state["encoder"]))
        decoder = SparseDecoder(encoder, **state["decoder"])
        decoder.load_state_dict(state["decoder_state"])
        prior = FlowPrior(**state["prior"])
        prior.load_state_dict(state["prior_state"])
        generator = ImageGenerator(**_sized(state["parameters"]))
    except (RuntimeError, TypeError, KeyError) as error:
        made = state.get("versions", {}).get("phasewave", "an unknown version")
        raise ValueError(
            f"{name} is a model of another version of phasewave ({made}): train it again, or use that version"
        ) from error
    generator.encoder_, generator.decoder_, generator.prior_ = encoder.eval(), decoder.eval(), prior.eval()
    generator.training_ = state["training"]
    return generator


def _sized(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the size as a tuple again."""
    size = settings["size"]
    return {**settings, "size": tuple(size) if isinstance(size, list) else size}
