import math
from typing import get_args

import pytest
import torch

from phasewave.turbulence.moment_sizes import MomentSize
from phasewave.turbulence.sampler import MaxEntropySampler
from phasewave.turbulence.settings import MomentChoice, SynthesisSettings


def n_real(moments, x):
    values = moments(x)
    return values.shape[-1] * (2 if values.is_complex() else 1)


@pytest.mark.parametrize("choice", ["circular", "pywph"])
@pytest.mark.parametrize("shape", [(16, 16), (32, 32), (64, 48), (64, 64)])
def test_there_are_no_more_moments_than_pixels(choice, shape):
    settings = SynthesisSettings(choice)
    moments = settings.build(shape, torch.float32)
    found = n_real(moments, torch.zeros(1, *shape))
    assert found <= math.prod(shape)
    size = settings.size(shape)
    # the estimate that chose the set is an upper bound, and a near one
    assert found <= settings._count(size, shape, 1) <= 1.15 * found + 12


NAMED = [name for name in get_args(MomentChoice) if name not in ("circular", "pywph")]


@pytest.mark.parametrize("choice", NAMED)
def test_sets_of_other_works_are_built_by_name(choice):
    settings = SynthesisSettings(choice)
    moments = settings.build((32, 32), torch.float32)
    found = n_real(moments, torch.zeros(1, 32, 32))
    assert found == 2 * len(moments.table) <= settings._count(settings.size((32, 32)), (32, 32), 1)
    if choice != "zhang-mallat-d":
        assert found == settings._count(settings.size((32, 32)), (32, 32), 1)
    assert found <= 32 * 32
    assert settings.in_loss() == ["spectrum_error", "standard_deviation"]


@pytest.mark.parametrize("choice", ["zhang-mallat-b", "scattering-covariances"])
def test_sets_of_other_works_are_reached(choice):
    noise = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    field = torch.exp(0.5 * (noise + noise.roll(1, 0) + noise.roll(1, 1)))
    settings = SynthesisSettings(choice, n_scales=2, n_angles=2)
    sampler = MaxEntropySampler(settings.build((32, 32), torch.float32), tolerance=1e-3, max_evaluations=80)
    assert sampler.sample(field, n_samples=1).converged


def test_large_fields_have_the_full_set():
    assert SynthesisSettings().size((256, 256)) == MomentSize(5, 8)
    assert SynthesisSettings().reduction((256, 256)) is None
    assert SynthesisSettings().size((1024, 512)) == MomentSize(5, 8)


def test_the_steps_down():
    settings = SynthesisSettings()
    assert settings.size((128, 128)) == MomentSize(5, 4, 3, (0.0,), 64)
    assert settings.size((64, 64)) == MomentSize(3, 4, 2, (0.0,), 32)
    assert settings.size((32, 32)) == MomentSize(2, 2, 1, (0.0,), 16)
    assert settings.reduction((64, 64)).startswith("3 scales, 4 angles, about ")
    assert settings.reduction((64, 64)).endswith("no more than the 4096 pixels")


def test_numbers_that_are_given_are_kept():
    size = SynthesisSettings(n_scales=4, n_angles=8).size((32, 32))
    assert (size.n_scales, size.n_angles) == (4, 8)
    assert size.max_momentum == 1  # the least there is, though it does not fit
    assert SynthesisSettings(n_scales=2).size((64, 64)).n_scales == 2
    assert SynthesisSettings(n_angles=3).size((256, 256)).n_angles == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"moments": "wph"}, "`moments` must be one of 'circular', 'pywph', .*got 'wph'|got 'wph'"),
        ({"n_scales": 0}, "`n_scales` must be an integer >= 1, got 0"),
        ({"n_angles": -2}, "`n_angles` must be an integer >= 1, got -2"),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        SynthesisSettings(**arguments)


def test_several_fields_have_a_set_each_and_one_between_them():
    settings = SynthesisSettings()
    moments = settings.build((64, 64), torch.float32, n_fields=2)
    x = torch.randn(3, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    assert moments(x).shape[0] == 3
    assert n_real(moments, x) == moments.n_moments == len(moments.table) <= 2 * 64 * 64
    kinds = {row.kind for row in moments.table}
    assert {"circular", "S11", "quantiles", "X11"} <= kinds
