"""A Gaussian field given some of its pixels: its mean there, exact samples, and its spectrum from what is seen."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from phasewave import checks
from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.masks import gap_depth, observed_mask
from phasewave.turbulence.spectra import radial_frequency

_FLOOR = 1e-9
"""Least power of a frequency over that of the strongest: it bounds the condition of the equations."""


class ConditionalGaussian:
    r"""The Gaussian model of a field given the pixels of it that were observed.

    With C the circulant covariance of the model and Q = C^{-1}, both diagonal in Fourier, and the pixels split
    into observed ones o and missing ones m, the missing pixels given the others are Gaussian with

    .. math:: E[x_m | x_o] = \mu - Q_{mm}^{-1} Q_{mo} (x_o - \mu), \qquad \mathrm{Cov}[x_m | x_o] = Q_{mm}^{-1}.

    A sample is a constrained realisation (Hoffman and Ribak 1991, ApJ 380, L5): y drawn from the model without
    conditions, plus the conditional mean of the difference, :math:`x_m = y_m - Q_{mm}^{-1} Q_{mo} (x_o - y_o)`.
    The equations are solved by conjugate gradients, preconditioned by the missing pixels' block of the circulant
    matrix :math:`1 / (Q + Q(1 / r))`, r the largest distance of a missing pixel from an observed one: on larger
    scales than r it is the observed pixels that hold the fill.

    Parameters
    ----------
    model : GaussianModel
        Mean and spectrum. Its power is raised to 1e-9 of the strongest frequency's where it is below, and that of
        the zero frequency, which such a model leaves out, is the mean of its four neighbours'.
    field : Tensor (H, W), real
        The observed field; its missing pixels may hold anything.
    mask : Tensor (H, W), bool
        True where ``field`` was observed.
    tolerance : float
        Norm of the residual, in that of the preconditioner, at which the equations count as solved, relative to
        the right-hand side's.
    max_iterations : int
        Iterations allowed to the conjugate gradients.

    Raises
    ------
    TypeError, ValueError
        If a shape or dtype is wrong, or the mask all True or all False.

    Notes
    -----
    In float64. Four FFTs an iteration, some tens of iterations; a few hundred for holes in fields as smooth as a
    spectrum of :math:`|\omega|^{-8}`.
    """

    def __init__(
        self,
        model: GaussianModel,
        field: Tensor,
        mask: Tensor,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 1000,
    ) -> None:
        observed = check_mask(mask, model.shape)
        checks.real_field("field", field, model.shape)
        if field.ndim != 2:
            checks.fail("field", "have axes (H, W)", tuple(field.shape))
        if not 0.0 < tolerance < 1.0:
            checks.fail("tolerance", "be in (0, 1)", tolerance)
        self.max_iterations = checks.integer("max_iterations", max_iterations, minimum=1)
        self.model, self.tolerance = model, tolerance
        self.mask = observed.to(field.device)
        self.field = torch.where(self.mask, field.to(torch.float64), 0.0)
        checks.finite("field", self.field)
        self.missing = (~self.mask).to(torch.float64)
        power = model.spectrum.to(field.device).clone()
        power[0, 0] = (power[1, 0] + power[-1, 0] + power[0, 1] + power[0, -1]) / 4
        self.power = power.clamp(min=_FLOOR * float(power.max()))[:, : model.shape[1] // 2 + 1]
        frequency = radial_frequency(model.shape).to(power.device) * float(gap_depth(self.mask).max())
        nearest = (frequency - 1.0).abs() <= max(0.3, float((frequency - 1.0).abs().min()))
        self.scaling = 1.0 / (1.0 / self.power + float((1.0 / self.power[nearest]).mean()))

    def mean(self) -> Tensor:
        """Return the field with its missing pixels at their conditional mean: (H, W), float64."""
        return self._constrained(self.model.mean.to(self.field).expand(self.field.shape))

    def sample(self, n_samples: int, *, seed: int | torch.Generator) -> Tensor:
        """Draw the missing pixels from their conditional law.

        Sample i depends on (seed, i) alone.

        Parameters
        ----------
        n_samples : int >= 0
        seed : int >= 0, or torch.Generator

        Returns
        -------
        Tensor (n_samples, H, W), float64
            The observed pixels are the field's, converted.
        """
        noise = white_noise(checks.integer("n_samples", n_samples, minimum=0), self.model.shape, seed=seed)
        return self.colour(noise.to(self.field.device))

    def colour(self, noise: Tensor) -> Tensor:
        """Return the sample that is made from white noise (..., H, W) of unit variance: an affine map."""
        checks.real_field("noise", noise, self.model.shape)
        rows = noise.to(torch.float64).reshape(-1, *self.model.shape)
        filled = torch.empty_like(rows)
        for i, row in enumerate(rows):
            filled[i] = self._constrained(self._filtered(row, self.power.sqrt()) + self.model.mean.to(row))
        return filled.reshape(noise.shape)

    def _constrained(self, draw: Tensor) -> Tensor:
        """Return a draw, corrected by the conditional mean of what it misses of the observed pixels."""
        difference = torch.where(self.mask, self.field - draw, 0.0)
        correction = self._solve(-self.missing * self._filtered(difference, self.power.reciprocal()))
        return torch.where(self.mask, self.field, draw + correction)

    def _solve(self, b: Tensor) -> Tensor:
        """Return z, zero at the observed pixels, with Q_mm z = b."""
        z, residual = torch.zeros_like(b), b
        scaled = self.missing * self._filtered(residual, self.scaling)
        direction = scaled
        square = float((residual * scaled).sum())
        goal = self.tolerance**2 * square
        for _ in range(self.max_iterations):
            if not square > goal:
                break
            image = self.missing * self._filtered(direction, self.power.reciprocal())
            step = square / float((direction * image).sum())
            z = z + step * direction
            residual = residual - step * image
            scaled = self.missing * self._filtered(residual, self.scaling)
            before, square = square, float((residual * scaled).sum())
            direction = scaled + square / before * direction
        return z

    def _filtered(self, x: Tensor, response: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x) * response, s=self.model.shape)


def observed_model(
    field: Tensor, mask: Tensor, *, n_rounds: int = 6, width: float = 3.0, seed: int | torch.Generator = 0
) -> GaussianModel:
    r"""Return the Gaussian model of a field of which some pixels are missing.

    Holes of a periodogram leak: the edge of one that is filled with a constant has a spectrum of
    :math:`|\omega|^{-3}`, far above that of a smooth field. So the missing pixels are filled again and again, by
    their conditional mean at first and then by samples of their conditional law (stochastic expectation
    maximisation), and the spectrum, smoothed over neighbouring frequencies, is taken of the filled field.

    Parameters
    ----------
    field : Tensor (H, W), real
        Its missing pixels may hold anything.
    mask : Tensor (H, W), bool
        True where the field was observed.
    n_rounds : int
        Fillings, the first half of them by the mean.
    width : float
        Smoothing in frequency spacings (`GaussianModel.smoothed`).
    seed : int or torch.Generator
        Of the samples.

    Returns
    -------
    GaussianModel
        Smoothed; its mean is that of the filled field.

    Raises
    ------
    TypeError, ValueError
        If a shape or dtype is wrong, or the mask all True or all False.
    """
    rounds = checks.integer("n_rounds", n_rounds, minimum=1)
    checks.real_field("field", field)
    observed = check_mask(mask, field.shape).to(field.device)
    values = torch.where(observed, field.to(torch.float64), 0.0)
    mean = values.sum() / observed.sum()
    model = GaussianModel(torch.where(observed, values, mean)).smoothed(width=width)
    noise = white_noise(rounds, model.shape, seed=seed).to(field.device)
    for i in range(rounds):
        conditional = ConditionalGaussian(model, values, observed, tolerance=1e-5)
        filled = conditional.mean() if i < rounds // 2 else conditional.colour(noise[i])
        model = GaussianModel(filled).smoothed(width=width)
    return _of_dtype(model, field.dtype)


def check_mask(mask: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """Return ``mask`` if it is boolean, of this shape, and True at some pixels but not at all.

    Raises
    ------
    TypeError
        If it is not a boolean tensor.
    ValueError
        If its shape is another, or it is all True or all False.
    """
    if bool(observed_mask(mask, shape).all()):
        checks.fail("mask", "be False at the missing pixels", "a mask that is True everywhere")
    return mask


def _of_dtype(model: GaussianModel, dtype: torch.dtype) -> GaussianModel:
    model = copy.copy(model)
    model.dtype = dtype
    return model
