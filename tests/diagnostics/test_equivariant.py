import itertools

import pytest
import torch
from torch import nn

from phasewave.diagnostics.equivariant import (
    CyclicLinear,
    PermutationLinear,
    RotationConvolution,
    RotationLifting,
    quarter_turn,
)
from phasewave.diagnostics.symmetry import equivariance_error, group_average


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrices(orders):
    return torch.stack([torch.eye(len(order), dtype=torch.float64)[list(order)] for order in orders])


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_permutations(pooling):
    layer = PermutationLinear(3, 4, pooling=pooling).double()
    nn.init.normal_(layer.bias)
    x, order = normal(2, 7, 3, seed=0), torch.randperm(7, generator=torch.Generator().manual_seed(1))

    def act(z):
        return z[:, order]

    assert equivariance_error(layer, x, act, act) < 1e-15
    assert equivariance_error(lambda z: layer(z).relu().sum(-2), x, act) < 1e-15
    assert equivariance_error(layer, x, act) > 0.1


def test_all_matrices_that_commute_with_permutations_have_two_parameters():
    n = 4
    group = matrices(itertools.permutations(range(n)))
    assert len(group) == 24
    given = normal(n, n, seed=2)
    found = group_average(given, group, group)
    off = float(given.sum() - given.trace()) / (n * (n - 1))
    expected = (float(given.trace()) / n - off) * torch.eye(n) + off
    assert torch.allclose(found, expected.double(), atol=1e-15)
    basis = torch.eye(n * n, dtype=torch.float64).view(-1, n, n)
    averages = torch.stack([group_average(one, group, group) for one in basis]).flatten(1)
    assert int(torch.linalg.matrix_rank(averages)) == 2
    # The layer of one channel is that matrix, with eigenvalues lambda (n - 1 times) and lambda + gamma.
    layer = PermutationLinear(1, 1, bias=False).double()
    matrix = layer(torch.eye(n, dtype=torch.float64)[..., None])[..., 0].detach()
    assert torch.allclose(group_average(matrix, group, group), matrix, atol=1e-15)
    own, common = layer.own.item(), layer.common.item()
    values = sorted([own] * (n - 1) + [own + common])
    assert torch.linalg.eigvalsh(matrix).tolist() == pytest.approx(values, abs=1e-14)


def test_cyclic_shifts():
    layer = CyclicLinear(6, 2, 3).double()
    nn.init.normal_(layer.bias)
    x = normal(5, 2, 6, seed=3)
    for step in range(6):

        def act(z, s=step):
            return z.roll(s, -1)

        assert equivariance_error(layer, x, act, act) < 1e-15
    by_fourier = torch.fft.irfft(
        torch.einsum("oiw,niw->now", torch.fft.rfft(layer.weight), torch.fft.rfft(x)), n=6
    )
    assert torch.allclose(layer(x), by_fourier + layer.bias[:, None], atol=1e-14)
    assert equivariance_error(layer, x, lambda z: z.flip(-1), lambda z: z.flip(-1)) > 0.1


def test_all_matrices_that_commute_with_shifts_are_cyclic_layers():
    n = 5
    group = matrices([[(i - s) % n for i in range(n)] for s in range(n)])
    found = group_average(normal(n, n, seed=4), group, group)
    layer = CyclicLinear(n, 1, 1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(found[:, 0])
        assert torch.allclose(layer(torch.eye(n, dtype=torch.float64)[:, None])[:, 0].mT, found, atol=1e-15)


def test_quarter_turns():
    lifting, convolution = RotationLifting(2, 3).double(), RotationConvolution(3, 4, size=5, seed=1).double()
    nn.init.normal_(lifting.bias)
    nn.init.normal_(convolution.bias)

    def network(z):
        return convolution(lifting(z).relu())

    x = normal(2, 2, 9, 12, seed=5)
    for turns in range(1, 4):
        turn = (lambda z, t=turns: torch.rot90(z, t, (-2, -1)), lambda z, t=turns: quarter_turn(z, t))
        assert equivariance_error(lifting, x, *turn) < 1e-15
        assert equivariance_error(network, x, *turn) < 2e-15
        assert equivariance_error(lambda z: network(z).relu().mean((2, 3, 4)), x, turn[0]) < 1e-15
    assert network(x).shape == (2, 4, 4, 9, 12)
    assert torch.allclose(quarter_turn(network(x), 4), network(x))
    # Without the shift of the rotations the outputs do not follow.
    plain = equivariance_error(lifting, x, turn[0], lambda z: torch.rot90(z, 3, (-2, -1)))
    assert plain > 0.1


def test_first_rotation_is_a_plain_convolution():
    layer = RotationLifting(2, 3, bias=False).double()
    x = normal(1, 2, 8, 8, seed=6)
    expected = nn.functional.conv2d(x, layer.weight, padding=1)
    assert torch.allclose(layer(x)[:, :, 0], expected, atol=1e-15)


def test_a_step_of_training_keeps_the_symmetry():
    layer = CyclicLinear(6, 2, 3).double()
    x, target = normal(50, 2, 6, seed=7), normal(50, 3, 6, seed=8)
    for _ in range(3):
        gradients = torch.autograd.grad((layer(x) - target).square().mean(), list(layer.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
                parameter -= gradient
    assert equivariance_error(layer, x, lambda z: z.roll(2, -1), lambda z: z.roll(2, -1)) < 1e-15
    again, other = CyclicLinear(6, 2, 3), CyclicLinear(6, 2, 3, seed=1)
    assert torch.equal(again.weight, CyclicLinear(6, 2, 3).weight)
    assert not torch.equal(again.weight, other.weight)
    assert float(CyclicLinear(30, 20, 20).weight.detach().square().mean()) == pytest.approx(1 / 600, rel=0.05)


def test_bad_input():
    with pytest.raises(ValueError, match=r"last axes \(3,\)"):
        PermutationLinear(3, 2)(torch.ones(4, 5))
    with pytest.raises(ValueError, match=r"have the shape \(..., n, 3\)"):
        PermutationLinear(3, 2)(torch.ones(3))
    with pytest.raises(ValueError, match="`size` must be odd, got 4"):
        RotationLifting(1, 1, size=4)
    with pytest.raises(ValueError, match=r"\(n, 2, 4, H, W\)"):
        RotationConvolution(2, 1)(torch.ones(1, 2, 3, 8, 8))
    with pytest.raises(ValueError, match="`pooling` must be one of"):
        PermutationLinear(3, 2, pooling="max")
    with pytest.raises(ValueError, match="one matrix an element"):
        group_average(torch.eye(3), torch.eye(3)[None], torch.eye(2)[None])
