"""Representations as rows: of any callable in batches, at any layer of a network, at every depth of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from phasewave.checks import fail, integer, real_field

Representation = Callable[[torch.Tensor], torch.Tensor]


def represent(representation: Representation, inputs: torch.Tensor, *, batch_size: int = 256) -> torch.Tensor:
    """Rows of a representation: ``representation(inputs)``, in batches, without gradients, flattened.

    A module is used in its evaluation mode and given back in the mode it was in.

    Parameters
    ----------
    representation : callable
        Of (n, ...) to (n, ...), real or complex; complex values become real and imaginary parts.
    inputs : torch.Tensor (n, ...)
        At least one.
    batch_size : int

    Returns
    -------
    torch.Tensor (n, p)
        On the device of the outputs.

    Raises
    ------
    TypeError, ValueError
        If ``inputs`` is not such a tensor, or the representation does not return one output per input.

    Notes
    -----
    Cost: one pass; memory of one batch and of the rows.
    """
    real_field("inputs", inputs)
    integer("batch_size", batch_size, minimum=1)
    if inputs.ndim < 1 or len(inputs) < 1:
        fail("inputs", "have the shape (n >= 1, ...)", tuple(inputs.shape))
    with torch.no_grad(), _evaluating(representation):
        parts = [_rows(representation(part), len(part)) for part in inputs.split(batch_size)]
    return torch.cat(parts)


def layer_inputs(
    network: nn.Module, layer: nn.Module, inputs: torch.Tensor, *, batch_size: int = 256
) -> torch.Tensor:
    """Rows that ``layer`` receives when ``network`` reads ``inputs``: with the last linear layer, its features.

    Parameters
    ----------
    network : torch.nn.Module
    layer : torch.nn.Module
        A part of ``network`` that runs once in a forward pass.
    inputs : torch.Tensor (n, ...)
    batch_size : int

    Returns
    -------
    torch.Tensor (n, p)

    Raises
    ------
    ValueError
        If ``layer`` is not a part of ``network`` or does not run exactly once a pass.

    Notes
    -----
    Cost: one pass of the whole network.
    """
    if all(module is not layer for module in network.modules()):
        fail("layer", "be a part of `network`", type(layer).__name__)
    seen: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))

    def received(x: torch.Tensor) -> torch.Tensor:
        seen.clear()
        network(x)
        if len(seen) != 1:
            fail("layer", "run once in a pass of `network`", f"{len(seen)} runs")
        return seen[0]

    try:
        with _evaluating(network):
            return represent(received, inputs, batch_size=batch_size)
    finally:
        handle.remove()


def depths(network: nn.Sequential, *, after: tuple[type[nn.Module], ...] | None = None) -> list[nn.Sequential]:
    """The networks made of the first layers of a sequence, one for each depth; they share its weights.

    Parameters
    ----------
    network : torch.nn.Sequential
    after : tuple of types, optional
        Depths count after layers of these types only, e.g. ``(torch.nn.ReLU,)``; without it, after every layer.

    Returns
    -------
    list of torch.nn.Sequential

    Raises
    ------
    TypeError
        If it is not a ``torch.nn.Sequential``.
    ValueError
        If no layer is of these types.

    Notes
    -----
    Cost: none, but that each of them runs all layers before its last.
    """
    if not isinstance(network, nn.Sequential):
        raise TypeError(f"`network` must be a torch.nn.Sequential, got {type(network).__name__}")
    layers = list(network)
    stops = [k for k, layer in enumerate(layers, 1) if after is None or isinstance(layer, after)]
    if not stops:
        fail("after", "be types of some layers of `network`", after)
    return [nn.Sequential(*layers[:k]) for k in stops]


def check_labelled(
    name: str, rows: torch.Tensor, labels: torch.Tensor, *, least: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows (n, p) in float64 and labels (n,) in int64 on the same device, if they are such.

    Raises
    ------
    TypeError, ValueError
        If they are not, or there are fewer than ``least`` rows.

    Notes
    -----
    Cost: one copy.
    """
    real_field(name, rows)
    if rows.ndim != 2 or len(rows) < least:
        fail(name, f"have the shape (n >= {least}, p)", tuple(rows.shape))
    if not isinstance(labels, torch.Tensor) or labels.is_floating_point() or labels.is_complex():
        kind = labels.dtype if isinstance(labels, torch.Tensor) else type(labels).__name__
        raise TypeError(f"labels of `{name}` must be an integer tensor, got {kind}")
    if tuple(labels.shape) != (len(rows),):
        fail(f"labels of `{name}`", f"have the shape ({len(rows)},)", tuple(labels.shape))
    return rows.detach().double(), labels.to(rows.device, torch.int64)


@contextmanager
def _evaluating(representation: Representation) -> Iterator[None]:
    modules = list(representation.modules()) if isinstance(representation, nn.Module) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _rows(outputs: torch.Tensor, number: int) -> torch.Tensor:
    if not isinstance(outputs, torch.Tensor) or outputs.ndim < 1 or len(outputs) != number:
        got = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        fail("representation", f"return {number} outputs for {number} inputs", got)
    outputs = outputs.detach()
    return (torch.view_as_real(outputs) if outputs.is_complex() else outputs).reshape(number, -1)
