"""Scattering covariances: how the moduli of wavelet coefficients vary together, scale by scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from phasewave.checks import fail, integer, real_field
from phasewave.core.recompute import recomputed
from phasewave.turbulence.copies import sharing_copy
from phasewave.turbulence.scales import floored
from phasewave.turbulence.scattering_sums import ScatteringSums
from phasewave.turbulence.scattering_table import ScatteringMoment, scattering_table
from phasewave.turbulence.windowed_wavelets import WindowedWavelets


class ScatteringCovariances(nn.Module):
    r"""Scattering covariances of a real field (Morel et al. 2022; Cheng, Morel, Allys, Menard & Mallat 2023).

    With :math:`\psi_i` the wavelet of scale :math:`j_i` and angle :math:`l_i` and
    :math:`\sigma_i^2 = \langle |x*\psi_i|^2 \rangle`,

    .. math::
        S_1 &= \langle |x*\psi_1| \rangle / \sigma_1, \qquad S_2 = \sigma_1^2, \\
        C_{01} &= \langle x*\psi_2\; \overline{|x*\psi_1| * \psi_2} \rangle / (\sigma_2 \sigma_1),
        & j_1 \le j_2, \\
        C_{11} &= \langle |x*\psi_1| * \psi_3\; \overline{|x*\psi_2| * \psi_3} \rangle / (\sigma_1 \sigma_2),
        & j_1 \le j_2 \le j_3,

    at all angles, and the mean and the variance of the low-pass :math:`x*\phi_J`. :math:`\sigma` are those of
    ``x`` itself, or of a target by `standardized`, which also divides :math:`S_2` by :math:`\sigma^2`, the mean
    less the target's by the standard deviation, and the variance of the low-pass by the target's.

    With ``max_harmonic`` the oriented moments are replaced by their Fourier harmonics along the common rotation
    of all wavelets, by steps of ``pi / n_angles`` over a whole turn,

    .. math:: Q_p = \frac{1}{2L} \sum_{l=0}^{2L-1} q(l)\, e^{-i\pi p l/L}, \qquad p = 0 .. p_{max},

    and :math:`\sigma^2` by its mean over the angles: a rotation by a step turns the phase of :math:`Q_p` alone.
    ``max_harmonic=0`` keeps the means over rotations, the isotropic reduction; ``n_angles`` keeps everything.

    Parameters
    ----------
    shape : pair of int
        Sizes of the fields, each at least 16 and ``2^n_scales``.
    n_scales, n_angles : int
        Octaves ``J`` from the finest, and orientations ``L`` over half a turn.
    max_harmonic : int, optional
        Highest harmonic, at most ``n_angles``. None for oriented moments.
    oversampling : int
        Octaves of resolution of the moduli above the wavelets' own at each scale. Standardised moments differ
        from those at full resolution by up to 5e-4 at 0, 1e-4 at 1, and not at all from ``n_scales`` on.
    chunk : int, optional
        Samples at a time, computed again in the backward pass, wavelet by wavelet. It bounds the memory and
        changes no value.
    dtype : torch.dtype
        float32 or float64.

    Attributes
    ----------
    table : tuple of ScatteringMoment
        What each moment is.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range or the fields too small for the scales.

    Notes
    -----
    Cost: 2 complex Fourier transforms a scale and angle on the grid of the scale. The second layer is never
    transformed back: its covariances are products of spectra on the box of its wavelet.
    """

    means: torch.Tensor | None
    units: torch.Tensor | None
    first: torch.Tensor
    second: torch.Tensor
    raw: torch.Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        n_scales: int,
        n_angles: int = 4,
        max_harmonic: int | None = None,
        oversampling: int = 1,
        chunk: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.n_scales = integer("n_scales", n_scales, minimum=1)
        self.n_angles = integer("n_angles", n_angles, minimum=1)
        if max_harmonic is not None:
            integer("max_harmonic", max_harmonic, minimum=0, maximum=n_angles)
        self.max_harmonic = max_harmonic
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)
        wavelets = WindowedWavelets(
            (shape[0], shape[1]), n_scales=n_scales, n_angles=n_angles, oversampling=oversampling, dtype=dtype
        )
        self.shape = wavelets.shape
        self.table: tuple[ScatteringMoment, ...] = scattering_table(n_scales, n_angles, max_harmonic)
        self.sums = ScatteringSums(wavelets, self.table, recompute=self.chunk is not None)
        self.register_buffer("means", None, persistent=False)
        self.register_buffer("units", None, persistent=False)
        first, second = zip(*(self._units_of(row) for row in self.table), strict=True)
        self.register_buffer("first", torch.tensor(first), persistent=False)
        self.register_buffer("second", torch.tensor(second), persistent=False)
        raw = [row.kind in ("mean", "L", "S2") for row in self.table]
        self.register_buffer("raw", torch.tensor(raw), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Of the fields."""
        return self.sums.waves.dtype

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return len(self.table)

    @property
    def is_complex(self) -> bool:
        """Whether the moments are complex numbers."""
        return True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields.

        Parameters
        ----------
        x : torch.Tensor
            Real, of the module's dtype, shape ``(..., H, W)``.

        Returns
        -------
        torch.Tensor
            Complex, shape ``(..., n_moments)``; the mean, L, S1, S2 and harmonics 0 are real.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not a real tensor of the module's dtype and shape.
        """
        fields = self._checked("x", x)
        if len(fields) == 0:
            return x.new_zeros((*x.shape[:-2], self.n_moments), dtype=x.dtype.to_complex())
        pieces = [fields] if self.chunk is None else fields.split(self.chunk)
        kept = len(pieces) == 1
        values = torch.cat([self._moments(x) if kept else recomputed(self._moments, x) for x in pieces])
        return values.view(*x.shape[:-2], self.n_moments)

    def standardized(self, target: torch.Tensor) -> ScatteringCovariances:
        """The same moments with the mean and the units fixed from a target.

        Parameters
        ----------
        target : torch.Tensor
            One field or several, shape ``(..., H, W)``.

        Returns
        -------
        ScatteringCovariances
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            As `forward`; also if there is no field.
        """
        fields = self._checked("target", target)
        if len(fields) == 0:
            fail("target", "hold at least one field", tuple(target.shape))
        module = sharing_copy(self)
        with torch.no_grad():
            rows, _ = self.sums(fields, None)
            mean = rows[:, 0].real.mean()
            rows, powers = self.sums(fields, mean)
            fill = self.sums.wavelets.fill
            observed = fields if fill is None else fields[:, fill.mask]
            low = rows[:, 1].real.mean().sqrt()
            units = torch.stack((observed.std(correction=0), low))
            every = floored(torch.cat((units, self._deviations(powers.mean(0)).flatten())))
            module.means, module.units = mean, torch.cat((every, torch.ones_like(every[:1])))
        return module

    def resized(self, shape: Sequence[int]) -> ScatteringCovariances:
        """The same moments and standardisation for fields of another size, without a mask.

        Raises
        ------
        TypeError, ValueError
            If the shape is too small for the scales.
        """
        module = ScatteringCovariances(
            shape,
            n_scales=self.n_scales,
            n_angles=self.n_angles,
            max_harmonic=self.max_harmonic,
            oversampling=self.sums.wavelets.oversampling,
            chunk=self.chunk,
            dtype=self.dtype,
        ).to(self.first.device)
        for name in ("means", "units"):
            value = getattr(self, name)
            setattr(module, name, None if value is None else value.clone())
        return module

    def masked(self, mask: torch.Tensor) -> ScatteringCovariances:
        """Estimates of the same moments from fields that are observed only where a mask is True.

        The second layer counts where it sees only first-layer coefficients that count: its reach is that of both
        wavelets, and large scales are lost between gaps that lie closer.

        Parameters
        ----------
        mask : torch.Tensor
            Boolean, shape ``(H, W)``.

        Returns
        -------
        ScatteringCovariances
            A new module; this one is unchanged.

        Raises
        ------
        TypeError, ValueError
            If the mask is not boolean, not of this shape, all False, or leaves a scale too few pixels.
        """
        module = self.resized(self.shape)
        wavelets = WindowedWavelets(
            self.shape,
            n_scales=self.n_scales,
            n_angles=self.n_angles,
            oversampling=self.sums.wavelets.oversampling,
            dtype=self.dtype,
            mask=mask,
        )
        module.sums = ScatteringSums(wavelets, self.table, recompute=self.chunk is not None)
        return module.to(self.first.device)

    def _checked(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Check the fields; return them with one batch axis."""
        real_field(name, x, self.shape, dtype=self.dtype)
        return x.reshape(math.prod(x.shape[:-2]), *self.shape)

    def _moments(self, fields: torch.Tensor) -> torch.Tensor:
        values, powers = self.sums(fields, self.means)
        if self.units is not None:
            units = self.units
            values = torch.cat((values[:, :1] - self.means, values[:, 1:]), dim=1)
            return values / (units[self.first] * units[self.second])
        own = self._deviations(powers).flatten(1)
        one = torch.ones_like(own[:, :1])
        units = torch.cat((one, one, own, one), dim=1)
        return values / torch.where(self.raw, one, units[:, self.first] * units[:, self.second])

    def _deviations(self, powers: torch.Tensor) -> torch.Tensor:
        """Square roots of powers ``(..., n_scales, n_angles)``, of their means over angles for harmonics."""
        if self.max_harmonic is not None:
            powers = powers.mean(-1, keepdim=True).expand(powers.shape)
        return powers.clamp_min(torch.finfo(powers.dtype).tiny).sqrt()

    def _units_of(self, row: ScatteringMoment) -> tuple[int, int]:
        """Places of the two units of a row: of the field, of the low-pass, of each scale and angle, 1."""
        one = 2 + self.n_scales * self.n_angles
        places = [2 + j * self.n_angles + l for j, l in zip(row.scales, row.angles, strict=False)]
        if row.kind in ("mean", "S1"):
            return (places[0] if places else 0), one
        if row.kind == "L":
            return 1, 1
        return places[0], places[0 if row.kind == "S2" else 1]
