"""Stability to deformations of several representations of the same images, at several strengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn

from phasewave.checks import fail, integer
from phasewave.diagnostics.deformation import DeformationStability, NoiseNorm, deformation_stability
from phasewave.diagnostics.diffeomorphisms import Diffeomorphisms, temperature_range
from phasewave.diagnostics.reference_networks import small_cnn
from phasewave.diagnostics.representations import Representation
from phasewave.diagnostics.warping import deform
from phasewave.scattering.planar import Scattering2D

_STRENGTHS = (0.5, 1.0, 2.0, 4.0)  # times the displacement asked for
_POOL = 4


@dataclass(frozen=True)
class DeformationStudy:
    """Stability of representations, and pictures of the deformations.

    Attributes
    ----------
    laws : tuple of Diffeomorphisms
        By rising temperature.
    reference : int
        Which of them has the displacement that was asked for.
    stability : dict of str to tuple of DeformationStability
        Of each representation, one a law.
    pictures : torch.Tensor (k, 1 + number of laws, C, H, W)
        Images, and the same deformation of each at every temperature.
    """

    laws: tuple[Diffeomorphisms, ...]
    reference: int
    stability: dict[str, tuple[DeformationStability, ...]]
    pictures: torch.Tensor

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        law = self.laws[0]
        return {
            "cutoff": law.cutoff,
            "temperature_range": list(temperature_range(law.size, law.cutoff)),
            "temperatures": [law.temperature for law in self.laws],
            "displacements": [law.displacement for law in self.laws],
            "reference": self.reference,
            "representations": {name: [asdict(one) for one in ones] for name, ones in self.stability.items()},
        }


def standard_representations(shape: Sequence[int], *, seed: int = 0) -> dict[str, nn.Module]:
    """Identity, average pooling, the features of a random CNN, and scattering of 1 to 3 octaves (tight frames).

    Parameters
    ----------
    shape : sequence of int
        (C, H, W) of an image.
    seed : int
        Of the CNN.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.
    """
    found: dict[str, nn.Module] = {
        "identity": nn.Identity(),
        f"average pooling {_POOL} x {_POOL}": nn.AvgPool2d(_POOL),
        "random CNN": small_cnn(shape, 2, seed=seed)[:-1].eval(),
    }
    for octaves in (1, 2, 3):
        found[f"scattering J = {octaves}"] = Scattering2D(shape[-2:], n_scales=octaves, tight=True).eval()
    return found


def deformation_study(
    representations: Mapping[str, Representation],
    images: torch.Tensor,
    *,
    displacement: float,
    cutoff: int = 3,
    noise: NoiseNorm = "each",
    n_pictures: int = 2,
    seed: int = 0,
    told: Callable[[str], None] | None = None,
) -> DeformationStudy:
    """Measure D_f, G_f and R_f of representations at 1/2, 1, 2 and 4 times a displacement.

    Parameters
    ----------
    representations : mapping of str to callable
        Of images (n, C, H, H).
    images : torch.Tensor (n, C, H, H)
        Square, at least 2.
    displacement : float
        Root mean square displacement in pixels, > 0.
    cutoff : int
        Of the deformations.
    noise : {"each", "mean"}
        See `phasewave.diagnostics.deformation.deformation_stability`.
    n_pictures : int
        How many images are deformed for the picture.
    seed : int
        Of deformations and noises: each representation and temperature sees the same draws.
    told : callable, optional
        Called with the name of each representation before it is measured.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range, or the images are not square.

    Notes
    -----
    Cost: four times that of `deformation_stability` for each representation.
    """
    integer("n_pictures", n_pictures, minimum=1)
    if images.ndim != 4 or images.shape[-1] != images.shape[-2]:
        fail("images", "be square: (n, C, H, H)", tuple(images.shape))
    size = images.shape[-1]
    laws = tuple(Diffeomorphisms.of_displacement(size, s * displacement, cutoff=cutoff) for s in _STRENGTHS)
    stability = {}
    for name, function in representations.items():
        if told is not None:
            told(name)
        stability[name] = tuple(
            deformation_stability(function, images, law=law, noise=noise, seed=seed) for law in laws
        )
    shown = images[:n_pictures]
    moved = [deform(shown, law.sample(len(shown), seed=seed).to(shown.device)) for law in laws]
    return DeformationStudy(laws, _STRENGTHS.index(1.0), stability, torch.stack([shown, *moved], 1).cpu())
