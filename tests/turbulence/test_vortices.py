import math

import pytest
import torch

from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.vortices import okubo_weiss, q_skewness, vortex_cores


def blob(shape, at, radii=(5.0, 5.0), sign=1.0):
    """A Gaussian vortex on the torus."""
    gaps = []
    for n, centre in zip(shape, at, strict=True):
        gap = torch.arange(n, dtype=torch.float64) - centre
        gaps.append(gap - n * (gap / n).round())
    rows, columns = gaps
    return sign * torch.exp(-((rows[:, None] / radii[0]).square() + (columns / radii[1]).square()) / 2)


@pytest.mark.parametrize("shape", [(32, 32), (32, 48), (45, 33)])
def test_okubo_weiss_of_taylor_green_vortices(shape):
    """w = 2 cos a cos b has psi = cos a cos b, so Q = 4 (sin a sin b)^2 - w^2 when the cells are square."""
    unit = math.gcd(*shape)
    rows = 2 * math.pi / unit * torch.arange(shape[0], dtype=torch.float64)[:, None]
    columns = 2 * math.pi / unit * torch.arange(shape[1], dtype=torch.float64)
    w = 2 * torch.cos(rows) * torch.cos(columns)
    wanted = 4 * (torch.sin(rows) * torch.sin(columns)).square() - w.square()
    torch.testing.assert_close(okubo_weiss(w + 3), wanted, rtol=0, atol=1e-12)


def test_okubo_weiss_of_a_shear_flow_is_zero():
    w = torch.cos(2 * math.pi * 3 / 32 * torch.arange(32, dtype=torch.float64)).expand(40, 32)
    torch.testing.assert_close(okubo_weiss(w), torch.zeros(40, 32, dtype=torch.float64), rtol=0, atol=1e-12)


def test_okubo_weiss_integrates_to_zero():
    """On the torus the squared strain and the squared vorticity have one mean."""
    x = GaussianModel(blob((48, 40), (10, 10))).sample(1, seed=0)[0]
    q = okubo_weiss(x)
    assert abs(float(q.mean())) < 1e-12 * float(q.abs().max())
    torch.testing.assert_close(okubo_weiss(x.roll((5, 6), (0, 1))), q.roll((5, 6), (0, 1)))


def test_vortices_make_the_skewness_negative():
    shape = (64, 64)
    w = blob(shape, (16, 16)) + blob(shape, (48, 40), sign=-1.0)
    gaussian = GaussianModel(w).sample(8, seed=0)
    assert float(q_skewness(w)) < float(q_skewness(gaussian).min()) < 0


def test_cores_are_counted_once_wherever_they_are():
    shape = (128, 128)
    w = sum(blob(shape, at, sign=s) for at, s in [((20, 30), 1), ((64, 0), -1), ((0, 100), 1), ((127, 64), -1)])
    assert float(vortex_cores(w)) == 4
    for shift in [(10, 50), (64, 64), (-30, 100)]:
        assert float(vortex_cores(w.roll(shift, (0, 1)))) == 4
    assert float(vortex_cores(w.repeat(2, 1))) == 4  # a density


def test_long_small_and_weak_vortices_are_no_cores():
    shape = (128, 128)
    strong = blob(shape, (30, 30)) + blob(shape, (90, 90), sign=-1.0)
    assert float(vortex_cores(strong)) == 2
    assert float(vortex_cores(strong + blob(shape, (30, 90), radii=(3.0, 14.0)))) == 2
    assert float(vortex_cores(strong + 0.05 * blob(shape, (30, 90)))) == 2
    assert float(vortex_cores(strong + blob(shape, (30, 90), radii=(1.0, 1.0)))) == 2
    assert float(vortex_cores(strong + blob(shape, (30, 90), radii=(1.0, 1.0)), min_area=2)) == 3


def test_leading_axes_equal_a_loop():
    fields = GaussianModel(blob((32, 40), (10, 10), radii=(2.0, 2.0))).sample(4, seed=0).reshape(2, 2, 32, 40)
    cores, skewness = vortex_cores(fields), q_skewness(fields)
    assert cores.shape == skewness.shape == (2, 2)
    assert float(cores[1, 0]) == float(vortex_cores(fields[1, 0]))
    torch.testing.assert_close(skewness[0, 1], q_skewness(fields[0, 1]))


def test_a_constant_field_has_no_cores():
    assert float(vortex_cores(torch.ones(32, 32))) == 0


def test_bad_input():
    with pytest.raises(TypeError, match=r"`vorticity` must be a torch.Tensor, got list"):
        okubo_weiss([[0.0]])
    with pytest.raises(ValueError, match="`min_area` must be an integer >= 1, got 0"):
        vortex_cores(torch.zeros(32, 32), min_area=0)
