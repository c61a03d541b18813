import math

import pytest
import torch

from phasewave.turbulence import spectral_covariances
from phasewave.turbulence.spectral_covariances import SpectralCovariances


def smooth(shape: tuple[int, int], reach: int, seed: int, count: int) -> torch.Tensor:
    """Random fields whose frequencies stay under ``reach`` on each axis."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.fft2(torch.randn(count, *shape, dtype=torch.float64, generator=generator))
    for axis, n in enumerate(shape):
        k = torch.fft.fftfreq(n, 1 / n).abs()
        spectrum = spectrum * (k < reach).view((-1, 1) if axis == 0 else (1, -1))
    return torch.fft.ifft2(spectrum).real


def sampled(fields: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Half spectra over the number of pixels, of the same fields on another grid."""
    step = [n // m for n, m in zip(fields.shape[-2:], grid, strict=True)]
    return torch.fft.rfft2(fields[:, :: step[0], :: step[1]]) / math.prod(grid)


@pytest.mark.parametrize("sigma", [0.0, 1.5, 4.0])
def test_covariances_are_those_of_the_smoothed_fields(sigma: float) -> None:
    shape, grids = (32, 48), [(32, 48), (16, 24)]
    fine, coarse = smooth(shape, 15, 0, 3), smooth(shape, 7, 1, 3)
    module = SpectralCovariances(shape, grids, n_channels=3, smoothings=(sigma,), dtype=torch.float64)
    values = module([sampled(fine, grids[0])[None], sampled(coarse, grids[1])[None]])[0]

    omega = [2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in shape]
    gaussian = torch.exp(-0.5 * sigma**2 * (omega[0][:, None] ** 2 + omega[1] ** 2))
    fields = torch.cat((fine, coarse))
    fields = fields - fields.mean((-2, -1), keepdim=True)
    smoothed = torch.fft.ifft2(torch.fft.fft2(fields) * gaussian).real
    expected = torch.stack([(fields[a] * smoothed[b]).mean() for _, a, b in module.pairs()])
    # Frequencies past 3.2 / sigma are left out, where the Gaussian is under 6e-3 and these fields have energy.
    tolerance = 1e-12 if sigma == 0 else 6e-3 * float(fields.square().mean())
    torch.testing.assert_close(values, expected, rtol=0, atol=tolerance)


def test_pairs_name_each_covariance_once() -> None:
    module = SpectralCovariances(
        (32, 32), [(32, 32), (16, 16), (16, 16)], n_channels=2, smoothings=(0.0, 3.0), dtype=torch.float64
    )
    pairs = list(module.pairs())
    assert len(pairs) == len({(sigma, frozenset((a, b))) for sigma, a, b in pairs}) == 2 * (6 * 7 // 2)
    spectra = [torch.fft.rfft2(torch.randn(1, 2, *grid, dtype=torch.float64)) for grid in module.grids]
    assert module(spectra).shape == (1, len(pairs))


def test_variances_are_the_covariances_of_channels_with_themselves() -> None:
    spectrum = torch.fft.rfft2(torch.randn(2, 3, 16, 20, dtype=torch.float64)) / 320
    module = SpectralCovariances((16, 20), [(16, 20)], n_channels=3, smoothings=(0.0,), dtype=torch.float64)
    at = [number for number, (_, a, b) in enumerate(module.pairs()) if a == b]
    torch.testing.assert_close(module.variances(spectrum), module([spectrum])[:, at])


def test_gradients_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SpectralCovariances(
        (16, 17), [(16, 17), (12, 11), (8, 8)], n_channels=2, smoothings=(0.0, 1.5), dtype=torch.float64
    )
    generator = torch.Generator().manual_seed(0)
    fields = [torch.randn(2, 2, *grid, dtype=torch.float64, generator=generator) for grid in module.grids]

    def covariances(*fields: torch.Tensor) -> torch.Tensor:
        return module([torch.fft.rfft2(field, norm="forward") for field in fields])

    whole = covariances(*fields)
    monkeypatch.setattr(spectral_covariances, "BLOCK", 20)
    torch.testing.assert_close(covariances(*fields), whole, rtol=0, atol=1e-15)
    leaves = [field.requires_grad_() for field in fields]
    assert torch.autograd.gradcheck(covariances, leaves, fast_mode=True)
