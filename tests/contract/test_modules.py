"""One contract for every public module; a new module joins by one line in MODULES."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from phasewave.core.circular import CircularHarmonics
from phasewave.core.fourier import Band, Support
from phasewave.core.morlet import Morlet
from phasewave.core.transform import WaveletTransform
from phasewave.scattering.decimation import Pooling
from phasewave.scattering.frame import kernel_frame, wavelet_frame
from phasewave.scattering.frames import FrameLayer, FrameScattering
from phasewave.scattering.nonlinearities import RELU_PARTS, TANH, phase_rectifier
from phasewave.scattering.planar import Scattering2D
from phasewave.scattering.rectifier import PhaseRectifierScattering2D
from phasewave.scattering.rotation import RotoTranslationScattering2D
from phasewave.turbulence.band_powers import BandPowers
from phasewave.turbulence.circular_moments import CircularMoments
from phasewave.turbulence.cross_moments import CrossMoments
from phasewave.turbulence.each_field import EachField
from phasewave.turbulence.joint import JointMoments
from phasewave.turbulence.marginals import Marginals
from phasewave.turbulence.moments import PhaseHarmonicMoments
from phasewave.turbulence.rectifier_moments import RectifierMoments
from phasewave.turbulence.scattering_covariances import ScatteringCovariances
from phasewave.turbulence.whitening import Whitened
from phasewave.turbulence.zhang_mallat import ZhangMallatMoments

DTYPES = [torch.float32, torch.float64]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@dataclass(frozen=True)
class Case:
    """A module, made for a dtype, and the shape of what it takes.

    A building block like Band takes spectra (``complex_input``) that its caller has checked.
    """

    make: Callable[[torch.dtype], nn.Module]
    shape: tuple[int, ...]
    complex_input: bool = False
    checks_input: bool = True

    def inputs(self, *batch: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        dtype = dtype.to_complex() if self.complex_input else dtype
        return torch.randn(*batch, *self.shape, dtype=dtype, generator=generator).to(device)


def _band(dtype: torch.dtype) -> Band:
    generator = torch.Generator().manual_seed(1)
    supports = [
        Support((a, b), torch.randn(9, 7, dtype=torch.float64, generator=generator)) for a, b in [(-3, 2), (6, -4)]
    ]
    return Band(supports, (16, 12), (8, 6), dtype=dtype)


def _frames(dtype: torch.dtype) -> FrameScattering:
    """Real kernels under tanh, then wavelets under rectified phases, pooled in between."""
    generator = torch.Generator().manual_seed(1)
    kernels = torch.randn(3, 5, 4, dtype=torch.float64, generator=generator)
    first = kernel_frame((32, 31), kernels, torch.full((3, 3), 1 / 9)).scaled(0.999)
    second = wavelet_frame((16, 16), Morlet(2), n_scales=2)
    layers = [FrameLayer(first, TANH, Pooling(2, (0.5, 0.5))), FrameLayer(second, phase_rectifier(4))]
    return FrameScattering(layers, dtype=dtype)


def _complex_frames(dtype: torch.dtype) -> FrameScattering:
    frame = wavelet_frame((16, 18), Morlet(2), n_scales=2).scaled(0.24, of_real=False)
    return FrameScattering([FrameLayer(frame, RELU_PARTS)] * 2, dtype=dtype)


MODULES = {
    "Band": Case(_band, (16, 12), complex_input=True, checks_input=False),
    "WaveletTransform": Case(lambda d: WaveletTransform((20, 17), Morlet(3), n_scales=2, dtype=d), (20, 17)),
    "WaveletTransform-complex": Case(
        lambda d: WaveletTransform((20, 17), CircularHarmonics(2), n_scales=3, tight=True, dtype=d), (20, 17)
    ),
    "Scattering2D": Case(lambda d: Scattering2D((20, 17), n_scales=2, n_angles=3, dtype=d), (20, 17)),
    "Scattering2D-periodic": Case(
        lambda d: Scattering2D((18, 16), n_scales=3, n_angles=2, border="periodic", chunk=1500, dtype=d), (18, 16)
    ),
    "RotoTranslationScattering2D": Case(
        lambda d: RotoTranslationScattering2D((20, 17), n_scales=2, n_angles=3, n_angular_scales=1, dtype=d),
        (20, 17),
    ),
    "PhaseRectifierScattering2D": Case(
        lambda d: PhaseRectifierScattering2D((20, 17), n_scales=2, n_angles=2, dtype=d), (20, 17)
    ),
    "FrameScattering": Case(_frames, (32, 31)),
    "FrameScattering-complex": Case(_complex_frames, (16, 18)),
    "PhaseHarmonicMoments": Case(lambda d: PhaseHarmonicMoments((32, 24), n_scales=3, dtype=d), (32, 24)),
    "ScatteringCovariances": Case(lambda d: ScatteringCovariances((32, 24), n_scales=3, dtype=d), (32, 24)),
    "RectifierMoments": Case(lambda d: RectifierMoments((32, 24), n_scales=3, dtype=d), (32, 24)),
    "ZhangMallatMoments": Case(
        lambda d: ZhangMallatMoments((32, 24), model="B", n_scales=3, n_angles=2, dtype=d), (32, 24)
    ),
    "CircularMoments": Case(lambda d: CircularMoments((32, 24), n_scales=2, max_momentum=2, dtype=d), (32, 24)),
    "Marginals": Case(lambda d: Marginals((32, 24), n_scales=2, n_bins=16, dtype=d), (32, 24)),
    "BandPowers": Case(lambda d: BandPowers((32, 24), n_bands=4, dtype=d), (32, 24)),
    "CrossMoments": Case(lambda d: CrossMoments((32, 24), n_fields=2, n_scales=3, dtype=d), (2, 32, 24)),
    "EachField": Case(
        lambda d: EachField([PhaseHarmonicMoments((32, 24), n_scales=2, dtype=d) for _ in range(2)]), (2, 32, 24)
    ),
    "JointMoments": Case(
        lambda d: JointMoments(
            [Whitened(Marginals((32, 24), n_scales=2, n_bins=16, dtype=d)), BandPowers((32, 24), dtype=d)],
            weights=(2.0, 1.0),
        ),
        (32, 24),
    ),
}


@pytest.fixture(params=MODULES)
def case(request) -> Case:
    return MODULES[request.param]


@pytest.fixture(params=[name for name, case in MODULES.items() if case.checks_input])
def checked(request) -> Case:
    return MODULES[request.param]


def outputs(result) -> list[torch.Tensor]:
    """The tensors of a result: one, or a nest of tuples and lists."""
    return [result] if isinstance(result, torch.Tensor) else [t for part in result for t in outputs(part)]


def assert_close(a, b, dtype, *, steps=64):
    for left, right in zip(outputs(a), outputs(b), strict=True):
        scale = float(right.abs().max()) if right.numel() else 0.0
        torch.testing.assert_close(left, right, rtol=0, atol=steps * torch.finfo(dtype).eps * scale)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_and_device(case, dtype, device):
    module = case.make(dtype).to(device)
    for y in outputs(module(case.inputs(2, dtype=dtype, device=device))):
        assert y.dtype in (dtype, dtype.to_complex())
        assert y.device.type == device
        assert y.shape[0] == 2
        assert bool(torch.isfinite(torch.view_as_real(y) if y.is_complex() else y).all())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", DTYPES)
def test_devices_agree(case, dtype):
    module, x = case.make(dtype), case.inputs(2, dtype=dtype)
    expected = module(x)
    on_device = [y.cpu() for y in outputs(module.to("cuda")(x.cuda()))]
    assert_close(on_device, expected, dtype, steps=256)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_equals_loop(case, dtype, device):
    module, x = case.make(dtype).to(device), case.inputs(2, 3, dtype=dtype, device=device)
    whole = outputs(module(x))
    for i in range(2):
        for k in range(3):
            assert_close([y[i, k] for y in whole], module(x[i, k]), dtype)


@pytest.mark.parametrize("leading", [(), (1,), (1, 2), (2, 1, 1)])
def test_leading_axes(case, leading):
    module = case.make(torch.float32)
    alone = outputs(module(case.inputs()))
    for y, one in zip(outputs(module(case.inputs(*leading))), alone, strict=True):
        assert y.shape == (*leading, *one.shape)


@pytest.mark.parametrize("leading", [(0,), (2, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_batch(case, dtype, leading):
    module = case.make(dtype)
    alone = outputs(module(case.inputs(dtype=dtype)))
    for y, one in zip(outputs(module(case.inputs(*leading, dtype=dtype))), alone, strict=True):
        assert y.shape == (*leading, *one.shape)
        assert y.dtype == one.dtype


def test_gradient_reaches_every_field(case):
    module, x = case.make(torch.float64), case.inputs(3, dtype=torch.float64).requires_grad_()
    sum(y.abs().square().sum() for y in outputs(module(x))).backward()
    assert bool(torch.isfinite(torch.view_as_real(x.grad) if x.grad.is_complex() else x.grad).all())
    assert bool((x.grad.flatten(1).abs().sum(dim=1) > 0).all())


def test_input_is_left_alone(case):
    module, x = case.make(torch.float32), case.inputs(2)
    before = x.clone()
    module(x)
    assert bool((x == before).all())


def test_same_call_same_result(case):
    module, x = case.make(torch.float32), case.inputs(2)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second = outputs(module(x)), outputs(module(x))
    assert all(bool((a == b).all()) for a, b in zip(first, second, strict=True))
    assert bool((torch.get_rng_state() == state).all())


def test_deepcopy(case):
    module, x = case.make(torch.float32), case.inputs(2)
    twin = copy.deepcopy(module)
    assert all(bool((a == b).all()) for a, b in zip(outputs(twin(x)), outputs(module(x)), strict=True))
    own, others = ({t.data_ptr() for t in each.buffers() if t.numel()} for each in (module, twin))
    assert not own & others


def test_state_dict_round_trip(case):
    module, twin, x = case.make(torch.float32), case.make(torch.float32), case.inputs(2)
    twin.load_state_dict(module.state_dict())
    assert all(bool((a == b).all()) for a, b in zip(outputs(twin(x)), outputs(module(x)), strict=True))


def test_nothing_to_train(case):
    assert not list(case.make(torch.float32).parameters())


def test_conversion_to_float64(case):
    """A float32 module moved to float64 works there, with filters rounded to float32."""
    single, double = case.make(torch.float32).to(torch.float64), case.make(torch.float64)
    x = case.inputs(2, dtype=torch.float64)
    assert_close(single(x), double(x), torch.float32, steps=256)


def test_refuses_other_dtypes(checked):
    module = checked.make(torch.float32)
    with pytest.raises(TypeError, match=r"dtype torch.float32 like the module, got torch.float64"):
        module(checked.inputs(2, dtype=torch.float64))
    with pytest.raises(TypeError, match=r"real floating dtype, got torch.complex64"):
        module(checked.inputs(2).to(torch.complex64))
    with pytest.raises(TypeError, match=r"must be a torch.Tensor, got ndarray"):
        module(checked.inputs(2).numpy())


def test_refuses_other_shapes(checked):
    module, x = checked.make(torch.float32), checked.inputs(2)
    for bad in (x[..., 1:], x[..., 1:, :], x[0, 0], x.transpose(-1, -2)):
        with pytest.raises(ValueError, match=r"must have last axes \((\d+, )*\d+\), got \("):
            module(bad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.int64])
def test_refuses_to_be_made_in_other_dtypes(checked, dtype):
    with pytest.raises(TypeError, match=r"`dtype` must be torch.float32 or torch.float64"):
        checked.make(dtype)
