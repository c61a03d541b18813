"""The fitted prior of the codes: an invertible map between white noise and codes, learnt by flow matching."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from phasewave.checks import fail, finite, integer, real_field
from phasewave.images.velocity import GatedBlock, NodeVelocity, gaussian_velocity, log_energies, standardised
from phasewave.runs.shared_batches import per_sample
from phasewave.runs.trainable import TrainableNetwork, draw_weights

_QUARTER = math.pi / 2
_HARMONICS = 8  # of the time, that the network sees
_TIME_WIDTH = 128
NODE_CHANNELS = 24
"""Local channels of a node that the network sees."""
_NODE_DEPTH = 3
_CORRECTIONS = 5  # of each step of the inverse
_AXES_FROM = 8192  # codes
_AXES_ROUNDS = 60


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

    What sets codes apart from Gaussian noise is, above all, scales that many of them share: the contrast of an
    image here and there. So the network sees the codes along sparse axes (`fit_axes`: a rotation, under which
    white noise stays what it is) together with the logarithms of their squares there and of the sum of these;
    ``depth`` residual blocks of gated linear units, moved by the time and that sum, follow; and the output, along
    the same axes, are means and variances of a Gaussian law, of which `gaussian_velocity` is the velocity. Where
    they are known to lie in an image (`fit_nodes`), a second part with weights shared over a grid of nodes,
    `NodeVelocity`, is added: local structure is the same everywhere, and learnt from all nodes at once.

    Parameters
    ----------
    n_entries : int
        Of a code.
    n_nodes : int
        Nodes of the grid in images; 0 for codes of anything else.
    width : int
        Of the blocks; those of the nodes have a quarter.
    depth : int
        Number of blocks on whole codes.
    n_steps : int
        Midpoint steps of the equation.
    seed : int
        Of the weights.

    Attributes
    ----------
    axes_ : torch.Tensor
        The rotation, ``(n_entries, n_entries)``, an axis a row; the entries themselves before `fit_axes`.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    On codes of 130 entries of 56,500 garments, 24 steps end within 0.25 % of 96, and the way there and back within
    3e-6 in the mean (12 steps: 1 % and 2e-4). `TrainingSettings` that were found good: batches of 256,
    ``learning_rate=2e-3``, ``averaging=0.998``, ``schedule="cosine"``, 60 epochs of 15,000 codes; call `fit_axes`
    and `fit_nodes` first. On codes of 258 entries of faces the loss of other images is .935 with velocities
    ``a + b u`` of whole codes (40 epochs), .930 with those of Gaussian laws (40), .886 with nodes of 16 channels
    and 2 blocks (20), .860 with 24 channels and 3 blocks (40).

    Cost of a map: ``2 n_steps`` networks (`codes`) or ``12 n_steps`` (`noise`). A network takes about
    ``2 width (3 depth width + 4 n_entries) + 4 n_entries^2`` operations a code for whole codes; its nodes, which
    take most of it, ``n_nodes (100 n_entries + 2 width^2 + 5 n_nodes width)``.

    References
    ----------
    Lipman et al., "Flow matching for generative modeling", ICLR 2023. Arcs in place of straight lines: Albergo,
    Vanden-Eijnden, "Building normalizing flows with stochastic interpolants", ICLR 2023.
    """

    axes_: torch.Tensor
    _harmonics: torch.Tensor

    def __init__(
        self,
        n_entries: int,
        *,
        n_nodes: int = 0,
        width: int = 256,
        depth: int = 2,
        n_steps: int = 24,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.n_entries = integer("n_entries", n_entries, minimum=1)
        self.n_nodes = integer("n_nodes", n_nodes, minimum=0)
        self.width = integer("width", width, minimum=2)
        self.depth = integer("depth", depth, minimum=1)
        self.n_steps = integer("n_steps", n_steps, minimum=1)
        self.seed = seed
        self.nodes: NodeVelocity | None = None
        with torch.device("meta"):
            self.read = nn.Linear(n_entries, width)
            self.read_energies = nn.Linear(n_entries, width, bias=False)
            self.time = nn.Linear(2 * _HARMONICS + 1, _TIME_WIDTH)
            blocks = [GatedBlock(width, _TIME_WIDTH) for _ in range(depth)]
            self.blocks = nn.ModuleList(blocks)
            self.write = nn.Linear(width, 2 * n_entries)
            self.overall = nn.Linear(_TIME_WIDTH, n_entries, bias=False)
            if n_nodes:
                self.nodes = NodeVelocity(
                    n_entries,
                    n_nodes=n_nodes,
                    n_channels=NODE_CHANNELS,
                    width=max(2, width // 4),
                    depth=_NODE_DEPTH,
                    context_width=width + _TIME_WIDTH,
                )
        draw_weights(self, seed=seed)
        with torch.no_grad():
            self.write.weight.zero_()
            self.overall.weight.zero_()
            for entry in (self.read, self.read_energies):
                entry.weight.mul_(0.5**0.5)
            for block in blocks:
                block.shrink()
            if self.nodes is not None:
                self.nodes.start()
        self.register_buffer("axes_", torch.eye(n_entries))
        self.register_buffer("_harmonics", torch.arange(1.0, _HARMONICS + 1), persistent=False)

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters, as plain values."""
        return {
            "n_entries": self.n_entries,
            "n_nodes": self.n_nodes,
            "width": self.width,
            "depth": self.depth,
            "n_steps": self.n_steps,
            "seed": self.seed,
        }

    def forward(self, u: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        """Return the velocities (n, n_entries) at ``u`` (n, n_entries) and times ``angles`` (n,) or ()."""
        turned = u @ self.axes_.T
        phases = (2 * angles[..., None] * self._harmonics).expand(len(u), -1)
        total = 4 * (turned.square().mean(1, keepdim=True) + 0.05).log()
        time = nn.functional.silu(self.time(torch.cat([phases.sin(), phases.cos(), total], 1)))
        hidden = self.read(turned) + self.read_energies(log_energies(turned))
        for block in self.blocks:
            hidden = block(hidden, time)
        hidden = standardised(hidden)
        means, log_variances = self.write(hidden).chunk(2, dim=-1)
        log_variances = log_variances + self.overall(time)
        velocities = gaussian_velocity(turned, angles[..., None], means, log_variances) @ self.axes_
        if self.nodes is not None:
            velocities = velocities + self.nodes(u, angles, torch.cat([hidden, time], 1))
        return velocities

    @torch.no_grad()
    def fit_axes(self, codes: torch.Tensor) -> FlowPrior:
        r"""Turn the network's axes to where codes are sparsest; before training, since it starts from them.

        The rotation ``R`` of most independent entries :math:`y = R w`, by the symmetric fixed point

        .. math:: R \leftarrow \mathrm{polar}\big(E[\tanh(y)\, w^T] - \mathrm{diag}(E[1 - \tanh^2(y)])\, R\big).

        Parameters
        ----------
        codes : torch.Tensor (n, n_entries)
            White; 8192 of them at most are looked at, evenly spread.

        Returns
        -------
        FlowPrior
            Itself.

        Raises
        ------
        TypeError, ValueError
            If they are not of this shape, fewer than two, or not finite.

        References
        ----------
        Hyvarinen, "Fast and robust fixed-point algorithms for independent component analysis", IEEE TNN 1999.
        """
        real_field("codes", codes)
        if codes.ndim != 2 or codes.shape[1] != self.n_entries or len(codes) < 2:
            fail("codes", f"have the shape (n >= 2, {self.n_entries})", tuple(codes.shape))
        rows = finite("codes", codes)[:: -(-len(codes) // _AXES_FROM)].to(self.axes_)
        rows = rows - rows.mean(0)
        generator = torch.Generator().manual_seed(self.seed)
        start = torch.randn(self.n_entries, self.n_entries, generator=generator, dtype=torch.float64)
        axes = torch.linalg.qr(start).Q.to(rows)
        for _ in range(_AXES_ROUNDS):
            bent = (rows @ axes.T).tanh()
            pull = bent.T @ rows / len(rows) - (1 - bent.square()).mean(0)[:, None] * axes
            left, _, right = torch.linalg.svd(pull, full_matrices=False)
            axes = left @ right
        self.axes_.copy_(axes)
        return self

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
    def fit_nodes(self, axes: torch.Tensor) -> FlowPrior:
        """Say where in an image the entries of its code lie; before training.

        Parameters
        ----------
        axes : torch.Tensor (n_nodes, channels, n_entries)
            See `phasewave.images.node_axes.node_axes`.

        Returns
        -------
        FlowPrior
            Itself.

        Raises
        ------
        TypeError, ValueError
            If they are not of this shape, or the network has no nodes.
        """
        real_field("axes", axes)
        if self.nodes is None:
            raise ValueError("the prior was made without nodes: give `n_nodes`")
        wanted = (self.n_nodes, NODE_CHANNELS, self.n_entries)
        if tuple(axes.shape) != wanted:
            fail("axes", f"have the shape {wanted}", tuple(axes.shape))
        self.nodes.take_axes(finite("axes", axes).to(self.axes_))
        return self

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
