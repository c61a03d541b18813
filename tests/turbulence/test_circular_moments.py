import copy

import pytest
import torch

from phasewave.turbulence.circular_moments import CircularMoments


def field(n: int = 32, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A skewed field without Nyquist frequencies, whose directions are not defined."""
    x = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    spectrum = torch.fft.fft2(torch.nn.functional.avg_pool2d(x[None], 3, 1, 1)[0].exp())
    spectrum[n // 2] = 0
    spectrum[:, n // 2] = 0
    return torch.fft.ifft2(spectrum).real.to(dtype)


@pytest.fixture(scope="module")
def moments() -> CircularMoments:
    return CircularMoments((32, 32), n_scales=3, dtype=torch.float64).standardized(field())


def test_the_table_names_every_moment(moments: CircularMoments) -> None:
    assert moments(field()).shape == (moments.n_moments,)
    n_channels = 5 * (1 + 5 + 2 * 3 + 4)
    assert len(moments.channels) == n_channels
    assert moments.n_moments == n_channels + 3 * n_channels * (n_channels + 1) // 2


def test_standardised_channels_have_no_mean_and_unit_variance_in_the_target(moments: CircularMoments) -> None:
    values = moments(field())
    n_channels = len(moments.channels)
    torch.testing.assert_close(values[:n_channels], torch.zeros(n_channels).double(), rtol=0, atol=1e-12)
    own = [i for i, row in enumerate(moments.table) if row.smoothing == 0 and row.first == row.second]
    torch.testing.assert_close(values[own], torch.ones(n_channels).double(), rtol=0, atol=1e-12)


def test_shifts_change_nothing(moments: CircularMoments) -> None:
    x = field(seed=1)
    # The coarse grids sample moduli at other points, so shifts that they share are exact.
    torch.testing.assert_close(moments(torch.roll(x, (16, 16), (0, 1))), moments(x), rtol=0, atol=1e-10)


def test_rotation_by_a_right_angle_changes_nothing(moments: CircularMoments) -> None:
    x = field(seed=1)
    rotated = torch.roll(x.flip(0), 1, 0).t()
    torch.testing.assert_close(moments(rotated), moments(x), rtol=0, atol=1e-10)


def test_a_mirror_image_changes_the_sign_of_the_curl_parts(moments: CircularMoments) -> None:
    x = field(seed=1)
    plain, mirrored = moments(x), moments(torch.roll(x.flip(0), 1, 0))
    signs = torch.tensor(
        [
            (-1.0)
            ** ((row.first.part == "imaginary") + (row.second.part == "imaginary") * (row.smoothing is not None))
            for row in moments.table
        ],
        dtype=torch.float64,
    )
    offset = torch.cat(
        (moments.means / moments.deviations, torch.zeros(len(plain) - len(moments.channels)).double())
    )
    torch.testing.assert_close(mirrored + offset, signs * (plain + offset), rtol=0, atol=1e-9)


def test_gradients_are_those_of_differences() -> None:
    module = CircularMoments(
        (16, 16), n_scales=1, max_momentum=2, smoothings=(0.0,), dtype=torch.float64
    ).standardized(field(16))
    assert torch.autograd.gradcheck(lambda x: module(x).sum(), field(16, seed=2).requires_grad_(), atol=1e-6)


def test_a_zero_field_has_finite_gradients() -> None:
    module = CircularMoments((16, 16), n_scales=2)
    x = torch.zeros(16, 16, requires_grad=True)
    module(x).sum().backward()
    assert bool(torch.isfinite(x.grad).all())


def test_a_batch_is_the_fields_one_by_one(moments: CircularMoments) -> None:
    x = torch.stack([field(seed=s) for s in range(4)]).view(2, 2, 32, 32)
    values = copy.deepcopy(moments)(x)
    torch.testing.assert_close(values[1, 0], moments(x[1, 0]), rtol=0, atol=1e-12)
    assert moments(x[:0]).shape == (0, 2, moments.n_moments)


def test_single_precision_agrees_with_double(moments: CircularMoments) -> None:
    single = CircularMoments((32, 32), n_scales=3).standardized(field(dtype=torch.float32))
    difference = single(field(seed=3, dtype=torch.float32)).double() - moments(field(seed=3))
    assert float(difference.abs().max()) < 2e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_scales": 0}, "n_scales"),
        ({"n_scales": 6}, "n_scales"),
        ({"n_scales": 2, "max_momentum": 0}, "max_momentum"),
        ({"n_scales": 2, "smoothings": ()}, "smoothings"),
        ({"n_scales": 2, "smoothings": (-1.0,)}, "smoothings"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CircularMoments((32, 32), **options)


def test_wrong_fields_are_named() -> None:
    module = CircularMoments((16, 16), n_scales=1)
    with pytest.raises(ValueError, match="last axes"):
        module(torch.zeros(16, 17))
    with pytest.raises(TypeError, match="float32"):
        module(torch.zeros(16, 16, dtype=torch.float64))


def hole(n: int = 64) -> torch.Tensor:
    mask = torch.ones(n, n, dtype=torch.bool)
    mask[5:13, 40:48] = False
    return mask


@pytest.fixture(scope="module")
def unmasked() -> CircularMoments:
    options = {"n_scales": 2, "max_momentum": 2, "smoothings": (0.0, 3.0)}
    return CircularMoments((64, 64), **options, dtype=torch.float64).standardized(field(64))


def test_a_mask_without_gaps_changes_nothing(unmasked: CircularMoments) -> None:
    x = torch.stack([field(64, seed=s) for s in (1, 2)])
    masked = unmasked.masked(torch.ones(64, 64, dtype=torch.bool))
    torch.testing.assert_close(masked(x), unmasked(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(masked.standardized(x)(x), unmasked.standardized(x)(x), rtol=0, atol=1e-10)


def test_values_in_gaps_have_no_influence(unmasked: CircularMoments) -> None:
    masked, x = unmasked.masked(hole()), field(64, seed=1)
    changed = torch.where(hole(), x, torch.nan)
    assert torch.equal(masked(changed), masked(x))
    assert torch.equal(masked.standardized(changed).deviations, masked.standardized(x).deviations)
    (gradient,) = torch.autograd.grad(masked(x.requires_grad_()).sum(), x)
    assert bool((gradient[~hole()] == 0).all())
    assert float(gradient[hole()].abs().min()) > 0


def test_the_mean_over_all_positions_of_a_gap_is_the_moment(unmasked: CircularMoments) -> None:
    """Unbiased: what one position misses the others have; without windows the fill would lower the variances."""
    masked, x = unmasked.masked(hole()), field(64, seed=1)
    shifts = [(a, b) for a in range(0, 64, 8) for b in range(0, 64, 8)]
    values = torch.stack([masked(torch.roll(x, shift, (0, 1))) for shift in shifts])
    full, error = unmasked(x), values.mean(0) - unmasked(x)
    own = torch.tensor([r.smoothing == 0 and r.first == r.second for r in unmasked.table])
    assert float((error[own] / full[own]).abs().max()) < 0.01
    assert float(error.abs().max()) < 0.01
    # One position alone misses far more than the mean over all.
    assert float((values[0] - full).square().mean()) > 20 * float(error.square().mean())
    naive = unmasked(torch.where(hole(), x, x[hole()].mean()))
    assert float((naive - full)[own].abs().mean()) > 10 * float(error[own].abs().mean())


def test_a_scale_without_enough_points_is_named(unmasked: CircularMoments) -> None:
    stripes = torch.ones(64, 64, dtype=torch.bool)
    stripes[:, ::5] = False
    stripes[:, 1::5] = False
    with pytest.raises(ValueError, match=r"at least 16 points far from gaps at scale \d .*use fewer scales"):
        unmasked.masked(stripes)
    with pytest.raises(ValueError, match="False everywhere"):
        unmasked.masked(torch.zeros(64, 64, dtype=torch.bool))
    with pytest.raises(TypeError, match="boolean"):
        unmasked.masked(torch.ones(64, 64))
    with pytest.raises(ValueError, match="shape of the fields"):
        unmasked.masked(hole(32))
