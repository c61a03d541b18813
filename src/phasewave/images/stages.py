"""The training of a generator in four stages, each of which is kept: encoder, linear map, dictionary, prior."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from phasewave.images.decoder import SparseDecoder
from phasewave.images.encoder import ScatteringEncoder
from phasewave.images.flow import NODE_CHANNELS, FlowPrior
from phasewave.images.node_axes import node_axes
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint
from phasewave.runs.distributed import Ranks
from phasewave.runs.network_training import train_network
from phasewave.runs.training_records import (
    TrainingEnd,
    TrainingProgress,
    TrainingResult,
    TrainingSettings,
)

Stage = Literal["encoder", "linear", "decoder", "prior"]
STAGES: tuple[Stage, ...] = ("encoder", "linear", "decoder", "prior")
CHECKPOINTS: dict[Stage, str] = {stage: f"checkpoint_{stage}.h5" for stage in STAGES}
"""The file of each stage, in the folder of the checkpoints."""
T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """What a training makes, and how.

    Attributes
    ----------
    encoder : ScatteringEncoder
        Not yet fitted.
    decoder : callable
        Makes the decoder of a fitted encoder.
    prior : callable
        Makes the prior of the codes of an encoder.
    decoder_training, prior_training : TrainingSettings
    mirror : bool
        Learn from each image also with left and right exchanged.
    settings : Mapping
        All of this as plain values: checkpoints of others are refused.
    """

    encoder: ScatteringEncoder
    decoder: Callable[[ScatteringEncoder], SparseDecoder]
    prior: Callable[[ScatteringEncoder], FlowPrior]
    decoder_training: TrainingSettings
    prior_training: TrainingSettings
    mirror: bool
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class StageProgress:
    """What a progress callback is told, when a stage begins and after each batch of a training.

    Attributes
    ----------
    stage : str
        "encoder", "linear", "decoder" or "prior".
    training : TrainingProgress or None
        None when the stage begins.
    max_epochs : int
        Of the training; it may end before. 0 for the first two stages.
    encoder, decoder, prior : modules or None
        As they are at the moment; those of later stages are None. To be looked at, or copied: using them may
        change the training.
    """

    stage: Stage
    training: TrainingProgress | None = None
    max_epochs: int = 0
    encoder: ScatteringEncoder | None = None
    decoder: SparseDecoder | None = None
    prior: FlowPrior | None = None


@dataclass(frozen=True)
class TrainedParts:
    """What the four stages gave.

    Attributes
    ----------
    encoder : ScatteringEncoder
    decoder : SparseDecoder
    prior : FlowPrior
    decoder_result, prior_result : TrainingResult
    """

    encoder: ScatteringEncoder
    decoder: SparseDecoder
    prior: FlowPrior
    decoder_result: TrainingResult
    prior_result: TrainingResult

    def record(self) -> dict[str, Any]:
        """Return how the trainings ended, as plain values."""
        return {
            name: {
                "end": result.end.value,
                "epochs": len(result.history),
                "best_epoch": result.best_epoch,
                "history": [list(row) for row in result.history],
            }
            for name, result in (("decoder", self.decoder_result), ("prior", self.prior_result))
        }


def train_parts(
    recipe: Recipe,
    train: torch.Tensor,
    validation: torch.Tensor,
    *,
    checkpoints: str | os.PathLike[str] | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[StageProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    ranks: Ranks | None = None,
) -> TrainedParts:
    """Fit the encoder, the linear map from codes to images, the dictionary, and the prior of the codes.

    Parameters
    ----------
    recipe : Recipe
    train, validation : torch.Tensor (n, C, H, W)
        Images to learn from, and images whose loss says when a training ends; uint8, or float in [0, 1].
    checkpoints : path-like, optional
        A folder for the files `CHECKPOINTS`; stages that are there are taken up, to the same end as an unbroken
        run.
    device : torch.device or str
    progress : callable, optional
        Called with a `StageProgress`.
    stop : callable, optional
        Asked between stages and batches whether to stop.
    ranks : Ranks, optional
        Processes that share each batch.

    Raises
    ------
    ValueError
        If the images are too few, or a checkpoint is of other settings or images.
    KeyboardInterrupt
        If ``stop`` says so; what is done is in the checkpoints.
    """
    team = Ranks() if ranks is None else ranks
    keeper = _Keeper(None if checkpoints is None else Path(checkpoints), recipe.settings)
    where = torch.device(device)

    def tell(stage: Stage, **parts: Any) -> None:
        if stop is not None and team.any(stop()):
            raise KeyboardInterrupt
        if progress is not None:
            progress(StageProgress(stage, **parts))

    def told(stage: Stage, max_epochs: int, **parts: Any) -> Callable[[TrainingProgress], None] | None:
        if progress is None:
            return None
        return lambda state: progress(StageProgress(stage, state, max_epochs, **parts))

    tell("encoder")
    encoder = recipe.encoder.to(where)
    learned = team.agree(
        lambda: keeper.kept("encoder", lambda: _encoder_stage(encoder, train, validation, recipe.mirror, where))
    )
    encoder.load_state_dict(learned["encoder"])
    encoder.to(where)  # what was empty is where the file was read
    codes, validation_codes = learned["codes"], learned["validation_codes"]
    images = torch.cat([train, train.flip(-1)]) if recipe.mirror else train

    tell("linear", encoder=encoder)
    decoder = recipe.decoder(encoder).to(where)
    linear = team.agree(lambda: keeper.kept("linear", lambda: _linear_stage(decoder, codes, images)))
    decoder.load_state_dict(linear["decoder"])
    decoder.to(where)

    tell("decoder", encoder=encoder, decoder=decoder)
    decoder_result = train_network(
        decoder,
        (codes, images),
        (validation_codes, validation),
        settings=recipe.decoder_training,
        checkpoint=keeper.path("decoder"),
        progress=told("decoder", recipe.decoder_training.max_epochs, encoder=encoder, decoder=decoder),
        stop=stop,
        ranks=team,
    )
    _go_on(decoder_result)

    prior = recipe.prior(encoder).to(where)
    tell("prior", encoder=encoder, decoder=decoder, prior=prior)
    started = keeper.path("prior")
    if started is None or not started.exists():
        prior.fit_axes(codes.to(where)).fit_nodes(node_axes(encoder, NODE_CHANNELS))
    prior_result = train_network(
        prior,
        (codes,),
        (validation_codes,),
        settings=recipe.prior_training,
        checkpoint=keeper.path("prior"),
        progress=told("prior", recipe.prior_training.max_epochs, encoder=encoder, decoder=decoder, prior=prior),
        stop=stop,
        ranks=team,
    )
    _go_on(prior_result)
    return TrainedParts(encoder.eval(), decoder.eval(), prior.eval(), decoder_result, prior_result)


class _Keeper:
    """Stages on the disk, or nowhere."""

    def __init__(self, folder: Path | None, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, settings

    def path(self, stage: Stage) -> Path | None:
        return None if self.folder is None else self.folder / CHECKPOINTS[stage]

    def kept(self, stage: Stage, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what a stage gave, from its file if it is there."""
        path = self.path(stage)
        if path is not None and path.exists():
            return load_checkpoint(path, settings=self.settings)
        found = make()
        if path is not None:
            save_checkpoint(path, found, settings=self.settings)
        return found


def _encoder_stage(
    encoder: ScatteringEncoder, train: torch.Tensor, validation: torch.Tensor, mirror: bool, device: torch.device
) -> dict[str, Any]:
    encoder.fit(train.to(device), mirror=mirror)
    codes = encoder.encode(train)
    if mirror:
        codes = torch.cat([codes, encoder.encode(train.flip(-1))])
    return {
        "encoder": on_cpu(encoder.state_dict()),
        "codes": codes.cpu(),
        "validation_codes": encoder.encode(validation).cpu(),
    }


def _linear_stage(decoder: SparseDecoder, codes: torch.Tensor, images: torch.Tensor) -> dict[str, Any]:
    decoder.fit_linear(codes, images)
    return {"decoder": on_cpu(decoder.state_dict())}


def on_cpu(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state whose tensors are on the CPU."""
    return {name: value.detach().cpu() for name, value in state.items()}


def _go_on(result: TrainingResult) -> None:
    if result.end is TrainingEnd.INTERRUPTED:
        raise KeyboardInterrupt
