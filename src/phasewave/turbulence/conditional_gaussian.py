"""A Gaussian field given some of its pixels: its mean there, and exact samples."""

from __future__ import annotations

import torch
from torch import Tensor

from phasewave import checks
from phasewave.turbulence.fill import Fill
from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.masks import observed_mask


class ConditionalGaussian:
    r"""The Gaussian model of a field given the pixels of it that were observed.

    With C the circulant covariance of the model and Q = C^{-1}, both diagonal in Fourier, and the pixels split
    into observed ones o and missing ones m, the missing pixels given the others are Gaussian with

    .. math:: E[x_m | x_o] = -Q_{mm}^{-1} Q_{mo} x_o, \qquad \mathrm{Cov}[x_m | x_o] = Q_{mm}^{-1}.

    A sample is a constrained realisation (Hoffman and Ribak 1991, ApJ 380, L5): y drawn from the model without
    conditions, plus the conditional mean of the difference, :math:`x_m = y_m - Q_{mm}^{-1} Q_{mo} (x_o - y_o)`.
    The equations are solved by `Fill`. The mean over space, of which one field tells nothing, is free: Q is zero
    at the frequency zero, as for infinite power.

    Parameters
    ----------
    model : GaussianModel
        Of it the spectrum is used.
    field : Tensor (H, W), real
        The observed field; its missing pixels may hold anything.
    mask : Tensor (H, W), bool
        True where ``field`` was observed.
    tolerance : float
        Of `Fill`.

    Raises
    ------
    TypeError, ValueError
        If a shape or dtype is wrong, the mask all True or all False, the tolerance not in (0, 1), or an observed
        value not finite.

    Notes
    -----
    In float64. Four FFTs an iteration, some tens of iterations.
    """

    def __init__(self, model: GaussianModel, field: Tensor, mask: Tensor, *, tolerance: float = 1e-5) -> None:
        observed = check_mask(mask, model.shape).to(field.device)
        checks.real_field("field", field, model.shape)
        if field.ndim != 2:
            checks.fail("field", "have axes (H, W)", tuple(field.shape))
        self.model, self.mask = model, observed
        self.field = torch.where(observed, field.to(torch.float64), 0.0)
        checks.finite("field", self.field)
        self.fill = Fill(observed, power=model.spectrum, tolerance=tolerance)

    def mean(self) -> Tensor:
        """Return the field with its missing pixels at their conditional mean: (H, W), float64."""
        filled: Tensor = self.fill(self.field)
        return filled

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
            draw = self.model.colour(row)
            filled[i] = torch.where(self.mask, self.field, draw + self.fill(self.field - draw))
        return filled.reshape(noise.shape)


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
