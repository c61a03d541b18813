"""RotoTranslationScattering2D against its definition by one 3-D FFT, its symmetries, energy and derivatives."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch

from phasewave.core.bank import filter_bank
from phasewave.core.bump import BumpSteerable
from phasewave.core.circular import CircularHarmonics
from phasewave.core.meyer import MeyerSteerable
from phasewave.core.morlet import Morlet
from phasewave.scattering.angular import angular_wavelets, largest_angular_scale
from phasewave.scattering.planar import Scattering2D
from phasewave.scattering.rotation import RotoTranslationPath, RotoTranslationScattering2D

FLOAT64 = torch.float64


def field(*shape, dtype=FLOAT64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def moduli(x, n_scales, n_angles, n_angular_scales, *, tight=False):
    """|x * psi| and | |x * psi| * (psi psi~) | at full resolution, and the low-pass, from the definition."""
    shape = tuple(x.shape[-2:])
    bank = filter_bank(shape, Morlet(n_angles), n_scales=n_scales, tight=tight, tolerance=1e-16)
    psi = [torch.stack([s.on_grid(shape) for s in scale]) for scale in bank.wavelets]
    angular = angular_wavelets(n_angles, n_angular_scales)
    paths = {RotoTranslationPath(0, (), (), 0): x}
    for j1 in range(n_scales):
        u = torch.fft.ifft2(torch.fft.fft2(x) * psi[j1]).abs()
        for l1 in range(n_angles):
            paths[RotoTranslationPath(1, (j1,), (l1,), 0)] = u[l1]
        whole = torch.fft.fftn(u)
        for j2, k, l2 in itertools.product(
            range(j1 + 1, n_scales), range(-n_angular_scales, n_angular_scales + 1), range(n_angles)
        ):
            filter_ = angular[k + n_angular_scales][:, None, None] * psi[j2][l2]
            v = torch.fft.ifftn(whole * filter_).abs()
            for place in range(n_angles):
                paths[RotoTranslationPath(2, (j1, j2), (place, l2), k)] = v[place]
    return paths, torch.outer(*bank.low_pass)


def reference(x, n_scales, n_angles, n_angular_scales):
    """Coefficients of a field whose sides are multiples of 2^J."""
    paths, phi = moduli(x, n_scales, n_angles, n_angular_scales)
    step = 2**n_scales
    return {p: torch.fft.ifft2(torch.fft.fft2(u) * phi).real[::step, ::step] for p, u in paths.items()}


class TestAngularWavelets:
    @pytest.mark.parametrize("n_angles", range(1, 17))
    def test_parseval_with_all_wavelets_in_use(self, n_angles):
        for n_scales in range(largest_angular_scale(n_angles) + 1):
            wavelets = angular_wavelets(n_angles, n_scales)
            assert wavelets.shape == (2 * n_scales + 1, n_angles)
            torch.testing.assert_close(wavelets.square().sum(0), torch.ones(n_angles, dtype=FLOAT64))
            assert bool((wavelets.square().sum(1) > 0).all())
            assert wavelets[n_scales, 0] == 1
            mirrored = wavelets.flip(0).flip(1).roll(1, 1)
            torch.testing.assert_close(wavelets, mirrored)

    def test_known_values(self):
        """L = 8: centres at 3 and 3/2; frequency 2 lies log2(3/2) octaves under 3."""
        near = math.cos(math.pi / 2 * math.log2(1.5))
        low, high = angular_wavelets(8, 1)[1:]
        far = math.sin(math.pi / 2 * math.log2(1.5))
        torch.testing.assert_close(low, torch.tensor([1, 1, far, 0, 0, 0, far, 1], dtype=FLOAT64))
        torch.testing.assert_close(high, torch.tensor([0, 0, near, 1, 0.5**0.5, 0, 0, 0], dtype=FLOAT64))
        largest = angular_wavelets(8, 3)
        torch.testing.assert_close(largest[3], torch.eye(8, dtype=FLOAT64)[0])  # the mean alone

    def test_refusals(self):
        with pytest.raises(ValueError, match="`n_scales` must be at most 3 for 8 angles, got 4"):
            angular_wavelets(8, 4)
        with pytest.raises(ValueError, match="`n_angles` must be an integer >= 1, got 0"):
            angular_wavelets(0, 0)


class TestDefinition:
    @pytest.mark.parametrize(("shape", "n_angles", "k"), [((32, 32), 4, 2), ((16, 24), 3, 1), ((24, 16), 8, 3)])
    def test_full_resolution(self, shape, n_angles, k):
        n_scales = 3
        transform = RotoTranslationScattering2D(
            shape,
            n_scales=n_scales,
            n_angles=n_angles,
            n_angular_scales=k,
            border="periodic",
            oversampling=3,
            dtype=FLOAT64,
        )
        x = field(*shape) + 1
        expected = reference(x, n_scales, n_angles, k)
        assert set(expected) == set(transform.table)
        result = transform(x)
        torch.testing.assert_close(result, torch.stack([expected[p] for p in transform.table]), rtol=0, atol=1e-13)
        single = transform.to(torch.float32)(x.float())
        assert float((single - result).norm() / result.norm()) <= 4e-6

    @pytest.mark.parametrize("border", ["reflect", "periodic", "zero"])
    @pytest.mark.parametrize("shape", [(17, 31), (20, 16)])
    def test_without_angular_scales_it_is_planar_scattering(self, shape, border):
        arguments = {"n_scales": 3, "n_angles": 3, "border": border, "dtype": FLOAT64}
        planar = Scattering2D(shape, **arguments)
        transform = RotoTranslationScattering2D(shape, n_angular_scales=0, **arguments)
        assert tuple(path[:3] for path in transform.table) == tuple(tuple(path) for path in planar.table)
        x = field(2, *shape)
        torch.testing.assert_close(transform(x), planar(x), rtol=0, atol=1e-14)

    @pytest.mark.parametrize("family", [BumpSteerable, MeyerSteerable])
    def test_energy_of_the_second_layer_is_that_of_the_planar_one(self, family):
        """The angular frame is Parseval: sums over k and theta_1 of the squares before the pool agree."""
        arguments = {"n_scales": 2, "n_angles": 4, "border": "periodic", "oversampling": 2, "family": family}
        x = field(16, 16)
        powers = []
        for k in (0, 1, 2):
            transform = RotoTranslationScattering2D((16, 16), n_angular_scales=k, **arguments, dtype=FLOAT64)
            u = torch.fft.ifft2(transform.planar.first[0].band(torch.fft.fft2(x)[None])).abs()
            whole = torch.fft.fft(torch.fft.fft2(u), dim=1)
            v = torch.fft.ifft(whole * transform.angular[:, :, None, None], dim=1)
            (leaf,) = transform.planar.second[0]
            powers.append(float(torch.fft.ifft2(leaf.band(v)).abs().square().sum()))
        assert powers[1] == pytest.approx(powers[0], rel=1e-13)
        assert powers[2] == pytest.approx(powers[0], rel=1e-13)

    @pytest.mark.parametrize(("n_scales", "n_angles", "k", "n_channels"), [(2, 8, 2, 337), (3, 4, 1, 157)])
    def test_number_of_channels(self, n_scales, n_angles, k, n_channels):
        transform = RotoTranslationScattering2D((32, 40), n_scales=n_scales, n_angles=n_angles, n_angular_scales=k)
        assert len(transform.table) == n_channels == len(set(transform.table))
        assert transform(torch.zeros(32, 40)).shape == (n_channels, 32 >> n_scales, 40 >> n_scales)

    def test_closed_form_of_a_wave(self):
        """|wave * psi| is flat: order 1 is the gain psi^(w), and nothing of order 2 is left."""
        k = 6
        x = torch.cos(2 * math.pi * k / 32 * torch.arange(32, dtype=FLOAT64))[:, None].expand(32, 32)
        transform = RotoTranslationScattering2D(
            (32, 32), n_scales=2, n_angles=4, border="periodic", family=MeyerSteerable, dtype=FLOAT64
        )
        y = transform(x)
        bank = filter_bank((32, 32), MeyerSteerable(4), n_scales=2, tolerance=1e-16)
        for row, path in enumerate(transform.table):
            if path.order == 1:
                gain = bank.wavelets[path.scales[0]][path.filters[0]].on_grid((32, 32))
                expected = 0.5 * float(gain[k, 0].abs() + gain[-k, 0].abs())
                torch.testing.assert_close(y[row], torch.full_like(y[row], expected), rtol=0, atol=1e-14)
        assert float(y[transform.planar.n_scales * 4 + 1 :].abs().max()) <= 1e-14


class TestSymmetries:
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (FLOAT64, 1e-14)])
    @pytest.mark.parametrize(("size", "n_angles", "k"), [(32, 8, 2), (33, 4, 2), (32, 2, 1)])
    def test_a_quarter_turn_permutes_the_channels(self, size, n_angles, k, dtype, tolerance):
        """Both orientations move by L/2; a wavelet turned past the half turn is a conjugate: k becomes -k."""
        transform = RotoTranslationScattering2D(
            (size, size),
            n_scales=3,
            n_angles=n_angles,
            n_angular_scales=k,
            border="periodic",
            oversampling=1,
            dtype=dtype,
        )
        x = field(size, size, dtype=dtype)
        row = {path: i for i, path in enumerate(transform.table)}

        def moved(path):
            filters = tuple((f + n_angles // 2) % n_angles for f in path.filters)
            wraps = path.order == 2 and path.filters[1] < n_angles // 2
            return path._replace(filters=filters, angular=-path.angular if wraps else path.angular)

        y = transform(x)
        expected = _quarter_turn(y[[row[moved(path)] for path in transform.table]])
        turned = transform(_quarter_turn(x))
        order = torch.tensor([path.order for path in transform.table])
        for m in range(3):
            error = (turned - expected)[order == m].norm() / expected[order == m].norm()
            assert float(error) <= tolerance
        if n_angles > 2:  # of two angles the only other frequency is its own negative
            kept = [row[moved(path)._replace(angular=path.angular)] for path in transform.table]
            assert float((turned - _quarter_turn(y[kept])).norm() / turned.norm()) > 1e-3

    @pytest.mark.parametrize("steps", [(1, 0), (-2, 3)])
    def test_translations_by_the_output_step_roll_the_output(self, steps):
        transform = RotoTranslationScattering2D((32, 24), n_scales=3, n_angles=4, border="periodic", dtype=FLOAT64)
        x = field(32, 24)
        moved = transform(x.roll([8 * s for s in steps], dims=(0, 1)))
        torch.testing.assert_close(moved, transform(x).roll(steps, dims=(1, 2)), rtol=0, atol=1e-13)

    def test_homogeneous(self):
        transform = RotoTranslationScattering2D(
            (16, 20), n_scales=2, n_angles=3, n_angular_scales=1, dtype=FLOAT64
        )
        x = field(16, 20)
        torch.testing.assert_close(transform(-3 * x)[1:], 3 * transform(x)[1:], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("other", ["independent", "close", "opposite"])
def test_contraction_at_full_resolution(other):
    """||Sx - Sy|| <= ||x - y||, all shifts of the fields together: the low-pass read at every pixel."""
    transform = RotoTranslationScattering2D(
        (16, 16), n_scales=2, n_angles=4, tight=True, border="periodic", oversampling=2, dtype=FLOAT64
    )
    x = field(16, 16)
    y = {"independent": field(16, 16, seed=1), "close": x + 1e-4 * field(16, 16, seed=1), "opposite": -x}[other]
    step = range(4)
    shifts = list(itertools.product(step, step))
    a, b = (transform(torch.stack([f.roll(s, dims=(0, 1)) for s in shifts])) for f in (x, y))
    assert 0 < float((a - b).square().sum() / (x - y).square().sum()) <= 1


class TestBatches:
    def test_batch_equals_loop_whatever_the_chunk(self):
        x = field(2, 2, 16, 18)
        arguments = {"n_scales": 2, "n_angles": 3, "n_angular_scales": 2, "dtype": FLOAT64}
        results = [RotoTranslationScattering2D((16, 18), chunk=c, **arguments)(x) for c in (1, 2500, 2**18)]
        for y in results[1:]:
            torch.testing.assert_close(y, results[0], rtol=0, atol=1e-14)
        one = RotoTranslationScattering2D((16, 18), **arguments)
        torch.testing.assert_close(results[0][1, 0], one(x[1, 0]), rtol=0, atol=1e-14)

    def test_derivatives(self):
        transform = RotoTranslationScattering2D(
            (16, 16), n_scales=2, n_angles=2, n_angular_scales=1, dtype=FLOAT64
        )
        x = field(16, 16).requires_grad_()
        assert torch.autograd.gradcheck(transform, x, fast_mode=True)
        assert torch.autograd.gradgradcheck(transform, x, fast_mode=True)

    def test_no_state_and_meta_device(self):
        transform = copy.deepcopy(
            RotoTranslationScattering2D((16, 17), n_scales=2, n_angles=2, n_angular_scales=1)
        )
        assert not transform.state_dict()
        assert transform.to("meta")(torch.empty(3, 16, 17, device="meta")).shape == (3, 17, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_angular_scales": 4}, ValueError, "`n_scales` must be at most 3 for 8 angles, got 4"),
        ({"n_angular_scales": -1}, ValueError, "`n_scales` must be an integer >= 0, got -1"),
        ({"family": CircularHarmonics}, ValueError, "`family` must make 8 orientations, got CircularHarmonics"),
        ({"n_scales": 0}, ValueError, "`n_scales` must be an integer >= 1, got 0"),
        ({"border": "mirror"}, ValueError, "`border` must be one of 'periodic', 'reflect', 'zero', got 'mirror'"),
        ({"shape": (15, 32)}, ValueError, r"`shape` must be 2 integers >= 16, got \(15, 32\)"),
        ({"dtype": torch.float16}, TypeError, "torch.float32 or torch.float64, got torch.float16"),
    ],
)
def test_bad_settings(arguments, error, message):
    given = {"shape": (32, 40), "n_scales": 2} | arguments
    with pytest.raises(error, match=message):
        RotoTranslationScattering2D(given.pop("shape"), **given)


def _quarter_turn(x):
    """x(u) -> x(r^-1 u) on the periodic square: (u_0, u_1) reads (u_1, -u_0)."""
    return x.transpose(-2, -1).flip(-1).roll(1, dims=-1).contiguous()
