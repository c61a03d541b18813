"""Cross-moments of several fields against their plain definition, their symmetries, and what a mask leaves."""

import math

import pytest
import torch

from phasewave.core.bank import filter_bank
from phasewave.core.bump import BumpSteerable
from phasewave.turbulence.cross_moments import CrossMoments
from phasewave.turbulence.cross_table import SkyChannel
from phasewave.turbulence.full_resolution import channel_field
from phasewave.turbulence.moment_table import Channel

SHAPE = (32, 32)


def skies(*batch: int, shape=SHAPE, seed: int = 0, n_fields: int = 2) -> torch.Tensor:
    """Fields that share structure: each a nonlinear function of correlated noise, none even."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*batch, n_fields, *shape, dtype=torch.float64, generator=generator)
    x = x + torch.roll(x, (1, 0), (-2, -1)) + 0.7 * torch.roll(x, (1, 1), (-2, -1))
    first = x[..., :1, :, :]
    return (0.4 * x + 0.3 * first).exp() + first


@pytest.fixture(scope="module")
def moments() -> CrossMoments:
    return CrossMoments(SHAPE, n_fields=2, n_scales=3, oversampling=3, dtype=torch.float64)


def plain_field(x: torch.Tensor, channel: SkyChannel, module: CrossMoments) -> torch.Tensor:
    """A channel of one sky on every pixel, by its definition."""
    L, field = module.n_angles, x[channel.field]
    if channel.source == "lowpass":
        profiles = filter_bank(module.shape, BumpSteerable(L), n_scales=module.n_scales, tolerance=1e-12).low_pass
        response = profiles[0][:, None] * profiles[1]
        return torch.fft.ifft2(torch.fft.fft2(field) * response).real
    wavelet = Channel("wavelet", channel.scale, channel.angle % L, channel.harmonic)
    z = channel_field(field, wavelet, BumpSteerable(L))
    return z if channel.angle in range(L) or channel.harmonic == 0 else z.conj()


def plain(x, module, target=None) -> torch.Tensor:
    values = []
    channels = {channel for row in module.table for channel in (row.first, row.second)}
    fields = {channel: plain_field(x, channel, module) for channel in channels}
    sources = fields if target is None else {c: plain_field(target, c, module) for c in channels}
    for row in module.table:
        product, factor = 1, 1.0
        for channel, conjugate in ((row.first, False), (row.second, True)):
            field, source = fields[channel], sources[channel]
            centred = channel.source == "lowpass" or channel.harmonic == 0
            mean = source.mean() if centred else 0
            if target is not None:
                factor *= float((source - mean).abs().square().mean().sqrt())
            field = (field - mean).to(torch.complex128)
            product = product * (field.conj() if conjugate else field)
        values.append(product.mean() / factor)
    return torch.stack(values)


def test_the_table_names_every_moment(moments):
    L, J, steps = 4, 3, 3
    counts = {
        **dict.fromkeys(("X11", "X00", "X01", "X10"), J * L * steps),
        **dict.fromkeys(("XC00", "XC01"), 2 * 3 * L**2),
        "XL": 1,
    }
    kinds = [row.kind for row in moments.table]
    assert {kind: kinds.count(kind) for kind in counts} == counts
    assert moments.n_moments == sum(counts.values())
    assert len(set(moments.table)) == moments.n_moments
    assert len(CrossMoments(SHAPE, n_fields=3, n_scales=3).table) == 3 * moments.n_moments


def test_every_row_is_its_plain_definition(moments):
    x = skies(2)
    values = moments(x)
    for number in range(2):
        torch.testing.assert_close(values[number], plain(x[number], moments), rtol=0, atol=1e-12)
    assert float(values.abs().max()) > 0.1


def test_every_angle_and_three_fields_on_an_oblong_plane():
    module = CrossMoments(
        (32, 20), n_fields=3, n_scales=2, n_angles=3, angle_reach=1, oversampling=2, dtype=torch.float64
    )
    x = skies(shape=(32, 20), n_fields=3)
    torch.testing.assert_close(module(x), plain(x, module), rtol=0, atol=1e-12)


def test_standardised_by_another_sky(moments):
    target, x = skies(seed=1), skies(seed=2)
    module = moments.standardized(target)
    torch.testing.assert_close(module(x), plain(x, moments, target), rtol=1e-11, atol=1e-11)
    # The units of a field drop out.
    units = torch.tensor([1.0, 1e3], dtype=torch.float64)[:, None, None]
    other = moments.standardized(units * target)
    torch.testing.assert_close(other(units * x), module(x), rtol=1e-10, atol=1e-10)


def test_coarse_grids_stay_within_the_stated_error():
    shape = (128, 128)
    exact = CrossMoments(shape, n_fields=2, n_scales=4, oversampling=4, dtype=torch.float64)
    fast = CrossMoments(shape, n_fields=2, n_scales=4, dtype=torch.float64)
    assert fast.wavelets.grids[-1] == (64, 64)
    x = skies(shape=shape)
    # Standardised covariances are correlations.
    difference = fast.standardized(x)(x) - exact.standardized(x)(x)
    assert 0 < float(difference.abs().max()) < 1e-3


def test_shifts_change_nothing_and_a_shift_of_one_field_does(moments):
    x = skies(seed=3)
    moved = torch.roll(x, (5, 3), (-2, -1))
    torch.testing.assert_close(moments(moved), moments(x), rtol=0, atol=1e-12)
    one = torch.stack((x[0], moved[1]))
    assert float((moments(one) - moments(x)).abs().max()) > 1e-2


def test_single_precision_agrees_with_double(moments):
    single = CrossMoments(SHAPE, n_fields=2, n_scales=3, oversampling=3)
    target, x = skies(seed=1), skies(2, seed=2)
    difference = single.standardized(target.float())(x.float()) - moments.standardized(target)(x)
    assert float(difference.abs().max()) < 1e-5


def turned(channel: SkyChannel, n_angles: int) -> SkyChannel:
    """The channel after a rotation by a right angle; the field is turned the same way."""
    angle = channel.angle + n_angles // 2 if channel.source == "wavelet" else 0
    return SkyChannel(channel.field, channel.source, channel.scale, angle, channel.harmonic)


def canonical(first: SkyChannel, second: SkyChannel, n_angles: int):
    """The row whose first angle is within half a turn, and whether its value is to be conjugated."""
    if first.angle in range(n_angles):
        return first, second, False
    back = [
        SkyChannel(c.field, c.source, c.scale, c.angle - n_angles, c.harmonic) if c.source == "wavelet" else c
        for c in (first, second)
    ]
    return *back, True


def test_rotation_by_a_right_angle_permutes_the_rows(moments):
    x = skies(seed=4)
    # Axis 1 becomes axis 0: u -> (u_1, -u_0), the grid's origin kept.
    rotated = torch.roll(x.flip(-1), 1, -1).transpose(-2, -1)
    places = {(row.kind, row.first, row.second): n for n, row in enumerate(moments.table)}
    plain_values, values = moments(x), moments(rotated)
    L = moments.n_angles
    found = []
    for row, value in zip(moments.table, values, strict=True):
        first, second, conjugate = canonical(turned(row.first, L), turned(row.second, L), L)
        expected = plain_values[places[row.kind, first, second]]
        found.append(expected.conj() if conjugate else expected)
        assert torch.isclose(value, found[-1], rtol=0, atol=1e-12), row
    assert float((torch.stack(found) - plain_values).abs().max()) > 1e-2


def test_gradients_are_those_of_differences():
    module = CrossMoments((16, 16), n_fields=2, n_scales=1, n_angles=2, dtype=torch.float64)
    module = module.standardized(skies(shape=(16, 16)))
    x = skies(shape=(16, 16), seed=5).requires_grad_()

    def parts(x):
        return torch.view_as_real(module(x)).flatten()[::3]

    assert torch.autograd.gradcheck(parts, x, atol=1e-6, fast_mode=True)


def test_chunks_change_neither_values_nor_gradients(moments):
    target = skies(seed=6)
    whole = moments.standardized(target)
    parts = CrossMoments(SHAPE, n_fields=2, n_scales=3, oversampling=3, chunk=2, dtype=torch.float64)
    parts = parts.standardized(target)
    gradients = []
    for module in (whole, parts):
        x = skies(5, seed=7).requires_grad_()
        values = module(x)
        (gradient,) = torch.autograd.grad(values.abs().square().sum(), x)
        gradients.append((values.detach(), gradient))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_another_size_keeps_the_standardisation(moments):
    target = skies(seed=8)
    module = moments.standardized(target)
    larger = module.resized((64, 64))
    tiled = target.repeat(1, 2, 2)
    assert larger.table == module.table
    # A periodic field beside itself has the same moments but at the finest scale, whose wavelets are sampled.
    coarse = torch.tensor([row.first.scale > 0 for row in module.table])
    torch.testing.assert_close(larger(tiled)[coarse], module(target)[coarse], rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match="n_scales"):
        CrossMoments((64, 64), n_fields=2, n_scales=6).resized((32, 64))


def gaps(shape=(64, 64)) -> torch.Tensor:
    mask = torch.ones(shape, dtype=torch.bool)
    mask[8:14, 10:20] = False
    mask[40, 30] = False
    return mask


def test_values_in_gaps_have_no_influence():
    mask = gaps()
    module = CrossMoments((64, 64), n_fields=2, n_scales=3, dtype=torch.float64).masked(mask)
    x = skies(shape=(64, 64), seed=9).requires_grad_()
    other = torch.where(mask, x, 1e3)
    torch.testing.assert_close(module(other), module(x), rtol=0, atol=1e-12)
    module(x).abs().square().sum().backward()
    assert float(x.grad[:, ~mask].abs().max()) == 0
    assert float(x.grad[:, mask].abs().min()) > 0


def test_a_mask_without_gaps_changes_nothing():
    module = CrossMoments(SHAPE, n_fields=2, n_scales=2, dtype=torch.float64)
    x = skies(3, seed=10)
    masked = module.masked(torch.ones(SHAPE, dtype=torch.bool))
    torch.testing.assert_close(masked(x), module(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(masked.standardized(x)(x), module.standardized(x)(x), rtol=1e-10, atol=1e-11)


def test_the_masked_estimate_has_the_expectation_of_the_whole():
    shape = (64, 64)
    whole = CrossMoments(shape, n_fields=2, n_scales=3, dtype=torch.float64).standardized(skies(8, shape=shape))
    masked = whole.masked(gaps(shape))
    x = skies(32, shape=shape, seed=11)
    difference = masked(x) - whole(x)
    error = difference.std(dim=0) / math.sqrt(len(x))
    assert float((difference.mean(0).abs() / error).square().mean()) < 1.5
    # The estimates of each sky are close too: most of it is observed.
    assert float(difference.abs().mean()) < 0.2 * float(whole(x).std(dim=0).mean())


def test_the_standardisation_travels_both_ways():
    target = skies(shape=(64, 64), seed=12)
    plain_set = CrossMoments((64, 64), n_fields=2, n_scales=3, dtype=torch.float64)
    masked = plain_set.masked(gaps()).standardized(target)
    unmasked = masked.resized((64, 64))
    torch.testing.assert_close(unmasked.masked(gaps())(target), masked(target), rtol=0, atol=1e-12)
    assert float((unmasked(target) - masked(target)).abs().max()) > 1e-4
    torch.testing.assert_close(unmasked.factors, plain_set.standardized(target).factors, rtol=0.1, atol=0)


def test_bad_masks_are_named():
    module = CrossMoments(SHAPE, n_fields=2, n_scales=3)
    with pytest.raises(ValueError, match="shape of the fields"):
        module.masked(torch.ones(16, 16, dtype=torch.bool))
    with pytest.raises(TypeError, match="boolean"):
        module.masked(torch.ones(SHAPE))
    with pytest.raises(ValueError, match="everywhere"):
        module.masked(torch.zeros(SHAPE, dtype=torch.bool))
    few = torch.zeros(SHAPE, dtype=torch.bool)
    few[:8, :8] = True
    with pytest.raises(ValueError, match=r"scale \d.*fewer scales"):
        module.masked(few)


def test_wrong_arguments_and_fields_are_named():
    with pytest.raises(ValueError, match="n_fields"):
        CrossMoments(SHAPE, n_fields=1, n_scales=2)
    with pytest.raises(ValueError, match="angle_reach"):
        CrossMoments(SHAPE, n_fields=2, n_scales=2, angle_reach=3)
    with pytest.raises(ValueError, match="n_scales"):
        CrossMoments(SHAPE, n_fields=2, n_scales=6)
    with pytest.raises(TypeError, match="dtype"):
        CrossMoments(SHAPE, n_fields=2, n_scales=2, dtype=torch.float16)
    module = CrossMoments(SHAPE, n_fields=2, n_scales=2)
    with pytest.raises(ValueError, match="last axes"):
        module(torch.zeros(3, *SHAPE))
    with pytest.raises(TypeError, match="float32"):
        module(torch.zeros(2, *SHAPE, dtype=torch.float64))
    with pytest.raises(ValueError, match="at least one sky"):
        module.standardized(torch.zeros(0, 2, *SHAPE))
    assert module(torch.zeros(0, 2, *SHAPE)).shape == (0, module.n_moments)
