"""Stability of representations of the same images to rotations: of the plane, and of the space of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.diagnostics.deformation_study import standard_representations
from phasewave.diagnostics.distances import pair_distances, quotient, squared_distances
from phasewave.diagnostics.linearisation import orbit_curvature, weak_linearisation
from phasewave.diagnostics.representations import Representation, represent
from phasewave.diagnostics.rotation import RotationStability, rotation_stability
from phasewave.diagnostics.warping import rotate_images
from phasewave.scattering.planar import Scattering2D

_STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # times the angle asked for
_EDGE = 0.25  # of the disc's radius: where the window falls


@dataclass(frozen=True)
class PlaneRotation:
    r"""Change of a representation when the plane of the images is turned by an angle. None: 0 / 0.

    Attributes
    ----------
    angle : float
        In radians.
    change : float or None
        :math:`\langle \|f(R_\theta x) - f(x)\|^2 \rangle / \langle \|f(x) - f(z)\|^2 \rangle`, ``x``, ``z`` two
        images.
    gain, residual : float or None
        Of `phasewave.diagnostics.linearisation.weak_linearisation`.
    curvature : float or None
        `phasewave.diagnostics.linearisation.orbit_curvature` of the turns by 0, half the angle and the angle.
    """

    angle: float
    change: float | None
    gain: float | None
    residual: float | None
    curvature: float | None


@dataclass(frozen=True)
class RotationStudy:
    """Stability of representations to rotations, and pictures of turned images.

    Attributes
    ----------
    angles : tuple of float
        In radians, rising.
    reference : int
        Which of them was asked for.
    plane : dict of str to tuple of PlaneRotation
        Of each representation, one an angle.
    sphere : dict of str to tuple of RotationStability
        The same for rotations of the space of images, in random directions.
    isometry : tuple of float
        What `sphere` is for every isometry, relative to the distance of two images:
        ``2 (1 - cos angle) <|x|^2> / <|x - z|^2>``.
    pictures : torch.Tensor (k, 1 + number of angles, C, H, W)
        Images, and each turned by every angle.
    """

    angles: tuple[float, ...]
    reference: int
    plane: dict[str, tuple[PlaneRotation, ...]]
    sphere: dict[str, tuple[RotationStability, ...]]
    isometry: tuple[float, ...]
    pictures: torch.Tensor

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        return {
            "angles": list(self.angles),
            "reference": self.reference,
            "isometry": list(self.isometry),
            "plane": {name: [asdict(one) for one in ones] for name, ones in self.plane.items()},
            "sphere": {name: [asdict(one) for one in ones] for name, ones in self.sphere.items()},
        }


class InvariantScattering(nn.Module):
    r"""Scattering averaged over the plane and over joint turns of its angles.

    .. math:: \frac{1}{L} \sum_l \langle S_2 x [j_1, l; j_2, l + m] \rangle

    a function of ``(j1, j2, m)``: turns of the image by multiples of ``pi / L`` leave it as it is, up to what the
    grid and the borders make of them.

    Parameters
    ----------
    shape : sequence of int
        Height and width.
    n_scales, n_angles : int
        Of the scattering, a tight frame.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """

    def __init__(self, shape: Sequence[int], *, n_scales: int = 3, n_angles: int = 8) -> None:
        super().__init__()
        self.scattering = Scattering2D(shape, n_scales=n_scales, n_angles=n_angles, tight=True)
        groups: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for channel, path in enumerate(self.scattering.table):
            turns = tuple((angle - path.filters[0]) % n_angles for angle in path.filters)
            groups.setdefault((path.scales, turns), []).append(channel)
        mean = torch.zeros(len(self.scattering.table), len(groups))
        for column, members in enumerate(groups.values()):
            mean[members, column] = 1 / len(members)
        self.mean: torch.Tensor
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Means ``(..., groups)`` of images ``(..., H, W)``."""
        return self.scattering(x).mean((-2, -1)) @ self.mean


def within_disc(images: torch.Tensor) -> torch.Tensor:
    """Fade images to their mean outside the inscribed disc, so that a turn brings nothing in from outside.

    Parameters
    ----------
    images : torch.Tensor (n, C, H, W)

    Returns
    -------
    torch.Tensor (n, C, H, W)
        ``m + w (x - m)`` with the mean ``m`` of each channel and a window ``w`` of the radius alone, 1 within 3/4
        of the disc's and 0 from its edge on.
    """
    sizes = images.shape[-2:]
    row, column = (torch.arange(n, device=images.device) - (n - 1) / 2 for n in sizes)
    radius = (row[:, None].square() + column.square()).sqrt() / ((min(sizes) - 1) / 2)
    window = (torch.pi / 2 * ((radius - 1) / _EDGE + 1).clamp(0, 1)).cos().square().to(images.dtype)
    mean = images.mean((-2, -1), keepdim=True)
    return mean + window * (images - mean)


def rotation_representations(shape: Sequence[int], *, seed: int = 0) -> dict[str, nn.Module]:
    """`standard_representations`, and scattering averaged over its angles.

    Parameters
    ----------
    shape : sequence of int
        (C, H, W) of an image.
    seed : int
        Of the random CNN.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """
    return {
        **standard_representations(shape, seed=seed),
        "invariant scattering": InvariantScattering(shape[-2:]).eval(),
    }


def rotation_study(
    representations: Mapping[str, Representation],
    images: torch.Tensor,
    *,
    angle: float = math.pi / 8,
    n_pictures: int = 2,
    seed: int = 0,
    told: Callable[[str], None] | None = None,
) -> RotationStudy:
    """Measure representations under rotations by 1/4, 1/2, 1, 2 and 4 times an angle.

    Parameters
    ----------
    representations : mapping of str to callable
        Of images (n, C, H, W), differentiable.
    images : torch.Tensor (n, C, H, W)
        At least 2; what is outside the inscribed disc is faded out, see `within_disc`.
    angle : float
        In radians, above 0 and at most pi / 4.
    n_pictures : int
        How many images are turned for the picture.
    seed : int
        Of the directions on the sphere, the same for each representation and angle.
    told : callable, optional
        Called with the name of each representation before it is measured.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    The rotation of the plane is smooth and moves pixels; that of the space of images is of a random direction, as
    noise is: the two say what a representation does to a deformation and to noise. Cost: for each angle nine
    passes of each representation, and a double backward pass.
    """
    integer("n_pictures", n_pictures, minimum=1)
    if images.ndim != 4 or len(images) < 2:
        fail("images", "have the shape (n >= 2, C, H, W)", tuple(images.shape))
    if not 0 < angle <= math.pi / 4:
        fail("angle", "be above 0 and at most pi / 4", angle)
    angles = tuple(strength * angle for strength in _STRENGTHS)
    still = within_disc(images)
    turned = [(rotate_images(still, one / 2), rotate_images(still, one)) for one in angles]
    plane, sphere = {}, {}
    for name, function in representations.items():
        if told is not None:
            told(name)
        rows = represent(function, still)
        scale, _ = pair_distances(rows)
        found = []
        for one, (half, whole) in zip(angles, turned, strict=True):
            change = float(squared_distances(represent(function, whole), rows).mean())
            linear = weak_linearisation(function, still, whole)
            curvature = orbit_curvature(function, still, half, whole)
            found.append(PlaneRotation(one, quotient(change, scale), linear.gain, linear.residual, curvature))
        plane[name] = tuple(found)
        sphere[name] = tuple(rotation_stability(function, still, one, seed=seed) for one in angles)
    flat = still.flatten(1).double()
    size = float(flat.square().sum(1).mean()) / pair_distances(flat)[0]
    isometry = tuple(2 * (1 - math.cos(one)) * size for one in angles)
    shown = torch.stack([part[:n_pictures] for part in (still, *(whole for _, whole in turned))], 1)
    return RotationStudy(angles, _STRENGTHS.index(1.0), plane, sphere, isometry, shown.cpu())
