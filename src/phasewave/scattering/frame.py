"""Frames of a layer: any set of atoms and an output atom on a grid, with their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from phasewave.checks import fail, grid_shape, plane_shape
from phasewave.core.bank import WaveletFamily, filter_bank


@dataclass(frozen=True, eq=False)
class Frame:
    r"""Atoms :math:`g_\lambda` that feed the next layer and the output atom :math:`\chi`, circular on a grid.

    Attributes
    ----------
    atoms : torch.Tensor (n, H, W)
        :math:`\hat g_\lambda`, in FFT order, float64 or complex128.
    output : torch.Tensor (H, W)
        :math:`\hat\chi`, in FFT order, of a filter real in space; float64 or complex128.
    """

    atoms: torch.Tensor
    output: torch.Tensor

    def __post_init__(self) -> None:
        for name in ("atoms", "output"):
            if getattr(self, name).dtype not in (torch.float64, torch.complex128):
                raise TypeError(f"`{name}` must be float64 or complex128, got {getattr(self, name).dtype}")
        grid_shape("output", self.output.shape, n_axes=2, minimum=1)
        if self.atoms.ndim != 3 or not len(self.atoms) or self.atoms.shape[1:] != self.output.shape:
            fail("atoms", f"have the shape (n, {self.shape[0]}, {self.shape[1]})", tuple(self.atoms.shape))
        if not _real_in_space(self.output):
            raise ValueError("`output` must be real in space: its value at -w the conjugate of that at w")

    @property
    def shape(self) -> tuple[int, int]:
        """Grid."""
        height, width = self.output.shape
        return height, width

    @property
    def real(self) -> bool:
        """Whether all atoms are real in space."""
        return _real_in_space(self.atoms)

    def energy(self, *, of_real: bool = True) -> torch.Tensor:
        r"""Energy that the frame gives each frequency: for complex fields
        :math:`A(\omega) = |\hat\chi|^2 + \sum_\lambda |\hat g_\lambda|^2`, for real ones its even part.

        Parameters
        ----------
        of_real : bool
            Whether fields are real.

        Returns
        -------
        torch.Tensor (H, W)
        """  # noqa: D205
        energy = self.atoms.abs().square().sum(0) + self.output.abs().square()
        return (energy + _mirrored(energy)) / 2 if of_real else energy

    def bounds(self, *, of_real: bool = True) -> tuple[float, float]:
        """Frame bounds: the least and the largest energy of a frequency; both 1 for a Parseval frame."""
        energy = self.energy(of_real=of_real)
        return float(energy.min()), float(energy.max())

    def scaled(self, bound: float = 1.0, *, of_real: bool = True) -> Frame:
        """The frame times a number, so that the upper bound ``B`` is ``bound``."""
        if not bound > 0:
            fail("bound", "be positive", bound)
        factor = (bound / self.bounds(of_real=of_real)[1]) ** 0.5
        return Frame(self.atoms * factor, self.output * factor)


def wavelet_frame(
    shape: Sequence[int], family: WaveletFamily, *, n_scales: int, tight: bool = True, tolerance: float = 1e-16
) -> Frame:
    """All wavelets of a family and its low-pass; Parseval for real fields if ``tight``.

    Parameters
    ----------
    shape : tuple of int
        Height and width, each at least 16.
    family : WaveletFamily
        For example ``Morlet(n_angles=8)``.
    n_scales : int
        Number of scales.
    tight : bool
        As for `phasewave.core.bank.filter_bank`.
    tolerance : float
        Amplitude under which a filter counts as zero.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """
    bank = filter_bank(plane_shape("shape", shape), family, n_scales=n_scales, tight=tight, tolerance=tolerance)
    atoms = [support.on_grid(bank.shape) for scale in bank.wavelets for support in scale]
    return Frame(torch.stack(atoms), torch.outer(*bank.low_pass))


def kernel_frame(shape: Sequence[int], kernels: torch.Tensor, output: torch.Tensor) -> Frame:
    """Any filters given in space about their middle pixel, learnt or random.

    `Frame.scaled` makes them admissible.

    Parameters
    ----------
    shape : tuple of int
        Height and width.
    kernels : torch.Tensor (n, h, w)
        Convolution kernels (not correlations), real or complex, at most ``shape``.
    output : torch.Tensor (h', w')
        Real kernel of the output atom.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    grid = grid_shape("shape", shape, n_axes=2, minimum=1)
    if kernels.ndim != 3 or output.ndim != 2:
        fail("kernels", "have the shapes (n, h, w), and `output` (h', w')", (*kernels.shape, *output.shape))

    def spectrum(kernel: torch.Tensor) -> torch.Tensor:
        if any(size > n for size, n in zip(kernel.shape[-2:], grid, strict=True)):
            fail("kernels", f"be at most {grid}", tuple(kernel.shape[-2:]))
        dtype = torch.complex128 if kernel.is_complex() else torch.float64
        placed = torch.zeros((*kernel.shape[:-2], *grid), dtype=dtype)
        placed[..., : kernel.shape[-2], : kernel.shape[-1]] = kernel.detach().cpu().to(dtype)
        middle = [-(size // 2) for size in kernel.shape[-2:]]
        return torch.fft.fft2(placed.roll(middle, (-2, -1)))

    return Frame(spectrum(kernels), spectrum(output))


def _mirrored(grid: torch.Tensor) -> torch.Tensor:
    return grid.flip((-2, -1)).roll((1, 1), (-2, -1))


def _real_in_space(transfer: torch.Tensor) -> bool:
    difference = (transfer - _mirrored(transfer).conj()).abs().amax()
    return bool(difference <= 1e-12 * transfer.abs().amax())
