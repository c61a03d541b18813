"""Power in logarithmic bands as moments: the large scales, which have too few modes for wavelets to hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from phasewave.checks import fail, integer, plane_shape, real_dtype, real_field
from phasewave.turbulence.copies import sharing_copy
from phasewave.turbulence.fill import Fill
from phasewave.turbulence.masks import observed_mask
from phasewave.turbulence.observed_spectrum import observed_spectrum
from phasewave.turbulence.scales import FLOOR, floored
from phasewave.turbulence.spectra import band_spectrum, log_bands


@dataclass(frozen=True)
class BandPower:
    """One moment: the mean power of the frequencies from ``low`` to ``high``, in radians per pixel."""

    low: float
    high: float

    @property
    def kind(self) -> str:
        """``"band_powers"``, the class of all of them."""
        return "band_powers"


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
    unit: torch.Tensor

    def __init__(self, shape: Sequence[int], *, n_bands: int = 12, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.shape = plane_shape("shape", shape)
        real_dtype("dtype", dtype)
        self.edges = log_bands(self.shape, n_bands=integer("n_bands", n_bands, minimum=1))
        present = _present(self.shape, self.edges)
        self.fill: Fill | None = None
        self.table = tuple(
            BandPower(float(low), float(high))
            for low, high, kept in zip(self.edges, self.edges[1:], present, strict=False)
            if kept
        )
        self.register_buffer("unit", torch.ones((), dtype=dtype), persistent=False)
        self.register_buffer("present", torch.nonzero(present).flatten(), persistent=False)
        self.register_buffer("scale", torch.ones(len(self.table), dtype=torch.float64), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Real dtype of the fields."""
        return self.unit.dtype

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return len(self.table)

    @property
    def is_complex(self) -> bool:
        """False: all are real."""
        return False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Band powers of fields ``(..., H, W)``: real, shape ``(..., n_moments)``."""
        if real_field("x", x, self.shape, dtype=self.dtype).numel() == 0:
            return x.new_zeros((*x.shape[:-2], self.n_moments))
        return (self._powers(x) / self.scale).to(self.dtype)

    def standardized(self, target: torch.Tensor) -> BandPowers:
        """The same moments over the powers of a target, one field or several ``(..., H, W)``."""
        real_field("target", target, self.shape, dtype=self.dtype)
        module = sharing_copy(self)
        with torch.no_grad():
            powers = self._powers(target.reshape(-1, *self.shape)).mean(dim=0)
            module.scale = floored(powers, floor=FLOOR**2)
        return module

    def resized(self, shape: Sequence[int]) -> BandPowers:
        """The same bands, over the same powers, of fields of another size (and no mask).

        The edges stay what they are in radians per pixel: a larger domain has more frequencies in each band, and
        some below the first, which are in none.

        Parameters
        ----------
        shape : pair of int
            The new height and width.

        Returns
        -------
        BandPowers
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            If the shape is not two sizes, or leaves a band without a frequency.
        """
        module = sharing_copy(self)
        module.shape, module.fill = plane_shape("shape", shape), None
        empty = ~_present(module.shape, self.edges)[self.get_buffer("present").cpu()]
        if bool(empty.any()):
            row = self.table[int(empty.nonzero()[0])]
            band = f"the band {row.low:.4g} to {row.high:.4g} radians per pixel"
            fail("shape", f"leave a frequency to {band}: build the set for the smaller shape", module.shape)
        return module

    def masked(self, mask: torch.Tensor) -> BandPowers:
        """Estimates of the same moments from fields that are known only where ``mask`` is True.

        The powers are those of fillings drawn from a Gaussian model of the field (`observed_spectrum`), since a
        window would leak the large scales into the small ones. The gradient is that of the powers of the
        smoothly filled field, each times the factor between the two.

        Parameters
        ----------
        mask : torch.Tensor
            Boolean, shape ``(H, W)``, True where fields are observed.

        Returns
        -------
        BandPowers
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            If the mask is not one of the fields' shape, or False everywhere.

        Notes
        -----
        Some thousand FFTs a field.
        """
        module = sharing_copy(self)
        module.fill = Fill(observed_mask(mask, self.shape).to(self.scale.device))
        return module

    def _powers(self, x: torch.Tensor) -> torch.Tensor:
        present = self.get_buffer("present")
        if self.fill is None:
            return band_spectrum(x, self.edges).index_select(-1, present)
        powers = band_spectrum(self.fill(x), self.edges).index_select(-1, present)
        with torch.no_grad():
            fields = torch.where(self.fill.mask, x.to(torch.float64), 0.0).reshape(-1, *self.shape)
            spectra = torch.stack([observed_spectrum(field[None], self.fill.mask) for field in fields])
            waves = torch.fft.ifft2((spectra * spectra[0].numel()).sqrt()).real.view(x.shape)
            ratio = band_spectrum(waves, self.edges).index_select(-1, present) / powers
        return powers * ratio


def _present(shape: Sequence[int], edges: torch.Tensor) -> torch.Tensor:
    """Which bands hold a frequency of the grid."""
    return torch.isfinite(band_spectrum(torch.zeros(*shape), edges))
