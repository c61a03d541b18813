"""The judge of the two-sample test: a small convolutional network that tells real patches from synthetic ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from phasewave import checks

_CHANNELS = (16, 32, 64)
_SEEN = (  # the value, its two differences and its Laplacian, as 3 x 3 kernels
    ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
    ((0, 0, 0), (0, -1, 1), (0, 0, 0)),
    ((0, 0, 0), (0, -1, 0), (0, 1, 0)),
    ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
)
_LEARNING_RATE, _WEIGHT_DECAY, _WARM_UP = 3e-3, 1e-3, 0.1
_SMALLEST = 20  # the convolutions leave one pixel of it
_AT_ONCE = 256  # patches answered at a time


@dataclass(frozen=True)
class Judge:
    """How long and on what a judge is trained.

    Parameters
    ----------
    patch_size : int >= 20
        Side of the square patches that it sees, in pixels.
    n_steps : int >= 1
        Training steps.
    batch_size : int >= 1
        Real patches in a step, and as many synthetic ones.
    augment : bool
        Flip the training patches of both classes at random, and turn them by multiples of 90 degrees. Only for
        processes whose statistics do not change so: of others it hides differences from the judge.

    Raises
    ------
    TypeError, ValueError
        If a number is no integer or too small.
    """

    patch_size: int
    n_steps: int
    batch_size: int = 32
    augment: bool = False

    def __post_init__(self) -> None:
        checks.integer("patch_size", self.patch_size, minimum=_SMALLEST)
        checks.integer("n_steps", self.n_steps, minimum=1)
        checks.integer("batch_size", self.batch_size, minimum=1)


WEAK, STRONG = Judge(patch_size=32, n_steps=300), Judge(patch_size=48, n_steps=900)


def train_judge(real: Tensor, synthetic: Tensor, judge: Judge, *, generator: torch.Generator) -> nn.Module:
    """Train a network to answer more than 0 for real patches and less for synthetic ones.

    The network sees the value, its two differences and its Laplacian, each at unit variance: in fields of steep
    spectrum the fine structure is a small part of the value. Then come three 3 x 3 convolutions (16, 32, 64
    channels, 2.4e4 weights), each with batch normalisation and a rectifier, the maximum over 2 x 2 pixels between
    them, the mean over the patch, and a linear unit. Logistic loss on random patches, half of them real; AdamW,
    its rate rising over a tenth of the steps, then falling as a cosine.

    Parameters
    ----------
    real, synthetic : Tensor (n, H, W), float32
        Standardised training parts of the fields, at least a patch high and wide.
    judge : Judge
    generator : torch.Generator
        On the CPU; source of the initial weights, the places of the patches, and their flips and turns.

    Returns
    -------
    nn.Module
        (n, 1, patch, patch) -> (n, 1), in evaluation mode.
    """
    network = _network(generator).to(real.device).train()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    truth = torch.cat([torch.ones(judge.batch_size, 1), torch.zeros(judge.batch_size, 1)]).to(real)
    with torch.enable_grad():
        for step in range(judge.n_steps):
            for group in optimiser.param_groups:
                group["lr"] = _LEARNING_RATE * _schedule((step + 1) / judge.n_steps)
            patches = torch.cat([_draw(x, judge, generator) for x in (real, synthetic)])
            optimiser.zero_grad()
            functional.binary_cross_entropy_with_logits(network(patches), truth).backward()
            optimiser.step()
    return network.eval()


def answers(network: nn.Module, fields: Tensor, patch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a network's answers on patches every quarter of a patch, the last row and column included.

    Parameters
    ----------
    network : nn.Module
        From ``train_judge``.
    fields : Tensor (n, H, W), float32

    Returns
    -------
    answers : Tensor (n, rows, columns)
    rows, columns : Tensor (rows,), Tensor (columns,), int64
        Where the patches begin.
    """
    places = [_every(n - patch, max(1, patch // 4)) for n in fields.shape[1:]]
    n, (rows, columns) = len(fields), places
    index = torch.cartesian_prod(torch.arange(n), rows, columns)
    with torch.no_grad():
        found = [network(_patches(fields, some, patch)) for some in index.split(_AT_ONCE)]
    return torch.cat(found).reshape(n, len(rows), len(columns)), rows, columns


def _network(generator: torch.Generator) -> nn.Sequential:
    seen = skip_init(nn.Conv2d, 1, len(_SEEN), 3, bias=False).requires_grad_(False)
    seen.weight.copy_(torch.tensor(_SEEN)[:, None])
    layers: list[nn.Module] = [seen, nn.BatchNorm2d(len(_SEEN), affine=False)]
    n_in = len(_SEEN)
    for n_out in _CHANNELS:
        layer = skip_init(nn.Conv2d, n_in, n_out, 3, bias=False)
        layer.weight.data.normal_(0, math.sqrt(2 / (9 * n_in)), generator=generator)
        layers += [layer, nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)]
        n_in = n_out
    layers.pop()
    last = skip_init(nn.Linear, _CHANNELS[-1], 1)
    last.weight.data.normal_(0, math.sqrt(1 / _CHANNELS[-1]), generator=generator)
    last.bias.data.zero_()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


def _schedule(share: float) -> float:
    """Return the learning rate after a share of the steps, relative to its maximum."""
    if share <= _WARM_UP:
        return share / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP)))


def _draw(fields: Tensor, judge: Judge, generator: torch.Generator) -> Tensor:
    """Return random patches of random fields: (batch_size, 1, patch, patch)."""
    sizes = (len(fields), *(n - judge.patch_size + 1 for n in fields.shape[1:]))
    index = torch.stack([torch.randint(n, (judge.batch_size,), generator=generator) for n in sizes], 1)
    patches = _patches(fields, index, judge.patch_size)
    if not judge.augment:
        return patches
    flip, turns = (torch.randint(n, (judge.batch_size,), generator=generator).tolist() for n in (2, 4))
    moved = [x.flip(-1) if f else x for x, f in zip(patches, flip, strict=True)]
    return torch.stack([x.rot90(k, (-2, -1)) for x, k in zip(moved, turns, strict=True)])


def _patches(fields: Tensor, index: Tensor, patch: int) -> Tensor:
    """Return the patches that begin at (field, row, column): (n, 1, patch, patch)."""
    number, row, column = index.to(fields.device).T
    reach = torch.arange(patch, device=fields.device)
    rows, columns = row[:, None, None] + reach[:, None], column[:, None, None] + reach
    return fields[number[:, None, None], rows, columns][:, None]


def _every(last: int, step: int) -> Tensor:
    """Return about every step-th integer from 0 to ``last``, both included."""
    return torch.linspace(0, last, math.ceil(last / step) + 1, dtype=torch.float64).round().long()
