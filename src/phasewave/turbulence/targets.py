"""The sampler's target: one field, realisations of it, or fields of one sky, with gaps or borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from phasewave.checks import fail, finite, plane_shape, real_field

# A field that is not periodic is padded by at least this share of its size.
_PADDING = 0.25


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
        Whether opposite sides belong together; if not, the fields are padded, and the padding masked.

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
    observed = None if mask is None else checked_mask(mask, shape).to(field.device)
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
        pad = (0, padded(shape[1]) - shape[1], 0, padded(shape[0]) - shape[0])
        standard = torch.nn.functional.pad(standard, pad)
        observed = torch.nn.functional.pad(observed, pad)
    return StandardTarget(standard.to(field.dtype), observed, shape, mean, deviation)


def checked_mask(mask: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return a mask if it is boolean, of this shape, and True somewhere.

    Raises
    ------
    TypeError
        If it is not a boolean tensor.
    ValueError
        If its shape is another, or it is False everywhere.
    """
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
        raise TypeError(f"`mask` must be a boolean tensor, got {getattr(mask, 'dtype', type(mask).__name__)}")
    if tuple(mask.shape) != tuple(shape):
        fail("mask", f"have the field's shape {tuple(shape)}", tuple(mask.shape))
    if not bool(mask.any()):
        fail("mask", "be True where the field is observed", "no True")
    return mask


def padded(size: int) -> int:
    """Return the least even size with prime factors 2, 3, 5 that adds a quarter to ``size`` or more."""
    wanted = size + int(-(-size * _PADDING // 1))
    while True:
        rest = wanted
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1 and wanted % 2 == 0:
            return wanted
        wanted += 1
