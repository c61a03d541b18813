import math

import pytest
import torch

from phasewave.core.grids import angular_frequencies
from phasewave.turbulence.fill import Fill
from phasewave.turbulence.gaussian import white_noise


def holes(shape: tuple[int, int]) -> torch.Tensor:
    mask = torch.ones(shape, dtype=torch.bool)
    mask[3:8, 2:6] = False
    mask[-1, :] = False
    mask[5, -3] = False
    return mask


@pytest.mark.parametrize("shape", [(16, 16), (15, 18), (18, 15)])
@pytest.mark.parametrize("given", [False, True])
def test_the_fill_solves_the_equations_of_the_conditional_mean(shape: tuple[int, int], given: bool) -> None:
    mask, x, n = holes(shape), white_noise(2, shape, seed=0), math.prod(shape)
    omega = torch.hypot(*angular_frequencies(shape))
    power = (1 + omega**3).reciprocal()
    precision = power.reciprocal() if given else omega**4
    precision[0, 0] = 0
    units = torch.eye(n, dtype=torch.float64).view(n, *shape)
    dense = torch.fft.ifft2(torch.fft.fft2(units) * precision).real.view(n, n)
    gaps, expected = ~mask.flatten(), x.clone().view(2, n)
    right = dense[gaps][:, ~gaps] @ expected[:, ~gaps].T
    expected[:, gaps] = -torch.linalg.solve(dense[gaps][:, gaps], right).T
    filled = Fill(mask, power=power if given else None, tolerance=1e-12)(x)
    torch.testing.assert_close(filled, expected.view(2, *shape), rtol=0, atol=1e-9)


def test_gaps_have_no_influence_and_observed_pixels_stay() -> None:
    mask = holes((16, 16))
    fill, x = Fill(mask), white_noise(3, (16, 16), seed=0).float()
    other = torch.where(mask, x, torch.nan)
    assert torch.equal(fill(other), fill(x))
    assert torch.equal(fill(x)[:, mask], x[:, mask])
    assert torch.equal(Fill(torch.ones(16, 16, dtype=torch.bool))(x), x)
    assert torch.equal(fill(x[1]), fill(x)[1])


def test_a_constant_and_a_long_wave_are_continued() -> None:
    mask = torch.rand(32, 32, generator=torch.Generator().manual_seed(0)) > 0.3
    fill = Fill(mask, tolerance=1e-10)
    constant = torch.full((32, 32), 5.0).double()
    torch.testing.assert_close(fill(constant), constant, rtol=0, atol=1e-8)
    wave = (2 * torch.pi / 32 * torch.arange(32, dtype=torch.float64)).sin().expand(32, 32)
    assert float((fill(wave) - wave).abs().max()) < 0.02


def test_the_gradient_is_the_adjoint_and_its_gradient_the_map() -> None:
    mask = holes((12, 10))
    fill = Fill(mask, tolerance=1e-11)
    x, y, z = white_noise(3, (12, 10), seed=1).unsqueeze(1).unbind()
    x.requires_grad_()
    y.requires_grad_()
    (gradient,) = torch.autograd.grad((fill(x) * y).sum(), x, create_graph=True)
    assert bool((gradient[:, ~mask] == 0).all())
    # The map is linear: <fill(z), y> = <z, adjoint(y)>, and the adjoint's adjoint is the map.
    torch.testing.assert_close((fill(z) * y).sum(), (z * gradient).sum(), rtol=0, atol=1e-8)
    (again,) = torch.autograd.grad((gradient * z).sum(), y)
    torch.testing.assert_close(again, fill(z), rtol=0, atol=1e-8)


def test_wrong_input_is_named() -> None:
    mask = holes((16, 16))
    with pytest.raises(TypeError, match="boolean"):
        Fill(mask.float())
    with pytest.raises(ValueError, match="False everywhere"):
        Fill(torch.zeros(16, 16, dtype=torch.bool))
    with pytest.raises(ValueError, match="tolerance"):
        Fill(mask, tolerance=0.0)
    with pytest.raises(ValueError, match="power"):
        Fill(mask, power=torch.zeros(16, 16))
    with pytest.raises(ValueError, match="last axes"):
        Fill(mask)(torch.zeros(15, 16))
