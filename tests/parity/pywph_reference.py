"""Make ``pywph_reference.npz``: moments of two small fields by pywph 1.1.3 in float64, periodic boundary.

Run in an environment with pywph 1.1.3 (and the NumPy, SciPy and torch it takes)::

    python tests/parity/pywph_reference.py

For every case the file holds a field ``x`` and another ``y``, the moments of ``x`` without normalisation
(``raw``), and of ``y`` normalised by the means and standard deviations of ``x`` (``other``), in pywph's order.
"""

from pathlib import Path

import numpy as np
import pywph

CASES = {
    "square": {"shape": (64, 64), "n_scales": 5, "n_angles": 4, "n_shifts": 2},
    "rectangle": {"shape": (48, 80), "n_scales": 4, "n_angles": 3, "n_shifts": 1},
    "odd": {"shape": (45, 51), "n_scales": 3, "n_angles": 8, "n_shifts": 1},
}
CLASSES = ["S11", "S00", "C00", "S01", "C01", "Cphase", "L"]


def field(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Gaussian noise of spectrum 1/(1 + (8 k)^2), made skew by an exponential."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :])
    smooth = np.fft.ifft2(np.fft.fft2(noise) / (1 + (8 * k) ** 2)).real
    return np.exp(2 * smooth / smooth.std()) ** 0.5 + 0.1 * noise


def moments(case: dict, seed: int) -> dict[str, np.ndarray]:
    x, y = (field(case["shape"], seed + i) for i in range(2))
    settings = {"J": case["n_scales"], "L": case["n_angles"], "dn": case["n_shifts"]}
    operator = pywph.WPHOp(*case["shape"], **settings, precision="double")
    operator.load_model(CLASSES)
    operator.load_filters()
    arrays = {"x": x, "y": y, "raw": operator.apply(x).numpy()}
    operator.apply(x, norm="auto")
    arrays["other"] = operator.apply(y, norm="auto").numpy()
    return arrays


if __name__ == "__main__":
    stored = {}
    for seed, (name, case) in enumerate(CASES.items()):
        for key, values in moments(case, 10 * seed).items():
            stored[f"{name}_{key}"] = values
            print(name, key, values.shape)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **stored)
