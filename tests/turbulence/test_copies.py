import torch

from phasewave.turbulence.circular_moments import CircularMoments
from phasewave.turbulence.marginals import Marginals
from phasewave.turbulence.moments import PhaseHarmonicMoments


def test_standardised_and_masked_sets_share_their_filters() -> None:
    target = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(32, 32, dtype=torch.bool)
    for moments in (CircularMoments((32, 32), n_scales=2), Marginals((32, 32), n_scales=2)):
        places = {buffer.data_ptr() for buffer in moments.bands.buffers()}
        for other in (moments.standardized(target), moments.masked(mask)):
            assert {buffer.data_ptr() for buffer in other.bands.buffers()} == places


def test_what_becomes_of_a_copy_leaves_the_original_unchanged() -> None:
    target = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    for moments in (
        CircularMoments((32, 32), n_scales=2),
        Marginals((32, 32), n_scales=2),
        PhaseHarmonicMoments((32, 32), n_scales=2),
    ):
        before = moments(target)
        copied = moments.standardized(target).to(torch.float64)
        copied(target.double())
        assert torch.equal(moments(target), before)
