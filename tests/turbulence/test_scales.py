import torch

from phasewave.turbulence.band_powers import BandPowers
from phasewave.turbulence.circular_moments import CircularMoments
from phasewave.turbulence.joint import JointMoments
from phasewave.turbulence.marginals import Marginals
from phasewave.turbulence.moments import PhaseHarmonicMoments
from phasewave.turbulence.scales import floored


def test_deviations_are_raised_to_a_share_of_the_largest():
    raised = floored(torch.tensor([2.0, 1e-9, 0.0, 0.5]), floor=1e-3)
    torch.testing.assert_close(raised, torch.tensor([2.0, 2e-3, 2e-3, 0.5]))
    torch.testing.assert_close(floored(torch.zeros(3)), torch.ones(3))


def test_a_field_smoother_than_its_grid_does_not_let_rounding_rule_the_loss():
    generator = torch.Generator().manual_seed(0)
    spectrum = torch.fft.fft2(torch.randn(64, 64, dtype=torch.float64, generator=generator))
    k = torch.fft.fftfreq(64, 1 / 64).abs()
    kept = (k[:, None] < 6) & (k < 6)
    field = torch.fft.ifft2(spectrum * kept).real
    field = (field / field.std()).float()
    noisy = field + 1e-6 * torch.randn(64, 64, generator=generator)
    moments = JointMoments(
        [
            CircularMoments((64, 64), n_scales=3),
            PhaseHarmonicMoments((64, 64), n_scales=3),
            Marginals((64, 64), n_scales=3),
            BandPowers((64, 64)),
        ]
    ).standardized(field)
    wanted, found = moments(field), moments(noisy)
    assert float((found - wanted).square().sum() / wanted.square().sum()) < 1e-4
