"""Make ``kymatio_reference.npz``: Scattering2D of a few small fields by kymatio 0.3.0, torch backend, float32.

Run in an environment with kymatio==0.3.0 and scipy<1.15 (newer SciPy has no ``sph_harm``, which kymatio
imports), and the NumPy and torch that they take::

    python tests/parity/kymatio_reference.py

For every case the file holds the fields ``x`` (made from the case's seed), the coefficients ``s`` and the
gradient ``g`` of half the sum of their squares with respect to ``x``.
"""

from pathlib import Path

import numpy as np
import torch
from kymatio.torch import Scattering2D

CASES = {
    "square": {"seed": 1, "shape": (32, 32), "n_fields": 2, "J": 2, "L": 8},
    "rectangle": {"seed": 2, "shape": (48, 64), "n_fields": 1, "J": 3, "L": 6},
    "not_divisible": {"seed": 3, "shape": (50, 36), "n_fields": 1, "J": 2, "L": 8},
    "one_output": {"seed": 4, "shape": (32, 32), "n_fields": 1, "J": 5, "L": 8},
    "first_order": {"seed": 5, "shape": (33, 47), "n_fields": 1, "J": 3, "L": 5, "max_order": 1},
}


def fields(n_fields: int, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Positive fields with structures of all scales, a mean, and noise."""
    noise = np.random.default_rng(seed).standard_normal((2, n_fields, *shape))
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :])
    smooth = np.fft.ifft2(np.fft.fft2(noise[0]) / (1 + (8 * k) ** 2)).real
    return (np.exp(smooth / smooth.std()) + 0.3 * noise[1]).astype(np.float32)


def reference(case: dict) -> dict[str, np.ndarray]:
    settings = {name: case[name] for name in ("J", "L", "max_order") if name in case}
    transform = Scattering2D(shape=case["shape"], **settings)
    x = torch.from_numpy(fields(case["n_fields"], case["shape"], case["seed"])).requires_grad_()
    s = transform(x)
    (0.5 * (s * s).sum()).backward()
    arrays = {"x": x.detach(), "s": s.detach(), "g": x.grad}
    return {name: array.numpy() for name, array in arrays.items()}


if __name__ == "__main__":
    arrays = {f"{name}_{key}": array for name, case in CASES.items() for key, array in reference(case).items()}
    np.savez_compressed(Path(__file__).with_name("kymatio_reference.npz"), **arrays)
