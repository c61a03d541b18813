"""Where in an image the entries of its code lie: their share in what the code says of each node of a grid."""

from __future__ import annotations

import math

import torch
from torch import nn

from phasewave.images.encoder import ScatteringEncoder

_LEAST = 1e-6  # of the largest variance of a local channel: below, it is no channel


def node_grid(encoder: ScatteringEncoder) -> tuple[int, int]:
    """Return the nodes along the height and the width: one for each block of ``2 average`` pixels a side."""
    height, width = (-(-side // (2 * encoder.average)) for side in encoder.size)
    return height, width


def n_nodes(encoder: ScatteringEncoder) -> int:
    """Return the number of nodes of `node_grid`."""
    return math.prod(node_grid(encoder))


def node_axes(encoder: ScatteringEncoder, n_channels: int) -> torch.Tensor:
    r"""Return the functions of a code that are its local channels at each node.

    A code says of the averages :math:`\mathrm{avg}(Ux) - m = \Lambda^{1/2} V_d\, w`. Those of a node, of all
    scales and with equal weight to each scale, are turned to the principal axes that they have in common over all
    nodes, and the leading ones are taken at variance 1 for white ``w``.

    Parameters
    ----------
    encoder : ScatteringEncoder
        Fitted.
    n_channels : int
        Of each node; those that codes do not fill are 0.

    Returns
    -------
    torch.Tensor
        ``(nodes, n_channels, n_entries)``, on the encoder's device; 0 for brightness and contrast.

    Raises
    ------
    ValueError
        If the encoder is not fitted.
    """
    fields = [
        _at_nodes(field.movedim(0, -1).double(), node_grid(encoder)) for field in encoder.averages_of_entries()
    ]
    rows = torch.cat([field / field.square().sum(-1).mean().sqrt().clamp_min(1e-12) for field in fields], 1)
    values, vectors = torch.linalg.eigh(torch.einsum("nkd,nld->kl", rows, rows) / len(rows))
    chosen = vectors[:, values > _LEAST * values[-1]].flip(1)[:, :n_channels]
    local = torch.einsum("nkd,kc->ncd", rows, chosen)
    local = local / local.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-12)
    unfilled = (0, encoder.n_entries - local.shape[2], 0, n_channels - local.shape[1])
    return nn.functional.pad(local, unfilled).to(encoder.axes_)


def _at_nodes(field: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """``(K, h, w, d)`` to ``(nodes, K r s, d)``: the samples of a node's block, or the one it lies in."""
    for axis, n in enumerate(grid, start=1):
        have = field.shape[axis]
        if have < n:
            field = field.index_select(axis, torch.arange(n, device=field.device) * have // n)
        elif have % n:
            field = _widened(field, axis, -have % n)
    k, height, width, d = field.shape
    r, s = height // grid[0], width // grid[1]
    cells = field.reshape(k, grid[0], r, grid[1], s, d)
    return cells.permute(1, 3, 0, 2, 4, 5).reshape(math.prod(grid), k * r * s, d)


def _widened(field: torch.Tensor, axis: int, n: int) -> torch.Tensor:
    """The last samples along an axis again, n times."""
    return torch.cat([field, *[field.narrow(axis, -1, 1)] * n], axis)
