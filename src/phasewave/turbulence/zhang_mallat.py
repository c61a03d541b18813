"""Moments of Zhang & Mallat's maximum-entropy models A to D."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from phasewave.turbulence.covariances import Shape
from phasewave.turbulence.moment_table import Channel, Moment
from phasewave.turbulence.table_moments import TableMoments
from phasewave.turbulence.zhang_mallat_table import AngularMoment, ZhangMallatModel, ZhangMallatSet

if TYPE_CHECKING:
    from typing_extensions import Self


class ZhangMallatMoments(nn.Module):
    r"""Phase-harmonic covariances of bump steerable wavelets, the sets of Zhang & Mallat (2021, arXiv:1911.10017).

    ``"A"``: covariances of the coefficients of each wavelet at several shifts: a Gaussian model. ``"B"``: also of
    their moduli, and of both between neighbouring angles, scale by scale. ``"C"``: also between neighbouring
    scales. ``"D"``: those of B and C between all angles, without shifts, averaged over rotations and transformed
    along the angle; channels are then standardised by one mean and deviation for all angles. `ZhangMallatSet`
    lists them; each is computed once, where the authors repeat conjugates.

    Parameters
    ----------
    shape : pair of int
        Sizes of the fields, each at least 16 and ``2^n_scales``.
    model : {"A", "B", "C", "D"}
        Which set.
    n_scales : int
        Number of scales, one an octave from the finest.
    n_angles : int
        Orientations over half a turn.
    scale_reach : int
        Octaves between the scales of a pair, at most (C, D).
    angle_reach : int, optional
        Steps of ``pi / n_angles`` between the angles of a pair, at most (B, C); by default ``n_angles // 2``.
    shift_reach : int
        Shifts up to this many times ``2^scale`` pixels on each axis (A, B, C).
    harmonics : sequence of int
        Harmonics of the coarser scale that moduli of the finer are paired with (C, D).
    oversampling, chunk, dtype
        As `TableMoments`.

    Attributes
    ----------
    table : tuple of Moment or AngularMoment
        What each moment is.

    Raises
    ------
    TypeError, ValueError
        As `TableMoments`; also if an argument is out of range.

    Examples
    --------
    >>> moments = ZhangMallatMoments((64, 64), model="D", n_scales=3, n_angles=4)
    >>> moments(torch.randn(2, 64, 64)).shape
    torch.Size([2, 62])
    """

    picks: torch.Tensor
    kept: torch.Tensor
    frequencies: torch.Tensor

    def __init__(
        self,
        shape: Shape,
        *,
        model: ZhangMallatModel = "C",
        n_scales: int = 5,
        n_angles: int = 8,
        scale_reach: int = 1,
        angle_reach: int | None = None,
        shift_reach: int = 2,
        harmonics: Sequence[int] = (0, 1, 2),
        oversampling: int = 1,
        chunk: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.settings = ZhangMallatSet(
            model=model,
            n_scales=n_scales,
            n_angles=n_angles,
            scale_reach=scale_reach,
            angle_reach=angle_reach,
            shift_reach=shift_reach,
            harmonics=tuple(harmonics),
        )
        self.covariances = TableMoments(
            shape,
            self.settings.table(),
            n_scales=n_scales,
            n_angles=n_angles,
            isotropic=model == "D",
            oversampling=oversampling,
            chunk=chunk,
            dtype=dtype,
        )
        self.table: tuple[Moment | AngularMoment, ...] = self.covariances.table
        if model == "D":
            self._transform_angles(dtype)

    def _transform_angles(self, dtype: torch.dtype) -> None:
        """Say which covariances are averaged, and the matrix from their differences of angles to frequencies."""
        at = {row: number for number, row in enumerate(self.covariances.table)}
        n_angles = self.settings.n_angles
        angle = math.pi / n_angles * torch.arange(2 * n_angles, dtype=torch.float64)
        phase = torch.arange(n_angles + 1)[:, None] * angle
        picks: dict[tuple[str, Channel, Channel], list[list[int]]] = {}
        for difference, rows in self.settings.differences():
            picks.setdefault(difference[:3], []).append([at[row] for row in rows])
        self.register_buffer("picks", torch.tensor(list(picks.values())), persistent=False)
        parts = torch.stack((phase.cos(), phase.sin()), dim=-1).to(dtype)
        self.register_buffer("frequencies", parts, persistent=False)
        table: list[Moment | AngularMoment] = []
        kept = []
        for number, (kind, first, second) in enumerate(picks):
            # A modulus is the same at opposite angles: its odd frequencies are zero.
            step = 2 if 0 in (first.harmonic, second.harmonic) else 1
            for q in range(0, n_angles + 1, step):
                table.append(AngularMoment(kind, first, second, q))
                kept.append(number * (n_angles + 1) + q)
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        self.table = (*table, self.covariances.table[-1])

    @property
    def shape(self) -> Shape:
        """Height and width of the fields."""
        return self.covariances.shape

    @property
    def chunk(self) -> int | None:
        """Samples at a time."""
        return self.covariances.chunk

    @property
    def n_moments(self) -> int:
        """Length of the table."""
        return len(self.table)

    @property
    def is_complex(self) -> bool:
        """Whether moments are complex numbers: True."""
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
            Complex, shape ``(..., n_moments)``.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not a real tensor of the module's dtype and shape.
        """
        values: torch.Tensor = self.covariances(x)
        if self.settings.model != "D":
            return values
        differences = values.real[..., self.picks].mean(-1)
        transformed = differences.to(values.dtype) @ torch.view_as_complex(self.frequencies).mT
        return torch.cat((transformed.flatten(-2)[..., self.kept], values[..., -1:]), dim=-1)

    def standardized(self, target: torch.Tensor) -> Self:
        """The same moments with means and deviations fixed from one or several fields ``(..., H, W)``.

        Raises
        ------
        TypeError, ValueError
            As `forward`; also if there is no field.
        """
        return self._with(self.covariances.standardized(target))

    def resized(self, shape: Sequence[int]) -> Self:
        """The same moments, and means and deviations, of whole fields of another size and the same pixels.

        Raises
        ------
        TypeError, ValueError
            As the constructor.
        """
        return self._with(self.covariances.resized(shape))

    def masked(self, mask: torch.Tensor) -> Self:
        """Estimates of the same moments from fields known only where a mask is True (`TableMoments.masked`).

        Raises
        ------
        TypeError, ValueError
            If the mask is not a boolean one of the shape of the fields, or a scale keeps too few pixels.
        """
        return self._with(self.covariances.masked(mask))

    def _with(self, covariances: TableMoments) -> Self:
        return copy.deepcopy(self, {id(self.covariances): covariances})
