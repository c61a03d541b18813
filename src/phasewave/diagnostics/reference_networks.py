"""Small networks that the diagnostics are shown on, and their training: piecewise affine, seconds on one core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from phasewave.checks import fail, integer, real_field

AfterEpoch = Callable[[int, float], None]


def small_cnn(shape: Sequence[int], n_classes: int, *, width: int = 16, seed: int = 0) -> nn.Sequential:
    """Three 3 x 3 convolutions with batch normalisation and rectifiers, averaged over space; one linear layer.

    Parameters
    ----------
    shape : sequence of int
        (C, H, W) of an image, H and W at least 4.
    n_classes : int
        At least 2.
    width : int
        Channels of the first layer; the next have 2 and 4 times as many, and so many features go into the last.
    seed : int
        Of the weights; the global generator is left as it was.

    Returns
    -------
    torch.nn.Sequential
        As `phasewave.diagnostics.splines.AffineSpline` takes.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """
    n_channels, height, side = _image_shape(shape)
    integer("n_classes", n_classes, minimum=2)
    integer("width", width, minimum=1)
    if min(height, side) < 4:
        fail("shape", "be of 4 pixels a side or more", tuple(shape))
    layers: list[nn.Module] = []
    with seeded(seed):
        before = n_channels
        for octave in range(3):
            after = width << octave
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers.append(nn.AvgPool2d(2) if octave < 2 else nn.AdaptiveAvgPool2d(1))
            before = after
        layers += [nn.Flatten(), nn.Linear(before, n_classes)]
    return nn.Sequential(*layers)


def narrow_perceptron(
    shape: Sequence[int], n_classes: int, *, width: int = 16, n_hidden: int = 3, seed: int = 0
) -> nn.Sequential:
    """Few rectifiers a layer: a network whose partition of a plane can be seen.

    Parameters
    ----------
    shape : sequence of int
        (C, H, W) of an image.
    n_classes : int
        At least 2.
    width, n_hidden : int
        Units of a hidden layer, and hidden layers.
    seed : int
        Of the weights; the global generator is left as it was.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """
    n_channels, height, side = _image_shape(shape)
    integer("n_classes", n_classes, minimum=2)
    integer("width", width, minimum=1)
    integer("n_hidden", n_hidden, minimum=1)
    layers: list[nn.Module] = [nn.Flatten()]
    with seeded(seed):
        before = n_channels * height * side
        for _ in range(n_hidden):
            layers += [nn.Linear(before, width), nn.ReLU()]
            before = width
        layers.append(nn.Linear(before, n_classes))
    return nn.Sequential(*layers)


def train_classifier(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: int,
    learning_rate: float = 0.02,
    weight_decay: float = 5e-4,
    batch_size: int = 32,
    seed: int = 0,
    after: AfterEpoch | None = None,
) -> None:
    """Train a classifier in place: cross-entropy, Nesterov momentum 0.9, a rate that falls to 0 by a cosine.

    Parameters
    ----------
    network : torch.nn.Module
        Of images to scores; afterwards in evaluation mode.
    images : torch.Tensor (n, ...)
    labels : torch.Tensor (n,)
        int64.
    epochs : int
    learning_rate, weight_decay : float
    batch_size : int
        A last batch of less than half of it is left out of an epoch, but where it is the only one.
    seed : int
        Of the order of the images.
    after : callable, optional
        Called with the number of epochs done, from 1, and the mean loss of the last; the network is then in
        evaluation mode.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range, or there are fewer than two images.
    """
    real_field("images", images)
    integer("epochs", epochs, minimum=0)
    integer("batch_size", batch_size, minimum=2)
    if len(images) < 2 or len(labels) != len(images):
        fail("images", "be two or more, each with a label", f"{len(images)} images, {len(labels)} labels")
    generator = torch.Generator().manual_seed(seed)
    descent = torch.optim.SGD(
        network.parameters(), learning_rate, momentum=0.9, weight_decay=weight_decay, nesterov=True
    )
    whole, rest = divmod(len(images), batch_size)
    n_batches = max(1, whole + (2 * rest >= batch_size))
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(descent, max(1, epochs * n_batches))
    network.eval()
    for epoch in range(1, epochs + 1):
        network.train()
        total = torch.zeros((), device=images.device)
        order = torch.randperm(len(images), generator=generator).to(images.device)
        for batch in order.split(batch_size)[:n_batches]:
            loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
            descent.zero_grad()
            loss.backward()
            descent.step()
            rates.step()
            total += loss.detach()
        network.eval()
        if after is not None:
            after(epoch, float(total) / n_batches)


def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, batch_size: int = 256) -> float:
    """Return the share of images whose largest score is that of their label."""
    with torch.no_grad():
        found = [network(part).argmax(1) for part in images.split(batch_size)]
    return float((torch.cat(found) == labels).double().mean())


def _image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape) < 1:
        fail("shape", "be (C, H, W)", tuple(shape))
    return shape[0], shape[1], shape[2]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generator, from which layers draw their weights, in the block; put it back afterwards."""
    integer("seed", seed, minimum=0)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
