"""What every set of moments offers: other sizes, masks, a standardisation that travels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch


class MomentRow(Protocol):
    """One row of a table: a frozen record that says what one moment is."""

    @property
    def kind(self) -> str:
        """Name of its class: ``"S11"``, ``"quantiles"``, ``"circular"`` ..."""


class Moments(Protocol):
    r"""A set of moments: an ``nn.Module`` from fields to means over their pixels.

    Moments are means over pixels, so that those of a stationary field do not depend on its size but for the
    fluctuations of a finite domain. Means and deviations that `standardized` fixes travel with `resized` and
    `masked`, in any order: ``m.standardized(t).resized(s)`` measures another domain in the units of ``t``. Each
    of the three methods returns a new module of the same type and table, and leaves this one unchanged.

    A set of several fields of one sky takes ``(..., C, H, W)`` where it is said here ``(..., H, W)``; shapes and
    masks are those of the plane.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the fields."""

    @property
    def n_moments(self) -> int:
        """Length of the table."""

    @property
    def table(self) -> Sequence[MomentRow]:
        """What each moment is."""

    @property
    def is_complex(self) -> bool:
        """Whether the moments are complex numbers."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Moments of fields.

        A constructor argument ``chunk``, samples evaluated at a time, bounds the memory of this and of its
        backward pass, in which what was not kept is computed again; it changes no value or gradient beyond
        rounding. None evaluates all at once and keeps everything.

        Parameters
        ----------
        x : torch.Tensor
            Real, of the module's dtype, shape ``(..., H, W)``; the leading axes may be empty.

        Returns
        -------
        torch.Tensor
            Real or, if `is_complex`, complex, shape ``(..., n_moments)``.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not a real tensor of the module's dtype and shape.
        """

    def standardized(self, target: torch.Tensor) -> Moments:
        """The same moments with means and deviations fixed from a target.

        Parameters
        ----------
        target : torch.Tensor
            One field or several, shape ``(..., H, W)``; of a masked set the observed pixels alone count.

        Raises
        ------
        TypeError, ValueError
            As the call.
        """

    def resized(self, shape: Sequence[int]) -> Moments:
        """The same moments of fields of another size: a larger or smaller domain of the same pixels.

        A set with a mask becomes one without: masks are of one size.

        To compare a large field with a smaller one, build the set for the smaller and resize it to the larger:
        what the smaller domain can hold, the larger can.

        Parameters
        ----------
        shape : pair of int
            The new height and width.

        Raises
        ------
        TypeError, ValueError
            If it is not two sizes, or too small for the set.
        """

    def masked(self, mask: torch.Tensor) -> Moments:
        """Estimates of the same moments from fields that are known only where a mask is True.

        Values elsewhere have no influence: gaps are filled smoothly from the observed pixels
        (`phasewave.turbulence.fill`), and a channel is averaged over the pixels whose wavelet has at most a share
        of 1e-2 of its energy in gaps (`phasewave.turbulence.masks`). For a stationary field the expectation is
        that of the unmasked set: a masked set measures a target for the unmasked set of the same standardisation.

        Fields that are not periodic need nothing else: pad them to a larger grid (`resized`) and mask the padding.

        Parameters
        ----------
        mask : torch.Tensor
            Boolean, shape ``(H, W)``, True where fields are observed.

        Raises
        ------
        TypeError
            If the mask is not boolean.
        ValueError
            If its shape is not that of the fields, if it is False everywhere, or if a scale keeps too few pixels:
            the message names it.
        """
