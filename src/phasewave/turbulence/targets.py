"""The sampler's target: one field, realisations of it, or fields of one sky, with gaps or borders."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from phasewave.checks import fail, finite, plane_shape, real_field
from phasewave.core.grids import smooth_size
from phasewave.turbulence.masks import observed_mask


@dataclass(frozen=True, eq=False)
class StandardTarget:
    """A target of zero mean and unit variance.

    Attributes
    ----------
    fields : torch.Tensor, shape (m, H', W') or (m, C, H', W')
        The realisations, zero in gaps and padding.
    mask : torch.Tensor or None, shape (H', W')
        True where they are observed; None if everywhere.
    shape : pair of int
        (H, W), without the padding.
    mean, scale : torch.Tensor, shape () or (C, 1, 1), float64
        Of the observed pixels of all realisations.
    """

    fields: torch.Tensor
    mask: torch.Tensor | None
    shape: tuple[int, int]
    mean: torch.Tensor
    scale: torch.Tensor

    @property
    def batch(self) -> tuple[int, ...]:
        """(C,) of several fields of one sky, else ()."""
        return tuple(self.fields.shape[1:-2])

    def units(self, x: torch.Tensor) -> torch.Tensor:
        """Return fields (n, ..., H'', W'') in the units of the target."""
        return x * self.scale.to(x) + self.mean.to(x)


def standard_target(
    field: torch.Tensor, *, channels: bool = False, mask: torch.Tensor | None = None, periodic: bool = True
) -> StandardTarget:
    """Return a target, checked, in units of its standard deviation about its mean.

    Parameters
    ----------
    field : torch.Tensor
        (H, W), or (m, H, W) of m realisations; with ``channels`` (C, H, W) or (m, C, H, W), each of the C
        fields with a mean and a deviation of its own.
    channels : bool
        Whether the axis -3 counts fields of one sky.
    mask : torch.Tensor, optional
        Boolean, (H, W), True where observed.
    periodic : bool
        Whether opposite sides belong together; if not, the fields are padded by a quarter of their size or a
        little more, and the padding masked.

    Raises
    ------
    TypeError
        If ``field`` is not a real tensor, or the mask not boolean.
    ValueError
        If the axes are wrong, the mask is False everywhere, a value observed is not finite, or a field does not
        vary.
    """
    real_field("field", field)
    n_axes = 3 if channels else 2
    if field.ndim not in (n_axes, n_axes + 1) or 0 in field.shape:
        axes = "(C, H, W) or (m, C, H, W)" if channels else "(H, W) or (m, H, W)"
        fail("field", f"have axes {axes}", tuple(field.shape))
    shape = plane_shape("field.shape", field.shape[-2:])
    exact = field.detach().to(torch.float64).reshape(-1, *field.shape[-n_axes:])
    observed = None if mask is None else observed_mask(mask, shape).to(field.device)
    pixels = exact.flatten(-2) if observed is None else exact[..., observed]
    finite("field", pixels)
    mean, deviation = pixels.mean((0, -1)), pixels.transpose(0, -2).flatten(-2).std(-1, correction=0)
    if not bool((deviation > 0.0).all()):
        fail("field", "vary over space", "a constant field")
    mean, deviation = (value[..., None, None] if channels else value for value in (mean, deviation))
    standard = (exact - mean) / deviation
    if observed is not None:
        standard = torch.where(observed, standard, 0.0)
    if not periodic:
        observed = torch.ones(shape, dtype=torch.bool, device=field.device) if observed is None else observed
        margins = [smooth_size(n + -(-n // 4), multiple=2) - n for n in shape]
        pad = (0, margins[1], 0, margins[0])
        standard = torch.nn.functional.pad(standard, pad)
        observed = torch.nn.functional.pad(observed, pad)
    return StandardTarget(standard.to(field.dtype), observed, shape, mean, deviation)
