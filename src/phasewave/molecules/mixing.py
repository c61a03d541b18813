"""Which channels' fields must be computed; the others' are sums of them, as fields are linear in the charges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_ROUNDING = 1e-10
_CANCELLATION = 8.0  # by which rounding errors of a sum may grow


@dataclass(frozen=True)
class Source:
    """A channel whose fields are computed.

    Attributes
    ----------
    channel : int
    elements : slice
        Those of the elements present, in ascending order, from the first to the last that has a charge.
    """

    channel: int
    elements: slice


@dataclass(frozen=True, eq=False)
class Mixing:
    """Fields of the channels from those of the sources.

    Attributes
    ----------
    sources : tuple of Source
    matrix : numpy.ndarray
        float32 ``(n_channels, n_sources)``: a channel is the sum of the sources times its row.
    """

    sources: tuple[Source, ...]
    matrix: np.ndarray


def mixing(table: Tensor) -> Mixing:
    """Choose the sources: first the channels of fewest elements, as their sums have fewest atoms.

    A channel is a sum of sources only where rounding errors grow by less than 8.

    Parameters
    ----------
    table : torch.Tensor
        float64 ``(n_channels, n_elements)``: charges of the elements present, in ascending order.
    """
    sources: list[Source] = []
    matrix = table.new_zeros(len(table), len(table))
    for c in sorted(range(len(table)), key=lambda c: int((table[c] != 0).sum())):
        present = table[c].nonzero().flatten().tolist()
        if not present:
            continue
        size = float(table[c].abs().max())
        if sources:
            basis = table[[source.channel for source in sources]].T
            shares = torch.linalg.lstsq(basis, table[c], driver="gelsd").solution
            shares[shares.abs() < _ROUNDING] = 0.0
            is_sum = float((basis @ shares - table[c]).abs().max()) < _ROUNDING * size
            if is_sum and float((basis * shares).abs().sum(1).max()) < _CANCELLATION * size:
                matrix[c, : len(sources)] = shares
                continue
        matrix[c, len(sources)] = 1.0
        sources.append(Source(c, slice(present[0], present[-1] + 1)))
    return Mixing(tuple(sources), matrix[:, : len(sources)].float().numpy())
