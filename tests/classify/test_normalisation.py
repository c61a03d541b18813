"""Batch normalisation over ranks: that of the whole batch, in value, gradient and running statistics."""

import torch
from torch import nn

from phasewave.classify.normalisation import SharedBatchNorm2d, whole_batches
from phasewave.runs.distributed import Ranks


class Twin(Ranks):
    """One of two ranks that have the same samples."""

    def total(self, value):
        return 2 * value


def layers():
    generator = torch.Generator().manual_seed(0)
    own, whole = SharedBatchNorm2d(3).double(), nn.BatchNorm2d(3).double()
    with torch.no_grad():
        for value, other in zip(own.parameters(), whole.parameters(), strict=True):
            other.copy_(value.copy_(torch.randn(3, generator=generator, dtype=torch.float64)))
    x = 5 + 2 * torch.randn(4, 3, 2, 5, generator=generator, dtype=torch.float64)
    weights = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return own, whole, x.requires_grad_(), weights


def test_two_ranks_normalise_as_one_process_does():
    own, whole, x, weights = layers()
    own.ranks = Twin(0, 2)
    found = own(x)
    both = torch.cat([x, x]).detach().requires_grad_()
    expected = whole(both)
    torch.testing.assert_close(found, expected[:4], rtol=1e-11, atol=1e-11)
    (found * weights).sum().backward()
    (expected * torch.cat([weights, weights])).sum().backward()
    torch.testing.assert_close(x.grad, both.grad[:4], rtol=1e-10, atol=1e-10)
    for name, value in own.named_parameters():
        torch.testing.assert_close(2 * value.grad, dict(whole.named_parameters())[name].grad)
    for name, value in own.named_buffers():
        torch.testing.assert_close(value, dict(whole.named_buffers())[name])


def test_alone_and_in_use_it_is_that_of_torch():
    own, whole, x, _ = layers()
    with whole_batches(own, Ranks()):
        assert torch.equal(own(x), whole(x))
    own.ranks = Twin(0, 2)
    assert torch.equal(own.eval()(x), whole.eval()(x))
