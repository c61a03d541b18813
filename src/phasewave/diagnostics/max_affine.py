"""Max-affine splines, and the soft non-linearities between them and their mean: beta vector quantisation."""

from __future__ import annotations

import math

import torch
from torch import nn

from phasewave.checks import fail, integer, real_field


def max_affine(x: torch.Tensor, slopes: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Max-affine splines :math:`z_k = \max_r \langle a_{k,r}, x \rangle + b_{k,r}`, convex in x.

    Parameters
    ----------
    x : torch.Tensor (..., D)
    slopes : torch.Tensor (K, R, D)
        a.
    offsets : torch.Tensor (K, R)
        b.

    Returns
    -------
    values : torch.Tensor (..., K)
    codes : torch.Tensor (..., K)
        int64, which piece r is the largest: the vector-quantisation code of x.

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit.

    Notes
    -----
    Cost: K R D a point. Source: Balestriero and Baraniuk, "A spline theory of deep learning", ICML 2018.
    """
    real_field("slopes", slopes)
    if slopes.ndim != 3:
        fail("slopes", "have the shape (K, R, D)", tuple(slopes.shape))
    real_field("x", x, slopes.shape[2:])
    if offsets.shape != slopes.shape[:2]:
        fail("offsets", f"have the shape {tuple(slopes.shape[:2])}", tuple(offsets.shape))
    found = (torch.einsum("...d,krd->...kr", x, slopes) + offsets).max(-1)
    return found.values, found.indices


def soft_max_affine(pieces: torch.Tensor, *, beta: float) -> torch.Tensor:
    r"""Mean of the pieces by beta vector quantisation.

    .. math::
        z = \sum_r p_r\, z_r, \qquad p = \mathrm{softmax}\big(\tfrac{\beta}{1 - \beta}\, z_\cdot\big).

    Parameters
    ----------
    pieces : torch.Tensor (..., R)
        Values of the affine pieces.
    beta : float
        Between 0 (their mean) and 1 (their maximum).

    Returns
    -------
    torch.Tensor (...)

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost: one softmax.

    References
    ----------
    Balestriero, Baraniuk, "From hard to soft: understanding deep network nonlinearities via vector quantization
    and statistical inference", ICLR 2019.
    """
    real_field("pieces", pieces)
    steepness = _steepness(beta)
    if math.isinf(steepness):
        return pieces.amax(-1)
    return (torch.softmax(steepness * pieces, -1) * pieces).sum(-1)


class BetaVQ(nn.Module):
    r"""Soft rectifier of two pieces, ``slope * u`` and ``u``.

    .. math::
        z = s u + (1 - s)\, u\, \sigma\big(\tfrac{\beta}{1 - \beta} (1 - s) u\big).

    Slope s = 0: :math:`\sigma(\beta u / (1 - \beta))\, u`, of which beta = 1/2 is SiLU, beta = 1 ReLU and beta = 0
    u / 2. Slope -1: :math:`u \tanh(\beta u / (1 - \beta))`, of which beta = 1 is the modulus.

    Parameters
    ----------
    beta : float
        Between 0 and 1.
    slope : float
        s < 1, of the lower piece: 0 for ReLU, -1 for the modulus, between them or up to 1 for leaky rectifiers.
    learnable : bool
        Whether beta is learnt, through its logit; then 0 < beta < 1.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost: one sigmoid a value. The distance to the hard rectifier is at most
    :math:`0.27847 (1 - \beta) / \beta`, for any slope.

    References
    ----------
    Balestriero, Baraniuk, "From hard to soft", ICLR 2019.
    """

    def __init__(self, beta: float = 0.5, *, slope: float = 0.0, learnable: bool = False) -> None:
        super().__init__()
        if not slope < 1:
            fail("slope", "be < 1", slope)
        self.slope = slope
        self._steepness = _steepness(beta)
        self.logit: nn.Parameter | None = None
        if learnable:
            if not 0 < beta < 1:
                fail("beta", "be between 0 and 1, both excluded, to be learnt", beta)
            self.logit = nn.Parameter(torch.tensor(math.log(self._steepness)))

    @property
    def beta(self) -> float:
        """Its value now."""
        if self.logit is not None:
            return float(torch.sigmoid(self.logit.detach().double()))
        return 1.0 if math.isinf(self._steepness) else self._steepness / (1 + self._steepness)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Return z of any real tensor, of its shape."""
        real_field("u", u)
        upper = (1 - self.slope) * u
        if self.logit is not None:
            return self.slope * u + upper * torch.sigmoid(self.logit.exp().to(u.dtype) * upper)
        if math.isinf(self._steepness):
            return self.slope * u + upper.relu()
        return self.slope * u + upper * torch.sigmoid(self._steepness * upper)

    def extra_repr(self) -> str:
        """Return the parameters as text."""
        return f"beta={self.beta:.4g}, slope={self.slope:g}, learnable={self.logit is not None}"


class BetaMaxPool2d(nn.Module):
    """Soft maximum pooling: `soft_max_affine` of the values of each window.

    Parameters
    ----------
    size : int
        Of a window, and its stride.
    beta : float
        Between 0 (average pooling) and 1 (maximum pooling).

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost: one exponential a value. Source: Balestriero and Baraniuk 2019.
    """

    def __init__(self, size: int = 2, *, beta: float = 0.5) -> None:
        super().__init__()
        self.size = integer("size", size, minimum=1)
        _steepness(beta)
        self.beta = beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (..., H // size, W // size) of (..., H, W); what is left of the last windows is dropped."""
        real_field("x", x)
        if x.ndim < 2 or min(x.shape[-2:]) < self.size:
            fail("x", f"have the shape (..., H >= {self.size}, W >= {self.size})", tuple(x.shape))
        windows = x.unfold(-2, self.size, self.size).unfold(-2, self.size, self.size)
        return soft_max_affine(windows.flatten(-2), beta=self.beta)

    def extra_repr(self) -> str:
        """Return the parameters as text."""
        return f"size={self.size}, beta={self.beta:g}"


def _steepness(beta: float) -> float:
    """Beta / (1 - beta), infinite at 1."""
    if not 0 <= beta <= 1:
        fail("beta", "be between 0 and 1", beta)
    return math.inf if beta == 1 else beta / (1 - beta)
