"""One training for the network baselines: until the loss of images held out stops falling."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasewave.checks import fail, integer
from phasewave.runs.checkpoint import differences, load_checkpoint, save_checkpoint
from phasewave.runs.distributed import Ranks
from phasewave.runs.fingerprint import byte_sum
from phasewave.runs.shared_batches import BatchNoise, SharedStep
from phasewave.runs.trainable import TrainableNetwork, n_parameters
from phasewave.runs.training_records import TrainingEnd, TrainingProgress, TrainingResult, TrainingSettings

_ORDER, _TRAINING, _VALIDATION = range(3)  # what random numbers are for


def train_network(
    network: TrainableNetwork,
    train: Sequence[torch.Tensor],
    validation: Sequence[torch.Tensor],
    *,
    settings: TrainingSettings,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    ranks: Ranks = Ranks(),  # noqa: B008
) -> TrainingResult:
    """Train a network in place; it ends with the weights of the least validation loss, in ``eval`` mode.

    On several ranks each works its share of every batch, and all take the step of the whole batch: the losses are
    those of one process up to rounding, and the weights the same to the last bit on all ranks. All ranks give the
    same data and settings; the weights at the start are those of rank 0. What of a network depends on other
    samples of its batch, like batch normalisation, sees the share only (`SharedStep`).

    Parameters
    ----------
    network : TrainableNetwork
        Trained on its own device.
    train, validation : sequence of torch.Tensor
        What ``losses`` takes: for a decoder (codes, images), for an autoencoder (images,). All tensors of one
        have as many rows; the images may be uint8 and stay where they are.
    settings : TrainingSettings
    checkpoint : path-like, optional
        Written after each epoch and when stopped; an existing one of the same settings, sizes and data is taken
        up, to the same end as an unbroken run, on any number of ranks. Rank 0 reads and writes it.
    progress : callable, optional
        Called after each batch with a `TrainingProgress`; of several ranks, on those that give one.
    stop : callable, optional
        Asked between batches whether to stop, for example a `phasewave.runs.interrupt.StopRequest`. All ranks
        stop if one is to.
    ranks : Ranks
        The processes that share the work; alone by default. An error on one is raised on all.

    Raises
    ------
    ValueError
        If the data are empty or do not fit together, the checkpoint belongs to another training, ranks have
        other data or settings than rank 0, or there are more ranks than samples in a batch.
    FloatingPointError
        If a loss is not finite.
    """
    for name, parts in (("train", train), ("validation", validation)):
        sizes = [len(part) for part in parts]
        if not sizes or min(sizes) != max(sizes) or min(sizes) < 1:
            fail(name, "be tensors of one number of rows >= 1", sizes)
    if len(train[0]) < 2:
        fail("train", "hold at least 2 samples", len(train[0]))
    if ranks.size > min(len(train[0]), settings.batch_size):
        fail("ranks", f"be at most the {min(len(train[0]), settings.batch_size)} samples of a batch", ranks.size)
    training = _Training(network, settings, ranks)
    path = None if checkpoint is None else Path(checkpoint)
    stored = {
        **asdict(settings),
        "weights": n_parameters(network),
        "data": [[_fingerprint(part) for part in parts] for parts in (train, validation)],
    }
    different = differences(ranks.agree(lambda: stored), stored)
    if ranks.any(bool(different)):
        raise ValueError(f"every rank needs the data and settings of rank 0: {'; '.join(different) or 'not so'}")

    def start() -> dict[str, Any] | None:
        if path is not None and path.exists():
            return load_checkpoint(path, settings=stored)
        return None if ranks.size == 1 else _moved(training.state(), "cpu")

    begun = ranks.agree(start)
    if begun is not None:
        training.restore(_moved(begun, training.device))

    def save() -> None:
        if path is not None:
            ranks.agree(lambda: save_checkpoint(path, training.state(), settings=stored))

    end = training.end()
    while end is None:
        if not training.epoch(train, progress=progress, stop=stop):
            save()
            end = TrainingEnd.INTERRUPTED
            break
        training.validate(validation, len(train[0]))
        save()
        end = training.end()
    training.finish()
    history = tuple((row[0], row[1]) for row in training.history)
    return TrainingResult(end, training.best_epoch, training.least, history)


def hold_out(n: int, *, fraction: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted positions of training and of validation samples, for sets without a validation split.

    Raises
    ------
    ValueError
        If ``n`` is under 3 or ``fraction`` not between 0 and 1.
    """
    integer("n", n, minimum=3)
    if not 0 < fraction < 1:
        fail("fraction", "lie between 0 and 1", fraction)
    order = np.random.default_rng(seed).permutation(n)
    n_out = min(max(1, round(fraction * n)), n - 2)
    return np.sort(order[n_out:]), np.sort(order[:n_out])


class _Training:
    """The state of a training, from batch to batch."""

    _NUMBERS = ("history", "best_epoch", "least", "falls", "last_change", "position", "running", "n_steps")

    def __init__(self, network: TrainableNetwork, settings: TrainingSettings, ranks: Ranks) -> None:
        self.network, self.settings, self.ranks = network, settings, ranks
        self.device = next(network.parameters()).device
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        self.history: list[list[float]] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_epoch, self.least = 0, math.inf
        self.falls, self.last_change = 0, 0
        self.position, self.running = 0, 0.0  # within the epoch in work
        self.n_steps = 0
        self.average = [value.detach().clone() for value in network.parameters()] if settings.averaging else []

    def rate(self, part: float) -> float:
        """Return the learning rate after this part of the epoch in work."""
        if self.settings.schedule == "cosine":
            share = min(1.0, (len(self.history) + part) / self.settings.max_epochs)
            return self.settings.learning_rate * (1 + math.cos(math.pi * share)) / 2
        return self.settings.learning_rate / 5**self.falls

    def end(self) -> TrainingEnd | None:
        """Return why training is over, or None."""
        if self.falls > self.settings.n_falls:
            return TrainingEnd.SETTLED
        return TrainingEnd.MAX_EPOCHS if len(self.history) >= self.settings.max_epochs else None

    def epoch(
        self,
        parts: Sequence[torch.Tensor],
        *,
        progress: Callable[[TrainingProgress], None] | None,
        stop: Callable[[], bool] | None,
    ) -> bool:
        """Go on to the end of the epoch; False if stopped before."""
        self.network.train()
        done = len(self.history)
        n = len(parts[0])
        order = torch.randperm(n, generator=torch.Generator().manual_seed(self._seed(_ORDER, done)))
        batches = order.tensor_split(max(1, n // self.settings.batch_size))  # none much smaller than the others
        for number in range(self.position, len(batches)):
            if self.ranks.any(stop is not None and stop()):
                return False
            rows = batches[number]
            rate = self.rate(number / len(batches))
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            value = self._gradients(parts, rows, place=(_TRAINING, done, number))
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the training loss is {value} in epoch {done + 1}, batch {number + 1}: lower `learning_rate`"
                )
            self.optimizer.step()
            self._follow()
            self.running += value * len(rows)
            self.position = number + 1
            if progress is not None:
                seen = sum(len(batch) for batch in batches[: number + 1])
                progress(
                    TrainingProgress(
                        epoch=done + 1,
                        batch=number + 1,
                        n_batches=len(batches),
                        loss=self.running / seen,
                        validation=self.least,
                        since_best=done - self.best_epoch,
                        learning_rate=rate,
                    )
                )
        return True

    @torch.no_grad()
    def validate(self, parts: Sequence[torch.Tensor], n_trained: int) -> None:
        """Close the epoch: measure the validation loss, keep the best weights, lower the rate on a plateau."""
        self.network.eval()
        self._exchange()
        total, n = 0.0, len(parts[0])
        for number, rows in enumerate(torch.arange(n).split(self.settings.batch_size)):
            total += self._sum(parts, rows, place=(_VALIDATION, number))
        epoch = len(self.history) + 1
        self.history.append([self.running / n_trained, total / n])
        self.position, self.running = 0, 0.0
        if not math.isfinite(total):
            raise FloatingPointError(f"the validation loss is {total} in epoch {epoch}: lower `learning_rate`")
        if total / n < self.least:
            self.least, self.best_epoch, self.last_change = total / n, epoch, epoch
            self.best = {name: value.clone() for name, value in self.network.state_dict().items()}
        elif epoch - self.last_change >= self.settings.patience:
            self.falls, self.last_change = self.falls + 1, epoch
        self._exchange()

    def finish(self) -> None:
        """Leave the network with the best weights."""
        if self.best:
            self.network.load_state_dict(self.best)
        self.network.eval()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {
            "network": dict(self.network.state_dict()),
            "best": self.best,
            "average": self.average,
            "optimizer": [dict(self.optimizer.state.get(value, {})) for value in self.network.parameters()],
            **{name: getattr(self, name) for name in self._NUMBERS},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""
        self.network.load_state_dict(state["network"])
        self.best = dict(state["best"])
        self.average = list(state["average"])
        for value, slots in zip(self.network.parameters(), state["optimizer"], strict=True):
            if slots:  # the count of steps lives on the CPU, the averages where the weights do
                self.optimizer.state[value] = {**slots, "step": slots["step"].cpu()}
        for name in self._NUMBERS:
            setattr(self, name, state[name])

    @torch.no_grad()
    def _follow(self) -> None:
        """Take a step's weights into the running average."""
        kept = min(self.settings.averaging, (1 + self.n_steps) / (10 + self.n_steps))
        self.n_steps += 1
        for mean, value in zip(self.average, self.network.parameters(), strict=False):
            mean.lerp_(value, 1 - kept)

    @torch.no_grad()
    def _exchange(self) -> None:
        """Exchange the weights with their running average, if there is one."""
        for mean, value in zip(self.average, self.network.parameters(), strict=False):
            value_now = value.clone()
            value.copy_(mean)
            mean.copy_(value_now)

    def _gradients(self, parts: Sequence[torch.Tensor], rows: torch.Tensor, *, place: tuple[int, ...]) -> float:
        """Leave the gradients of a batch's mean loss in the network, and return that."""
        self.optimizer.zero_grad(set_to_none=True)
        weight = len(self.ranks.share(len(rows))) / len(rows)
        step = SharedStep(self.network, self.ranks)

        def work() -> torch.Tensor:
            loss = self._losses(parts, rows, place=place).mean() * weight
            loss.backward()
            return loss.detach()

        return step.combine(self.ranks.together(work), weight=weight)

    def _sum(self, parts: Sequence[torch.Tensor], rows: torch.Tensor, *, place: tuple[int, ...]) -> float:
        """Return the sum of the losses of a batch."""

        def work() -> torch.Tensor:
            if not self.ranks.share(len(rows)):  # the last batch may be smaller than the number of ranks
                return torch.zeros(())
            return self._losses(parts, rows, place=place).sum()

        return float(self.ranks.total(self.ranks.together(work)))

    def _losses(
        self, parts: Sequence[torch.Tensor], rows: torch.Tensor, *, place: tuple[int, ...]
    ) -> torch.Tensor:
        """Return the losses of this rank's rows of a batch; the random numbers are those of its place."""
        share = self.ranks.share(len(rows))
        own = rows[share.start : share.stop]
        batch = [part[own.to(part.device)].to(self.device) for part in parts]
        noise = BatchNoise(self._seed(*place), n_samples=len(rows), rows=share)
        half = self.settings.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            losses = self.network.losses(*batch, noise=noise)
        return losses.float() if half else losses

    def _seed(self, *place: int) -> int:
        """Return the seed of the random numbers of a place in the training: the same after a break."""
        seed = np.random.SeedSequence([self.settings.seed, *place]).generate_state(1, np.uint64)[0]
        return int(seed) % 2**63


def _moved(state: Any, device: torch.device | str) -> Any:
    """Return nested dicts and lists with their tensors on a device."""
    if isinstance(state, torch.Tensor):
        return state.to(device)
    if isinstance(state, Mapping):
        return {key: _moved(value, device) for key, value in state.items()}
    return [_moved(value, device) for value in state] if isinstance(state, list) else state


def _fingerprint(part: torch.Tensor) -> list[Any]:
    """Return what tells one tensor of data from another."""
    return [list(part.shape), str(part.dtype), byte_sum(part), byte_sum(part[0])]
