"""Where samples start: Gaussian noise of the target's smoothed spectrum, on a grid of any size."""

from __future__ import annotations

import copy

import torch

from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.gaussian_fields import GaussianFields
from phasewave.turbulence.noise import white_noise
from phasewave.turbulence.targets import StandardTarget


class GaussianStart:
    """Gaussian fields with the mean and the smoothed spectrum of a target.

    Several fields of one sky have their cross-spectra too; with gaps or padding, only each its own spectrum.

    Parameters
    ----------
    target : StandardTarget
    shape : pair of int
        Of the fields to draw.

    Attributes
    ----------
    model : GaussianModel
        Of the mean spectrum of the target's fields, on the grid of the samples.
    """

    def __init__(self, target: StandardTarget, shape: tuple[int, ...]) -> None:
        self.batch, self.shape = target.batch, shape
        self.model = _model(target.fields, target.mask, shape)
        self.joint = GaussianFields(target.fields).smoothed() if self.batch and target.mask is None else None
        apart = target.fields.unbind(1) if self.batch and target.mask is not None else ()
        self.models = [_model(fields, target.mask, shape) for fields in apart]

    def noise(self, n_samples: int, *, seed: int | torch.Generator, first: int = 0) -> torch.Tensor:
        """Draw white noise, (n_samples, [C,] H, W) float64, for the samples of a seed from number ``first`` on."""
        return white_noise(first + n_samples, (*self.batch, *self.shape), seed=seed)[first:]

    def colour(self, noise: torch.Tensor) -> torch.Tensor:
        """Return the fields that `noise` (n, [C,] H, W) becomes, of its dtype."""
        if self.joint is not None:
            return self.joint.colour(noise)
        if not self.models:
            return self.model.colour(noise)
        return torch.stack([m.colour(part) for m, part in zip(self.models, noise.unbind(1), strict=True)], dim=1)


def _model(fields: torch.Tensor, mask: torch.Tensor | None, shape: tuple[int, ...]) -> GaussianModel:
    """Return the model of fields, observed where a mask is True, on another grid."""
    model = GaussianModel(fields, mask=mask).smoothed()
    if tuple(shape) == model.shape:
        return model
    resized = copy.copy(model)
    resized.shape, resized.spectrum = shape, model.spectral_density(shape)
    return resized
