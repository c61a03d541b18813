"""How classes separate with the depth of scattering: pixels, orders 0 to 2, and their logarithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from phasewave.checks import integer
from phasewave.diagnostics.representations import represent
from phasewave.diagnostics.separation import Separation, separation
from phasewave.diagnostics.support import neighbours
from phasewave.scattering.planar import Scattering2D

LOG_FLOOR = 1e-3  # added before the logarithm, for images in [0, 1]
_NEIGHBOURS_SHOWN = 4


@dataclass(frozen=True)
class SupportStudy:
    """Separation of classes by several representations, and pictures of local support vectors.

    Attributes
    ----------
    depths : dict of str to Separation
        From pixels to the logarithm of all orders.
    n_train, n_test, n_classes : int
        Sizes of the sets.
    images : torch.Tensor (k, C, H, W)
        Training images that the most neighbours contradict in the last representation: first the highest order.
    nearest : torch.Tensor (k, 4, C, H, W)
        Their nearest training images, nearest first.
    labels, nearest_labels : torch.Tensor (k,), (k, 4)
        Of them.
    """

    depths: dict[str, Separation]
    n_train: int
    n_test: int
    n_classes: int
    images: torch.Tensor
    nearest: torch.Tensor
    labels: torch.Tensor
    nearest_labels: torch.Tensor

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        return {
            "n_train": self.n_train,
            "n_test": self.n_test,
            "n_classes": self.n_classes,
            "depths": {name: one.record() for name, one in self.depths.items()},
        }


def support_study(
    train: tuple[torch.Tensor, torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor],
    *,
    n_scales: int = 3,
    n_angles: int = 8,
    n_neighbours: int = 7,
    n_pictures: int = 6,
    told: Callable[[str], None] | None = None,
) -> SupportStudy:
    """Measure local support vectors, 1-NN and SVM accuracy, distances and spectra by depth of scattering.

    Parameters
    ----------
    train, test : pairs of torch.Tensor (n, C, H, W), (n,)
        Images in [0, 1] and labels.
    n_scales, n_angles : int
        Of the scattering.
    n_neighbours : int
        Largest order of the local support vectors, at least 4.
    n_pictures : int
        How many of them are kept as images.
    told : callable, optional
        Called with the name of each representation before it is measured.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost: that of `phasewave.diagnostics.separation.separation` for each of five representations.
    """
    integer("n_neighbours", n_neighbours, minimum=_NEIGHBOURS_SHOWN)
    scattering = Scattering2D(train[0].shape[-2:], n_scales=n_scales, n_angles=n_angles).to(train[0].device)
    orders = torch.tensor([path.order for path in scattering.table])

    def coefficients(images: torch.Tensor) -> torch.Tensor:
        flat = represent(scattering, images)
        return flat.unflatten(1, (images.shape[1], len(orders), -1))

    found, tested = coefficients(train[0]), coefficients(test[0])
    rows: dict[str, tuple[torch.Tensor, torch.Tensor]] = {"pixels": (train[0], test[0])}
    for name, highest in (("order 0", 0), ("orders 0-1", 1), ("orders 0-2", 2)):
        kept = (orders <= highest).nonzero().flatten().to(found.device)
        rows[name] = (found.index_select(2, kept), tested.index_select(2, kept))
    rows["log of 0-2"] = ((found.abs() + LOG_FLOOR).log(), (tested.abs() + LOG_FLOOR).log())
    depths = {}
    for name, (left, right) in rows.items():
        if told is not None:
            told(name)
        depths[name] = separation(left.flatten(1), train[1], right.flatten(1), test[1], n_neighbours=n_neighbours)
    order = depths["log of 0-2"].support.order.to(train[1].device)
    worst = order.argsort(descending=True, stable=True)[:n_pictures]
    worst = worst[order[worst] > 0]
    last = rows["log of 0-2"][0].flatten(1).double()
    last = (last - last.mean(0)) / last.std(0, correction=0).clamp_min(1e-12)
    near = neighbours(last, n_neighbours=_NEIGHBOURS_SHOWN)[worst]
    return SupportStudy(
        depths,
        len(train[0]),
        len(test[0]),
        len(train[1].unique()),
        train[0][worst].cpu(),
        train[0][near].cpu(),
        train[1][worst].cpu(),
        train[1][near].cpu(),
    )
