"""A small neural network on invariants: a ridge plus a residual multilayer perceptron of what the ridge leaves."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.molecules.regressor import EnergyRegressor, as_tensor, row_blocks
from phasewave.molecules.ridge import LeaveOneOutRidge
from phasewave.runs.checkpoint import load_checkpoint, save_checkpoint

Callback = Callable[[int, float, float], None]


class ResidualNetwork(nn.Module):
    """``h = W x``; ``h <- h + B silu(A norm(h))`` for each block; a linear read-out that starts at 0.

    Parameters
    ----------
    n_inputs, width, n_blocks : int
    """

    def __init__(self, n_inputs: int, width: int, n_blocks: int) -> None:
        super().__init__()
        self.enter = nn.Linear(n_inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(n_blocks)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.SiLU())
        self.read = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n,) values of rows (n, n_inputs)."""
        h = self.enter(x)
        for block in self.blocks:
            h = h + block(h)
        return self.read(self.leave(h))[:, 0]

    def reset(self, generator: torch.Generator) -> None:
        """Draw the weights anew: normal of variance 1 / inputs, biases and read-out 0, norms that do nothing."""
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            if isinstance(module, nn.Linear):
                with torch.no_grad():
                    draw = torch.randn(module.weight.shape, generator=generator)
                    module.weight.copy_(draw / module.in_features**0.5)
                    module.bias.zero_()
        nn.init.zeros_(self.read.weight)


class InvariantNetwork(EnergyRegressor):
    """A ridge on standardised columns plus a residual network fitted to what the ridge leaves.

    Trained with AdamW on the Huber loss (in units of the residual's deviation), a short linear rise and a
    cosine fall of the learning rate, an exponential average of the weights, and the epoch kept whose average
    has the least mean absolute error on rows held out. Trained in float32, used in float64.

    Parameters
    ----------
    width, n_blocks : int
        Of the network.
    epochs, batch_size : int
    learning_rate, weight_decay : float
    averaging : float
        Decay of the weight average, per step, in [0, 1).
    patience : int
        Epochs without a better validation error before training ends.
    validation_fraction : float
        Share of the rows held out.
    whitening : float
        Inputs are principal components over ``sqrt(variance + whitening * largest variance)``: collinear
        columns become independent ones, those of little variance stay small.
    device : str
        Where training runs.
    checkpoint : path-like, optional
        Written after every epoch; an existing one of the same settings and data is resumed, to the same end.
    callback : callable, optional
        Called with (epoch, learning rate, validation error) after every epoch.
    seed : int

    Attributes
    ----------
    linear_, intercept_ : ndarray, float
        The linear part: ``weights_`` and intercept of a `LeaveOneOutRidge` on the rows trained on, whose are
        ``columns_``, ``mean_`` and ``scale_`` too.
    history_ : ndarray (n_epochs, 2)
        Training loss and validation error (mean absolute, units of y) of each epoch.
    best_epoch_ : int
    """

    _learned = (
        "columns_",
        "mean_",
        "scale_",
        "linear_",
        "intercept_",
        "rotation_",
        "spread_",
        "parameters_",
        "history_",
        "best_epoch_",
    )
    _transient = ("checkpoint", "callback")

    def __init__(
        self,
        *,
        width: int = 256,
        n_blocks: int = 3,
        epochs: int = 200,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        averaging: float = 0.99,
        patience: int = 50,
        validation_fraction: float = 0.1,
        whitening: float = 1e-4,
        device: str = "cpu",
        checkpoint: str | os.PathLike[str] | None = None,
        callback: Callback | None = None,
        seed: int = 0,
    ) -> None:
        self.width = width
        self.n_blocks = n_blocks
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.averaging = averaging
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.whitening = whitening
        self.device = device
        self.checkpoint = checkpoint
        self.callback = callback
        self.seed = seed

    def fit(self, X: Any, y: Any) -> InvariantNetwork:
        """Fit to rows (n, n_features) and targets (n,).

        Raises
        ------
        ValueError
            If the data are not finite or do not fit together, a parameter is out of range, or the checkpoint
            belongs to other settings or data.
        """
        self._check_parameters()
        X, y = self._training(X, y)
        X = X[:] if isinstance(X, h5py.Dataset) else X
        order = np.random.default_rng(self.seed).permutation(len(y))
        n_out = min(max(1, round(self.validation_fraction * len(y))), len(y) - 1)
        out, inside = np.sort(order[:n_out]), np.sort(order[n_out:])
        self._fit_linear(X[inside], y[inside])
        rest = y - np.concatenate([self._linear_part(block) for block in row_blocks(X)])
        self.spread_ = float(rest[inside].std()) or 1.0
        inputs = torch.cat([self._inputs(torch.from_numpy(block)).float() for block in row_blocks(X)])
        targets = torch.from_numpy(rest / self.spread_).float()
        device = torch.device(self.device)
        training = _Training(self, inputs.shape[1], device)
        parts = [tensor[index].to(device) for index in (inside, out) for tensor in (inputs, targets)]
        training.run(parts, fingerprint=[len(y), float(y.sum()), float(inputs.double().sum())])
        self.parameters_ = {name: value.double().cpu().numpy() for name, value in training.best.items()}
        self.history_ = np.array(training.history).reshape(-1, 2) * [1.0, self.spread_]
        self.best_epoch_ = training.best_epoch
        return self

    def energies(self, X: torch.Tensor) -> torch.Tensor:
        """Return the predictions (n,) of rows (n, n_features), float64 and differentiable."""
        parameters = {name: as_tensor(value, X) for name, value in self.parameters_.items()}
        with torch.device("meta"):
            network = ResidualNetwork(self.rotation_.shape[1], self.width, self.n_blocks)
        rest = torch.func.functional_call(network, parameters, (self._inputs(X),), strict=True)
        linear = self._standardised(X) @ as_tensor(self.linear_, X) + self.intercept_
        return linear + rest * self.spread_

    def _inputs(self, X: torch.Tensor) -> torch.Tensor:
        return self._standardised(X) @ as_tensor(self.rotation_, X)

    def _linear_part(self, block: np.ndarray) -> np.ndarray:
        rows = (block[:, self.columns_] - self.mean_) / self.scale_
        return rows @ self.linear_ + self.intercept_

    def _fit_linear(self, X: np.ndarray, y: np.ndarray) -> None:
        ridge = LeaveOneOutRidge().fit(X, y)
        self.columns_, self.mean_, self.scale_ = ridge.columns_, ridge.mean_, ridge.scale_
        self.linear_, self.intercept_ = ridge.weights_, ridge.intercept_
        covariance = np.zeros((len(self.columns_), len(self.columns_)))
        for block in row_blocks(X):
            rows = (block[:, self.columns_] - self.mean_) / self.scale_
            covariance += rows.T @ rows
        values, vectors = np.linalg.eigh(covariance / len(y))
        floor = self.whitening * (values[-1] if len(values) else 0.0)
        kept = values > max(1e-3 * floor, 1e-10)
        self.rotation_ = np.ascontiguousarray(vectors[:, kept] / np.sqrt(values[kept] + floor))

    def _check_parameters(self) -> None:
        for name in ("width", "n_blocks", "epochs", "batch_size", "patience"):
            integer(name, getattr(self, name), minimum=1)
        for name in ("validation_fraction", "learning_rate"):
            if not 0 < getattr(self, name) < 1:
                fail(name, "lie between 0 and 1", getattr(self, name))
        if not 0 <= self.averaging < 1:
            fail("averaging", "lie in [0, 1)", self.averaging)
        for name in ("weight_decay", "whitening"):
            if not 0 <= getattr(self, name) < np.inf:
                fail(name, "be a finite number >= 0", getattr(self, name))


class _Training:
    """The state of a training run, from epoch to epoch."""

    def __init__(self, model: InvariantNetwork, n_inputs: int, device: torch.device) -> None:
        self.model, self.device = model, device
        with torch.device("meta"):  # its own draw of weights would move the global generator
            self.network = ResidualNetwork(n_inputs, model.width, model.n_blocks)
        self.network.to_empty(device="cpu")
        self.network.reset(torch.Generator().manual_seed(model.seed))
        self.network.to(device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=model.learning_rate, weight_decay=model.weight_decay
        )
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.best = self.average
        self.best_epoch, self.least = 0, float("inf")
        self.history: list[tuple[float, float]] = []

    def run(self, parts: list[torch.Tensor], *, fingerprint: list[float]) -> None:
        """Train on (inputs, targets, inputs held out, targets held out)."""
        parameters = self.model.get_params(deep=False)
        settings = {k: v for k, v in parameters.items() if k not in (*self.model._transient, "device")}
        settings["data"] = fingerprint
        path = None if self.model.checkpoint is None else Path(self.model.checkpoint)
        if path is not None and path.exists():
            self._restore(load_checkpoint(path, settings=settings, device=self.device))
        while len(self.history) < self.model.epochs:
            epoch = len(self.history)
            if epoch - self.best_epoch >= self.model.patience:
                break
            loss = self._epoch(epoch, *parts[:2])
            error = self._error(*parts[2:])
            self.history.append((loss, error))
            if error < self.least:
                self.best = {name: value.clone() for name, value in self.average.items()}
                self.least, self.best_epoch = error, epoch + 1
            if path is not None:
                save_checkpoint(path, self._state(), settings=settings)
            if self.model.callback is not None:
                rate = self.optimizer.param_groups[0]["lr"]
                self.model.callback(epoch + 1, rate, error * self.model.spread_)

    def _epoch(self, epoch: int, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        generator = torch.Generator().manual_seed((self.model.seed * 1_000_003 + epoch) % 2**63)
        batches = torch.randperm(len(targets), generator=generator).split(self.model.batch_size)
        total = torch.zeros((), device=self.device)
        for number, batch in enumerate(batches):
            self._set_rate(epoch + number / len(batches))
            rows = batch.to(self.device)
            self.optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.huber_loss(self.network(inputs[rows]), targets[rows], delta=0.5)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            total += loss.detach() * len(batch)
            with torch.no_grad():
                # early averages forget their start
                step = epoch * len(batches) + number
                decay = min(self.model.averaging, (1 + step) / (10 + step))
                for name, value in self.network.state_dict().items():
                    self.average[name].lerp_(value, 1 - decay)
        return float(total) / len(targets)

    def _set_rate(self, time: float) -> None:
        share = time / self.model.epochs
        rise = min(1.0, (share + 1e-3) / 0.03)
        for group in self.optimizer.param_groups:
            group["lr"] = self.model.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * share))

    @torch.no_grad()
    def _error(self, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        total = 0.0
        for rows, wanted in zip(inputs.split(8192), targets.split(8192), strict=True):
            found = torch.func.functional_call(self.network, self.average, (rows,))
            total += float((found - wanted).abs().sum())
        return total / len(targets)

    def _state(self) -> dict[str, Any]:
        slots = [dict(self.optimizer.state[value]) for value in self.network.parameters()]
        return {
            "network": dict(self.network.state_dict()),
            "average": self.average,
            "best": self.best,
            "optimizer": slots,
            "best_epoch": self.best_epoch,
            "least": self.least,
            "history": [list(row) for row in self.history],
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        for value, slots in zip(self.network.parameters(), state["optimizer"], strict=True):
            self.optimizer.state[value] = {name: slot.to(self.device) for name, slot in slots.items()}
            self.optimizer.state[value]["step"] = slots["step"].cpu()
        self.average, self.best = dict(state["average"]), dict(state["best"])
        self.best_epoch, self.least = state["best_epoch"], state["least"]
        self.history = [(row[0], row[1]) for row in state["history"]]
