"""The networks of the prior's velocity: on whole codes, and on what they say of the nodes of an image."""

from __future__ import annotations

import torch
from torch import nn

_BOUND = 4.0  # of log variances
_SMALL = 0.3  # of a residual block's first step


def gaussian_velocity(
    u: torch.Tensor, angles: torch.Tensor, means: torch.Tensor, log_variances: torch.Tensor
) -> torch.Tensor:
    r"""Return the mean velocity on arcs :math:`u = \cos\theta\, n + \sin\theta\, w` if :math:`w \sim N(m, s^2)`.

    .. math::
        E[\cos\theta\, w - \sin\theta\, n \mid u]
        = \cos\theta\, \frac{m + \sin\theta\, (s^2 - 1)\, u}{s^2 \sin^2\theta + \cos^2\theta}

    It is 0 for white Gaussian ``w``, and brings any noise to :math:`m + s\, n` however small ``s``.

    Parameters
    ----------
    u : torch.Tensor (..., d)
    angles : torch.Tensor
        :math:`\theta`, that broadcasts with ``u``.
    means, log_variances : torch.Tensor (..., d)
        :math:`m` and :math:`\log s^2`, the latter bent to stay within 4.

    Returns
    -------
    torch.Tensor (..., d)
    """
    cosine, sine = angles.cos(), angles.sin()
    variances = (_BOUND * torch.tanh(log_variances / _BOUND)).exp()
    return cosine * (means + sine * (variances - 1) * u) / (variances * sine.square() + cosine.square())


def log_energies(u: torch.Tensor) -> torch.Tensor:
    """Return logarithms of squares, about standardised where ``u`` is white Gaussian."""
    return 0.6 * (u.square() + 0.1).log() + 0.4


def standardised(x: torch.Tensor) -> torch.Tensor:
    """Return each row at mean 0 and variance 1."""
    return nn.functional.layer_norm(x, x.shape[-1:])


class GatedBlock(nn.Module):
    """A residual block: standardised, widened to values and gates, both moved by a context, narrowed.

    Parameters
    ----------
    width, context_width : int
    """

    def __init__(self, width: int, context_width: int) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 2 * width)
        self.context = nn.Linear(context_width, 2 * width, bias=False)
        self.narrow = nn.Linear(width, width)

    def shrink(self) -> None:
        """Start near the identity."""
        self.context.weight.mul_(_SMALL)
        self.narrow.weight.mul_(_SMALL)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return the next (n, ..., width) of ``x`` and of the contexts (n, ..., context_width)."""
        values, gates = (self.widen(standardised(x)) + self.context(context)).chunk(2, dim=-1)
        return x + self.narrow(values * nn.functional.silu(gates))


class NodeBlock(nn.Module):
    """Two gated residual steps: from node to node within each channel, then within each node.

    Parameters
    ----------
    n_nodes, width, context_width : int
    """

    def __init__(self, n_nodes: int, width: int, context_width: int) -> None:
        super().__init__()
        self.gather = nn.Linear(n_nodes, 2 * n_nodes)
        self.spread = nn.Linear(n_nodes, n_nodes, bias=False)
        self.widen = nn.Linear(width, 4 * width)
        self.context = nn.Linear(context_width, 4 * width, bias=False)
        self.narrow = nn.Linear(2 * width, width)

    def shrink(self) -> None:
        """Start near the identity."""
        for linear in (self.spread, self.context, self.narrow):
            linear.weight.mul_(_SMALL)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return the next (n, n_nodes, width) of ``x`` and of the contexts (n, context_width)."""
        values, gates = self.gather(standardised(x).mT).chunk(2, dim=-1)
        x = x + self.spread(values * nn.functional.silu(gates)).mT
        values, gates = (self.widen(standardised(x)) + self.context(context)[:, None]).chunk(2, dim=-1)
        return x + self.narrow(values * nn.functional.silu(gates))


class NodeVelocity(nn.Module):
    r"""The part of the velocity of codes that is found node by node of an image, with weights shared by the nodes.

    A code becomes ``n_channels`` local channels at each node, ``t = B u``; `NodeBlock` mix them; what comes out at
    each node are the means and variances of a Gaussian law of its channels, of which `gaussian_velocity` gives a
    velocity, which a matrix ``B'`` that starts as the pseudo-inverse of ``B`` brings back to codes.

    Parameters
    ----------
    n_entries : int
        Of a code.
    n_nodes, n_channels : int
    width, depth : int
        Of the blocks, and their number.
    context_width : int
        Of what the network knows of the whole code.

    Attributes
    ----------
    axes_ : torch.Tensor
        ``B``, ``(n_nodes * n_channels, n_entries)``; zeros before `take_axes`.
    """

    axes_: torch.Tensor

    def __init__(
        self, n_entries: int, *, n_nodes: int, n_channels: int, width: int, depth: int, context_width: int
    ) -> None:
        super().__init__()
        self.n_nodes, self.n_channels = n_nodes, n_channels
        self.read = nn.Linear(2 * n_channels + 1, width)
        self.places = nn.Parameter(torch.empty(n_nodes, width))
        self.blocks = nn.ModuleList([NodeBlock(n_nodes, width, context_width) for _ in range(depth)])
        self.write = nn.Linear(width, 2 * n_channels)
        self.back = nn.Parameter(torch.empty(n_nodes * n_channels, n_entries))
        self.register_buffer("axes_", torch.empty(n_nodes * n_channels, n_entries))

    def start(self) -> None:
        """Start at the velocity 0."""
        self.places.mul_((self.places.shape[1] / 8) ** 0.5)
        self.write.weight.zero_()
        self.back.zero_()
        self.axes_.zero_()
        for block in self.blocks:
            if isinstance(block, NodeBlock):
                block.shrink()

    def take_axes(self, axes: torch.Tensor) -> None:
        """Read codes along ``axes`` ``(n_nodes, n_channels, n_entries)``, and write along their pseudo-inverse."""
        rows = axes.flatten(0, 1)
        self.axes_.copy_(rows)
        self.back.copy_(torch.linalg.pinv(rows.double(), rtol=1e-3).mT)

    def forward(self, u: torch.Tensor, angles: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return the velocities (n, n_entries) of ``u`` at times ``angles`` (n,) or () in contexts (n, width)."""
        local = (u @ self.axes_.T).unflatten(1, (self.n_nodes, self.n_channels))
        total = 0.9 * (local.square().mean(-1, keepdim=True) + 0.05).log()
        hidden = self.read(torch.cat([local, log_energies(local), total], -1)) + self.places
        for block in self.blocks:
            hidden = block(hidden, context)
        means, log_variances = self.write(standardised(hidden)).chunk(2, dim=-1)
        velocities = gaussian_velocity(local, angles[..., None, None], means, log_variances)
        return velocities.flatten(1) @ self.back
