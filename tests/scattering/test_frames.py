"""General frames: admissibility, the bounds they promise, exact energy, the definition, refusals."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phasewave.core.bump import BumpSteerable
from phasewave.core.morlet import Morlet
from phasewave.scattering.decimation import Pooling
from phasewave.scattering.frame import Frame, kernel_frame, wavelet_frame
from phasewave.scattering.frames import FrameLayer, FrameScattering
from phasewave.scattering.nonlinearities import (
    MODULUS,
    RELU,
    RELU_PARTS,
    SHIFTED_SIGMOID,
    TANH,
    NonLinearity,
    phase_rectifier,
)

FLOAT64 = torch.float64
REAL = {"relu": RELU, "tanh": TANH, "sigmoid": SHIFTED_SIGMOID}
ANY = {"modulus": MODULUS, "relu_parts": RELU_PARTS, "phases": phase_rectifier(4), "six": phase_rectifier(6)}


def field(*shape, dtype=FLOAT64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def squared(x):
    return x.abs().square().sum((-3, -2, -1))


def distance(a, b):
    """||| Phi f - Phi h |||^2."""
    return sum(squared(p - q) for p, q in zip(a, b, strict=True))


def random_frame(shape, n=3, seed=0, complex_=False):
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.complex128 if complex_ else FLOAT64
    sizes = min(4, shape[0]), min(5, shape[1])
    kernels = torch.randn(n, *sizes, dtype=dtype, generator=generator)
    return kernel_frame(shape, kernels, torch.full((3, 3), 1 / 9))


def pairs(*shape):
    """Fields far apart, close, opposite, and waves near the Nyquist frequency."""
    x, y = field(*shape), field(*shape, seed=1)
    wave = torch.cos(math.pi * torch.arange(shape[-2], dtype=FLOAT64) * 0.9)[:, None] + torch.zeros(shape)
    return [(x, y), (x, x + 1e-4 * y), (x, -x), (x + 3, x), (wave, 0 * wave), (wave, -0.5 * wave)]


class TestNonLinearities:
    @pytest.mark.parametrize("name", [*REAL, *ANY])
    def test_lipschitz_and_zero(self, name):
        m = (REAL | ANY)[name]
        x, y = field(400, 3, 2, 2), field(400, 3, 2, 2, seed=1)
        if m.complex_input:
            x, y = torch.complex(x, y), torch.complex(y, x.flip(0))
        for other in (y, x + 1e-3 * y, -x):
            ratio = (squared(m.function(x) - m.function(other)) / squared(x - other)).sqrt()
            assert float(ratio.max()) <= m.lipschitz * (1 + 1e-12)
        assert bool((m.function(0 * x) == 0).all())
        assert m.function(x).shape == (400, 3 * m.n_outputs, 2, 2)
        assert m.function(x).is_complex() == m.complex_output

    @pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "modulus", "phases"])
    def test_the_constant_is_the_best(self, name):
        """Reached by values that differ little; not so for the 2 of ReLU on both parts, whose best is 1."""
        m = (REAL | ANY)[name]
        x = torch.full((1, 1, 1), 1e-6, dtype=FLOAT64)
        x = torch.complex(x, 0 * x) if m.complex_input else x
        ratio = (squared(m.function(x) - m.function(0 * x)) / squared(x)).sqrt()
        assert float(ratio) == pytest.approx(m.lipschitz, rel=1e-9)

    @pytest.mark.parametrize("n_phases", [4, 6, 16])
    def test_rectified_phases_keep_the_norm(self, n_phases):
        z = torch.complex(field(5, 2, 3, 4), field(5, 2, 3, 4, seed=1))
        u = phase_rectifier(n_phases).function(z)
        torch.testing.assert_close(squared(u), squared(z), rtol=1e-14, atol=0)

    def test_refusals(self):
        with pytest.raises(ValueError, match="`n_phases` must be even, got 5"):
            phase_rectifier(5)
        with pytest.raises(ValueError, match="`lipschitz` must be positive and finite, got inf"):
            NonLinearity(torch.sqrt, math.inf)


class TestPooling:
    @pytest.mark.parametrize("anti_alias", [True, False])
    @pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.5), (1.0, -0.5, 0.25)])
    @pytest.mark.parametrize(("shape", "factor"), [((6, 8), 2), ((7, 6), 3), ((5, 6), 2), ((4, 4), 1)])
    def test_the_constant_is_the_norm_of_the_map(self, shape, factor, weights, anti_alias):
        """The largest singular value of the matrix, made column by column."""
        pooling = Pooling(factor, weights, anti_alias)
        n = math.prod(shape)
        columns = pooled(torch.eye(n, dtype=torch.complex128).reshape(n, *shape), pooling).flatten(1)
        norm = float(torch.linalg.matrix_norm(columns, 2))
        assert pooling.lipschitz(shape) == pytest.approx(norm, rel=1e-12)

    def test_constants(self):
        assert Pooling(2).lipschitz((16, 12)) == pytest.approx(1, abs=1e-14)
        assert Pooling(2, anti_alias=False).lipschitz((16, 12)) == pytest.approx(2, abs=1e-14)
        assert Pooling(4, anti_alias=False).lipschitz((16, 12)) == pytest.approx(4, abs=1e-14)
        assert Pooling(2, (0.5, 0.5)).lipschitz((16, 12)) == pytest.approx(1, abs=1e-14)
        assert Pooling(2, (0.5, 0.5), False).lipschitz((16, 12)) == pytest.approx(1, abs=1e-14)

    def test_is_the_average_and_decimation_that_it_says(self):
        x = field(8, 6)
        naive = pooled(x[None], Pooling(2, (0.5, 0.5), False))[0].real
        mean = (x + x.roll(1, 0)) / 2
        mean = (mean + mean.roll(1, 1)) / 2
        torch.testing.assert_close(naive, 2 * mean[::2, ::2], rtol=0, atol=1e-14)
        smooth = 1 + torch.cos(2 * math.pi * torch.arange(8, dtype=FLOAT64) / 8)[:, None].expand(8, 6)
        torch.testing.assert_close(pooled(smooth[None], Pooling(2))[0].real, 2 * smooth[::2, ::2])

    def test_refusals(self):
        with pytest.raises(ValueError, match="`factor` must be an integer >= 1, got 0"):
            Pooling(0)
        with pytest.raises(ValueError, match=r"`weights` must be finite numbers, at least one, got \(\)"):
            Pooling(2, ())


def pooled(x, pooling):
    """The pooling of fields (n, H, W), by its definition: a multiplication and the sum of what aliases."""
    shape, coarse = x.shape[-2:], pooling.coarse(tuple(x.shape[-2:]))
    product = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1)) * pooling.multiplier(tuple(shape)).values
    rows, columns = (torch.remainder(torch.arange(n) - n // 2, m) for n, m in zip(shape, coarse, strict=True))
    product = product.new_zeros(len(x), coarse[0], shape[1]).index_add_(1, rows, product)
    product = product.new_zeros(len(x), *coarse).index_add_(2, columns, product)
    return torch.fft.ifft2(product) * math.prod(coarse) / math.prod(shape)


class TestFrames:
    @pytest.mark.parametrize("shape", [(16, 16), (17, 20)])
    @pytest.mark.parametrize("family", [Morlet(3), BumpSteerable(4)])
    def test_tight_wavelets_are_parseval(self, shape, family):
        low, high = wavelet_frame(shape, family, n_scales=2).bounds()
        assert abs(low - 1) <= 2e-15
        assert abs(high - 1) <= 2e-15
        assert not wavelet_frame(shape, family, n_scales=2).real

    @pytest.mark.parametrize("complex_", [False, True])
    def test_bounds_are_those_of_the_operator(self, complex_):
        """The extreme singular values of f -> (f * g, f * chi), squared."""
        frame, n = random_frame((5, 6), complex_=complex_), 30
        basis = torch.eye(n, dtype=torch.complex128).reshape(n, 1, 5, 6)
        filters = torch.cat([frame.atoms, frame.output[None]])
        columns = torch.fft.ifft2(torch.fft.fft2(basis) * filters).flatten(1)
        values = torch.linalg.svdvals(columns).square()
        assert frame.bounds(of_real=False)[1] == pytest.approx(float(values.max()), rel=1e-12)
        assert frame.bounds(of_real=False)[0] == pytest.approx(float(values.min()), rel=1e-10)
        values = torch.linalg.svdvals(torch.view_as_real(columns).flatten(1)).square()  # of real fields
        assert frame.bounds()[1] == pytest.approx(float(values.max()), rel=1e-12)
        assert frame.real is not complex_
        assert frame.scaled(0.25).bounds()[1] == pytest.approx(0.25, rel=1e-13)

    def test_kernels_are_convolved_about_their_middle(self):
        kernel = torch.zeros(1, 3, 3)
        kernel[0, 1, 2] = 1  # one pixel further along axis 1
        frame = kernel_frame((8, 8), kernel, torch.ones(1, 1))
        x = field(8, 8)
        moved = torch.fft.ifft2(torch.fft.fft2(x) * frame.atoms[0]).real
        torch.testing.assert_close(moved, x.roll(1, 1), rtol=0, atol=1e-15)

    @pytest.mark.parametrize(
        ("atoms", "output", "error", "message"),
        [
            (torch.ones(2, 4, 4), torch.ones(4, 4), TypeError, "`atoms` must be float64 or complex128"),
            (torch.ones(2, 4, 5).double(), torch.ones(4, 4).double(), ValueError, r"have the shape \(n, 4, 4\)"),
            (torch.ones(0, 4, 4).double(), torch.ones(4, 4).double(), ValueError, r"have the shape \(n, 4, 4\)"),
            (torch.ones(1, 4, 4).double(), torch.arange(16.0).double().view(4, 4), ValueError, "real in space"),
        ],
    )
    def test_refusals(self, atoms, output, error, message):
        with pytest.raises(error, match=message):
            Frame(atoms, output)
        with pytest.raises(ValueError, match=r"`kernels` must be at most \(4, 4\), got \(5, 5\)"):
            kernel_frame((4, 4), torch.ones(1, 5, 5), torch.ones(1, 1))


class TestEnergy:
    @pytest.mark.parametrize("nonlinearity", [MODULUS, phase_rectifier(4)])
    @pytest.mark.parametrize("shape", [(16, 16), (17, 20)])
    def test_is_conserved_by_parseval_frames(self, shape, nonlinearity):
        """||f||^2 = sum of ||Phi^n||^2, the last order whole, to the rounding of float64."""
        frame = wavelet_frame(shape, Morlet(3), n_scales=2)
        transform = FrameScattering([FrameLayer(frame, nonlinearity)] * 2, dtype=FLOAT64)
        x = field(4, *shape)
        total = sum(squared(y) for y in transform(x)) / x.square().sum((-2, -1))
        assert float((total - 1).abs().max()) <= 2e-15
        assert float((total - 1).mean().abs()) <= 4.5e-16

    def test_the_features_are_those_of_the_definition(self):
        """float64 FFTs, path by path; channels as in the tables."""
        first, second = wavelet_frame((16, 18), Morlet(2), n_scales=2), random_frame((8, 9)).scaled(0.9)
        layers = [FrameLayer(first, phase_rectifier(4), Pooling(2)), FrameLayer(second, TANH)]
        transform = FrameScattering(layers, dtype=FLOAT64)
        x = field(16, 18)

        def convolve(u, g):
            return torch.fft.ifft2(torch.fft.fft2(u) * g)

        features = transform(x)
        torch.testing.assert_close(features[0][0], convolve(x, first.output).real, rtol=0, atol=1e-14)
        for row, (atom,) in enumerate(transform.tables[1]):
            z = convolve(x, first.atoms[atom // 4])
            u = (torch.exp(1j * torch.tensor(math.pi / 2 * (atom % 4), dtype=FLOAT64)) * z).real.relu()
            u = pooled(u[None], Pooling(2))[0].real
            expected = convolve(u, second.output).real
            torch.testing.assert_close(features[1][row], expected, rtol=0, atol=1e-14)
            for last in range(3):
                got = features[2][transform.tables[2].index((atom, last))]
                expected = torch.tanh(convolve(u, second.atoms[last]).real)
                torch.testing.assert_close(got, expected, rtol=0, atol=1e-14)
        single = FrameScattering(layers)(x.float())
        assert all(float((a - b).norm() / b.norm()) <= 1e-6 for a, b in zip(single, features, strict=True))


class TestBounds:
    @pytest.mark.parametrize("name", [*REAL, *ANY])
    @pytest.mark.parametrize("pooling", [Pooling(), Pooling(2), Pooling(3, (0.9, 0.6))])
    def test_every_layer_and_the_whole_are_contractions(self, name, pooling):
        """B_n <= min(1, 1/(L R)^2) reached with equality: no layer expands any distance."""
        m, shape, layers, of_real = (REAL | ANY)[name], (12, 10), [], True
        for number in range(2):
            limit = min(1.0, (m.lipschitz * pooling.lipschitz(shape)) ** -2)
            frame = random_frame(shape, n=2, seed=number, complex_=m.complex_input)
            layers.append(FrameLayer(frame.scaled(limit, of_real=of_real), m, pooling))
            shape, of_real = pooling.coarse(shape), not m.complex_output
        transform = FrameScattering(layers, dtype=FLOAT64)
        assert all(
            bounds.admissible and bounds.frame == pytest.approx(bounds.limit) for bounds in transform.bounds
        )
        for x, y in pairs(12, 10):
            assert float(transform.measured_bounds(x, y).max()) <= 1 + 1e-12
            assert float(distance(transform(x), transform(y))) <= float((x - y).square().sum()) * (1 + 1e-12)

    @settings(max_examples=6, deadline=None, derandomize=True)
    @given(
        shape=st.tuples(st.integers(6, 15), st.integers(6, 15)), factor=st.integers(1, 3), seed=st.integers(0, 99)
    )
    def test_any_size(self, shape, factor, seed):
        frame = random_frame(shape, n=2, seed=seed, complex_=True).scaled()
        transform = FrameScattering([FrameLayer(frame, MODULUS, Pooling(factor))], dtype=FLOAT64)
        for x, y in pairs(*shape):
            assert float(transform.measured_bounds(x, y).max()) <= 1 + 1e-12

    def test_naive_decimation_breaks_it(self):
        """A spike on the kept samples: without anti-aliasing its energy is multiplied by S^2."""
        frame = Frame(torch.ones(1, 16, 16, dtype=FLOAT64), torch.zeros(16, 16, dtype=FLOAT64))
        x = torch.zeros(16, 16, dtype=FLOAT64)
        x[4, 6] = 1
        expansion = {}
        for anti_alias in (True, False):
            layer = FrameLayer(frame, MODULUS, Pooling(2, anti_alias=anti_alias))
            transform = FrameScattering([layer], require_admissible=False, dtype=FLOAT64)
            expansion[anti_alias] = float(transform.measured_bounds(x, 0 * x))
            assert transform.bounds[0].admissible is anti_alias
        assert expansion[False] == pytest.approx(4, rel=1e-12)
        assert expansion[True] < 0.3
        wavelets = wavelet_frame((16, 16), Morlet(4), n_scales=2)  # not a matter of the trivial frame
        layer = FrameLayer(wavelets, MODULUS, Pooling(2, anti_alias=False))
        naive = FrameScattering([layer], require_admissible=False, dtype=FLOAT64)
        assert float(naive.measured_bounds(x, 0 * x)) > 1.2

    def test_the_refusal_says_what_to_do(self):
        frame = wavelet_frame((16, 16), Morlet(4), n_scales=2)
        message = (
            r"in layer 1 the frame bound is B = 1 and the limit 0\.25 \(L = 1, R = 2\): scale the frame by"
            r" `Frame\.scaled\(0\.25\)`, or pool with anti-aliasing"
        )
        naive = Pooling(2, anti_alias=False)
        with pytest.raises(ValueError, match=message):
            FrameScattering([FrameLayer(frame, MODULUS, naive)])
        scaled = FrameScattering([FrameLayer(frame.scaled(0.25), MODULUS, naive)], dtype=FLOAT64)
        for x, y in pairs(16, 16):
            assert float(scaled.measured_bounds(x, y).max()) <= 1 + 1e-12

    def test_the_usual_morlet_bank_is_not_admissible(self):
        frame = wavelet_frame((64, 64), Morlet(8), n_scales=3, tight=False)
        low, high = frame.bounds()
        assert (round(low, 3), round(high, 4)) == (0.123, 1.0136)
        with pytest.raises(ValueError, match=r"B = 1\.01357 and the limit 1 "):
            FrameScattering([FrameLayer(frame)])


class TestTranslations:
    @pytest.mark.parametrize("steps", [(4, 0), (-4, 8)])
    def test_by_the_product_of_the_factors_moves_the_features(self, steps):
        layers = [
            FrameLayer(wavelet_frame((32, 32), Morlet(2), n_scales=2), MODULUS, Pooling(2)),
            FrameLayer(wavelet_frame((16, 16), Morlet(2), n_scales=2), MODULUS, Pooling(2)),
        ]
        transform, x = FrameScattering(layers, dtype=FLOAT64), field(32, 32)
        moved = transform(x.roll(steps, (0, 1)))
        for y, z, step in zip(transform(x), moved, (1, 2, 4), strict=True):
            torch.testing.assert_close(z, y.roll([s // step for s in steps], (1, 2)), rtol=0, atol=1e-13)

    def test_vertical_invariance(self):
        """|||Phi^n(T_t f) - Phi^n f||| <= 2 pi |t| K / (S_1 ... S_n) ||f||, and less for deeper features."""
        layers, shape = [], (32, 32)
        for _ in range(3):
            frame = random_frame(shape, n=2, seed=len(layers)).scaled()
            layers.append(FrameLayer(frame, RELU, Pooling(2)))
            shape = (shape[0] // 2, shape[1] // 2)
        transform = FrameScattering(layers, dtype=FLOAT64)
        bounds = [transform.translation_bound(order) for order in range(3)]
        assert all(deep < shallow for shallow, deep in itertools.pairwise(bounds))
        x = field(32, 32)
        for t in ((2, 0), (0, -4), (2, 2)):
            moved = transform(x.roll(t, (0, 1)))
            for order, y, z in zip(range(3), transform(x), moved, strict=False):
                change = float(squared(y - z)) ** 0.5 / float(x.norm())
                assert 0 < change <= bounds[order] * math.hypot(*t)

    def test_bound_of_a_known_atom(self):
        """chi^ = 1 at one pair of frequencies: K is its frequency."""
        output = torch.zeros(16, 16, dtype=FLOAT64)
        output[3, 0] = output[-3, 0] = 0.5
        frame = Frame(0.5 * torch.ones(1, 16, 16, dtype=FLOAT64), output)
        transform = FrameScattering([FrameLayer(frame)])
        assert transform.translation_bound(0) == pytest.approx(0.5 * 2 * math.pi * 3 / 16)
        with pytest.raises(ValueError, match="`order` must be an integer between 0 and 0, got 1"):
            transform.translation_bound(1)


class TestModule:
    @pytest.mark.parametrize("nonlinearity", [MODULUS, phase_rectifier(4), RELU_PARTS])
    def test_gradient(self, nonlinearity):
        frame = random_frame((6, 7), n=2, complex_=True).scaled(0.2, of_real=False)
        layer = FrameLayer(frame, nonlinearity, Pooling(2))
        transform = FrameScattering([layer], dtype=FLOAT64)
        assert torch.autograd.gradcheck(
            lambda x: tuple(transform(x)), field(6, 7).requires_grad_(), fast_mode=True
        )

    def test_refusals(self):
        real, analytic = random_frame((16, 16)).scaled(), wavelet_frame((16, 16), Morlet(2), n_scales=1)
        with pytest.raises(ValueError, match=r"`layers` must hold at least one layer, got \(\)"):
            FrameScattering([])
        with pytest.raises(ValueError, match=r"a frame on the grid \(8, 8\) in layer 2, got \(16, 16\)"):
            FrameScattering([FrameLayer(real, RELU, Pooling(2)), FrameLayer(real, RELU)])
        with pytest.raises(ValueError, match="in layer 1: its non-linearity takes no complex"):
            FrameScattering([FrameLayer(analytic, RELU)])
        quarter = analytic.scaled(0.25, of_real=False)
        with pytest.raises(ValueError, match="in layer 2: its non-linearity takes no complex"):
            FrameScattering([FrameLayer(quarter, RELU_PARTS), FrameLayer(real, RELU)])
