"""A convolutional dictionary of patterns of rectified wavelet coefficients."""

from __future__ import annotations

import math

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.core.rectified import RectifiedWavelets


class PatternDictionary(nn.Module):
    r"""Patterns at the nodes of a coarse grid: :math:`D z = \sum_{u, k} z_k(u)\, d_k(\cdot - u)`.

    A pattern has coefficients at every scale ``j`` that the coarse grid resolves, on a patch of twice the grid's
    step: one transposed convolution a scale. What lies beyond the border of the image is cut.

    Parameters
    ----------
    rectified : RectifiedWavelets
        The transform whose coefficients the patterns are made of.
    n_channels : int
        Colours.
    n_atoms : int
        Patterns at each node.
    stride : int
        Step of the coarse grid in pixels, a power of two.
    seed : int
        Of the patterns at the start, random; `fill` replaces them by patches of images.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(
        self, rectified: RectifiedWavelets, *, n_channels: int, n_atoms: int, stride: int, seed: int = 0
    ) -> None:
        super().__init__()
        self.rectified, self.n_channels = rectified, n_channels
        self.n_atoms = integer("n_atoms", n_atoms, minimum=1)
        self.stride = integer("stride", stride, minimum=1, maximum=min(rectified.shape))
        if stride & (stride - 1):
            fail("stride", "be a power of two", stride)
        self.n_levels = min(rectified.n_scales, int(math.log2(stride)) + 1)
        self.grid = tuple(-(-side // stride) for side in rectified.shape)
        generator = torch.Generator().manual_seed(seed)
        kernels = []
        for j in range(self.n_levels):
            shape = (n_atoms, n_channels * rectified.n_channels[j], *[self._side(j)] * 2)
            kernels.append(nn.Parameter(torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))))
        self.kernels = nn.ParameterList(kernels)

    @property
    def n_codes(self) -> int:
        """Entries of ``z``: patterns times nodes."""
        return self.n_atoms * math.prod(self.grid)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return the images :math:`U^{-1} D z`, ``(n, C, H, W)``, of codes ``(n, n_codes)``."""
        return self.rectified.inverse(self.levels(z))

    def levels(self, z: torch.Tensor) -> list[torch.Tensor]:
        """Return the coefficients :math:`D z`, ``(n, C, K_j, h_j, w_j)`` each, of codes ``(n, n_codes)``."""
        maps = z.unflatten(1, (self.n_atoms, *self.grid))
        levels = []
        for j, (n, grid) in enumerate(zip(self.rectified.n_channels, self.rectified.grids, strict=True)):
            if j < self.n_levels:
                step = self.stride >> j
                level = nn.functional.conv_transpose2d(
                    maps, self.kernels[j], stride=step, padding=self._padding(j)
                )
                level = level[..., : grid[0], : grid[1]]
                levels.append(level.unflatten(1, (self.n_channels, n)))
            else:
                levels.append(z.new_zeros(len(z), self.n_channels, n, *grid))
        return levels

    def seen_by(self, rows: list[torch.Tensor], blocks: tuple[int, ...]) -> torch.Tensor:
        r"""Return the matrix ``M = L D`` of linear functions of the averages of the patterns.

        Parameters
        ----------
        rows : list of torch.Tensor
            One a scale, ``(d, C K_j, h, w)``: the functions ``L``, on means over blocks.
        blocks : tuple of int
            Samples a side of the blocks, which divide the sides of the grids and the step of the patterns.

        Returns
        -------
        torch.Tensor
            ``(d, n_codes)``.

        Notes
        -----
        The mean of a shifted pattern is the shifted mean of the pattern, as blocks divide the step: ``M`` is a
        convolution of the functions with the averaged patterns.
        """
        total: torch.Tensor | None = None
        for j in range(self.n_levels):
            kernel, block = self.kernels[j], blocks[j]
            if block > 1:
                kernel = nn.functional.avg_pool2d(kernel, block)
            step, padding = (self.stride >> j) // block, self._padding(j) // block
            needed = [(n - 1) * step + kernel.shape[-1] - 2 * padding for n in self.grid]
            extra = [max(0, n - have) for n, have in zip(needed, rows[j].shape[-2:], strict=True)]
            padded = nn.functional.pad(rows[j], (padding, padding + extra[1], padding, padding + extra[0]))
            seen = nn.functional.conv2d(padded, kernel, stride=step)[..., : self.grid[0], : self.grid[1]]
            total = seen if total is None else total + seen
        if total is None:
            raise ValueError("the dictionary has no scale")
        return total.flatten(1)

    @torch.no_grad()
    def fill(self, images: torch.Tensor, *, seed: int) -> None:
        """Set every pattern to a patch of the coefficients of a random image at a random node, of norm 1.

        Parameters
        ----------
        images : torch.Tensor
            ``(n, C, H, W)``.
        seed : int
        """
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randint(len(images), (self.n_atoms,), generator=generator)
        nodes = [torch.randint(n, (self.n_atoms,), generator=generator) for n in self.grid]
        levels = self.rectified(images[rows])[: self.n_levels]
        patches = []
        for j, level in enumerate(levels):
            side, padding, step = self._side(j), self._padding(j), self.stride >> j
            padded = nn.functional.pad(level.flatten(1, 2), [side] * 4)
            own = []
            for k in range(self.n_atoms):
                top, left = (int(at[k]) * step - padding + side for at in nodes)
                own.append(padded[k, :, top : top + side, left : left + side])
            patches.append(torch.stack(own))
        squares = torch.stack([patch.square().sum((1, 2, 3)) for patch in patches])
        norms = squares.sum(0).sqrt().clamp_min(1e-6)
        for kernel, patch in zip(self.kernels, patches, strict=True):
            kernel.copy_(patch / norms[:, None, None, None])

    def atoms(self) -> torch.Tensor:
        """Return each pattern as an image, ``(n_atoms, C, 2 stride, 2 stride)``, from the middle of the grid."""
        middle = [n // 2 for n in self.grid]
        maps = torch.zeros(self.n_atoms, self.n_atoms, *self.grid)
        maps[range(self.n_atoms), range(self.n_atoms), middle[0], middle[1]] = 1.0
        with torch.no_grad():
            images = self(maps.flatten(1).to(self.kernels[0]))
        side = 2 * self.stride
        top, left = (
            max(0, min(m * self.stride - self.stride // 2, n - side))
            for m, n in zip(middle, self.rectified.shape, strict=True)
        )
        return images[..., top : top + side, left : left + side]

    def _side(self, j: int) -> int:
        """Samples a side of the patches: twice the step, or 3 where the step is one sample."""
        return max(3, 2 * (self.stride >> j))

    def _padding(self, j: int) -> int:
        return max(1, (self.stride >> j) // 2)
