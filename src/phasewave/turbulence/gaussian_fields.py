"""Stationary Gaussian fields of one sky with the spectra and cross-spectra of given ones, exact by FFT."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from phasewave import checks
from phasewave.turbulence.noise import white_noise
from phasewave.turbulence.observed_spectrum import interpolation, lag_window, reflected


class GaussianFields:
    r"""Gaussian maximum-entropy model of C fields: their means, spectra and cross-spectra, nothing else.

    With X_c the Fourier transform of the field c minus its mean, on N = H W pixels,

    .. math:: S_{cd}(\omega) = X_c(\omega) \overline{X_d(\omega)} / N,

    a Hermitian matrix at every frequency; a sample is :math:`\mu_c + F^{-1} (S^{1/2} F w)_c` with w white noise in
    C fields. `GaussianModel` is this for C = 1.

    Parameters
    ----------
    fields : Tensor (..., C, H, W), real, finite
        C fields of one sky; leading axes are realisations, whose spectra are averaged. With one realisation the
        samples are as coherent, at each frequency, as one sky: `smoothed` gives the coherence that neighbouring
        frequencies share.

    Attributes
    ----------
    mean : Tensor (C,), float64
        Means over space and realisations.
    spectrum : Tensor (C, C, H, W), complex128
        S in the order of ``torch.fft.fft2``.

    Raises
    ------
    TypeError
        If ``fields`` is not a real floating tensor.
    ValueError
        If it has fewer than three axes, no field, a size below 2, or values that are not finite.

    Notes
    -----
    In float64. Cost of a sample: 2 C FFTs, and once the square roots of H W / 2 matrices of C x C.
    """

    def __init__(self, fields: Tensor) -> None:
        checks.real_field("fields", fields)
        if fields.ndim < 3 or fields.numel() == 0:
            checks.fail("fields", "have axes (..., C, H, W), none empty", tuple(fields.shape))
        self.shape = checks.grid_shape("fields.shape", fields.shape[-2:], n_axes=2, minimum=2)
        checks.finite("fields", fields)
        self.dtype, self.n_fields = fields.dtype, fields.shape[-3]
        x = fields.detach().to(torch.float64).reshape(-1, self.n_fields, *self.shape)
        self.mean = x.mean((0, 2, 3))
        transform = torch.fft.fft2(x - self.mean[:, None, None])
        self.spectrum = torch.einsum("nchw,ndhw->cdhw", transform, transform.conj()) / (len(x) * x[0, 0].numel())
        self.spectrum[..., 0, 0] = 0.0

    def __repr__(self) -> str:
        return f"GaussianFields(n_fields={self.n_fields}, shape={self.shape})"

    def covariance(self) -> Tensor:
        """Return the covariances (C, C) of the fields at one pixel, over space."""
        return self.spectrum.mean((-2, -1)).real

    def spectral_density(self, shape: Sequence[int] | None = None) -> Tensor:
        """Return S on the frequencies of a grid of another size, as `GaussianModel.spectral_density`.

        Parameters
        ----------
        shape : (H', W'), optional
            The size wanted; the fields' own when None, which gives ``spectrum`` itself.

        Returns
        -------
        Tensor (C, C, H', W'), complex128
            With the variances of ``covariance()``.
        """
        sizes = self.shape if shape is None else checks.grid_shape("shape", shape, n_axes=2, minimum=2)
        if sizes == self.shape:
            return self.spectrum
        filled = self.spectrum.clone()
        neighbours = filled[..., 1, 0] + filled[..., -1, 0] + filled[..., 0, 1] + filled[..., 0, -1]
        filled[..., 0, 0] = neighbours / 4
        rows, columns = (interpolation(n, new).to(filled) for n, new in zip(self.shape, sizes, strict=True))
        return self._restored(rows @ filled @ columns.T)

    def smoothed(self, *, width: float = 3.0) -> GaussianFields:
        """Return the model with spectra averaged over neighbouring frequencies, as `GaussianModel.smoothed`.

        Parameters
        ----------
        width : float
            Standard deviation of the Gaussian average on each axis, in frequency spacings, > 0.

        Returns
        -------
        GaussianFields
            Of the same means and variances.
        """
        if not width > 0:
            checks.fail("width", "be positive", width)
        model = copy.copy(self)
        window = lag_window(self.shape, width=width).to(self.spectrum.device)
        model.spectrum = self._restored(torch.fft.fft2(torch.fft.ifft2(self.spectrum) * window))
        return model

    def colour(self, noise: Tensor) -> Tensor:
        """Return samples from white noise of unit variance: the affine map of the class.

        Parameters
        ----------
        noise : Tensor (..., C, H', W'), real
            Of any size.

        Returns
        -------
        Tensor (..., C, H', W'), of the dtype and device of ``noise``
        """
        checks.real_field("noise", noise)
        if noise.ndim < 3 or noise.shape[-3] != self.n_fields:
            checks.fail("noise", f"have axes (..., {self.n_fields}, H, W)", tuple(noise.shape))
        return self._coloured(noise, self._root(noise.shape[-2:]))

    def sample(self, n_samples: int, *, seed: int | torch.Generator, shape: Sequence[int] | None = None) -> Tensor:
        """Draw independent samples; sample i is a function of (seed, i) alone.

        Parameters
        ----------
        n_samples : int >= 0
        seed : int >= 0, or torch.Generator
            A generator gives the integer: one draw from it.
        shape : (H', W'), optional
            Size of the samples; the fields' own when None.

        Returns
        -------
        Tensor (n_samples, C, H', W'), of the dtype and device of the fields

        Raises
        ------
        ValueError
            If ``n_samples`` or ``seed`` is negative, or ``shape`` is not two integers >= 2.
        """
        count = checks.integer("n_samples", n_samples, minimum=0)
        sizes = self.shape if shape is None else checks.grid_shape("shape", shape, n_axes=2, minimum=2)
        noise = white_noise(count, (self.n_fields, *sizes), seed=seed).to(self.spectrum.device)
        root = self._root(sizes)
        samples = torch.empty(noise.shape, dtype=self.dtype, device=noise.device)
        for i in range(count):
            samples[i] = self._coloured(noise[i], root)
        return samples

    def _restored(self, density: Tensor) -> Tensor:
        """Return spectra without their value at zero, with the symmetry of real fields and their variances."""
        density = (density + reflected(density).conj()) / 2
        density[..., 0, 0] = 0.0
        variance = density.mean((-2, -1)).diagonal().real
        wanted = self.covariance().diagonal()
        factor = torch.where(variance > 0, wanted / torch.where(variance > 0, variance, 1), 0).sqrt()
        return density * (factor[:, None] * factor)[..., None, None]

    def _root(self, shape: Sequence[int]) -> Tensor:
        """Return S^{1/2} on the frequencies of ``rfft2``: (H', W' // 2 + 1, C, C)."""
        density = self.spectral_density(shape)[..., : shape[-1] // 2 + 1].permute(2, 3, 0, 1)
        values, vectors = torch.linalg.eigh(density)
        return (vectors * values.clamp(min=0).sqrt()[..., None, :].to(vectors)) @ vectors.mH

    def _coloured(self, noise: Tensor, root: Tensor) -> Tensor:
        transform = torch.fft.rfft2(noise.to(torch.float64))
        coloured = torch.einsum("hwcd,...dhw->...chw", root.to(noise.device), transform)
        fields = torch.fft.irfft2(coloured, s=tuple(noise.shape[-2:])) + self.mean.to(noise.device)[:, None, None]
        return fields.to(noise.dtype)
