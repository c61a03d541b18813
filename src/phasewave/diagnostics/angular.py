"""Fourier spectra along the angles of the layer learned over scattering coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch

from phasewave.checks import fail, finite, integer, real_field
from phasewave.core.coefficients import ScatteringPath


@dataclass(frozen=True)
class AngularSpectra:
    r"""Energy of a layer's weights by angular frequency.

    Attributes
    ----------
    first : torch.Tensor (L,)
        :math:`\Omega_1`, of the weights of order 1; all zero if there is none. float64, as `second`.
    second : torch.Tensor (L, L)
        :math:`\Omega_2`, of those of order 2, by the frequencies of the first and of the second angle.
    """

    first: torch.Tensor
    second: torch.Tensor

    def record(self) -> dict[str, object]:
        """The figures as plain lists."""
        return {"first": self.first.tolist(), "second": self.second.tolist()}


def angular_spectrum(weights: torch.Tensor, *, n_axes: int = 1) -> torch.Tensor:
    r"""Energy of weights by their frequency along the last axes.

    .. math:: \Omega(\omega) = \sum_k |F_\theta w_k(\omega)|^2

    with the unitary transform: the energies sum to that of the weights.

    Parameters
    ----------
    weights : torch.Tensor (..., L) or (..., L, L)
        Real floating; the sum is over all leading axes.
    n_axes : {1, 2}
        Number of angles.

    Returns
    -------
    torch.Tensor (L,) or (L, L), float64
        By frequency 0 to ``L - 1``; ``-m`` stands at ``L - m``. Angles over half a turn, as those of wavelets,
        turn once over a rotation of the image by a half.

    Raises
    ------
    TypeError
        If the weights are not real floating.
    ValueError
        If there are fewer axes, ``n_axes`` is not 1 or 2, or values are not finite.
    """
    real_field("weights", weights)
    if n_axes not in (1, 2):
        fail("n_axes", "be 1 or 2", n_axes)
    if weights.ndim < n_axes or not all(weights.shape[-n_axes:]):
        fail("weights", f"have {n_axes} angular axes", tuple(weights.shape))
    w = finite("weights", weights).detach().double()
    axes = tuple(range(-n_axes, 0))
    energy = torch.fft.fftn(w, dim=axes, norm="ortho").abs().square()
    return energy.reshape(-1, *energy.shape[-n_axes:]).sum(0)


def angular_spectra(weights: torch.Tensor, paths: Sequence[ScatteringPath], *, n_angles: int) -> AngularSpectra:
    r"""Angular spectra of a linear layer over scattering coefficients.

    .. math:: \Omega_1(\omega) = \sum_{k, j_1} |F_{\theta_1} w_{k, j_1}(\omega)|^2, \quad
        \Omega_2(\omega_1, \omega_2) = \sum_{k, j_1, j_2} |F_{\theta_1, \theta_2} w_{k, j_1, j_2}|^2

    Parameters
    ----------
    weights : torch.Tensor (n_out, n_channels, ...)
        Of a linear layer or a convolution; channels as ``paths`` says.
    paths : sequence of ScatteringPath
        For example the ``table`` of `Scattering2D`. Every path of order 1 or 2 comes with all its angles.
    n_angles : int
        ``L``, filters of a scale.

    Returns
    -------
    AngularSpectra
        Unitary transforms: the energies sum to those of the weights of each order.

    Raises
    ------
    TypeError
        If the weights are not real floating.
    ValueError
        If the numbers of channels differ, or the angles of a path are not complete.

    Notes
    -----
    Weights ``cos(2 theta + c)`` have energy at 2 and ``L - 2`` alone; ``cos(theta_1 - 3 theta_2)``, with 8 angles,
    at (1, 5) and (7, 3). Source: Oyallon, Belilovsky & Zagoruyko 2017.
    """
    real_field("weights", weights)
    integer("n_angles", n_angles, minimum=1)
    if weights.ndim < 2 or weights.shape[1] != len(paths):
        fail("weights", f"have {len(paths)} channels along axis 1", tuple(weights.shape))
    spectra = {1: weights.new_zeros(n_angles, dtype=torch.float64)}
    spectra[2] = weights.new_zeros(n_angles, n_angles, dtype=torch.float64)
    groups: dict[tuple[int, ...], dict[tuple[int, ...], int]] = {}
    for channel, path in enumerate(paths):
        if path.order > 0:
            groups.setdefault(path.scales, {})[path.filters] = channel
    for scales, channels in groups.items():
        order = len(scales)
        if order > 2 or sorted(channels) != list(product(range(n_angles), repeat=order)):
            fail("paths", f"hold all {n_angles} angles at the scales {scales}, at most two", sorted(channels))
        grid = product(range(n_angles), repeat=order)
        index = torch.tensor([channels[angles] for angles in grid], device=weights.device)
        block = weights.index_select(1, index).movedim(1, -1).unflatten(-1, (n_angles,) * order)
        spectra[order] += angular_spectrum(block, n_axes=order)
    return AngularSpectra(spectra[1], spectra[2])
