"""Convolutions with Gaussians and their harmonics from lattice to lattice, axis by axis."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from phasewave.molecules.harmonic_fields import gaussian_powers
from phasewave.molecules.lattice import Axis, Lattice


@lru_cache(maxsize=4096)
@torch.inference_mode(False)
def axis_kernel(
    source: Axis, target: Axis, width: float, n_powers: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    r"""Table of :math:`w\,\xi^p e^{-\xi^2/2}`, ``xi`` from node to node in units of the width, ``w`` the weights.

    It does not depend on the atoms, and few axes occur in many molecules: tables are kept.

    Returns
    -------
    torch.Tensor
        ``(n_lattices, n_powers, n_source, n_target)``, not to be written; either axis has one lattice.
    """
    offsets = (target.nodes[:, None] - source.nodes[:, :, None]).flatten(1) / width
    table = gaussian_powers(offsets.to(device, dtype), n_powers)
    table = table.view(len(table), n_powers, source.nodes.shape[1], target.nodes.shape[1])
    return table * source.weights[:, None, :, None].to(table)


def lattice_kernels(
    source: Lattice, target: Lattice, width: float, n_powers: int, like: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`axis_kernel` along x, y and z, of another tensor's dtype and device."""
    x, y, z = (
        axis_kernel(start, end, width, n_powers, like.dtype, like.device)
        for start, end in zip(source.axes, target.axes, strict=True)
    )
    return x, y, z


def blur_kernels(source: Lattice, target: Lattice, width: float, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A normalised Gaussian as kernels along x, y and z, ``(n_lattices, n_source, n_target)``."""
    x, y, z = (kernel[:, 0] for kernel in lattice_kernels(source, target, width, 1, like))
    return x / ((2 * math.pi) ** 1.5 * width**3), y, z


def blurred(fields: Tensor, kernels: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Convolve fields along their last three axes, and add up the lattices.

    Parameters
    ----------
    fields : torch.Tensor
        ``(n_lattices, n, a, b, c)``.
    kernels : tuple of three torch.Tensor
        ``(n_lattices, n_source, n_target)``, along a, b and c.

    Returns
    -------
    torch.Tensor
        ``(n, A, B, C)``.
    """
    first, middle, last = kernels
    n_lattices, n, _, n_b, n_c = fields.shape
    fields = first.transpose(1, 2)[:, None] @ fields.flatten(3)  # the longest axis, thus the largest product
    fields = fields.view(n_lattices, -1, n_c).bmm(last)
    fields = middle.transpose(1, 2)[:, None] @ fields.view(n_lattices, -1, n_b, last.shape[2])
    return fields.sum(0).view(n, first.shape[2], middle.shape[2], last.shape[2])
