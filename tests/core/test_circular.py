import math

import pytest
import torch

from phasewave.core.circular import CircularHarmonics
from phasewave.core.transform import WaveletTransform


def transform(n: int, **options: object) -> WaveletTransform:
    return WaveletTransform((n, n), CircularHarmonics(3), n_scales=4, dtype=torch.float64, **options)


def smooth_field(n: int, seed: int = 0) -> torch.Tensor:
    """A field without Nyquist frequencies, which have no well-defined direction."""
    spectrum = torch.fft.fft2(
        torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    )
    spectrum[n // 2] = 0
    spectrum[:, n // 2] = 0
    return torch.fft.ifft2(spectrum).real


def test_plane_wave_has_the_modulus_of_the_ring_and_the_phase_of_its_direction() -> None:
    n, k = 32, (3, 4)
    u, v = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    phase = 2 * math.pi / n * (k[0] * u + k[1] * v).to(torch.float64)
    family = CircularHarmonics(3)
    _, scales = transform(n, oversampling=4)(phase.cos())
    angle = math.atan2(k[0], k[1])
    for i, coefficients in enumerate(scales):
        r = 2 * math.pi / n * 5 / (0.85 * math.pi / family.dilation(i))
        ring = math.exp(-((r - 1) ** 2) / (1 - (r - 1) ** 2)) if r < 2 else 0.0
        for m in range(4):
            # The frequency -k points the other way, which multiplies by (-1)^m.
            wave = torch.exp(1j * phase) + (-1) ** m * torch.exp(-1j * phase)
            expected = (-1) ** m * ring * complex(math.cos(m * angle), math.sin(m * angle)) * wave / 2
            torch.testing.assert_close(coefficients[m], expected, rtol=1e-12, atol=1e-12)


def test_rotation_by_a_right_angle_turns_each_momentum_by_its_phase() -> None:
    n = 32
    x = smooth_field(n)
    # rotated(u0, u1) = x(-u1, u0): the field turned by +90 degrees from axis 1 towards axis 0.
    rotated = torch.roll(x.flip(0), 1, 0).t()
    module = transform(n, oversampling=4)
    before, after = module(x)[1], module(rotated)[1]
    for a, b in zip(before, after, strict=True):
        for m in range(4):
            turned = torch.roll(a[m].flip(0), 1, 0).t()
            torch.testing.assert_close(b[m].abs(), turned.abs(), rtol=1e-10, atol=1e-12)
            ratio = (b[m] * turned.conj()).sum() / (turned.abs() ** 2).sum()
            assert abs(complex(ratio) - 1j**m) < 1e-10


def test_tight_bank_keeps_the_energy_and_inverts() -> None:
    module = WaveletTransform(
        (40, 48), CircularHarmonics(2), n_scales=4, tight=True, oversampling=2, dtype=torch.float64
    )
    torch.testing.assert_close(
        module.bank.littlewood_paley(), torch.ones(40, 48, dtype=torch.float64), rtol=0, atol=1e-13
    )
    x = torch.randn(2, 40, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(module.inverse(*module(x)), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{"max_momentum": -1}, {"scales_per_octave": 0}])
def test_parameters_out_of_range_are_named(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        CircularHarmonics(**options)


def test_the_grid_of_a_scale_holds_its_band_and_never_exceeds_the_field() -> None:
    family, shape = CircularHarmonics(0), (96, 50)
    for scale in range(7):
        (support,) = family.wavelets(shape, scale, tolerance=1e-7)
        for n, m, extent in zip(shape, family.grid(shape, scale), support.extent, strict=True):
            assert min(extent, n) <= m <= n
        assert all(
            a <= b for a, b in zip(family.grid(shape, scale), family.grid(shape, scale, room=1.5), strict=True)
        )
