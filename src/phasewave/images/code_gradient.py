"""How the code of an image changes with the image: the gradient of its error, and how steep that is."""

from __future__ import annotations

import torch

from phasewave.images.encoder import ScatteringEncoder

_ITERATIONS = 40


def code_gradient(encoder: ScatteringEncoder, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    r"""Return the gradient of :math:`\tfrac12 \|w - L\,U x\|^2` for images of brightness 0 and contrast 1.

    Parameters
    ----------
    encoder : ScatteringEncoder
    x : torch.Tensor
        ``(n, C, H, W)``.
    w : torch.Tensor
        ``(n, code_dim)``: the codes wanted.
    """
    with torch.enable_grad():
        variable = x.detach().requires_grad_()
        loss = 0.5 * (encoder.white(variable) - w).square().sum()
    (gradient,) = torch.autograd.grad(loss, variable)
    return gradient


def curvature(encoder: ScatteringEncoder, x: torch.Tensor, *, seed: int) -> torch.Tensor:
    r"""Return the largest :math:`\|J J^T\|` of the Jacobians ``J`` of the code at some images.

    By power iteration, from below: steps of 1 / (a little more than this) decrease the error of the code. ``U`` is
    piecewise linear, so that this is the curvature of half its square.

    Parameters
    ----------
    encoder : ScatteringEncoder
    x : torch.Tensor
        ``(n, C, H, W)``.
    seed : int
        Of the start.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(len(x), encoder.code_dim, generator=generator).to(x)
    norms = torch.ones(len(x), 1)
    for _ in range(_ITERATIONS):
        _, pushed = torch.autograd.functional.vjp(encoder.white, x, direction)
        _, moved = torch.autograd.functional.jvp(encoder.white, x, pushed)
        norms = moved.norm(dim=1, keepdim=True)
        direction = moved / norms.clamp_min(1e-12)
    return norms.amax().detach()
