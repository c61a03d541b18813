import itertools
import math

import pytest
import torch

from phasewave.core.bank import filter_bank
from phasewave.core.bump import CENTRAL_FREQUENCY, BumpSteerable
from phasewave.core.grids import angular_frequencies

F64 = torch.float64


def sampled(shape, family, scale, angle):
    """The wavelet on the grid by summing the plane over the cells of side 2 pi."""
    omega_0, omega_1 = angular_frequencies(shape)
    cells = [2 * math.pi * c for c in range(-2, 3)]
    return sum(family.wavelet(omega_0 + a, omega_1 + b, scale, angle) for a in cells for b in cells)


def test_closed_form_at_the_centre_and_the_edges():
    family = BumpSteerable(4)
    theta = family.angles[1]
    peak = 8 * 6 / (1.29 * math.sqrt(4 * math.factorial(6)))
    for scale in (0, 2):
        radius = torch.tensor([0.0, 1.0, 1.5, 2.0, 2.5], dtype=F64) * CENTRAL_FREQUENCY / 2**scale
        values = family.wavelet(radius * math.sin(theta), radius * math.cos(theta), scale, 1)
        expected = torch.tensor([0.0, peak, peak * math.exp(-1 / 3), 0.0, 0.0], dtype=F64)
        torch.testing.assert_close(values, expected, rtol=1e-13, atol=1e-13)
        turned = theta + math.pi / 3
        aside = family.wavelet(radius * math.sin(turned), radius * math.cos(turned), scale, 1)
        torch.testing.assert_close(aside, expected / 8, rtol=1e-12, atol=1e-13)
        behind = family.wavelet(-radius * math.sin(theta), -radius * math.cos(theta), scale, 1)
        assert behind.abs().max() == 0


@pytest.mark.parametrize("n_angles", [1, 3, 4, 8])
def test_orientations_cover_every_direction_alike(n_angles):
    # sum over 2L directions of cos^(2L-2) over the half turn each faces does not depend on the direction.
    family = BumpSteerable(n_angles)
    angle = torch.linspace(0, 2 * math.pi, 101, dtype=F64)[:-1] + 0.0123
    energy = torch.zeros_like(angle)
    for sign in (1, -1):
        w = (sign * CENTRAL_FREQUENCY * angle.sin(), sign * CENTRAL_FREQUENCY * angle.cos())
        energy += sum(family.wavelet(*w, 0, l) ** 2 for l in range(n_angles))
    # The constant of the wavelet is chosen to make the sum the same for every L.
    torch.testing.assert_close(energy, torch.full_like(energy, 1.29**-2), rtol=1e-12, atol=0)


@pytest.mark.parametrize("shape", [(32, 32), (33, 48), (17, 40)])
@pytest.mark.parametrize("n_angles", [3, 4])
def test_supports_hold_the_whole_wavelet(shape, n_angles):
    family = BumpSteerable(n_angles)
    for scale in range(3):
        for angle, support in enumerate(family.wavelets(shape, scale, tolerance=1e-14)):
            torch.testing.assert_close(
                support.on_grid(shape), sampled(shape, family, scale, angle), rtol=0, atol=1e-12
            )


def test_supports_shrink_with_the_scale():
    family = BumpSteerable(4)
    areas = [family.wavelets((256, 256), j, tolerance=1e-12)[1].values.numel() for j in range(5)]
    assert all(3.8 < a / b < 4.3 for a, b in itertools.pairwise(areas))


def test_the_family_makes_a_bank():
    bank = filter_bank((48, 64), BumpSteerable(4), n_scales=3, tolerance=1e-12)
    assert bank.n_scales == 3
    assert all(len(scale) == 4 for scale in bank.wavelets)
    assert float(bank.littlewood_paley().min()) > 0.1


def test_low_pass_is_a_gaussian_of_unit_sum():
    family = BumpSteerable(4)
    omega = torch.tensor([0.0, 0.1, 1.0], dtype=F64)
    sigma = 2 / (0.496 * 2**-0.55 * CENTRAL_FREQUENCY)
    torch.testing.assert_close(family.low_pass(omega, 3), torch.exp(-0.5 * (sigma * omega) ** 2))


@pytest.mark.parametrize(("n_angles", "error"), [(0, ValueError), (2.5, TypeError)])
def test_bad_number_of_angles(n_angles, error):
    with pytest.raises(error, match="`n_angles` must be an integer"):
        BumpSteerable(n_angles)
