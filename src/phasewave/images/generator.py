"""The generator of images: encoder, sparse-dictionary decoder and prior as one estimator."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from phasewave.checks import choice, fail, integer
from phasewave.images.decoder import CORRECTIONS_OF_NEW, SparseDecoder
from phasewave.images.encoder import ScatteringEncoder
from phasewave.images.flow import FlowPrior
from phasewave.images.image_batches import check_images, described
from phasewave.images.interpolating import WAYS, Way, images_between
from phasewave.images.recipes import make_recipe
from phasewave.images.stages import Recipe, StageProgress, TrainedParts, train_parts
from phasewave.runs.distributed import Ranks
from phasewave.runs.network_training import hold_out
from phasewave.runs.record import versions
from phasewave.runs.training_records import Precision

Prior = Literal["fitted", "white"]
PRIORS: tuple[Prior, ...] = ("fitted", "white")


class ImageGenerator(BaseEstimator):
    r"""Reconstruct, generate and interpolate images, by parts that can each be read.

    An image becomes a code of wavelet averages (`ScatteringEncoder`), a code the sparse sum of patterns of a
    learnt dictionary that has it (`SparseDecoder`), and white noise a code (`FlowPrior`):

    .. math::
        w = L\, U x, \qquad \tilde x = U^{-1}\big(D z(w) + R (w - M z(w))\big), \qquad
        w = T(g),\; g \sim N(0, I)

    Parameters
    ----------
    size : int or (int, int), optional
        Height and width of the images; by default those of the images given to `fit`.
    code_dim : int
        Dimension of ``w``: less than the number of training images, mirrored ones counted.
    n_atoms : int
        Patterns of the dictionary at each node of its grid.
    sparsity : float
        Share of them that is active in an image.
    n_scales, average : int, optional
        Of the encoder; by default by the size.
    n_angles, order : int
        Of the encoder.
    prior_width, prior_depth : int, optional
        Of the prior; by default its own.
    mirror : bool
        Learn from each image also with left and right exchanged: for faces, not for letters.
    epochs, prior_epochs : int
        Most epochs of the dictionary's and of the prior's training, which end before if the loss of the
        validation images settles.
    batch_size : int
        Of the dictionary's training; the prior's are twice as large.
    precision : {"float32", "bfloat16"}
        Of the dictionary's training, see `TrainingSettings`.
    seed : int
        Of all draws.

    Attributes
    ----------
    encoder_ : ScatteringEncoder
    decoder_ : SparseDecoder
    prior_ : FlowPrior
    training_ : dict
        Record of the training: numbers of images, how each training ended, versions.

    Examples
    --------
    >>> from phasewave.images.glyphs import glyph_images
    >>> images = glyph_images(60, size=16).float()
    >>> generator = ImageGenerator(code_dim=8, n_atoms=4, epochs=1, prior_epochs=1).fit(images)
    >>> generator.generate(2, seed=0).shape
    torch.Size([2, 1, 16, 16])
    """

    encoder_: ScatteringEncoder
    decoder_: SparseDecoder
    prior_: FlowPrior
    training_: dict[str, Any]

    def __init__(
        self,
        *,
        size: int | tuple[int, int] | None = None,
        code_dim: int = 256,
        n_atoms: int = 32,
        sparsity: float = 0.05,
        n_scales: int | None = None,
        n_angles: int = 4,
        average: int | None = None,
        order: int = 1,
        prior_width: int | None = None,
        prior_depth: int | None = None,
        mirror: bool = False,
        epochs: int = 6,
        prior_epochs: int = 40,
        batch_size: int = 128,
        precision: Precision = "float32",
        seed: int = 0,
    ) -> None:
        self.size = size
        self.code_dim = code_dim
        self.n_atoms = n_atoms
        self.sparsity = sparsity
        self.n_scales = n_scales
        self.n_angles = n_angles
        self.average = average
        self.order = order
        self.prior_width = prior_width
        self.prior_depth = prior_depth
        self.mirror = mirror
        self.epochs = epochs
        self.prior_epochs = prior_epochs
        self.batch_size = batch_size
        self.precision = precision
        self.seed = seed

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters, as plain values."""
        found = self.get_params(deep=False)
        if found["size"] is not None and not isinstance(found["size"], int):
            found["size"] = list(found["size"])
        return found

    def recipe(self, images: torch.Tensor) -> Recipe:
        """Return what a training on images like these makes, checked.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of range or does not fit the images, or there are too few of them.
        """
        return make_recipe(self.settings, images)

    def fit(
        self,
        images: torch.Tensor,
        validation: torch.Tensor | None = None,
        *,
        checkpoints: str | os.PathLike[str] | None = None,
        device: torch.device | str = "cpu",
        progress: Callable[[StageProgress], None] | None = None,
        stop: Callable[[], bool] | None = None,
        ranks: Ranks | None = None,
    ) -> ImageGenerator:
        """Learn from images.

        Parameters
        ----------
        images : torch.Tensor
            ``(n, C, H, W)``, C = 1 or 3; uint8, or float in [0, 1].
        validation : torch.Tensor, optional
            More of them, whose loss says when a training ends; by default a tenth of ``images``, held out.
        checkpoints, device, progress, stop, ranks
            See `phasewave.images.stages.train_parts`.

        Returns
        -------
        ImageGenerator
            Itself.

        Raises
        ------
        TypeError, ValueError
            If the images are not such, too few, or do not fit the parameters, or a checkpoint is of others.
        KeyboardInterrupt
            If ``stop`` says so.
        """
        check_images("images", images, minimum=3)
        if validation is None:
            chosen, held = hold_out(len(images), seed=self.seed)
            images, validation = images[torch.from_numpy(chosen)], images[torch.from_numpy(held)]
        check_images("validation", validation, like=images)
        parts = train_parts(
            self.recipe(images),
            images,
            validation,
            checkpoints=checkpoints,
            device=device,
            progress=progress,
            stop=stop,
            ranks=ranks,
        )
        self.take(parts)
        self.training_ = {
            "n_train": len(images),
            "n_validation": len(validation),
            "versions": versions(),
            **parts.record(),
        }
        return self

    def take(self, parts: TrainedParts) -> None:
        """Work with parts trained before."""
        self.encoder_, self.decoder_, self.prior_ = parts.encoder, parts.decoder, parts.prior

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        check_is_fitted(self, "decoder_")
        return self.decoder_.log_share.device

    def to(self, device: torch.device | str) -> ImageGenerator:
        """Move a fitted generator, and return it."""
        check_is_fitted(self, "decoder_")
        for part in (self.encoder_, self.decoder_, self.prior_):
            part.to(device)
        return self

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return the codes of images.

        Parameters
        ----------
        images : torch.Tensor
            ``(n, C, H, W)``, like those of the training.

        Returns
        -------
        torch.Tensor
            ``(n, code_dim + C + 1)``: ``w``, brightness of each colour, log contrast; see `ScatteringEncoder`.

        Raises
        ------
        TypeError, ValueError
            If the images are of another size or colour, or no images.
        """
        self._check("images", images)
        return self.encoder_.encode(images)

    def decode(self, codes: torch.Tensor, *, n_corrections: int | None = None) -> torch.Tensor:
        """Return images ``(n, C, H, W)``, cut to [0, 1], of codes; see `SparseDecoder.decode`.

        Raises
        ------
        ValueError
            If the shape is wrong.
        """
        check_is_fitted(self, "decoder_")
        return self.decoder_.decode(codes.to(self.device), n_corrections=n_corrections).clamp(0, 1)

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images of the codes of images."""
        return self.decode(self.encode(images))

    def generate(self, n_images: int, *, seed: int, prior: Prior = "fitted") -> torch.Tensor:
        """Return new images ``(n, C, H, W)`` in [0, 1], on the CPU.

        Parameters
        ----------
        n_images : int
        seed : int
            Of the noise.
        prior : {"fitted", "white"}
            Make codes of the noise by the prior fitted to the training codes, or take it as the codes.

        Raises
        ------
        TypeError, ValueError
            If an argument is out of range.
        """
        codes = self.draw_codes(n_images, seed=seed, prior=prior)
        return self.decode(codes, n_corrections=CORRECTIONS_OF_NEW).cpu()

    def draw_codes(self, n_images: int, *, seed: int, prior: Prior = "fitted") -> torch.Tensor:
        """Return the codes that `generate` decodes."""
        check_is_fitted(self, "decoder_")
        choice("prior", prior, PRIORS)
        integer("seed", seed, minimum=0)
        shape = (integer("n_images", n_images, minimum=1), self.encoder_.n_entries)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.device)
        return self.prior_.codes(noise) if prior == "fitted" else noise

    def interpolate(
        self, a: torch.Tensor, b: torch.Tensor, *, steps: int = 8, path: Way = "noise"
    ) -> torch.Tensor:
        r"""Return the images on the way from some images to others.

        Parameters
        ----------
        a, b : torch.Tensor
            ``(n, C, H, W)`` each.
        steps : int
            Images a way, the reconstructions of ``a`` and ``b`` among them; at least 2.
        path : {"noise", "codes"}
            Turn from the white noise that the prior makes ``w_a`` of to that of ``w_b``, which keeps codes like
            those of images all the way; or go straight, :math:`w = (1 - t) w_a + t w_b`, which in between has
            codes of less norm, so blurred images.

        Returns
        -------
        torch.Tensor
            ``(n, steps, C, H, W)`` in [0, 1].

        Raises
        ------
        TypeError, ValueError
            If the images do not fit, or an argument is out of range.
        """
        choice("path", path, WAYS)
        integer("steps", steps, minimum=2)
        self._check("a", a)
        check_images("b", b, like=a)
        if len(b) != len(a):
            fail("b", f"be {len(a)} images as `a`", len(b))
        codes = (self.encode(a), self.encode(b))
        return images_between(self.decoder_, self.prior_, *codes, steps=steps, path=path)

    def _check(self, name: str, images: torch.Tensor) -> None:
        """Refuse what is not like the training images, and say what to do."""
        check_is_fitted(self, "encoder_")
        check_images(name, images, minimum=0)
        wanted = (self.encoder_.n_channels, *self.encoder_.size)
        if tuple(images.shape[1:]) != wanted:
            fail(name, f"be {described(wanted)} as the training images of the model", described(images.shape[1:]))
