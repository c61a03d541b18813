"""Separable low-pass and subsampling as one small matrix an axis."""

from __future__ import annotations

import math

import torch

from phasewave.core.grids import signed_frequencies


def pooling_matrix(profile: torch.Tensor, n_in: int, n_out: int) -> torch.Tensor:
    r"""Matrix that low-passes ``n_in`` samples of a periodic axis and reads ``n_out`` of them.

    .. math:: A_{iu} = \frac{1}{m} \sum_{|k| \le m/2} \hat\phi_k \cos\bigl(2\pi k (i/h - u/m)\bigr)

    Exact: with a separable low-pass, ``A_0 U A_1^T`` is ``(U * phi)`` at the output points, without an FFT.

    Parameters
    ----------
    profile : torch.Tensor
        Axis profile of the low-pass on the finest grid, FFT order, float64, even.
    n_in, n_out : int
        Samples ``m`` of the input axis (at most the size of the profile) and ``h`` of the output axis.

    Returns
    -------
    torch.Tensor
        Shape ``(n_out, n_in)``, float64.
    """
    k = signed_frequencies(n_in)
    gain = profile[torch.remainder(k, profile.shape[0])] / n_in
    read = 2 * math.pi * torch.outer(torch.arange(n_out), k).to(torch.float64) / n_out
    taken = 2 * math.pi * torch.outer(torch.arange(n_in), k).to(torch.float64) / n_in
    return (gain * read.cos()) @ taken.cos().t() + (gain * read.sin()) @ taken.sin().t()
