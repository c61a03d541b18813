"""phasewave: scientific generative modelling with wavelets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phasewave.classify.features import ScatteringFeatures
    from phasewave.classify.model_file import load_classifier, save_classifier
    from phasewave.classify.scattering_classifier import ScatteringClassifier
    from phasewave.classify.training import NetworkClassifier
    from phasewave.core.bump import BumpSteerable
    from phasewave.core.circular import CircularHarmonics
    from phasewave.core.meyer import MeyerSteerable
    from phasewave.core.morlet import Morlet
    from phasewave.core.rectified import RectifiedWavelets
    from phasewave.core.transform import WaveletTransform
    from phasewave.diagnostics.collapse import neural_collapse
    from phasewave.diagnostics.deformation import deformation_stability
    from phasewave.diagnostics.diffeomorphisms import Diffeomorphisms
    from phasewave.diagnostics.rotation import rotation_stability
    from phasewave.diagnostics.scale_detection import ScaleDetection
    from phasewave.diagnostics.splines import AffineSpline
    from phasewave.diagnostics.support import local_support
    from phasewave.images.decoder import SparseDecoder
    from phasewave.images.encoder import ScatteringEncoder
    from phasewave.images.evaluation import evaluate_images
    from phasewave.images.flow import FlowPrior
    from phasewave.images.generator import ImageGenerator
    from phasewave.images.generator_file import load_generator, save_generator
    from phasewave.images.reading import read_images
    from phasewave.molecules.atom_scattering import AtomScattering
    from phasewave.molecules.calculator import ScatteringCalculator
    from phasewave.molecules.datasets import read_dataset
    from phasewave.molecules.ensemble import EnsembleRegressor
    from phasewave.molecules.environment_kernel import EnvironmentKernel
    from phasewave.molecules.environments import AtomicEnvironments
    from phasewave.molecules.features import SolidScattering
    from phasewave.molecules.kernels import NystroemRidge
    from phasewave.molecules.model import EnergyModel
    from phasewave.molecules.model_file import load_model, save_model
    from phasewave.molecules.multilinear import MultilinearRidge
    from phasewave.molecules.network import InvariantNetwork
    from phasewave.molecules.ridge import LeaveOneOutRidge
    from phasewave.molecules.structures import Molecules
    from phasewave.scattering.frame import wavelet_frame
    from phasewave.scattering.frames import FrameLayer, FrameScattering
    from phasewave.scattering.hierarchical import HierarchicalConvolution
    from phasewave.scattering.inversion import invert
    from phasewave.scattering.planar import Scattering2D
    from phasewave.scattering.rectifier import PhaseRectifierScattering2D
    from phasewave.scattering.rotation import RotoTranslationScattering2D
    from phasewave.solve.homotopy import Homotopy
    from phasewave.solve.ista import FISTA, ISTA
    from phasewave.solve.lasso import lasso
    from phasewave.turbulence.band_powers import BandPowers
    from phasewave.turbulence.circular_moments import CircularMoments
    from phasewave.turbulence.cross_moments import CrossMoments
    from phasewave.turbulence.denoising import Denoiser
    from phasewave.turbulence.each_field import EachField
    from phasewave.turbulence.energy import MomentMatching
    from phasewave.turbulence.fields import load_field, read_field
    from phasewave.turbulence.gaussian import GaussianModel
    from phasewave.turbulence.inpainting import Inpainter
    from phasewave.turbulence.joint import JointMoments
    from phasewave.turbulence.macrocanonical import MacrocanonicalSampler
    from phasewave.turbulence.marginals import Marginals
    from phasewave.turbulence.moments import PhaseHarmonicMoments
    from phasewave.turbulence.rectifier_moments import RectifierMoments
    from phasewave.turbulence.report import compare
    from phasewave.turbulence.sampler import MaxEntropySampler
    from phasewave.turbulence.scattering_covariances import ScatteringCovariances
    from phasewave.turbulence.settings import SynthesisSettings
    from phasewave.turbulence.synthesis import synthesize
    from phasewave.turbulence.two_sample import two_sample_test
    from phasewave.turbulence.whitening import Whitened
    from phasewave.turbulence.zhang_mallat import ZhangMallatMoments

__version__ = "0.1.0.dev0"

__all__ = [
    "FISTA",
    "ISTA",
    "AffineSpline",
    "AtomScattering",
    "AtomicEnvironments",
    "BandPowers",
    "BumpSteerable",
    "CircularHarmonics",
    "CircularMoments",
    "CrossMoments",
    "Denoiser",
    "Diffeomorphisms",
    "EachField",
    "EnergyModel",
    "EnsembleRegressor",
    "EnvironmentKernel",
    "FlowPrior",
    "FrameLayer",
    "FrameScattering",
    "GaussianModel",
    "HierarchicalConvolution",
    "Homotopy",
    "ImageGenerator",
    "Inpainter",
    "InvariantNetwork",
    "JointMoments",
    "LeaveOneOutRidge",
    "MacrocanonicalSampler",
    "Marginals",
    "MaxEntropySampler",
    "MeyerSteerable",
    "Molecules",
    "MomentMatching",
    "Morlet",
    "MultilinearRidge",
    "NetworkClassifier",
    "NystroemRidge",
    "PhaseHarmonicMoments",
    "PhaseRectifierScattering2D",
    "RectifiedWavelets",
    "RectifierMoments",
    "RotoTranslationScattering2D",
    "ScaleDetection",
    "Scattering2D",
    "ScatteringCalculator",
    "ScatteringClassifier",
    "ScatteringCovariances",
    "ScatteringEncoder",
    "ScatteringFeatures",
    "SolidScattering",
    "SparseDecoder",
    "SynthesisSettings",
    "WaveletTransform",
    "Whitened",
    "ZhangMallatMoments",
    "__version__",
    "compare",
    "deformation_stability",
    "evaluate_images",
    "invert",
    "lasso",
    "load_classifier",
    "load_field",
    "load_generator",
    "load_model",
    "local_support",
    "neural_collapse",
    "read_dataset",
    "read_field",
    "read_images",
    "rotation_stability",
    "save_classifier",
    "save_generator",
    "save_model",
    "synthesize",
    "two_sample_test",
    "wavelet_frame",
]

# Names are imported when they are first used: `import phasewave` costs nothing, and the command can choose how
# PyTorch's threads wait before PyTorch is loaded.
_MODULES = {
    "classify.features": ("ScatteringFeatures",),
    "classify.model_file": ("load_classifier", "save_classifier"),
    "classify.scattering_classifier": ("ScatteringClassifier",),
    "classify.training": ("NetworkClassifier",),
    "core.bump": ("BumpSteerable",),
    "core.circular": ("CircularHarmonics",),
    "core.meyer": ("MeyerSteerable",),
    "core.morlet": ("Morlet",),
    "core.rectified": ("RectifiedWavelets",),
    "core.transform": ("WaveletTransform",),
    "diagnostics.collapse": ("neural_collapse",),
    "diagnostics.deformation": ("deformation_stability",),
    "diagnostics.diffeomorphisms": ("Diffeomorphisms",),
    "diagnostics.rotation": ("rotation_stability",),
    "diagnostics.scale_detection": ("ScaleDetection",),
    "diagnostics.splines": ("AffineSpline",),
    "diagnostics.support": ("local_support",),
    "images.decoder": ("SparseDecoder",),
    "images.encoder": ("ScatteringEncoder",),
    "images.evaluation": ("evaluate_images",),
    "images.flow": ("FlowPrior",),
    "images.generator": ("ImageGenerator",),
    "images.generator_file": ("load_generator", "save_generator"),
    "images.reading": ("read_images",),
    "molecules.atom_scattering": ("AtomScattering",),
    "molecules.calculator": ("ScatteringCalculator",),
    "molecules.datasets": ("read_dataset",),
    "molecules.ensemble": ("EnsembleRegressor",),
    "molecules.environment_kernel": ("EnvironmentKernel",),
    "molecules.environments": ("AtomicEnvironments",),
    "molecules.features": ("SolidScattering",),
    "molecules.kernels": ("NystroemRidge",),
    "molecules.model": ("EnergyModel",),
    "molecules.model_file": ("load_model", "save_model"),
    "molecules.multilinear": ("MultilinearRidge",),
    "molecules.network": ("InvariantNetwork",),
    "molecules.ridge": ("LeaveOneOutRidge",),
    "molecules.structures": ("Molecules",),
    "scattering.frame": ("wavelet_frame",),
    "scattering.frames": ("FrameLayer", "FrameScattering"),
    "scattering.hierarchical": ("HierarchicalConvolution",),
    "scattering.inversion": ("invert",),
    "scattering.planar": ("Scattering2D",),
    "scattering.rectifier": ("PhaseRectifierScattering2D",),
    "scattering.rotation": ("RotoTranslationScattering2D",),
    "solve.homotopy": ("Homotopy",),
    "solve.ista": ("FISTA", "ISTA"),
    "solve.lasso": ("lasso",),
    "turbulence.band_powers": ("BandPowers",),
    "turbulence.circular_moments": ("CircularMoments",),
    "turbulence.cross_moments": ("CrossMoments",),
    "turbulence.denoising": ("Denoiser",),
    "turbulence.each_field": ("EachField",),
    "turbulence.energy": ("MomentMatching",),
    "turbulence.fields": ("load_field", "read_field"),
    "turbulence.gaussian": ("GaussianModel",),
    "turbulence.inpainting": ("Inpainter",),
    "turbulence.joint": ("JointMoments",),
    "turbulence.macrocanonical": ("MacrocanonicalSampler",),
    "turbulence.marginals": ("Marginals",),
    "turbulence.moments": ("PhaseHarmonicMoments",),
    "turbulence.rectifier_moments": ("RectifierMoments",),
    "turbulence.report": ("compare",),
    "turbulence.sampler": ("MaxEntropySampler",),
    "turbulence.scattering_covariances": ("ScatteringCovariances",),
    "turbulence.settings": ("SynthesisSettings",),
    "turbulence.synthesis": ("synthesize",),
    "turbulence.two_sample": ("two_sample_test",),
    "turbulence.whitening": ("Whitened",),
    "turbulence.zhang_mallat": ("ZhangMallatMoments",),
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
