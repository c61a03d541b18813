"""Pointwise non-linearities of frame networks with their Lipschitz constants, and those of scattering hybrids."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from phasewave.checks import fail, integer, real_field
from phasewave.core.phases import modulus, rectifier_phases


@dataclass(frozen=True)
class NonLinearity:
    """A map M of channels with ``M(0) = 0`` and ``||M(f) - M(h)|| <= lipschitz ||f - h||``.

    Attributes
    ----------
    function : callable
        From ``(..., n, H, W)`` to ``(..., n * n_outputs, H, W)``, the outputs of a channel side by side.
    lipschitz : float
        Its constant ``L``.
    complex_input : bool
        Whether it takes complex coefficients; otherwise filters must be real.
    complex_output : bool
        Whether its values are complex where its input is.
    n_outputs : int
        Channels out of each channel.
    """

    function: Callable[[torch.Tensor], torch.Tensor]
    lipschitz: float
    complex_input: bool = True
    complex_output: bool = False
    n_outputs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.lipschitz < math.inf:
            fail("lipschitz", "be positive and finite", self.lipschitz)
        integer("n_outputs", self.n_outputs, minimum=1)


def shifted_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """Logistic sigmoid less 1/2, so that 0 stays 0; its steepest slope is 1/4."""
    return torch.sigmoid(x) - 0.5


def relu_parts(z: torch.Tensor) -> torch.Tensor:
    """ReLU on the real and on the imaginary part."""
    return torch.complex(z.real.relu(), z.imag.relu()) if z.is_complex() else z.relu()


def _modulus(z: torch.Tensor) -> torch.Tensor:
    return modulus(z) if z.is_complex() else z.abs()


MODULUS = NonLinearity(_modulus, 1.0)
RELU = NonLinearity(torch.relu, 1.0, complex_input=False)
TANH = NonLinearity(torch.tanh, 1.0, complex_input=False)
SHIFTED_SIGMOID = NonLinearity(shifted_sigmoid, 0.25, complex_input=False)
RELU_PARTS = NonLinearity(relu_parts, 2.0, complex_output=True)
"""With the constant 2 of Wiatowski & Boelcskei's proof; the best is 1, as each part is a contraction."""


def even_phases(n_phases: int) -> int:
    """Return a number of phases that is even and at least 4.

    Raises
    ------
    TypeError, ValueError
        If it is not.
    """
    if integer("n_phases", n_phases, minimum=4) % 2:
        fail("n_phases", "be even", n_phases)
    return n_phases


def normalised_phases(z: torch.Tensor, n_phases: int) -> torch.Tensor:
    r"""Rectified phases :math:`\frac{2}{\sqrt A} \rho(\mathrm{Re}\, e^{i \alpha_a} z)` of channels.

    As :math:`\rho(t)^2 + \rho(-t)^2 = t^2`, and each such pair is a non-expansive map of t, they keep the norm of
    z and no distance grows.

    Parameters
    ----------
    z : torch.Tensor
        Complex, shape ``(..., n, H, W)``.
    n_phases : int
        ``A``, even and at least 4.

    Returns
    -------
    torch.Tensor
        Real, shape ``(..., n * A, H, W)``, phases innermost.
    """
    u = rectifier_phases(z, n_phases) * (2 / n_phases**0.5)
    return u.movedim(0, -3).flatten(-4, -3)


def phase_rectifier(n_phases: int = 4) -> NonLinearity:
    """Rectified phases in place of a modulus: one channel becomes ``n_phases``; L = 1 and the norm is kept.

    Raises
    ------
    TypeError, ValueError
        If the number is not even and at least 4.
    """
    function = functools.partial(_phases, n_phases=even_phases(n_phases))
    return NonLinearity(function, 1.0, n_outputs=n_phases)


def _phases(z: torch.Tensor, n_phases: int) -> torch.Tensor:
    return normalised_phases(z if z.is_complex() else z.to(z.dtype.to_complex()), n_phases)


class FractionalReLU(nn.Module):
    """ReLU on the first channels, the identity on the others.

    Parameters
    ----------
    n_channels : int
        ``K``.
    n_rectified : int
        ``k``: all of them is ReLU, 0 the identity.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Source: the study of the fraction of rectified channels that a classifier needs, Oyallon 2017.
    """

    def __init__(self, n_channels: int, n_rectified: int) -> None:
        super().__init__()
        self.n_channels = integer("n_channels", n_channels, minimum=1)
        self.n_rectified = integer("n_rectified", n_rectified, minimum=0, maximum=self.n_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(n, K, ...)`` of ``(n, K, ...)``.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not real or has another number of channels.
        """
        real_field("x", x)
        if x.ndim < 2 or x.shape[1] != self.n_channels:
            fail("x", f"have {self.n_channels} channels along axis 1", tuple(x.shape))
        return torch.cat([x[:, : self.n_rectified].relu(), x[:, self.n_rectified :]], dim=1)

    def extra_repr(self) -> str:
        """Return the parameters as text."""
        return f"{self.n_channels}, {self.n_rectified}"


class SignedRoot(nn.Module):
    r"""The bijective non-linearity :math:`\mathrm{sign}(x) (\sqrt{|x|} + c)`, which is not Lipschitz at 0.

    Parameters
    ----------
    offset : float
        ``c >= 0``, half the jump at 0.

    Raises
    ------
    ValueError
        If the offset is negative.

    Notes
    -----
    Under ``|x| = 1e-6`` the root is continued by its chord, so that no derivative exceeds 1e3. Source: Oyallon
    2017.
    """

    def __init__(self, offset: float = 0.1) -> None:
        super().__init__()
        if not 0 <= offset < math.inf:
            fail("offset", "be at least 0 and finite", offset)
        self.offset = float(offset)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return values of the shape of a real tensor.

        Raises
        ------
        TypeError
            If ``x`` is not real.
        """
        real_field("x", x)
        size = x.abs()
        threshold = 1e-6
        root = torch.where(size > threshold, size.clamp_min(threshold).sqrt(), size / threshold**0.5)
        return x.sign() * (root + self.offset)

    def extra_repr(self) -> str:
        """Return the parameters as text."""
        return f"offset={self.offset:g}"
