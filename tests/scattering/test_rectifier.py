"""PhaseRectifierScattering2D against its definition, the modulus that its phases hold, symmetries, derivatives."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from phasewave.core.bank import filter_bank
from phasewave.core.morlet import Morlet
from phasewave.core.phases import rectifier_harmonic
from phasewave.scattering.planar import Scattering2D
from phasewave.scattering.rectifier import PhaseRectifierScattering2D

FLOAT64 = torch.float64


def field(*shape, dtype=FLOAT64, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def reference(x, table, n_scales, n_angles, n_phases):
    """The coefficients path by path, at full resolution before the output's sampling."""
    shape = tuple(x.shape)
    bank = filter_bank(shape, Morlet(n_angles), n_scales=n_scales, tolerance=1e-16)
    phi, step = torch.outer(*bank.low_pass), 2**n_scales
    rows = []
    for path in table:
        u = x
        for scale, filter_, phase in zip(path.scales, path.filters, path.phases, strict=True):
            z = torch.fft.ifft2(torch.fft.fft2(u) * bank.wavelets[scale][filter_].on_grid(shape))
            turn = 2 * math.pi * phase / n_phases
            u = 2 / math.sqrt(n_phases) * (math.cos(turn) * z.real - math.sin(turn) * z.imag).relu()
        rows.append(torch.fft.ifft2(torch.fft.fft2(u) * phi).real[::step, ::step])
    return torch.stack(rows)


@pytest.mark.parametrize(("shape", "n_angles", "n_phases"), [((16, 24), 2, 4), ((24, 16), 1, 6)])
def test_definition(shape, n_angles, n_phases):
    transform = PhaseRectifierScattering2D(
        shape, n_scales=3, n_angles=n_angles, n_phases=n_phases, border="periodic", oversampling=3, dtype=FLOAT64
    )
    assert (
        len(set(transform.table))
        == len(transform.table)
        == 1 + 3 * n_angles * n_phases + 3 * (n_angles * n_phases) ** 2
    )
    x = field(*shape) + 1
    expected = reference(x, transform.table, 3, n_angles, n_phases)
    y = transform(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-13)
    single = transform.to(torch.float32)(x.float())
    assert float((single - y).norm() / y.norm()) <= 4e-6


def test_harmonics_along_the_phases():
    r"""With many phases their mean is the modulus over pi; the rest are harmonics A, 2 A, ... of 2 / (pi A^2)."""
    arguments = {"n_scales": 2, "n_angles": 3, "border": "periodic", "oversampling": 2, "dtype": FLOAT64}
    x, n_phases = field(16, 20), 32
    moduli = Scattering2D((16, 20), max_order=1, **arguments)(x)[1:]
    transform = PhaseRectifierScattering2D((16, 20), n_phases=n_phases, max_order=1, **arguments)
    phases = transform(x)[1:].unflatten(0, (-1, n_phases)) * n_phases**0.5 / 2
    torch.testing.assert_close(phases.mean(1) * math.pi, moduli, rtol=4 / n_phases**2, atol=0)
    # At the second harmonic: c_2 times the pool of |z| exp(2 i arg z).
    bank = filter_bank((16, 20), Morlet(3), n_scales=2, tolerance=1e-16)
    z = torch.fft.ifft2(torch.fft.fft2(x) * bank.wavelets[1][2].on_grid((16, 20)))
    expected = rectifier_harmonic(2) * torch.fft.ifft2(
        torch.fft.fft2(z**2 / z.abs()) * torch.outer(*bank.low_pass)
    )
    found = torch.fft.fft(phases[5], dim=0)[2] / n_phases
    torch.testing.assert_close(found, expected[::4, ::4], rtol=0, atol=2e-4)


def test_oversampling_converges():
    """Each octave divides the aliasing of the rectified waves' harmonics."""
    x = field(32, 32)
    arguments = {"n_scales": 3, "n_angles": 2, "border": "periodic", "dtype": FLOAT64}
    exact = PhaseRectifierScattering2D((32, 32), oversampling=3, **arguments)(x)
    errors = [
        float((PhaseRectifierScattering2D((32, 32), oversampling=o, **arguments)(x) - exact).norm() / exact.norm())
        for o in range(3)
    ]
    assert errors[1] <= 0.01
    assert all(fine < coarse / 2 for coarse, fine in itertools.pairwise(errors))


def test_translations_by_the_output_step_roll_the_output():
    transform = PhaseRectifierScattering2D((32, 24), n_scales=3, n_angles=2, border="periodic", dtype=FLOAT64)
    x = field(32, 24)
    moved = transform(x.roll((8, -8), (0, 1)))
    torch.testing.assert_close(moved, transform(x).roll((1, -1), (1, 2)), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (FLOAT64, 1e-14)])
def test_a_quarter_turn_permutes_the_channels(dtype, tolerance):
    """Angles move by L/2; a wavelet turned past the half turn is a conjugate: the phase a becomes -a."""
    n_angles, n_phases = 4, 4
    transform = PhaseRectifierScattering2D((32, 32), n_scales=3, n_angles=n_angles, border="periodic", dtype=dtype)

    def quarter_turn(x):
        return x.transpose(-2, -1).flip(-1).roll(1, dims=-1).contiguous()

    def moved(path):
        filters = tuple((f + n_angles // 2) % n_angles for f in path.filters)
        phases = tuple(
            -a % n_phases if f < n_angles // 2 else a for f, a in zip(path.filters, path.phases, strict=True)
        )
        return path._replace(filters=filters, phases=phases)

    x, row = field(32, 32, dtype=dtype), {path: i for i, path in enumerate(transform.table)}
    expected = quarter_turn(transform(x)[[row[moved(path)] for path in transform.table]])
    turned = transform(quarter_turn(x))
    assert float((turned - expected).norm() / expected.norm()) <= tolerance


@pytest.mark.parametrize("other", ["independent", "close", "opposite"])
def test_contraction_at_full_resolution(other):
    transform = PhaseRectifierScattering2D(
        (16, 16), n_scales=2, n_angles=2, tight=True, border="periodic", oversampling=2, dtype=FLOAT64
    )
    x = field(16, 16)
    y = {"independent": field(16, 16, seed=1), "close": x + 1e-4 * field(16, 16, seed=1), "opposite": -x}[other]
    shifts = list(itertools.product(range(4), range(4)))
    a, b = (transform(torch.stack([f.roll(s, dims=(0, 1)) for s in shifts])) for f in (x, y))
    assert 0 < float((a - b).square().sum() / (x - y).square().sum()) <= 1


def test_chunks_and_gradients():
    x = field(2, 16, 17).requires_grad_()
    results = []
    for chunk in (1, 3000, 2**18):
        transform = PhaseRectifierScattering2D((16, 17), n_scales=2, n_angles=2, chunk=chunk, dtype=FLOAT64)
        y = transform(x)
        results.append((y.detach(), *torch.autograd.grad((y**2).sum(), x)))
    for y, gradient in results[1:]:
        torch.testing.assert_close(y, results[0][0], rtol=0, atol=1e-14)
        torch.testing.assert_close(gradient, results[0][1], rtol=1e-13, atol=1e-13)
    one = field(16, 17).requires_grad_()
    assert torch.autograd.gradcheck(transform, one, fast_mode=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_phases": 5}, "`n_phases` must be even, got 5"),
        ({"n_phases": 2}, "`n_phases` must be an integer >= 4, got 2"),
        ({"n_scales": 6}, "`n_scales` must give an output step <= 32, the smaller side, got 6"),
        ({"max_order": 3}, "`max_order` must be an integer between 0 and 2, got 3"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        PhaseRectifierScattering2D((32, 40), **({"n_scales": 2} | arguments))
