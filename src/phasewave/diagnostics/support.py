"""Local support vectors: the samples that the labels of their nearest neighbours contradict."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from phasewave.checks import fail, integer
from phasewave.diagnostics.representations import check_labelled

_ROWS = 1024


@dataclass(frozen=True)
class LocalSupport:
    r"""Local support vectors of a set of n samples.

    Attributes
    ----------
    sizes : tuple of int
        :math:`|\Gamma^1|, \dots, |\Gamma^K|`, never increasing.
    fractions : tuple of float
        The same over n.
    order : torch.Tensor (n,)
        int64, for each sample the largest k with the sample in :math:`\Gamma^k`; 0 outside :math:`\Gamma^1`.
    """

    sizes: tuple[int, ...]
    fractions: tuple[float, ...]
    order: torch.Tensor

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        return {"sizes": list(self.sizes), "fractions": list(self.fractions)}


def local_support(rows: torch.Tensor, labels: torch.Tensor, *, n_neighbours: int = 7) -> LocalSupport:
    r"""Local support vectors of a representation.

    With :math:`x^{(l)}` the l-th nearest other sample of x,

    .. math::
        \Gamma^1 = \{x : y(x^{(1)}) \ne y(x)\}, \qquad
        \Gamma^{k+1} = \{x \in \Gamma^k : \#\{l \le k+1 : y(x^{(l)}) \ne y(x)\} > (k+1)/2\}.

    Fewer of them means classes that are locally better separated.

    Parameters
    ----------
    rows : torch.Tensor (n, p)
        A representation of n samples, more than ``n_neighbours``.
    labels : torch.Tensor (n,)
        Integers.
    n_neighbours : int
        K, the largest k.

    Returns
    -------
    LocalSupport

    Raises
    ------
    TypeError, ValueError
        If shapes or dtypes are wrong or samples too few.

    Notes
    -----
    :math:`|\Gamma^{2m}| = |\Gamma^{2m+1}|` exactly: a majority among 2m holds m + 1, a majority among 2m + 1 too.
    For labels that are fair coins the fractions are :math:`\binom{k-1}{\lfloor (k-1)/2 \rfloor} 2^{-k}`: 1/2, 1/4,
    1/4, 3/16, the walks that stay positive. Cost: n^2 p, in float64, blocks of 1024 rows.

    References
    ----------
    Oyallon, "Building a regular decision boundary with deep networks", CVPR 2017.
    """
    integer("n_neighbours", n_neighbours, minimum=1)
    rows, labels = check_labelled("rows", rows, labels, least=n_neighbours + 1)
    foreign = (labels[neighbours(rows, n_neighbours=n_neighbours)] != labels[:, None]).long()
    counts = torch.arange(1, n_neighbours + 1, device=rows.device)
    majority = 2 * foreign.cumsum(1) > counts
    order = majority.long().cumprod(1).sum(1)
    sizes = tuple(int((order >= k).sum()) for k in range(1, n_neighbours + 1))
    return LocalSupport(sizes, tuple(size / len(rows) for size in sizes), order)


def neighbours(rows: torch.Tensor, *, n_neighbours: int) -> torch.Tensor:
    """Which other rows are the nearest ones of each row, by Euclidean distance; ties go to the lower index.

    Parameters
    ----------
    rows : torch.Tensor (n, p)
    n_neighbours : int
        K < n.

    Returns
    -------
    torch.Tensor (n, K)
        int64, nearest first, never the row itself.

    Raises
    ------
    TypeError, ValueError
        If rows are too few.

    Notes
    -----
    Distances come from products of matrices about the mean row, in float64: they resolve 1e-8 of the spread, and
    ties that are closer than that may go either way. Cost: n^2 p.
    """
    integer("n_neighbours", n_neighbours, minimum=1)
    if rows.ndim != 2 or len(rows) <= n_neighbours:
        fail("rows", f"have the shape (n > {n_neighbours}, p)", tuple(rows.shape))
    rows = rows.detach().double()
    rows = rows - rows.mean(0)
    norms = rows.square().sum(1)
    parts = []
    for start in range(0, len(rows), _ROWS):
        block = norms - 2 * rows[start : start + _ROWS] @ rows.mT
        own = torch.arange(len(block), device=rows.device)
        block[own, own + start] = torch.inf
        parts.append(block.sort(dim=1, stable=True).indices[:, :n_neighbours])
    return torch.cat(parts)
