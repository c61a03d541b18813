"""phasewave: scientific generative modelling with wavelets."""

from phasewave.core.bump import BumpSteerable
from phasewave.core.circular import CircularHarmonics
from phasewave.core.morlet import Morlet
from phasewave.core.transform import WaveletTransform
from phasewave.scattering.planar import Scattering2D
from phasewave.turbulence.energy import MomentMatching
from phasewave.turbulence.fields import load_field
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.moments import PhaseHarmonicMoments
from phasewave.turbulence.report import compare
from phasewave.turbulence.sampler import MaxEntropySampler

__version__ = "0.1.0.dev0"

__all__ = [
    "BumpSteerable",
    "CircularHarmonics",
    "GaussianModel",
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
