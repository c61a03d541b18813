"""Scattering2D against stored outputs and gradients of kymatio 0.3.0 (see kymatio_reference.py)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from phasewave.scattering.planar import Scattering2D

STORED = np.load(Path(__file__).with_name("kymatio_reference.npz"))
SETTINGS = {
    "square": {"n_scales": 2, "n_angles": 8},
    "rectangle": {"n_scales": 3, "n_angles": 6},
    "not_divisible": {"n_scales": 2, "n_angles": 8},
    "one_output": {"n_scales": 5, "n_angles": 8},
    "first_order": {"n_scales": 3, "n_angles": 5, "max_order": 1},
}
ROUNDED = math.pi / 3.1415
"""kymatio rounds pi to 3.1415 where it normalises its filters, so each of them is larger by this factor."""

CASES = [(case, dtype) for case in SETTINGS for dtype in (torch.float32, torch.float64)]


def stored(case: str, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(STORED[f"{case}_{key}"]).to(dtype) for key in "xsg")


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{str(case[1])[6:]}")
def parity(request):
    case, dtype = request.param
    x, s, g = stored(case, dtype)
    transform = Scattering2D(x.shape[-2:], **SETTINGS[case], dtype=dtype)
    return transform, x, s, g


def orders(transform: Scattering2D) -> torch.Tensor:
    return torch.tensor([path.order for path in transform.table])


def test_outputs_equal_kymatio_at_equal_filters(parity):
    """Order m passed m + 1 filters of kymatio: the factor ROUNDED^(m+1), and nothing else, is undone."""
    transform, x, s, _ = parity
    ours = transform(x)
    assert ours.shape == s.shape
    for order in orders(transform).unique():
        of_order = orders(transform) == order
        equal_filters = s[:, of_order] / ROUNDED ** (int(order) + 1)
        assert relative(ours[:, of_order], equal_filters) <= 1e-5


def test_outputs_as_kymatio_gives_them(parity):
    transform, x, s, _ = parity
    ours = transform(x)
    for order in orders(transform).unique():
        of_order = orders(transform) == order
        assert relative(ours[:, of_order], s[:, of_order]) <= 1e-4


def test_gradient_equals_kymatio_at_equal_filters(parity):
    """The gradient of half the sum of squares, each order weighted by the square of its factor."""
    transform, x, _, g = parity
    factor = ROUNDED ** (orders(transform) + 1).to(x.dtype)
    x.requires_grad_()
    loss = 0.5 * ((factor[:, None, None] * transform(x)) ** 2).sum()
    (ours,) = torch.autograd.grad(loss, x)
    assert relative(ours, g) <= 1e-5


def test_channels_come_in_the_order_of_kymatio(parity):
    """Shuffled channels would fail: each one agrees by itself."""
    transform, x, s, _ = parity
    ours = transform(x)
    difference = (ours - s).flatten(2).norm(dim=2)
    assert bool((difference <= 1e-3 * s.flatten(2).norm(dim=2)).all())
