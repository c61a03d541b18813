"""Rectifier moments against their plain definition, and their exact relation to phase harmonics."""

import math

import pytest
import torch

from phasewave.core.bump import BumpSteerable
from phasewave.core.phases import phase_harmonic, rectifier_harmonic
from phasewave.turbulence.full_resolution import channel_field
from phasewave.turbulence.moment_table import Channel
from phasewave.turbulence.rectifier_moments import RectifierMoments
from phasewave.turbulence.rectifier_table import RectifierChannel

SHAPE = (32, 32)


def fields(*batch: int, shape=SHAPE, seed: int = 0) -> torch.Tensor:
    """Skewed fields without symmetry."""
    x = torch.randn(*batch, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = x + torch.roll(x, (1, 0), (-2, -1)) + 0.7 * torch.roll(x, (1, 1), (-2, -1))
    return (0.4 * x).exp() + 0.3 * x


def made(shape=SHAPE, *, n_scales=2, n_angles=4, oversampling=2, **options) -> RectifierMoments:
    return RectifierMoments(
        shape, n_scales=n_scales, n_angles=n_angles, oversampling=oversampling, dtype=torch.float64, **options
    )


def coefficients(x: torch.Tensor, scale: int, angle: int, L: int) -> torch.Tensor:
    z = channel_field(x, Channel("wavelet", scale, angle % L, 1), BumpSteerable(L))
    return z if angle in range(L) else z.conj()


def plain_channel(x: torch.Tensor, channel: RectifierChannel, module: RectifierMoments) -> torch.Tensor:
    z = coefficients(x, channel.scale, channel.angle, module.n_angles)
    A = module.n_phases

    def rectified(a):
        return (z * complex(math.cos(2 * math.pi * a / A), math.sin(2 * math.pi * a / A))).real.clamp(min=0)

    if channel.view == "phases":
        return rectified(channel.number)
    waves = [
        rectified(a) * complex(math.cos(t), -math.sin(t))
        for a in range(A)
        for t in [2 * math.pi * channel.number * a / A]
    ]
    return sum(waves) / (A * rectifier_harmonic(channel.number))


def plain(x, module, target=None):
    channels = {channel for row in module.table for channel in (row.first, row.second)}
    own = {c: plain_channel(x, c, module) for c in channels}
    source = own if target is None else {c: plain_channel(target, c, module) for c in channels}
    deviation = {
        c: 1.0 if target is None else (f - f.mean()).abs().square().mean().sqrt() for c, f in source.items()
    }
    values = []
    for row in module.table:
        a, b = row.first, row.second
        if row.kind == "R1":
            value = (own[a].mean() - (0 if target is None else source[a].mean())) / deviation[a]
        else:
            left, right = (own[c] - source[c].mean() for c in (a, b))
            value = (left * right.conj()).mean() / (deviation[a] * deviation[b])
        values.append(value)
    return torch.stack(values)


@pytest.mark.parametrize("view", ["phases", "harmonics"])
@pytest.mark.parametrize(
    "options",
    [{}, {"n_phases": 6, "n_angles": 3}, {"angle_reach": 2, "shape": (32, 20)}, {"n_angles": 1, "angle_reach": 0}],
)
def test_every_row_is_its_plain_definition(view, options):
    module = made(view=view, **options)
    assert len(set(module.table)) == module.n_moments
    x, target = fields(shape=module.shape), fields(shape=module.shape, seed=1)
    torch.testing.assert_close(module(x), plain(x, module), rtol=0, atol=1e-12)
    fixed = module.standardized(target)
    torch.testing.assert_close(fixed(x), plain(x, module, target), rtol=1e-11, atol=1e-11)


def test_the_table_names_every_moment():
    J, L, A = 2, 4, 4
    kinds = [row.kind for row in made().table]
    # Of one scale a wavelet with itself and with the next; of two scales, steps -1, 0, 1.
    assert kinds.count("R1") == J * L * A // 2
    assert kinds.count("R") == J * L * (A * (A + 1) // 2 + A * A)
    assert kinds.count("RC") == 3 * L * A * A
    # Both views have as many real numbers: complex ones count twice.
    harmonics = made(view="harmonics").table
    real = sum(
        1 if {row.first.number, row.second.number} <= {0, 2} or row.first == row.second else 2 for row in harmonics
    )
    assert real == len(kinds)


def test_all_angles_hold_each_pair_of_a_scale_once():
    table = made(angle_reach=2).table
    pairs = {frozenset({(row.first.angle % 4), (row.second.angle % 4)}) for row in table if row.kind == "R"}
    assert len(pairs) == 10
    counts = [row.kind for row in table].count("R")
    assert counts == 2 * (4 * 10 + 6 * 16)


def test_covariances_of_phases_are_sums_of_covariances_of_harmonics():
    """The Fourier coefficients of R in both phases are c_k c_k' times the covariances of [z]^k and [z']^k'."""
    x = fields(shape=(16, 16))
    z = [coefficients(x, 0, angle, 2) for angle in (0, 1)]
    kept = [-4, -2, -1, 0, 1, 2, 4]
    powers = [[phase_harmonic(field, k) for k in kept] for field in z]
    powers = [torch.stack([p - p.mean() for p in of_field]) for of_field in powers]
    c = torch.tensor([rectifier_harmonic(k) for k in kept], dtype=torch.float64)
    expected = torch.einsum("kyx,lyx->kl", powers[0], powers[1].conj()) / 256 * c[:, None] * c
    errors = []
    for A in (32, 64, 128):
        module = RectifierMoments(
            (16, 16), n_scales=1, n_angles=2, n_phases=A, angle_reach=1, oversampling=1, dtype=torch.float64
        )
        between = [
            n for n, row in enumerate(module.table) if row.kind == "R" and row.second.angle != row.first.angle
        ]
        R = module(x)[between].view(A, A).to(torch.complex128)
        waves = torch.exp(
            -2j * math.pi / A * torch.outer(torch.tensor(kept), torch.arange(A)).to(torch.complex128)
        )
        difference = waves @ R @ waves.mH / A**2 - expected
        errors.append(float(difference.abs().max()))
        # Odd harmonics but 1 vanish: those of 1 have no aliases and are exact.
        ones = torch.tensor([abs(k) == 1 for k in kept])
        assert float(difference[ones][:, ones].abs().max()) < 1e-15
    size = float(expected.abs().max())
    # What is left are the harmonics beyond, c_k with k near A, which fall as 1 / A^2.
    assert errors[2] < 1e-4 * size
    assert 8 < errors[0] / errors[2] < 32


def test_the_sum_over_harmonics_converges_to_the_covariances_of_phases():
    x = fields(shape=(16, 16))
    module = made((16, 16), n_scales=1, n_angles=1, angle_reach=0)
    z = coefficients(x, 0, 0, 1)
    values = module(x)
    alpha = 2 * math.pi / 4 * torch.arange(4, dtype=torch.float64)
    errors = []
    for K in (16, 64):
        u = torch.zeros(4, 16, 16, dtype=torch.complex128)
        for k in range(-K, K + 1):
            u = u + rectifier_harmonic(k) * torch.exp(1j * k * alpha)[:, None, None] * phase_harmonic(z, k)
        u = u - u.mean((-2, -1), keepdim=True)
        R = torch.einsum("ayx,byx->ab", u, u.conj()) / 256
        own = torch.stack([R[row.first.number, row.second.number] for row in module.table if row.kind == "R"])
        errors.append(float((own - values[[row.kind == "R" for row in module.table]]).abs().max()))
    assert errors[1] < 1e-4 * float(values.abs().max())
    assert errors[1] < errors[0] / 6


def test_the_first_harmonic_is_the_coefficient_itself():
    module = made(view="harmonics", n_phases=8)
    x = fields()
    for row, value in zip(module.table, module(x), strict=True):
        if row.first.number == row.second.number == 1:
            a, b = (coefficients(x, c.scale, c.angle, 4) for c in (row.first, row.second))
            assert torch.isclose(value, (a * b.conj()).mean(), rtol=0, atol=1e-13), row


def test_shifts_change_nothing():
    module, x = made(), fields(seed=3)
    torch.testing.assert_close(module(torch.roll(x, (5, 3), (-2, -1))), module(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("view", ["phases", "harmonics"])
def test_rotation_by_a_right_angle_turns_the_angles(view):
    module, x = made(view=view), fields(seed=4)
    L, A = 4, 4
    rotated = torch.roll(x.flip(-1), 1, -1).transpose(-2, -1)
    before, after = module(x), module(rotated)
    places = {(row.kind, row.first, row.second): n for n, row in enumerate(module.table)}

    def name(c, angle, number):
        return RectifierChannel(c.scale, angle, view, number)

    moved = 0
    for number, (row, value) in enumerate(zip(module.table, after, strict=True)):
        a, b = row.first, row.second
        first, second = a.angle + L // 2, b.angle + L // 2
        m, n, conjugate = a.number, b.number, False
        if row.kind == "R1":
            second = first
        if first >= L:
            # Half a turn back both coefficients are conjugate: phases change sign, harmonics are conjugated.
            first, second = first - L, second - L
            m, n = (-m % A, -n % A) if view == "phases" else (m, n)
            conjugate = view == "harmonics"
        if row.kind == "R1" and view == "phases" and m >= A // 2:
            m = n = m - A // 2  # of the same mean
        same = (a.scale, first) == (b.scale, second)
        if row.kind == "R" and view == "phases" and same and m > n:
            m, n = n, m
        expected = before[places[row.kind, name(a, first, m), name(b, second, n)]]
        expected = expected.conj() if conjugate else expected
        assert torch.isclose(value, expected, rtol=0, atol=1e-12), row
        moved += bool((value - before[number]).abs() > 1e-4)
    assert moved > 20


def test_coarse_grids_stay_within_the_stated_error():
    shape = (128, 128)
    exact, fast = (made(shape, n_scales=4, oversampling=o) for o in (4, 1))
    assert fast.wavelets.grids[-1] == (64, 64)
    x = fields(shape=shape)
    difference = fast.standardized(x)(x) - exact.standardized(x)(x)
    assert 0 < float(difference.abs().max()) < 6e-3


@pytest.mark.parametrize("view", ["phases", "harmonics"])
def test_gradients_are_those_of_differences(view):
    module = made((16, 16), n_scales=1, n_angles=2, oversampling=0, view=view).standardized(fields(shape=(16, 16)))
    x = fields(shape=(16, 16), seed=9).requires_grad_()

    def parts(x):
        values = module(x)
        return torch.view_as_real(values) if values.is_complex() else values

    assert torch.autograd.gradcheck(parts, x, atol=1e-6, fast_mode=True)


def test_chunks_change_neither_values_nor_gradients():
    target = fields(seed=10)
    gradients = []
    for module in (made(), made(chunk=2)):
        x = fields(5, seed=11).requires_grad_()
        values = module.standardized(target)(x)
        (gradient,) = torch.autograd.grad(values.square().sum(), x)
        gradients.append((values.detach(), gradient))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_another_size_keeps_the_standardisation():
    target = fields(seed=12)
    module = made(n_scales=3).standardized(target)
    larger = module.resized((64, 64))
    coarse = torch.tensor([row.first.scale > 0 for row in module.table])
    torch.testing.assert_close(larger(target.repeat(2, 2))[coarse], module(target)[coarse], rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match="n_scales"):
        made((64, 64), n_scales=6).resized((32, 64))


def gaps(shape=(64, 64)) -> torch.Tensor:
    mask = torch.ones(shape, dtype=torch.bool)
    mask[8:14, 10:20] = False
    mask[40, 30] = False
    return mask


@pytest.mark.parametrize("view", ["phases", "harmonics"])
def test_a_mask_without_gaps_changes_nothing(view):
    module, x = made(view=view), fields(3, seed=14)
    masked = module.masked(torch.ones(SHAPE, dtype=torch.bool))
    torch.testing.assert_close(masked(x), module(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(masked.standardized(x)(x), module.standardized(x)(x), rtol=0, atol=1e-11)


@pytest.mark.parametrize("view", ["phases", "harmonics"])
def test_the_masked_estimate_has_the_expectation_of_the_whole(view):
    shape = (64, 64)
    whole = made(shape, oversampling=1, view=view).standardized(fields(8, shape=shape))
    masked = whole.masked(gaps(shape))
    x = fields(24, shape=shape, seed=15)
    difference = masked(x) - whole(x)
    error = difference.std(dim=0) / math.sqrt(len(x))
    assert float((difference.mean(0).abs() / error).square().mean()) < 1.5
    assert float(difference.abs().mean()) < 0.4 * float(whole(x).std(dim=0).mean())
    torch.testing.assert_close(masked(torch.where(gaps(shape), x[0], 1e3)), masked(x[0]), rtol=0, atol=1e-12)


def test_wrong_arguments_masks_and_fields_are_named():
    for options, message in (
        ({"n_phases": 5}, "n_phases"),
        ({"n_phases": 2}, "n_phases"),
        ({"angle_reach": 3}, "angle_reach"),
        ({"view": "both"}, "view"),
        ({"n_scales": 6}, "n_scales"),
    ):
        with pytest.raises(ValueError, match=message):
            made(**options)
    module = made()
    with pytest.raises(ValueError, match="last axes"):
        module(torch.zeros(3, 32, 31, dtype=torch.float64))
    with pytest.raises(TypeError, match="float64"):
        module(torch.zeros(SHAPE))
    with pytest.raises(ValueError, match="at least one field"):
        module.standardized(torch.zeros(0, *SHAPE, dtype=torch.float64))
    few = torch.zeros(SHAPE, dtype=torch.bool)
    few[:8, :8] = True
    with pytest.raises(ValueError, match=r"scale \d.*fewer scales"):
        module.masked(few)
    assert module(torch.zeros(0, *SHAPE, dtype=torch.float64)).shape == (0, module.n_moments)
    assert made(view="harmonics")(torch.zeros(0, *SHAPE, dtype=torch.float64)).dtype == torch.complex128
