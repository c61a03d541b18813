"""Covariances of the channels of every scale with those of the same and of the coarser scales, by Parseval."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from phasewave.turbulence.covariances import Shape
from phasewave.turbulence.pair_sums import cropped


class LayerCovariances:
    r"""All covariances at one point between two stacks of channels, one of each a scale.

    .. math:: C = \langle a\, \bar b \rangle = \sum_q \hat a_q\, \overline{\hat b_q}

    with spectra divided by the number of points of their grid and ``q`` the frequencies of the coarser grid:
    exact where ``b`` is band-limited to them. The finer scales are cropped step by step and one matrix product a
    scale serves all pairs.

    Parameters
    ----------
    n_scales : int
        Number of scales, from the finest.
    n_first, n_second : int
        Channels ``A`` and ``B`` of the two stacks at each scale.
    """

    def __init__(self, n_scales: int, n_first: int, n_second: int) -> None:
        self.n_scales, self.n_first, self.n_second = n_scales, n_first, n_second

    @property
    def n_covariances(self) -> int:
        """Number of covariances."""
        return self.n_scales * (self.n_scales + 1) // 2 * self.n_first * self.n_second

    def index(self, scale: int, first: int, coarser: int, second: int) -> int:
        """Where the covariance of a channel of a scale with one of the same or a coarser scale is."""
        before = coarser * (coarser + 1) // 2
        return ((before + scale) * self.n_first + first) * self.n_second + second

    def __call__(self, first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> torch.Tensor:
        """The covariances.

        Parameters
        ----------
        first, second : sequence of torch.Tensor
            Spectra of the channels of each scale over the number of their points, complex, shapes
            ``(n, A, *grid)`` and ``(n, B, *grid)``; the grids are those of a `Pyramid`, never finer than the
            one before.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(n, n_scales (n_scales + 1) / 2 * A * B)``, at the places `index`.
        """
        values = []
        held: list[torch.Tensor] = []
        for own, other in zip(first, second, strict=True):
            grid: Shape = (own.shape[-2], own.shape[-1])
            held = [*(cropped(spectrum, grid) for spectrum in held), own]
            stack = torch.cat(held, dim=1).flatten(2)
            values.append((stack @ other.flatten(2).mH).flatten(1))
        return torch.cat(values, dim=1)
