"""Scattering covariances against their plain definition, under rotations, and what a mask leaves."""

import math

import pytest
import torch

from phasewave.core.bank import filter_bank
from phasewave.core.bump import BumpSteerable
from phasewave.turbulence.full_resolution import channel_field
from phasewave.turbulence.moment_table import Channel
from phasewave.turbulence.scattering_covariances import ScatteringCovariances

SHAPE = (32, 32)


def fields(*batch: int, shape=SHAPE, seed: int = 0) -> torch.Tensor:
    """Skewed fields without symmetry."""
    x = torch.randn(*batch, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = x + torch.roll(x, (1, 0), (-2, -1)) + 0.7 * torch.roll(x, (1, 1), (-2, -1))
    return (0.4 * x).exp() + 0.3 * x


def made(shape=SHAPE, *, n_scales=3, n_angles=4, oversampling=3, **options) -> ScatteringCovariances:
    return ScatteringCovariances(
        shape,
        n_scales=n_scales,
        n_angles=n_angles,
        oversampling=oversampling,
        dtype=torch.float64,
        **options,
    )


@pytest.fixture(scope="module")
def moments() -> ScatteringCovariances:
    return made()


def wavelet(x: torch.Tensor, scale: int, angle: int, L: int) -> torch.Tensor:
    """``x * psi``, of any angle."""
    z = channel_field(x, Channel("wavelet", scale, angle % L, 1), BumpSteerable(L))
    return z.conj() if angle // L % 2 else z


def plain(x: torch.Tensor, module: ScatteringCovariances, target: torch.Tensor | None = None) -> torch.Tensor:
    """Every oriented moment by its definition."""
    J, L = module.n_scales, module.n_angles
    every = [(j, l) for j in range(J) for l in range(L)]
    source = x if target is None else target
    sigma = {at: wavelet(source, *at, L).abs().square().mean().sqrt() for at in every}
    first = {at: wavelet(x, *at, L) for at in every}
    second = {(a, b): wavelet(first[a].abs(), *b, L) for a in every for b in every if a[0] <= b[0]}
    profiles = filter_bank(module.shape, BumpSteerable(L), n_scales=J, tolerance=1e-12).low_pass
    response = profiles[0][:, None] * profiles[1]

    def low(field):
        return torch.fft.ifft2(torch.fft.fft2(field) * response).real

    values = []
    for row in module.table:
        at = list(zip(row.scales, row.angles, strict=False))
        if row.kind == "mean":
            value = x.mean() if target is None else (x.mean() - target.mean()) / target.std(correction=0)
        elif row.kind == "L":
            value = (low(x) - source.mean()).square().mean()
            value = value if target is None else value / low(target).var(correction=0)
        elif row.kind == "S1":
            value = first[at[0]].abs().mean() / sigma[at[0]]
        elif row.kind == "S2":
            value = first[at[0]].abs().square().mean() / (1 if target is None else sigma[at[0]] ** 2)
        elif row.kind == "C01":
            value = (first[at[1]] * second[at[0], at[1]].conj()).mean() / (sigma[at[0]] * sigma[at[1]])
        else:
            a, b, c = at
            value = (second[a, c] * second[b, c].conj()).mean() / (sigma[a] * sigma[b])
        values.append(value.to(torch.complex128))
    return torch.stack(values)


def test_the_table_names_every_moment(moments):
    J, L = 3, 4
    pairs, triples = J * (J + 1) // 2, J * (J + 1) * (J + 2) // 6
    mirrored = sum(L * L * (L - 1) // 2 for j in range(J) for _ in range(j, J))
    counts = {
        "mean": 1,
        "L": 1,
        "S1": J * L,
        "S2": J * L,
        "C01": pairs * L**2,
        "C11": triples * L**3 - mirrored,
    }
    kinds = [row.kind for row in moments.table]
    assert {kind: kinds.count(kind) for kind in counts} == counts
    assert moments.n_moments == sum(counts.values()) == len(set(moments.table))


def test_every_row_is_its_plain_definition(moments):
    x = fields(2)
    values = moments(x)
    for number in range(2):
        torch.testing.assert_close(values[number], plain(x[number], moments), rtol=1e-11, atol=1e-12)
    # No class is empty of structure.
    for kind in ("C01", "C11"):
        assert float(values[:, [row.kind == kind for row in moments.table]].abs().max()) > 0.02


def test_an_oblong_plane_with_three_angles():
    module = made((20, 32), n_scales=2, n_angles=3, oversampling=2)
    x = fields(shape=(20, 32))
    torch.testing.assert_close(module(x), plain(x, module), rtol=1e-11, atol=1e-12)


def test_standardised_by_another_field(moments):
    target, x = fields(seed=1), fields(seed=2)
    module = moments.standardized(target)
    torch.testing.assert_close(module(x), plain(x, module, target), rtol=1e-11, atol=1e-12)
    own = module(target)
    fixed = torch.tensor([row.kind in ("L", "S2") for row in module.table])
    torch.testing.assert_close(own[fixed], torch.ones_like(own[fixed]), rtol=0, atol=1e-12)
    assert abs(complex(own[0])) < 1e-14
    other = moments.standardized(5 * target - 1)
    torch.testing.assert_close(other(5 * x - 1), module(x), rtol=1e-10, atol=1e-11)


def test_coarse_grids_stay_within_the_stated_error():
    shape = (128, 128)
    exact, fast = (made(shape, n_scales=4, oversampling=o) for o in (4, 1))
    assert fast.sums.wavelets.grids[-1] == (64, 64)
    x = fields(shape=shape)
    difference = fast.standardized(x)(x) - exact.standardized(x)(x)
    assert 0 < float(difference.abs().max()) < 1e-4


def test_shifts_change_nothing(moments):
    x = fields(seed=3)
    torch.testing.assert_close(moments(torch.roll(x, (5, 3), (-2, -1))), moments(x), rtol=0, atol=1e-12)


def quarter(x: torch.Tensor) -> torch.Tensor:
    """The field turned by a right angle about its first pixel."""
    return torch.roll(x.flip(-1), 1, -1).transpose(-2, -1)


def test_rotation_by_a_right_angle_turns_the_angles(moments):
    x, L = fields(seed=4), 4
    before, after = moments(x), moments(quarter(x))
    places = {(row.kind, row.scales, row.angles): n for n, row in enumerate(moments.table)}
    moved = 0
    for row, value in zip(moments.table, after, strict=True):
        angles = tuple((angle + L // 2) % L for angle in row.angles)
        conjugate = bool(angles) and row.angles[-1] + L // 2 >= L
        swapped = row.kind == "C11" and (row.kind, row.scales, angles) not in places
        if swapped:
            angles = (angles[1], angles[0], angles[2])
        expected = before[places[row.kind, row.scales, angles]]
        expected = expected.conj() if conjugate != swapped else expected
        assert torch.isclose(value, expected, rtol=0, atol=1e-12), row
        moved += bool((value - before[places[row.kind, row.scales, row.angles]]).abs() > 1e-3)
    assert moved > 100


@pytest.fixture(scope="module")
def harmonics() -> ScatteringCovariances:
    return made(max_harmonic=4)


def test_harmonics_are_sums_of_oriented_moments(moments, harmonics):
    x, L = fields(seed=5), 4
    target = fields(seed=6)
    # One unit a scale, so that the oriented moments are those of the definition with it.
    reference, module = moments.standardized(target), harmonics.standardized(target)
    units = module.units[2:-1].view(3, L)
    assert torch.equal(units, units[:, :1].expand(3, L))
    reference.units = module.units.clone()
    oriented = dict(zip(((r.kind, r.scales, r.angles) for r in moments.table), reference(x), strict=True))

    def turned(row, l):
        angles = tuple((angle + l) % L for angle in row.angles)
        value = oriented.get((row.kind, row.scales, angles))
        if value is None:
            value = oriented[row.kind, row.scales, (angles[1], angles[0], angles[2])].conj()
        return value.conj() if angles and (row.angles[-1] + l) // L % 2 else value

    for row, value in zip(module.table[2:], module(x)[2:], strict=True):
        p = row.harmonic
        waves = [
            turned(row, l) * complex(math.cos(math.pi * p * l / L), -math.sin(math.pi * p * l / L))
            for l in range(2 * L)
        ]
        assert torch.isclose(value, sum(waves) / (2 * L), rtol=0, atol=1e-12), row


def test_a_rotation_turns_the_phases_of_harmonics_alone(harmonics):
    module = harmonics.standardized(fields(seed=7))
    x = fields(seed=8)
    p = torch.tensor([row.harmonic or 0 for row in module.table])
    # A right angle is two steps of the four in half a turn.
    phase = torch.exp(0.5j * math.pi * p.to(torch.complex128))
    torch.testing.assert_close(module(quarter(x)), phase * module(x), rtol=0, atol=1e-12)
    isotropic = made(max_harmonic=0).standardized(fields(seed=7))
    torch.testing.assert_close(isotropic(quarter(x)), isotropic(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(isotropic(x), module(x)[p == 0], rtol=0, atol=1e-12)
    assert float(isotropic(x).imag.abs().max()) < 1e-15


@pytest.mark.parametrize("max_harmonic", [None, 1])
def test_gradients_are_those_of_differences(max_harmonic):
    module = made((16, 16), n_scales=2, n_angles=2, oversampling=0, max_harmonic=max_harmonic)
    x = fields(shape=(16, 16), seed=9).requires_grad_()
    for each in (module, module.standardized(fields(shape=(16, 16)))):
        assert torch.autograd.gradcheck(lambda x, m=each: torch.view_as_real(m(x)), x, atol=1e-6, fast_mode=True)


def test_a_constant_field_has_finite_moments_and_gradients():
    module = ScatteringCovariances(SHAPE, n_scales=2)
    x = torch.ones(SHAPE, requires_grad=True)
    values = module(x)
    values.abs().square().sum().backward()
    assert bool(torch.isfinite(torch.view_as_real(values)).all())
    assert bool(torch.isfinite(x.grad).all())


def test_chunks_change_neither_values_nor_gradients(moments):
    target = fields(seed=10)
    gradients = []
    for module in (moments.standardized(target), made(chunk=2).standardized(target)):
        x = fields(5, seed=11).requires_grad_()
        values = module(x)
        (gradient,) = torch.autograd.grad(values.abs().square().sum(), x)
        gradients.append((values.detach(), gradient))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_single_precision_agrees_with_double(moments):
    target, x = fields(seed=1), fields(2, seed=2)
    single = ScatteringCovariances(SHAPE, n_scales=3, oversampling=3).standardized(target.float())
    difference = single(x.float()) - moments.standardized(target)(x)
    assert float(difference.abs().max()) < 1e-5


def test_another_size_keeps_the_standardisation(moments):
    target = fields(seed=12)
    module = moments.standardized(target)
    larger = module.resized((64, 64))
    assert larger.table == module.table
    values, own = larger(target.repeat(2, 2)), module(target)
    # The sampled wavelets of the finest scale and the modulus depend on the grid; the others do not.
    coarse = torch.tensor([min(row.scales, default=1) > 0 for row in module.table])
    torch.testing.assert_close(values[coarse], own[coarse], rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match="n_scales"):
        made((64, 64), n_scales=6).resized((32, 64))


def gaps(shape=(64, 64)) -> torch.Tensor:
    mask = torch.ones(shape, dtype=torch.bool)
    mask[8:14, 10:20] = False
    mask[40, 30] = False
    return mask


def test_values_in_gaps_have_no_influence():
    module = made((64, 64), n_scales=2, oversampling=1).masked(gaps())
    x = fields(shape=(64, 64), seed=13).requires_grad_()
    torch.testing.assert_close(module(torch.where(gaps(), x, 1e3)), module(x), rtol=0, atol=1e-12)
    module(x).abs().square().sum().backward()
    assert float(x.grad[~gaps()].abs().max()) == 0
    assert float(x.grad[gaps()].abs().min()) > 0


def test_a_mask_without_gaps_changes_nothing():
    x = fields(3, seed=14)
    for module in (made(), made(max_harmonic=2)):
        masked = module.masked(torch.ones(SHAPE, dtype=torch.bool))
        torch.testing.assert_close(masked(x), module(x), rtol=0, atol=1e-11)
        torch.testing.assert_close(masked.standardized(x)(x), module.standardized(x)(x), rtol=0, atol=1e-11)


def test_the_masked_estimate_has_the_expectation_of_the_whole():
    shape = (64, 64)
    whole = made(shape, n_scales=2, oversampling=1).standardized(fields(8, shape=shape))
    masked = whole.masked(gaps(shape))
    assert torch.equal(masked.units, whole.units)
    x = fields(32, shape=shape, seed=15)
    difference = masked(x) - whole(x)
    error = difference.std(dim=0) / math.sqrt(len(x))
    assert float((difference.mean(0).abs() / error).square().mean()) < 1.5
    assert float(difference.abs().mean()) < 0.4 * float(whole(x).std(dim=0).mean())


def test_bad_masks_are_named():
    module = made(n_scales=2)
    with pytest.raises(TypeError, match="boolean"):
        module.masked(torch.ones(SHAPE))
    with pytest.raises(ValueError, match="everywhere"):
        module.masked(torch.zeros(SHAPE, dtype=torch.bool))
    few = torch.zeros(SHAPE, dtype=torch.bool)
    few[:8, :8] = True
    with pytest.raises(ValueError, match=r"scale \d.*fewer scales"):
        module.masked(few)


def test_wrong_arguments_and_fields_are_named():
    with pytest.raises(ValueError, match="max_harmonic"):
        made(max_harmonic=5)
    with pytest.raises(ValueError, match="n_scales"):
        made(n_scales=6)
    with pytest.raises(TypeError, match="dtype"):
        ScatteringCovariances(SHAPE, n_scales=2, dtype=torch.float16)
    module = made(n_scales=1)
    with pytest.raises(ValueError, match="last axes"):
        module(torch.zeros(3, 32, 31, dtype=torch.float64))
    with pytest.raises(TypeError, match="float64"):
        module(torch.zeros(SHAPE))
    with pytest.raises(ValueError, match="at least one field"):
        module.standardized(torch.zeros(0, *SHAPE, dtype=torch.float64))
    assert module(torch.zeros(0, *SHAPE, dtype=torch.float64)).shape == (0, module.n_moments)
