"""Ways from one vector to another: straight, or turning at constant speed."""

from __future__ import annotations

import torch


def straight_ways(starts: torch.Tensor, ends: torch.Tensor, steps: int) -> torch.Tensor:
    """Return ``steps`` evenly spaced points from each start to its end, ``(n, steps, d)`` of ``(n, d)``."""
    times = torch.linspace(0, 1, steps, device=starts.device)[:, None]
    return (1 - times) * starts[:, None] + times * ends[:, None]


def turned_ways(starts: torch.Tensor, ends: torch.Tensor, steps: int) -> torch.Tensor:
    """Return ``steps`` points on the arc from each start to its end, whose norm goes evenly from one to the other.

    White noise turned so stays white noise, where on the straight line between two it would be too short.
    """
    times = torch.linspace(0, 1, steps, device=starts.device)[:, None]
    if not len(starts):
        return starts.new_zeros(0, steps, starts.shape[1])
    return torch.stack([_turned(a, b, times) for a, b in zip(starts, ends, strict=True)])


def _turned(a: torch.Tensor, b: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Return the vectors on the way, at constant angular speed, whose norm goes evenly from one to the other."""
    norms = (1 - times) * a.norm() + times * b.norm()
    u, v = a / a.norm().clamp_min(1e-12), b / b.norm().clamp_min(1e-12)
    angle = torch.arccos((u @ v).clamp(-1, 1))
    if float(angle.sin()) < 1e-4:
        way = (1 - times) * u + times * v
        return norms * way / way.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return norms * (((1 - times) * angle).sin() * u + (times * angle).sin() * v) / angle.sin()
