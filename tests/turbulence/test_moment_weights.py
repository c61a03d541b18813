import math

import pytest
import torch

from phasewave.turbulence.circular_moments import CircularMoments
from phasewave.turbulence.gaussian import white_noise
from phasewave.turbulence.moment_weights import scale_weights
from phasewave.turbulence.moments import PhaseHarmonicMoments


def test_values_from_the_definition():
    circular = CircularMoments((32, 32), n_scales=3, smoothings=(0.0, 2.0))
    weights = scale_weights(circular.table, exponent=1.0)
    for row, weight in zip(circular.table, weights, strict=True):
        coarser = max(row.first.scale, row.second.scale) / 2
        expected = (0.85 * math.pi / 2**coarser) ** 2 / (4 * math.pi)
        if row.smoothing:
            expected = min(expected, 1 / (4 * math.pi * row.smoothing**2))
        assert float(weight) == pytest.approx(min(1.0, expected))
    torch.testing.assert_close(scale_weights(circular.table), weights.sqrt())
    assert bool((scale_weights(circular.table, exponent=0.0) == 1).all())


def test_weights_are_the_inverse_variances_of_moments_of_white_noise():
    """Covariances of 400 white fields: variance times weight is one number for all scales."""
    moments = PhaseHarmonicMoments((64, 64), n_scales=4, n_angles=2, classes=("S11",), n_shifts=0)
    x = white_noise(400, (64, 64), seed=0).float()
    values = moments.standardized(x)(x)
    products = values.var(dim=0) * scale_weights(moments.table, exponent=1.0)
    by_scale = [float(products[[row.first.scale == j for row in moments.table]].mean()) for j in range(4)]
    # Over these two octaves the weights fall 16 times. The finest wavelet loses what lies past the grid's corner.
    assert max(by_scale[1:]) / min(by_scale[1:]) < 1.2
    assert by_scale[0] / by_scale[1] < 2.0
