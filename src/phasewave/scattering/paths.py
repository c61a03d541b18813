"""The last layer of a scattering transform: wavelet modulus and low-pass of one spectrum, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import nn

from phasewave.core.fourier import Band
from phasewave.core.phases import modulus, modulus_, modulus_gradient


class Pool(nn.Module):
    """Separable low-pass and subsampling of planar fields, ``A_0 U A_1^T``.

    Parameters
    ----------
    rows, columns : torch.Tensor
        The matrices ``A_0`` of shape ``(h, m_0)`` and ``A_1`` of shape ``(w, m_1)``.
    """

    rows: torch.Tensor
    columns: torch.Tensor

    def __init__(self, rows: torch.Tensor, columns: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows.contiguous(), persistent=False)
        self.register_buffer("columns", columns.t().contiguous(), persistent=False)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Pool real fields ``(..., m_0, m_1)`` to ``(..., h, w)``."""
        return self.rows @ (u @ self.columns)

    def adjoint(self, gradient: torch.Tensor) -> torch.Tensor:
        """The transpose of `forward`."""
        return (self.rows.t() @ gradient) @ self.columns.t()


class Leaf(nn.Module):
    """One set of last-layer paths: a band of wavelets, and the pool at its resolution."""

    def __init__(self, band: Band, pool: Pool) -> None:
        super().__init__()
        self.band, self.pool = band, pool

    def groups(self, batch: int, chunk: int) -> Iterator[tuple[int, int]]:
        """Ranges of filters whose coefficients for ``batch`` spectra number about ``chunk``."""
        area = batch * self.band.out_shape[0] * self.band.out_shape[1]
        step = max(1, chunk // max(1, area))
        for first in range(0, self.band.n_filters, step):
            yield first, min(first + step, self.band.n_filters)


class Layer(nn.ModuleList):
    """The leaves that share one input spectrum."""

    def __iter__(self) -> Iterator[Leaf]:
        return cast(Iterator[Leaf], super().__iter__())


def pooled_moduli(spectrum: torch.Tensor, leaves: Layer, chunk: int) -> torch.Tensor:
    r"""Compute ``|x * psi_f| * phi`` for every filter of every leaf.

    Parameters
    ----------
    spectrum : torch.Tensor
        Complex, shape ``(batch, m_0, m_1)``.
    leaves : Layer
        The paths.
    chunk : int
        Coefficients worked on at a time; the backward pass keeps all of them.

    Returns
    -------
    torch.Tensor
        Real, shape ``(batch, n_paths, h, w)``.
    """
    pooled: torch.Tensor = _PooledModuli.apply(spectrum.resolve_conj().contiguous(), leaves, chunk)
    return pooled


class _PooledModuli(torch.autograd.Function):
    """The same as band, inverse FFT, modulus and pool in turn; one gradient buffer serves all paths."""

    @staticmethod
    def forward(ctx: Any, spectrum: torch.Tensor, leaves: Layer, chunk: int) -> torch.Tensor:
        ctx.leaves, ctx.chunk = leaves, chunk
        keep = ctx.needs_input_grad[0]
        saved, pooled = [spectrum], []
        for leaf in leaves:
            for group in leaf.groups(spectrum.shape[0], chunk):
                z = torch.fft.ifft2(leaf.band.apply_(spectrum, *group))
                u = modulus_(z)
                pooled.append(leaf.pool(u))
                if keep:
                    saved += [z, u]
        if keep:
            ctx.save_for_backward(*saved)
        return torch.cat(pooled, dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        spectrum, *coefficients = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable_gradient(spectrum, ctx.leaves, ctx.chunk, gradient), None, None
        into = torch.zeros_like(spectrum)
        pairs = iter(zip(coefficients[::2], coefficients[1::2], strict=True))
        start = 0
        for leaf in ctx.leaves:
            area = leaf.band.out_shape[0] * leaf.band.out_shape[1]
            for first, last in leaf.groups(spectrum.shape[0], ctx.chunk):
                z, u = next(pairs)
                du = leaf.pool.adjoint(gradient[:, start : start + last - first])
                dz = modulus_gradient(z, u, du)
                leaf.band.accumulate_adjoint_(torch.fft.fft2(dz).div_(area), into, first, last)
                start += last - first
        return into, None, None


def _differentiable_gradient(
    spectrum: torch.Tensor, leaves: Layer, chunk: int, gradient: torch.Tensor
) -> torch.Tensor:
    """The gradient as a graph, for second derivatives: the paths once more from differentiable parts."""
    pooled = [
        leaf.pool(modulus(torch.fft.ifft2(leaf.band(spectrum, *group))))
        for leaf in leaves
        for group in leaf.groups(spectrum.shape[0], chunk)
    ]
    (result,) = torch.autograd.grad(torch.cat(pooled, dim=1), spectrum, gradient, create_graph=True)
    return result
