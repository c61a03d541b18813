"""Scattering by general frames: any filters, Lipschitz non-linearities and pooling, with the bound they owe."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import nn

from phasewave.checks import fail, integer, real_dtype, real_field
from phasewave.core.fourier import Band, Support
from phasewave.core.grids import signed_frequencies
from phasewave.scattering.decimation import Pooling
from phasewave.scattering.frame import Frame
from phasewave.scattering.nonlinearities import MODULUS, NonLinearity

ROUNDING = 1e-12
"""Relative excess of a bound over the admissible one that counts as rounding."""


@dataclass(frozen=True)
class FrameLayer:
    r"""One layer :math:`U f = S^{d/2}\, P(M(f * g_\lambda))(S \cdot)`, with the output :math:`f * \chi` before it.

    Attributes
    ----------
    frame : Frame
        Atoms and output atom on the grid of the layer's input.
    nonlinearity : NonLinearity
        ``M``.
    pooling : Pooling
        ``P`` and ``S``.
    """

    frame: Frame
    nonlinearity: NonLinearity = MODULUS
    pooling: Pooling = field(default_factory=Pooling)


@dataclass(frozen=True)
class LayerBounds:
    r"""What decides whether a layer is admissible, :math:`B \le \min(1, L^{-2} R^{-2})`.

    Attributes
    ----------
    frame : float
        Upper frame bound ``B``, of real fields where the layer's input is real.
    nonlinearity : float
        Lipschitz constant ``L``.
    pooling : float
        Lipschitz constant ``R``.
    """

    frame: float
    nonlinearity: float
    pooling: float

    @property
    def limit(self) -> float:
        """Largest admissible frame bound."""
        return min(1.0, (self.nonlinearity * self.pooling) ** -2)

    @property
    def admissible(self) -> bool:
        """Whether the frame bound is within the limit, up to rounding."""
        return self.frame <= self.limit * (1 + ROUNDING)


class FrameScattering(nn.Module):
    r"""Feature extractor of layers of general frames.

    .. math::
        \Phi^n f = \{ (U_n \cdots U_1 f) * \chi_n \}, \qquad
        U_n f = S_n^{d/2}\, P_n(M_n(f * g_{\lambda_n}))(S_n \cdot)

    over all paths :math:`(\lambda_1, \dots, \lambda_n)`; the last order is what the last layer propagates, whole.
    If every layer is admissible, :math:`B_n \le \min(1, L_n^{-2} R_n^{-2})`, then
    :math:`|||\Phi f - \Phi h||| \le \|f - h\|`, and features of depth n move little with translations
    (`translation_bound`). With Parseval frames, a modulus or rectified phases and no pooling,
    :math:`|||\Phi f||| = \|f\|`.

    Parameters
    ----------
    layers : sequence of FrameLayer
        Each frame on the grid that the layer before it leaves.
    require_admissible : bool
        Refuse layers that are not.
    dtype : torch.dtype
        float32 or float64.

    Attributes
    ----------
    shape : tuple of int
        Height and width of the fields.
    grids : tuple of tuple of int
        Grid of each order.
    bounds : tuple of LayerBounds
        One a layer.

    Raises
    ------
    TypeError, ValueError
        If a grid does not follow the one before, a real non-linearity meets complex values, or a layer is not
        admissible.

    Notes
    -----
    All paths at once: cost and memory grow with the product of the numbers of atoms.

    References
    ----------
    Wiatowski, Boelcskei, "A mathematical theory of deep convolutional neural networks for feature extraction",
    IEEE Trans. Information Theory 64 (2018).
    """

    def __init__(
        self, layers: Sequence[FrameLayer], *, require_admissible: bool = True, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        real_dtype("dtype", dtype)
        self.layers = tuple(layers)
        if not self.layers:
            fail("layers", "hold at least one layer", self.layers)
        grids, bounds, takes_real = [self.layers[0].frame.shape], [], True
        self.outputs, self.filters, self.pools = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for number, layer in enumerate(self.layers, 1):
            frame, grid = layer.frame, grids[-1]
            if frame.shape != grid:
                fail("layers", f"have a frame on the grid {grid} in layer {number}", frame.shape)
            given_complex = not (takes_real and frame.real)
            if given_complex and not layer.nonlinearity.complex_input:
                raise ValueError(
                    f"`layers` must have real filters and a real input in layer {number}: its"
                    " non-linearity takes no complex coefficients"
                )
            upper = frame.bounds(of_real=takes_real)[1]
            bounds.append(LayerBounds(upper, layer.nonlinearity.lipschitz, layer.pooling.lipschitz(grid)))
            if require_admissible and not bounds[-1].admissible:
                raise ValueError(_refusal(number, bounds[-1]))
            coarse = layer.pooling.coarse(grid)
            self.outputs.append(Band([Support((0, 0), frame.output)], grid, grid, dtype=dtype))
            self.filters.append(Band([Support((0, 0), atom) for atom in frame.atoms], grid, grid, dtype=dtype))
            self.pools.append(Band([layer.pooling.multiplier(grid)], grid, coarse, dtype=dtype))
            grids.append(coarse)
            takes_real = not (given_complex and layer.nonlinearity.complex_output)
        self.grids, self.bounds, self.shape = tuple(grids), tuple(bounds), grids[0]

    @property
    def tables(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """For each order its channels: the index of each atom, times ``n_outputs`` plus the output's, by layer."""
        widths = [range(len(layer.frame.atoms) * layer.nonlinearity.n_outputs) for layer in self.layers]
        return tuple(tuple(itertools.product(*widths[:n])) for n in range(len(widths) + 1))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features.

        Parameters
        ----------
        x : torch.Tensor
            Real, shape ``(..., H, W)``.

        Returns
        -------
        list of torch.Tensor
            One an order, shape ``(..., n_channels, *grids[n])``, channels as in ``tables``; the last is what the
            last layer propagates. Complex where a non-linearity leaves complex values.

        Raises
        ------
        TypeError
            If ``x`` is not a real tensor of the module's dtype.
        ValueError
            If its last axes are not ``shape``.
        """
        fields = self._checked(x)
        features, propagated = self._orders(fields if len(fields) else fields.new_zeros(1, 1, *self.shape))
        results = [*features, propagated[-1]]  # an empty batch takes the shapes of one field: FFTs refuse it
        return [y[: len(fields)].reshape(*x.shape[:-2], *y.shape[1:]) for y in results]

    def measured_bounds(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        r"""By how much each layer expands the distance of two fields.

        .. math:: (\|\Delta \Phi^{n-1}\|^2 + \|\Delta U_n\|^2) / \|\Delta U_{n-1}\|^2

        Parameters
        ----------
        x, y : torch.Tensor
            Fields as for `forward`.

        Returns
        -------
        torch.Tensor
            Shape ``(n_layers, ...)``, each at most 1 for an admissible layer, and 0 for signals that are the same.
        """
        (features, signals), (others, targets) = self._orders(self._checked(x)), self._orders(self._checked(y))
        kept = [_energy(a - b) for a, b in zip(features, others, strict=True)]
        passed = [_energy(a - b) for a, b in zip(signals, targets, strict=True)]
        ratios = [
            torch.where(passed[n] > 0, (kept[n] + passed[n + 1]) / passed[n], 0) for n in range(len(self.layers))
        ]
        return torch.stack(ratios).reshape(len(ratios), *x.shape[:-2])

    def translation_bound(self, order: int) -> float:
        r"""Bound of :math:`|||\Phi^n(T_t f) - \Phi^n f||| / \|f\|` for each pixel of a translation.

        :math:`2 \pi K / (S_1 \cdots S_n)` with :math:`K = \max |\hat\chi_n(\omega)| |\omega|` in cycles by sample
        of the grid of order n. It holds for admissible layers and translations that move all grids by whole
        samples, by multiples of :math:`S_1 \cdots S_{n-1}` where the pooling is anti-aliased.

        Parameters
        ----------
        order : int
            ``n``, less than the number of layers.

        Raises
        ------
        TypeError, ValueError
            If there is no such output atom.
        """
        integer("order", order, minimum=0, maximum=len(self.layers) - 1)
        axes = [
            2 * math.pi / n * signed_frequencies(m).double()
            for n, m in zip(self.shape, self.grids[order], strict=True)
        ]
        frequency = torch.hypot(axes[0][:, None], axes[1])
        return float((frequency * self.layers[order].frame.output.abs()).max())

    def _checked(self, x: torch.Tensor) -> torch.Tensor:
        """Fields as one batch of one channel."""
        real_field("x", x, self.shape, dtype=cast(Band, self.outputs[0]).weights.dtype)
        return x.reshape(-1, 1, *self.shape)

    def _orders(self, u: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Features of all orders but the last, and what is propagated, the fields first."""
        features, propagated = [], [u]
        for layer, output, filters, pool in zip(self.layers, self.outputs, self.filters, self.pools, strict=True):
            spectrum = torch.fft.fft2(u)
            kept = torch.fft.ifft2(output(spectrum)).squeeze(-3)
            features.append(kept if u.is_complex() else kept.real)
            z = torch.fft.ifft2(filters(spectrum))
            if not u.is_complex() and layer.frame.real:
                z = z.real
            u = layer.nonlinearity.function(z).flatten(1, -3)
            if layer.pooling != Pooling():
                pooled = torch.fft.ifft2(pool(torch.fft.fft2(u))).squeeze(-3)
                u = pooled if u.is_complex() else pooled.real
            propagated.append(u)
        return features, propagated


def _energy(difference: torch.Tensor) -> torch.Tensor:
    return difference.abs().square().sum((-3, -2, -1))


def _refusal(number: int, bounds: LayerBounds) -> str:
    return (
        f"`layers` must be admissible, B <= min(1, 1/(L R)^2); in layer {number} the frame bound is"
        f" B = {bounds.frame:.6g} and the limit {bounds.limit:.6g} (L = {bounds.nonlinearity:.6g},"
        f" R = {bounds.pooling:.6g}): scale the frame by `Frame.scaled({bounds.limit:.6g})`, or pool with"
        " anti-aliasing"
    )
