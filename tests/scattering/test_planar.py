"""Scattering2D against its definition, for every size, border, order and chunk; bad input."""

from __future__ import annotations

import copy
import importlib.util
import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phasewave.core.bump import BumpSteerable
from phasewave.core.circular import CircularHarmonics
from phasewave.core.coefficients import ScatteringPath
from phasewave.core.morlet import Morlet
from phasewave.scattering.planar import Scattering2D

FLOAT64 = torch.float64
BORDERS = ["periodic", "reflect", "zero"]


def _load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _load("reference")


def field(*shape, dtype=FLOAT64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def relative(a, b):
    return float((a - b).norm() / b.norm())


class TestDefinition:
    @pytest.mark.parametrize("tight", [False, True])
    @pytest.mark.parametrize("border", BORDERS)
    @pytest.mark.parametrize("shape", [(32, 32), (40, 24), (33, 27)])
    def test_full_resolution(self, shape, border, tight):
        transform = Scattering2D(
            shape, n_scales=3, n_angles=3, border=border, oversampling=3, tight=tight, dtype=FLOAT64
        )
        x = field(2, *shape) + 1
        expected = reference.planar(x, 3, 3, border=border, tight=tight)
        torch.testing.assert_close(transform(x), expected, rtol=0, atol=1e-13)

    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(
        shape=st.tuples(st.integers(16, 45), st.integers(16, 45)),
        border=st.sampled_from(BORDERS),
        n_scales=st.integers(1, 4),
        max_order=st.integers(0, 2),
    )
    def test_any_size(self, shape, border, n_scales, max_order):
        arguments = {"n_scales": n_scales, "n_angles": 2, "border": border, "max_order": max_order}
        transform = Scattering2D(shape, **arguments, oversampling=n_scales, dtype=FLOAT64)
        x = field(*shape) + 1
        expected = reference.planar(x, **arguments)
        torch.testing.assert_close(transform(x), expected, rtol=0, atol=1e-13)

    @pytest.mark.parametrize("shape", [(64, 64), (61, 50)])
    def test_oversampling_converges(self, shape):
        """Each octave divides the aliasing of order 2 by about 10; orders 0 and 1 alias less."""
        x = field(*shape)
        arguments = {"n_scales": 4, "n_angles": 4, "border": "periodic"}
        exact = reference.planar(x, **arguments)
        errors = []
        for oversampling in range(3):
            transform = Scattering2D(shape, **arguments, oversampling=oversampling, dtype=FLOAT64)
            order = torch.tensor([path.order for path in transform.table])
            result = transform(x)
            errors.append([relative(result[order == m], exact[order == m]) for m in range(3)])
        assert errors[0][2] <= 0.02
        for coarse, fine in itertools.pairwise(errors):
            assert fine[2] <= coarse[2] / 7
        assert all(zeroth <= 1e-14 and first <= second for zeroth, first, second in errors)

    @pytest.mark.parametrize(("n_scales", "n_channels"), [(2, 81), (3, 217), (4, 417)])
    def test_number_of_channels(self, n_scales, n_channels):
        transform = Scattering2D((32, 48), n_scales=n_scales)
        assert len(transform.table) == n_channels
        assert transform(torch.zeros(32, 48)).shape == (n_channels, 32 >> n_scales, 48 >> n_scales)

    def test_table(self):
        transform = Scattering2D((16, 16), n_scales=2, n_angles=2)
        assert transform.table == (
            ScatteringPath(0, (), ()),
            *[ScatteringPath(1, (j,), (f,)) for j in (0, 1) for f in (0, 1)],
            *[ScatteringPath(2, (0, 1), (f1, f2)) for f1 in (0, 1) for f2 in (0, 1)],
        )

    @pytest.mark.parametrize("border", BORDERS)
    @pytest.mark.parametrize("shape", [(16, 16), (17, 31), (50, 36), (40, 100)])
    @pytest.mark.parametrize("n_scales", [1, 2, 4])
    def test_output_size(self, shape, n_scales, border):
        """Periodic grids keep ceil(n / 2^J) points an axis; padded ones the floor(n / 2^J) inside the field."""
        output = Scattering2D(shape, n_scales=n_scales, n_angles=1, border=border)(torch.zeros(1, *shape))
        rounding = -1 if border == "periodic" else 1
        assert output.shape[2:] == tuple(rounding * (rounding * n // 2**n_scales) for n in shape)

    @pytest.mark.parametrize(
        "family",
        [
            Morlet,
            BumpSteerable,
            CircularHarmonics,
        ],
    )
    def test_families_at_their_default_sampling(self, family):
        """Every family that is accepted is sampled finely enough for it."""
        arguments = {"n_scales": 4, "n_angles": 2, "border": "periodic", "family": family, "dtype": FLOAT64}
        x = field(64, 64)
        exact = Scattering2D((64, 64), **arguments, oversampling=4)(x)
        assert relative(Scattering2D((64, 64), **arguments, oversampling=1)(x), exact) <= 2e-3


class TestBorders:
    def test_reflected_field_that_is_periodic(self):
        """A 17 x 17 field mirrored about its end samples has period 32, the padded size at J = 3."""
        x = field(2, 17, 17)
        transform = Scattering2D((17, 17), n_scales=3, n_angles=4, oversampling=1, dtype=FLOAT64)
        assert transform.padded == (32, 32)
        mirrored = torch.cat([x, x[:, 1:-1].flip(1)], dim=1)
        mirrored = torch.cat([mirrored, mirrored[:, :, 1:-1].flip(2)], dim=2)
        periodic = Scattering2D((32, 32), n_scales=3, n_angles=4, oversampling=1, border="periodic", dtype=FLOAT64)
        before = (32 - 17) // 2
        whole = periodic(mirrored.roll((before, before), dims=(1, 2)))
        torch.testing.assert_close(transform(x), whole[..., 1:-1, 1:-1], rtol=0, atol=1e-14)

    def test_zero_border_is_a_field_among_zeros(self):
        """The same field in a frame of zeros 2^J wide, whose own border is what it was."""
        x = field(2, 32, 40)
        framed = torch.nn.functional.pad(x, (8, 8, 8, 8))
        inside = Scattering2D((48, 56), n_scales=3, n_angles=4, border="periodic", dtype=FLOAT64)(framed)
        result = Scattering2D((32, 40), n_scales=3, n_angles=4, border="zero", dtype=FLOAT64)(x)
        torch.testing.assert_close(result, inside[..., 1:-1, 1:-1], rtol=0, atol=1e-14)

    @pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
    @pytest.mark.parametrize("border", ["periodic", "reflect"])
    @pytest.mark.parametrize("n_scales", [2, 4])
    def test_constant_field(self, border, n_scales, dtype):
        """The mean passes the low-pass, and no wavelet sees it."""
        transform = Scattering2D((32, 35), n_scales=n_scales, n_angles=4, border=border, dtype=dtype)
        y = transform(torch.full((32, 35), 3.0, dtype=dtype))
        precision = torch.finfo(dtype).eps
        torch.testing.assert_close(y[0], torch.full_like(y[0], 3.0), rtol=10 * precision, atol=0)
        assert float(y[1:].abs().max()) <= 30 * precision

    def test_zero_field(self):
        assert bool((Scattering2D((32, 32), n_scales=2)(torch.zeros(32, 32)) == 0).all())


class TestBatches:
    @pytest.mark.parametrize("border", BORDERS)
    @pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
    def test_batch_equals_loop(self, dtype, border):
        transform = Scattering2D((32, 27), n_scales=2, n_angles=3, border=border, dtype=dtype)
        x = field(2, 3, 32, 27, dtype=dtype)
        y = transform(x)
        assert y.dtype == dtype
        for i in range(2):
            for k in range(3):
                torch.testing.assert_close(y[i, k], transform(x[i, k]), rtol=0, atol=4 * torch.finfo(dtype).eps)

    @pytest.mark.parametrize("leading", [(), (1,), (5,), (2, 1, 3), (0,), (2, 0)])
    def test_leading_axes(self, leading):
        transform = Scattering2D((16, 20), n_scales=2, n_angles=2)
        y = transform(field(*leading, 16, 20, dtype=torch.float32))
        assert y.shape == (*leading, len(transform.table), 4, 5)

    def test_non_contiguous_fields(self):
        transform = Scattering2D((16, 20), n_scales=2, n_angles=2, dtype=FLOAT64)
        x = field(20, 3, 16).permute(1, 2, 0)
        torch.testing.assert_close(transform(x), transform(x.contiguous()), rtol=0, atol=1e-15)
        one = field(16, 20)
        torch.testing.assert_close(transform(one.expand(3, 16, 20))[2], transform(one), rtol=0, atol=1e-15)

    @pytest.mark.parametrize("max_order", [0, 1, 2])
    def test_chunks_change_nothing(self, max_order):
        x = field(3, 32, 32).requires_grad_()
        results = []
        for chunk in (1, 700, 5000, 2**18, 2**40):
            transform = Scattering2D(
                (32, 32), n_scales=3, n_angles=3, max_order=max_order, chunk=chunk, dtype=FLOAT64
            )
            y = transform(x)
            (gradient,) = torch.autograd.grad((y**2).sum(), x)
            results.append((y.detach(), gradient))
        for y, gradient in results[1:]:
            torch.testing.assert_close(y, results[0][0], rtol=0, atol=1e-14)
            torch.testing.assert_close(gradient, results[0][1], rtol=1e-13, atol=1e-13)

    def test_lower_orders_are_the_first_channels(self):
        x = field(32, 32)
        whole = Scattering2D((32, 32), n_scales=3, n_angles=3, dtype=FLOAT64)
        for max_order, n_channels in ((0, 1), (1, 10)):
            part = Scattering2D((32, 32), n_scales=3, n_angles=3, max_order=max_order, dtype=FLOAT64)
            assert part.table == whole.table[:n_channels]
            torch.testing.assert_close(part(x), whole(x)[:n_channels], rtol=0, atol=1e-15)


class TestModule:
    def test_float32_precision(self):
        x = field(64, 64) + 2
        exact = Scattering2D((64, 64), n_scales=3, n_angles=4, dtype=FLOAT64)(x)
        order = torch.tensor([path.order for path in Scattering2D((64, 64), n_scales=3, n_angles=4).table])
        single = Scattering2D((64, 64), n_scales=3, n_angles=4)(x.float()).double()
        for m in range(3):
            assert relative(single[order == m], exact[order == m]) <= 4e-6

    def test_copies_and_state(self):
        transform = Scattering2D((32, 32), n_scales=2, n_angles=2)
        x = field(32, 32, dtype=torch.float32)
        twin = copy.deepcopy(transform)
        assert bool((twin(x) == transform(x)).all())
        assert not transform.state_dict()
        transform.load_state_dict(twin.state_dict())
        assert not list(transform.parameters())

    def test_moves_to_float64(self):
        transform = Scattering2D((32, 32), n_scales=2, n_angles=2)
        x = field(32, 32)
        y = transform(x.float())
        moved = transform.to(FLOAT64)
        assert moved(x).dtype == FLOAT64
        assert 0 < relative(y.double(), moved(x)) <= 1e-6

    def test_forward_and_backward_look_at_no_value(self):
        """On the meta device there is none: nothing can wait for a device's result."""
        transform = Scattering2D((32, 33), n_scales=2, n_angles=2, chunk=3000).to("meta")
        x = torch.empty(5, 32, 33, device="meta", requires_grad=True)
        y = transform(x)
        assert y.shape == (5, 9, 8, 8)
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
        assert gradient.shape == x.shape

    def test_global_default_dtype_does_not_matter(self):
        x = field(32, 32)
        before = Scattering2D((32, 32), n_scales=2, n_angles=3, tight=True, dtype=FLOAT64)(x)
        torch.set_default_dtype(torch.float64)
        try:
            single = Scattering2D((32, 32), n_scales=2, n_angles=3, tight=True)
            double = Scattering2D((32, 32), n_scales=2, n_angles=3, tight=True, dtype=FLOAT64)
        finally:
            torch.set_default_dtype(torch.float32)
        assert single(x.float()).dtype == torch.float32
        assert bool((double(x) == before).all())


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # both of PyTorch's tracing
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiled():
    """torch.compile may break the graph; values and gradients stay those of the module (no code is generated)."""
    torch.compiler.reset()
    transform = Scattering2D((16, 16), n_scales=2, n_angles=1, dtype=FLOAT64)
    compiled = torch.compile(transform, backend="aot_eager")
    x = field(2, 16, 16).requires_grad_()
    expected, result = transform(x), compiled(x)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-14)
    (a,), (b,) = (torch.autograd.grad((y**2).sum(), x) for y in (expected, result))
    torch.testing.assert_close(b, a, rtol=1e-13, atol=1e-13)
    torch.compiler.reset()


class TestRefusals:
    @pytest.mark.parametrize(
        ("x", "error", "message"),
        [
            (torch.zeros(32, 33), ValueError, r"`x` must have last axes \(32, 32\), got \(32, 33\)"),
            (torch.zeros(32), ValueError, r"`x` must have last axes \(32, 32\), got \(32,\)"),
            (
                torch.zeros(32, 32, dtype=FLOAT64),
                TypeError,
                "dtype torch.float32 like the module, got torch.float64",
            ),
            (torch.zeros(32, 32, dtype=torch.complex64), TypeError, "real floating dtype, got torch.complex64"),
            (torch.zeros(32, 32, dtype=torch.uint8), TypeError, "real floating dtype, got torch.uint8"),
            ("image", TypeError, r"`x` must be a torch.Tensor, got str"),
        ],
    )
    def test_bad_fields(self, x, error, message):
        with pytest.raises(error, match=message):
            Scattering2D((32, 32), n_scales=1, n_angles=1)(x)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"shape": (15, 32)}, ValueError, r"`shape` must be 2 integers >= 16, got \(15, 32\)"),
            ({"shape": (32, 32, 32)}, ValueError, r"`shape` must be 2 integers >= 16, got \(32, 32, 32\)"),
            ({"n_scales": 0}, ValueError, "`n_scales` must be an integer >= 1, got 0"),
            ({"n_scales": 6}, ValueError, "`n_scales` must give an output step <= 32, the smaller side, got 6"),
            ({"n_scales": 2.0}, TypeError, r"`n_scales` must be an integer, got 2\.0"),
            ({"n_angles": 0}, ValueError, "`n_angles` must be an integer >= 1, got 0"),
            ({"max_order": 3}, ValueError, "`max_order` must be an integer between 0 and 2, got 3"),
            (
                {"border": "mirror"},
                ValueError,
                "`border` must be one of 'periodic', 'reflect', 'zero', got 'mirror'",
            ),
            ({"oversampling": -1}, ValueError, "`oversampling` must be an integer >= 0, got -1"),
            ({"chunk": 0}, ValueError, "`chunk` must be an integer >= 1, got 0"),
            ({"dtype": torch.bfloat16}, TypeError, "torch.float32 or torch.float64, got torch.bfloat16"),
        ],
    )
    def test_bad_settings(self, arguments, error, message):
        given = {"shape": (32, 40), "n_scales": 2} | arguments
        with pytest.raises(error, match=message):
            Scattering2D(given.pop("shape"), **given)

    def test_positional_settings(self):
        with pytest.raises(TypeError):
            Scattering2D((32, 32), 2)

    def test_largest_number_of_scales(self):
        assert Scattering2D((32, 40), n_scales=5, n_angles=1)(torch.zeros(32, 40)).shape[-2:] == (1, 1)
