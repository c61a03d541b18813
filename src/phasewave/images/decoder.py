"""The sparse-dictionary decoder: a code to the image whose sparse patterns it is the average of."""

from __future__ import annotations

import math
from typing import Any

import torch

from phasewave.checks import fail, integer
from phasewave.images.code_gradient import code_gradient, curvature
from phasewave.images.contrast import normalised
from phasewave.images.dictionary import PatternDictionary
from phasewave.images.encoder import ScatteringEncoder
from phasewave.images.image_batches import BATCH_SIZE, as_float, check_images
from phasewave.runs.trainable import TrainableNetwork
from phasewave.solve.homotopy import Homotopy
from phasewave.solve.sparse_problem import largest_penalty, spectral_norm
from phasewave.solve.unrolled import unrolled

CORRECTIONS_OF_NEW = 3
"""Corrections of images of codes drawn from a prior. More of them make images sharper and less varied: with 2, 3,
4 and 6 the Frechet distance of new faces is .96, .86, .79, .71, and their recall .25, .21, .18, .13."""
_RIDGE = 1e-3  # of the variance of a code
_SOLVER = Homotopy(n_stages=8)
_SAFETY = 1.05  # of spectral norms, found by a few power iterations
_MOMENTUM = 0.8
_FEW = 64


class SparseDecoder(TrainableNetwork):
    r"""Images from codes ``w`` by a sparse sum of patterns and a linear inverse.

    .. math::
        z = \arg\min_{z \ge 0} \tfrac12 \|w - M z\|^2 + \lambda \|z\|_1, \quad M = L D, \qquad
        \tilde x = U^{-1}\big(D z + R\,(w - M z)\big)

    with the patterns ``D`` of `phasewave.images.dictionary.PatternDictionary`, columns scaled so that those of
    ``M`` have norm 1, and the Wiener map :math:`R = C L^T (L C L^T)^{-1}` of the training images, which brings in
    what the patterns leave of the code: at ``z = 0`` this is the linear decoder. As the inverse is linear,
    :math:`U^{-1} R` is the ridge regression of images on codes, and is kept as such. ``z`` is what a fixed number
    of steps of FISTA reach while :math:`\lambda` falls geometrically to a share of the largest useful one; while
    ``D`` is learnt that share is moved until ``sparsity`` of the entries of ``z`` are active.

    Coefficients :math:`D z + R(w - M z)` need not be those of an image, so that the image has another code. A few
    steps of gradient descent with momentum on :math:`\tfrac12 \|w - L\,U \tilde x\|^2` correct that.

    Parameters
    ----------
    encoder : ScatteringEncoder
        Whose codes are to be decoded; fitted before `fit_linear` is called.
    n_atoms : int
        Patterns at each node of a grid of ``2 average`` pixels.
    sparsity : float
        Share of the entries of ``z`` that should be active, in (0, 1).
    n_steps : int
        Steps of FISTA, at least 8.
    n_corrections : int
        Steps of gradient descent on the code of the image that `decode` takes.
    consistency : float
        Weight in the loss of the squared error of the code of the decoded image, before corrections.
    seed : int
        Of the patterns at the start.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range, or the sides of the images are no multiples of the encoder's ``average``.

    Notes
    -----
    Trained by `phasewave.runs.network_training.train_network` on (codes, images). The loss of an image is
    :math:`\|\bar x - \tilde x\|^2 / \|\bar x\|^2 + c\, \|L U \tilde x - w\|^2 / d`, at contrast 1. Cost: a step of
    FISTA takes ``4 d n_codes`` operations an image, the matrix ``M`` ``2 d n_codes p`` ones a batch, ``p`` the
    averages of a pattern.

    References
    ----------
    Zarka, Thiry, Angles, Mallat, "Deep network classification by scattering and homotopy dictionary learning",
    ICLR 2020, for the homotopy.
    """

    linear_: torch.Tensor
    mean_: torch.Tensor
    log_share: torch.Tensor
    direction: torch.Tensor
    active: torch.Tensor
    curvature: torch.Tensor

    def __init__(
        self,
        encoder: ScatteringEncoder,
        *,
        n_atoms: int = 32,
        sparsity: float = 0.05,
        n_steps: int = 12,
        n_corrections: int = 12,
        consistency: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if any(side % encoder.average for side in encoder.size):
            fail("encoder", f"be of images whose sides are multiples of {encoder.average}", encoder.size)
        if not 0 < sparsity < 1:
            fail("sparsity", "lie between 0 and 1", sparsity)
        if not 0 <= consistency < math.inf:
            fail("consistency", "be at least 0", consistency)
        self.encoder = encoder
        self.dictionary = PatternDictionary(
            encoder.rectified,
            n_channels=encoder.n_channels,
            n_atoms=n_atoms,
            stride=2 * encoder.average,
            seed=seed,
        )
        self.sparsity, self.consistency, self.seed = sparsity, consistency, seed
        self.n_steps = integer("n_steps", n_steps, minimum=_SOLVER.n_stages)
        self.n_corrections = integer("n_corrections", n_corrections, minimum=0)
        self.register_buffer("linear_", torch.zeros(0))
        self.register_buffer("mean_", torch.zeros(0))
        self.register_buffer("log_share", torch.tensor(math.log(0.1)))
        self.register_buffer("active", torch.tensor(sparsity))
        self.register_buffer("curvature", torch.tensor(1.0))
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("direction", torch.randn(self.dictionary.n_codes, generator=generator))

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters, as plain values, but for the encoder."""
        return {
            "n_atoms": self.dictionary.n_atoms,
            "sparsity": self.sparsity,
            "n_steps": self.n_steps,
            "n_corrections": self.n_corrections,
            "consistency": self.consistency,
            "seed": self.seed,
        }

    @torch.no_grad()
    def fit_linear(self, codes: torch.Tensor, images: torch.Tensor) -> SparseDecoder:
        """Find the linear decoder, and start the patterns as patches of the images.

        Parameters
        ----------
        codes : torch.Tensor
            ``(n, d + C + 1)``, of the ``images``.
        images : torch.Tensor
            ``(n, C, H, W)``, uint8, or float in [0, 1].

        Raises
        ------
        TypeError, ValueError
            If codes and images do not fit together, or to the encoder.
        """
        check_images("images", images)
        if codes.shape != (len(images), self.encoder.n_entries):
            fail("codes", f"have the shape ({len(images)}, {self.encoder.n_entries})", tuple(codes.shape))
        d = self.encoder.code_dim
        gram = torch.zeros(d + 1, d + 1, dtype=torch.float64)
        products = torch.zeros(d + 1, images[0].numel(), dtype=torch.float64)
        for w, batch in zip(codes.split(BATCH_SIZE), images.split(BATCH_SIZE), strict=True):
            x = normalised(as_float(batch).double())[0].flatten(1).cpu()
            rows = torch.cat([w[:, :d].double().cpu(), torch.ones(len(w), 1, dtype=torch.float64)], 1)
            gram += rows.T @ rows
            products += rows.T @ x
        penalty = torch.full((d + 1,), _RIDGE * len(images), dtype=torch.float64)
        penalty[-1] = 0.0
        solution = torch.linalg.solve(gram + penalty.diag(), products).to(self.log_share)
        self.linear_, self.mean_ = solution[:-1].contiguous(), solution[-1].contiguous()
        several = normalised(as_float(images[: 4 * BATCH_SIZE]).to(self.log_share))[0]
        self.dictionary.fill(several, seed=self.seed)
        self.curvature = _SAFETY * curvature(self.encoder, several[:_FEW], seed=self.seed)
        return self

    def linear(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the images of the linear decoder alone, ``(n, C, H, W)``."""
        x = self._linear(codes[:, : self.encoder.code_dim]) + self.mean_.view(1, *self._shape)
        return self.encoder.statistics(codes).applied(x)

    @torch.no_grad()
    def decode(self, codes: torch.Tensor, *, n_corrections: int | None = None) -> torch.Tensor:
        """Return images, not cut to [0, 1], of any number of codes.

        Parameters
        ----------
        codes : torch.Tensor
            ``(n, d + C + 1)``.
        n_corrections : int, optional
            Instead of the decoder's own number. Codes that no image has, as those drawn from a prior, want few:
            all the way to them leads away from images.

        Returns
        -------
        torch.Tensor
            ``(n, C, H, W)``.

        Raises
        ------
        ValueError
            If the codes have another length, or the decoder has no linear map yet.
        """
        self._check(codes)
        if not len(codes):
            return codes.new_zeros(0, *self._shape)
        n_steps = self.n_corrections
        if n_corrections is not None:
            n_steps = integer("n_corrections", n_corrections, minimum=0)
        matrix, scales = self._matrix()
        norm = self._norm(matrix)
        parts = []
        for batch in codes.split(BATCH_SIZE):
            w = batch[:, : self.encoder.code_dim].to(self.linear_)
            x = self._corrected(self._image(w, self._sparse(w, matrix, norm), matrix, scales), w, n_steps)
            parts.append(self.encoder.statistics(batch.to(self.linear_)).applied(x))
        return torch.cat(parts)

    @torch.no_grad()
    def sparse_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """Return ``z``, ``(n, n_atoms * nodes)``, of codes."""
        self._check(codes)
        matrix, _ = self._matrix()
        norm = self._norm(matrix)
        w = codes[:, : self.encoder.code_dim].to(matrix)
        return torch.cat([self._sparse(part, matrix, norm) for part in w.split(BATCH_SIZE)])

    def losses(self, *parts: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """Return the loss of each image of a batch (codes, images); see the class.

        In float32 under autocast too: wavelets and sparse codes need it.
        """
        codes, images = parts
        with torch.autocast(codes.device.type, enabled=False):
            w, x = codes[:, : self.encoder.code_dim], normalised(as_float(images))[0]
            if self.training:
                self._control()
            matrix, scales = self._matrix()
            z = self._sparse(w, matrix, self._norm(matrix))
            if self.training:
                self.active.copy_((z.detach() > 0).float().mean())
            decoded = self._image(w, z, matrix, scales)
            loss = (decoded - x).square().mean((1, 2, 3))
            if self.consistency:
                loss = loss + self.consistency * (self.encoder.white(decoded) - w).square().mean(1)
            return loss

    @property
    def _shape(self) -> tuple[int, int, int]:
        return (self.encoder.n_channels, *self.encoder.size)

    def _check(self, codes: torch.Tensor) -> None:
        if not len(self.linear_):
            raise ValueError("the decoder has no linear map: call `fit_linear`, or load a model")
        if codes.ndim != 2 or codes.shape[1] != self.encoder.n_entries:
            fail("codes", f"have the shape (n, {self.encoder.n_entries})", tuple(codes.shape))

    def _matrix(self) -> tuple[torch.Tensor, torch.Tensor]:
        """``M`` with columns of norm 1, and the scales of the columns that make them so."""
        matrix = self.dictionary.seen_by(self.encoder.rows(), self.encoder.blocks)
        scales = 1 / matrix.norm(dim=0).clamp_min(1e-6)
        return matrix * scales, scales

    def _norm(self, matrix: torch.Tensor) -> torch.Tensor:
        """The spectral norm of ``M``; in training a few steps on from that of the batch before."""
        norm, direction = spectral_norm(matrix.detach(), self.direction, n_steps=3 if self.training else 30)
        if self.training:
            self.direction.copy_(direction)
        return _SAFETY * norm

    def _sparse(self, w: torch.Tensor, matrix: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        penalty = self.log_share.exp() * largest_penalty(w, matrix.detach(), threshold="positive")
        return unrolled(w, matrix, penalty, n_steps=self.n_steps, solver=_SOLVER, threshold="positive", norm=norm)

    @torch.no_grad()
    def _control(self) -> None:
        """Move the penalty towards the sparsity that is wanted, by what the batch before had, of all ranks."""
        excess = self.active / self.sparsity - 1
        self.log_share.add_(0.1 * excess.clamp(-1, 1)).clamp_(math.log(1e-3), math.log(0.9))

    def _image(self, w: torch.Tensor, z: torch.Tensor, matrix: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        rest = self._linear(w - z @ matrix.T)
        return self.dictionary(z * scales) + rest + self.mean_.view(1, *self._shape)

    def _corrected(self, x: torch.Tensor, w: torch.Tensor, n_steps: int) -> torch.Tensor:
        """Move images towards the codes wanted."""
        before = x
        for _ in range(n_steps):
            ahead = x + _MOMENTUM * (x - before)
            before, x = x, ahead - code_gradient(self.encoder, ahead, w) / self.curvature
        return x

    def _linear(self, w: torch.Tensor) -> torch.Tensor:
        return (w @ self.linear_).view(-1, *self._shape)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("linear_", "mean_"):
            if prefix + name in state_dict:  # of the size that the file has: they are empty before a fit
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *rest)
