"""Borders against numpy.pad."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phasewave.core.borders import Extension, mirrored_index


@given(n=st.integers(1, 12), before=st.integers(0, 40), after=st.integers(0, 40))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_mirrored_index(n, before, after):
    expected = np.pad(np.arange(n), (before, after), mode="reflect")
    assert mirrored_index(n, before, after).tolist() == expected.tolist()


@pytest.mark.parametrize(("border", "mode"), [("reflect", "reflect"), ("zero", "constant")])
@pytest.mark.parametrize(("shape", "extended"), [((5, 8), (12, 12)), ((6, 6), (6, 20)), ((4, 5), (13, 9))])
def test_extension_centres_the_field(border, mode, shape, extended):
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    result = Extension(shape, extended, border=border)(x)
    margins = [((m - n) // 2, m - n - (m - n) // 2) for n, m in zip(shape, extended, strict=True)]
    assert np.array_equal(result.numpy(), np.pad(x.numpy(), [(0, 0), *margins], mode=mode))


def test_periodic_extension_is_the_field():
    x = torch.randn(3, 5, 6)
    assert Extension((5, 6), (5, 6), border="periodic")(x) is x


@pytest.mark.parametrize("border", ["reflect", "zero"])
def test_gradient_counts_the_copies_of_each_sample(border):
    x = torch.zeros(1, 4, 5, requires_grad=True)
    Extension((4, 5), (9, 11), border=border)(x).sum().backward()
    if border == "zero":
        assert bool((x.grad == 1).all())
    else:
        counts = [np.bincount(np.pad(np.arange(n), p, mode="reflect")) for n, p in ((4, (2, 3)), (5, (3, 3)))]
        assert np.array_equal(x.grad[0].numpy(), np.outer(*counts))
