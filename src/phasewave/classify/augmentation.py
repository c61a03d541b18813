"""Random shifts and mirror images of training images, drawn anew in each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from phasewave.checks import fail, integer
from phasewave.classify.features import CompressedScattering, pixels
from phasewave.classify.hybrid import ClassifierNetwork
from phasewave.runs.shared_batches import per_sample
from phasewave.runs.trainable import TrainableNetwork


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image before it is looked at.

    Parameters
    ----------
    max_shift : int
        Pixels: down and to the right by whole numbers drawn uniformly in ``-max_shift .. max_shift``. What comes
        in over a border is the image's border continued.
    mirror : bool
        Left and right exchanged in half of the cases: not for digits and text.

    Raises
    ------
    TypeError, ValueError
        If ``max_shift`` is not an integer >= 0, or ``mirror`` no bool.
    """

    max_shift: int = 0
    mirror: bool = False

    def __post_init__(self) -> None:
        integer("max_shift", self.max_shift, minimum=0)
        if not isinstance(self.mirror, bool):
            raise TypeError(f"`mirror` must be True or False, got {self.mirror!r}")

    def __bool__(self) -> bool:
        """Whether anything is done."""
        return self.max_shift > 0 or self.mirror

    def check(self, size: Sequence[int]) -> None:
        """Refuse shifts by more than half of the smaller side (H, W).

        Raises
        ------
        ValueError
            If they are.
        """
        if self.max_shift > min(size) // 2:
            fail("max_shift", f"be at most {min(size) // 2}, half of the smaller side", self.max_shift)

    def __call__(self, images: torch.Tensor, *, noise: torch.Generator) -> torch.Tensor:
        """Return changed copies of images (n, C, H, W); a sample's numbers are those of its row in the batch."""
        bound = self.max_shift
        numbers = per_sample(
            lambda n: torch.cat(
                [
                    torch.randint(-bound, bound + 1, (n, 2), generator=noise),
                    torch.randint(0, 2, (n, 1), generator=noise),
                ],
                dim=1,
            ),
            len(images),
            noise=noise,
        )
        return moved(images, numbers[:, :2], mirrored=(numbers[:, 2] == 1) & self.mirror)

    def views(self, images: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the images (n, C, H, W) as a trained classifier is to see them, for the mean of its scores.

        They come as they are; if shifts were learnt, also shifted by one pixel up, down, left and right; and if
        mirror images were, the mirror image of each of these.
        """
        steps = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)] if self.max_shift else [(0, 0)]
        for side in (False, True) if self.mirror else (False,):
            mirrored = torch.full((len(images),), side)
            for step in steps:
                yield moved(images, torch.tensor([step]).expand(len(images), 2), mirrored=mirrored)


def moved(images: torch.Tensor, shifts: torch.Tensor, *, mirrored: torch.Tensor) -> torch.Tensor:
    r"""Return images shifted, and mirrored before that where asked for, their borders continued.

    .. math::

        y(u_1, u_2) = x(c(u_1 - s_1), c(u_2 - s_2)), \quad c(u) = \min(\max(u, 0), n - 1)

    Parameters
    ----------
    images : torch.Tensor (n, C, H, W)
        Of any dtype.
    shifts : torch.Tensor (n, 2)
        int64: pixels down and to the right.
    mirrored : torch.Tensor (n,)
        bool.
    """
    n, _, height, width = images.shape
    shifts, mirrored = shifts.to(images.device), mirrored.to(images.device)
    rows = (torch.arange(height, device=images.device) - shifts[:, :1]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) - shifts[:, 1:]).clamp(0, width - 1)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    own = torch.arange(n, device=images.device)[:, None, None]
    return images.movedim(1, -1)[own, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


class AugmentedNetwork(TrainableNetwork):
    """A classifier's network as it is trained on changed images: their features are computed batch by batch.

    Parameters
    ----------
    network : ClassifierNetwork
        Trained in place.
    features : CompressedScattering or None
        None if the network sees pixels.
    augmentation : Augmentation
    """

    def __init__(
        self, network: ClassifierNetwork, features: CompressedScattering | None, augmentation: Augmentation
    ) -> None:
        super().__init__()
        self.network, self.features, self.augmentation = network, features, augmentation

    def losses(self, *parts: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """Return the cross-entropy (n,): of images and labels in training, of maps and labels in ``eval`` mode."""
        images, labels = parts
        if not self.training:
            return self.network.losses(images, labels, noise=noise)
        with torch.no_grad():
            changed = pixels(self.augmentation(images, noise=noise))
            maps = changed if self.features is None else self.features(changed)
        return self.network.losses(maps, labels, noise=noise)


class TwoSidedNetwork(TrainableNetwork):
    """A classifier's network as it is trained on maps of images and of their mirror images, computed once.

    Parameters
    ----------
    network : ClassifierNetwork
        Trained in place.
    """

    def __init__(self, network: ClassifierNetwork) -> None:
        super().__init__()
        self.network = network

    def losses(self, *parts: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """Return the cross-entropy (n,): of maps, mirrored maps, of which one is drawn, and labels in training.

        In ``eval`` mode, of maps and labels.
        """
        if not self.training:
            return self.network.losses(*parts, noise=noise)
        maps, mirrored, labels = parts
        other = per_sample(lambda n: torch.randint(0, 2, (n,), generator=noise), len(maps), noise=noise)
        chosen = torch.where(other.to(maps.device)[:, None, None, None] == 1, mirrored, maps)
        return self.network.losses(chosen, labels, noise=noise)
