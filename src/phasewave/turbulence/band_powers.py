"""Power in logarithmic bands as moments: the large scales, which have too few modes for wavelets to hold them."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from phasewave.checks import integer, plane_shape, real_field
from phasewave.turbulence.scales import FLOOR, floored
from phasewave.turbulence.spectra import band_spectrum, log_bands


class BandPowers(nn.Module):
    r"""Mean power of a field in log-spaced bands of frequency, over that of a target.

    .. math:: \phi_b(x) = P_b(x) / P_b(\text{target}), \qquad
              P_b(x) = \langle |X(\omega)|^2 / HW \rangle_{|\omega| \in b}

    Parameters
    ----------
    shape : pair of int
        Height and width.
    n_bands : int
        Bands from one cycle of the shorter side to the corner of the spectrum; those without a frequency of the
        grid are left out.
    dtype : torch.dtype
        float32 or float64; the power is taken in float64.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """

    scale: torch.Tensor

    def __init__(self, shape: Sequence[int], *, n_bands: int = 12, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.shape, self.dtype = plane_shape("shape", shape), dtype
        self.edges = log_bands(self.shape, n_bands=integer("n_bands", n_bands, minimum=1))
        present = torch.isfinite(band_spectrum(torch.zeros(self.shape), self.edges))
        self.register_buffer("present", torch.nonzero(present).flatten(), persistent=False)
        self.register_buffer("scale", torch.ones(int(present.sum()), dtype=torch.float64), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Band powers of fields ``(..., H, W)``: real, shape ``(..., n)``."""
        real_field("x", x, self.shape, dtype=self.dtype)
        return (self._powers(x) / self.scale).to(self.dtype)

    def standardized(self, target: torch.Tensor) -> BandPowers:
        """The same moments over the powers of a target, one field or several ``(..., H, W)``."""
        module = copy.deepcopy(self)
        with torch.no_grad():
            powers = self._powers(target.reshape(-1, *self.shape)).mean(dim=0)
            module.scale = floored(powers, floor=FLOOR**2)
        return module

    def _powers(self, x: torch.Tensor) -> torch.Tensor:
        return band_spectrum(x, self.edges).index_select(-1, self.get_buffer("present"))
