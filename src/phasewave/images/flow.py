"""The fitted prior of the codes: an invertible map between white noise and codes, learnt by flow matching."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from phasewave.checks import fail, integer, real_field
from phasewave.images.network_parts import TrainableNetwork, draw_weights
from phasewave.images.shared_batches import per_sample

_QUARTER = math.pi / 2
_HARMONICS = 8  # of the time, that the network sees
_TIME_WIDTH = 128
_CORRECTIONS = 8  # of each step of the inverse


class FlowPrior(TrainableNetwork):
    r"""The law of codes, as an invertible map from white Gaussian noise.

    Along the arc from noise ``n`` to a code ``w``, of the same covariance everywhere if codes are white,

    .. math::
        u_\theta = \cos\theta\; n + \sin\theta\; w, \qquad
        \min_v \; E\, \big| v(u_\theta, \theta) - (\cos\theta\; w - \sin\theta\; n) \big|^2,
        \qquad 0 \le \theta \le \pi / 2,

    the network ``v`` learns the mean velocity. The solution of :math:`du / d\theta = v(u, \theta)` then takes
    white noise to the law of the codes, and backwards codes to white noise. Where the codes are white Gaussian
    noise themselves the best ``v`` is 0: the linear part of the map is built in (it is the identity), and a
    network learns the rest only. The untrained network gives 0, so that it starts at the map of the Gaussian law
    and at a loss of 1.

    The network: ``depth`` residual blocks of gated linear units, in which the time sets the gates' offsets; its
    output is ``a + b * u`` with both ``a`` and ``b`` learnt functions of ``(u, theta)``, since much of what sets
    codes apart from Gaussian noise is a scale that many entries share.

    Parameters
    ----------
    n_entries : int
        Of a code.
    width : int
        Of the blocks.
    depth : int
        Number of blocks.
    dropout : float
        Share of the gated units that a training step leaves out.
    n_steps : int
        Midpoint steps of the equation.
    seed : int
        Of the weights.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost of a map: ``2 n_steps`` networks (`codes`), ``2 n_steps (2 + corrections)`` (`noise`), each of about
    ``2 width (3 depth width + 3 n_entries)`` operations a code.

    References
    ----------
    Lipman et al., "Flow matching for generative modeling", ICLR 2023. Arcs in place of straight lines: Albergo,
    Vanden-Eijnden, "Building normalizing flows with stochastic interpolants", ICLR 2023.
    """

    _harmonics: torch.Tensor

    def __init__(
        self,
        n_entries: int,
        *,
        width: int = 384,
        depth: int = 4,
        dropout: float = 0.1,
        n_steps: int = 24,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.n_entries = integer("n_entries", n_entries, minimum=1)
        self.width = integer("width", width, minimum=2)
        self.depth = integer("depth", depth, minimum=1)
        if not 0 <= dropout < 1:
            fail("dropout", "lie between 0 and 1", dropout)
        self.dropout = float(dropout)
        self.n_steps = integer("n_steps", n_steps, minimum=1)
        self.seed = seed
        with torch.device("meta"):
            self.read = nn.Linear(n_entries, width)
            self.time = nn.Linear(2 * _HARMONICS, _TIME_WIDTH)
            blocks = [_GatedBlock(width, dropout) for _ in range(depth)]
            self.blocks = nn.ModuleList(blocks)
            self.write = nn.Linear(width, 2 * n_entries)
        draw_weights(self, seed=seed)
        with torch.no_grad():
            self.write.weight.zero_()
            for block in blocks:
                block.shrink()
        self.register_buffer("_harmonics", torch.arange(1.0, _HARMONICS + 1), persistent=False)

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters, as plain values."""
        return {
            "n_entries": self.n_entries,
            "width": self.width,
            "depth": self.depth,
            "dropout": self.dropout,
            "n_steps": self.n_steps,
            "seed": self.seed,
        }

    def forward(self, u: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        """Return the velocities (n, n_entries) at ``u`` (n, n_entries) and times ``angles`` (n,) or ()."""
        phases = 2 * angles[..., None] * self._harmonics
        time = nn.functional.silu(self.time(torch.cat([phases.sin(), phases.cos()], -1)))
        hidden = self.read(u)
        for block in self.blocks:
            hidden = block(hidden, time)
        shift, gain = self.write(_normalised(hidden)).chunk(2, dim=-1)
        return shift + gain * u

    def losses(self, *parts: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """Return the squared error of the velocity (n,), a mean over the entries, of (codes,); see the class.

        Times are spread evenly over each batch.
        """
        (codes,) = parts
        codes = codes.to(self._harmonics)

        def white(n: int) -> torch.Tensor:
            return torch.randn(n, codes.shape[1], generator=noise)

        def times(n: int) -> torch.Tensor:
            return (torch.rand((), generator=noise) + torch.arange(n) / max(1, n)) % 1

        n0 = per_sample(white, len(codes), noise=noise).to(codes)
        angles = _QUARTER * per_sample(times, len(codes), noise=noise).to(codes)
        cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
        error = self(cosine * n0 + sine * codes, angles) - (cosine * codes - sine * n0)
        return error.square().mean(1)

    @torch.no_grad()
    def codes(self, noise: torch.Tensor) -> torch.Tensor:
        """Return the codes (n, n_entries) that white noise (n, n_entries) becomes.

        Raises
        ------
        TypeError, ValueError
            If it is not of this shape and of the network's dtype.
        """
        u = self._checked("noise", noise)
        was_training = self.training
        self.eval()
        for k in range(self.n_steps):
            u = self._step(u, k)
        self.train(was_training)
        return u

    @torch.no_grad()
    def noise(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the white noise (n, n_entries) that becomes the codes (n, n_entries): the inverse of `codes`.

        Each step is the inverse of the step of `codes`, by a fixed number of fixed-point iterations that start at
        the midpoint step backwards, and not another approximation of the equation: the way there and back ends
        where it began, to rounding where the velocity does not vary too fast.

        Raises
        ------
        TypeError, ValueError
            If they are not of this shape and of the network's dtype.
        """
        u = self._checked("codes", codes)
        was_training = self.training
        self.eval()
        for k in reversed(range(self.n_steps)):
            after, u = u, self._step(u, k + 1, backwards=True)
            for _ in range(_CORRECTIONS):
                u = u + (after - self._step(u, k))
        self.train(was_training)
        return u

    def _step(self, u: torch.Tensor, k: int, *, backwards: bool = False) -> torch.Tensor:
        """One midpoint step from the k-th time."""
        size = (-1 if backwards else 1) * _QUARTER / self.n_steps
        angle = torch.as_tensor(k * _QUARTER / self.n_steps).to(u)
        middle = u + size / 2 * self(u, angle)
        return u + size * self(middle, angle + size / 2)

    def _checked(self, name: str, x: torch.Tensor) -> torch.Tensor:
        real_field(name, x, dtype=self._harmonics.dtype)
        if x.ndim != 2 or x.shape[1] != self.n_entries:
            fail(name, f"have the shape (n, {self.n_entries})", tuple(x.shape))
        return x


class _GatedBlock(nn.Module):
    """A residual block: normalised, widened to values and gates, both moved by the time, narrowed."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 2 * width)
        self.time = nn.Linear(_TIME_WIDTH, 2 * width, bias=False)
        self.narrow = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def shrink(self) -> None:
        """Start near the identity."""
        self.time.weight.mul_(0.3)
        self.narrow.weight.mul_(0.3)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        values, gates = (self.widen(_normalised(x)) + self.time(time)).chunk(2, dim=-1)
        return x + self.narrow(self.dropout(values * nn.functional.silu(gates)))


def _normalised(x: torch.Tensor) -> torch.Tensor:
    """Each row at mean 0 and variance 1."""
    return nn.functional.layer_norm(x, x.shape[-1:])
