"""phasewave: scientific generative modelling with wavelets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phasewave.core.bump import BumpSteerable
    from phasewave.core.circular import CircularHarmonics
    from phasewave.core.morlet import Morlet
    from phasewave.core.transform import WaveletTransform
    from phasewave.scattering.planar import Scattering2D
    from phasewave.turbulence.band_powers import BandPowers
    from phasewave.turbulence.circular_moments import CircularMoments
    from phasewave.turbulence.energy import MomentMatching
    from phasewave.turbulence.fields import load_field
    from phasewave.turbulence.gaussian import GaussianModel
    from phasewave.turbulence.joint import JointMoments
    from phasewave.turbulence.marginals import Marginals
    from phasewave.turbulence.moments import PhaseHarmonicMoments
    from phasewave.turbulence.report import compare
    from phasewave.turbulence.sampler import MaxEntropySampler

__version__ = "0.1.0.dev0"

__all__ = [
    "BandPowers",
    "BumpSteerable",
    "CircularHarmonics",
    "CircularMoments",
    "GaussianModel",
    "JointMoments",
    "Marginals",
    "MaxEntropySampler",
    "MomentMatching",
    "Morlet",
    "PhaseHarmonicMoments",
    "Scattering2D",
    "WaveletTransform",
    "__version__",
    "compare",
    "load_field",
]

# Names are imported when they are first used: `import phasewave` costs nothing, and the command can choose how
# PyTorch's threads wait before PyTorch is loaded.
_MODULES = {
    "core.bump": ("BumpSteerable",),
    "core.circular": ("CircularHarmonics",),
    "core.morlet": ("Morlet",),
    "core.transform": ("WaveletTransform",),
    "scattering.planar": ("Scattering2D",),
    "turbulence.band_powers": ("BandPowers",),
    "turbulence.circular_moments": ("CircularMoments",),
    "turbulence.energy": ("MomentMatching",),
    "turbulence.fields": ("load_field",),
    "turbulence.gaussian": ("GaussianModel",),
    "turbulence.joint": ("JointMoments",),
    "turbulence.marginals": ("Marginals",),
    "turbulence.moments": ("PhaseHarmonicMoments",),
    "turbulence.report": ("compare",),
    "turbulence.sampler": ("MaxEntropySampler",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'phasewave' has no attribute {name!r}")
    return getattr(import_module(f"phasewave.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Names of the public face."""
    return sorted(__all__)
