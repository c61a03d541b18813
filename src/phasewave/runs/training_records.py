"""How to train a network, what is told meanwhile, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, get_args

from phasewave.checks import choice, fail, integer

Precision = Literal["float32", "bfloat16"]
Schedule = Literal["plateau", "cosine"]


class TrainingEnd(str, Enum):
    """Why a training ended."""

    SETTLED = "settled"
    """The validation loss stopped falling."""
    MAX_EPOCHS = "max_epochs"
    """The epochs allowed were used up: the network is not trained out."""
    INTERRUPTED = "interrupted"
    """Stopped from outside; the checkpoint, if one was asked for, goes on at the next batch."""


@dataclass(frozen=True)
class TrainingSettings:
    """How to train: Adam, with batches of a new random order each epoch.

    Parameters
    ----------
    batch_size : int
    learning_rate : float
    patience : int
        Epochs without a lower validation loss after which the learning rate falls, or training ends.
    n_falls : int
        How often the learning rate falls by 5 before training ends; 0 ends at the first plateau.
    max_epochs : int
    seed : int
        Of order and noise.
    precision : {"float32", "bfloat16"}
        In which losses are computed: bfloat16 by autocast (weights, optimizer and FFTs stay float32); with
        half the memory, it is faster on GPUs.
    averaging : float
        What a running average of the weights keeps of itself at a step, for example 0.998; the average is what
        is validated and what the network ends with. It warms up: no more than ``(1 + k) / (10 + k)`` at step k.
        0: the weights themselves.
    schedule : {"plateau", "cosine"}
        "plateau": the learning rate falls by 5 at each plateau. "cosine": it falls to 0 at ``max_epochs`` as
        ``(1 + cos) / 2``, batch by batch; plateaus then only end training, the ``n_falls + 1``-st of them.

    Raises
    ------
    TypeError, ValueError
        If one is out of range.
    """

    batch_size: int = 128
    learning_rate: float = 1e-3
    patience: int = 10
    n_falls: int = 2
    max_epochs: int = 1000
    seed: int = 0
    precision: Precision = "float32"
    averaging: float = 0.0
    schedule: Schedule = "plateau"

    def __post_init__(self) -> None:
        for name in ("batch_size", "patience", "max_epochs"):
            integer(name, getattr(self, name), minimum=1)
        integer("n_falls", self.n_falls, minimum=0)
        if not 0 < self.learning_rate < 1:
            fail("learning_rate", "lie between 0 and 1", self.learning_rate)
        choice("precision", self.precision, get_args(Precision))
        if not 0 <= self.averaging < 1:
            fail("averaging", "lie between 0 and 1", self.averaging)
        choice("schedule", self.schedule, get_args(Schedule))


@dataclass(frozen=True)
class TrainingProgress:
    """What a progress callback is told.

    Attributes
    ----------
    epoch : int
        That in work, from 1.
    batch, n_batches : int
        Of this epoch.
    loss : float
        Mean training loss of the epoch so far.
    validation : float
        The least so far, infinite before the first.
    since_best : int
        Epochs since then.
    learning_rate : float
    """

    epoch: int
    batch: int
    n_batches: int
    loss: float
    validation: float
    since_best: int
    learning_rate: float


@dataclass(frozen=True)
class TrainingResult:
    """How a training went.

    Attributes
    ----------
    end : TrainingEnd
    best_epoch : int
        From 1; 0 if there was none. Its weights are those the network has.
    validation : float
        Its loss.
    history : tuple of tuple of float
        Training and validation loss of each epoch.
    """

    end: TrainingEnd
    best_epoch: int
    validation: float
    history: tuple[tuple[float, float], ...]
