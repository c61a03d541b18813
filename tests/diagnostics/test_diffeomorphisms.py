"""The law of deformations: displacement, temperatures, folds; the moving of images."""

import math

import pytest
import torch

from phasewave.diagnostics.diffeomorphisms import Diffeomorphisms, temperature_range
from phasewave.diagnostics.draws import white_draws
from phasewave.diagnostics.warping import deform, rotate_images


@pytest.mark.parametrize(("size", "cutoff"), [(32, 3), (17, 5), (8, 7), (16, 1)])
def test_the_displacement_is_exact_over_the_pixels(size, cutoff):
    law = Diffeomorphisms(size, 3e-3, cutoff)
    # The mean square over the law: the variance of each coefficient, with the energy of its wave.
    total = 0.0
    for i in range(1, cutoff + 1):
        for j in range(1, cutoff + 1):
            if i * i + j * j < (cutoff + 0.5) ** 2:
                unit = torch.zeros(2, cutoff, cutoff, dtype=torch.float64)
                unit[:, i - 1, j - 1] = math.sqrt(3e-3 / (i * i + j * j))
                total += float(law.field(unit).square().sum() / size**2)
    assert math.sqrt(total) == pytest.approx(law.displacement, rel=1e-13)


@pytest.mark.parametrize("cutoff", [3, 8])
def test_drawn_fields_have_the_displacement_within_one_percent(cutoff):
    law = Diffeomorphisms.of_displacement(32, 1.5, cutoff=cutoff)
    rms = law.coefficients(4000, seed=5).square().sum((1, 2, 3)).mean().div(4).sqrt() * 32
    assert float(rms) == pytest.approx(1.5, rel=0.01)
    fields = law.sample(50, seed=5)
    same = law.coefficients(50, seed=5).square().sum() / 4 * 32**2
    assert float(fields.square().sum() / 32**2) == pytest.approx(float(same), rel=1e-12)


def test_the_published_formula_is_ten_to_nineteen_percent_too_large():
    for cutoff in (3, 5, 10, 30):
        law = Diffeomorphisms(64, 1e-3, cutoff)
        assert 1.10 < law.asymptotic_displacement / law.displacement < 1.19
    modes = 1 / 2 + 2 / 5 + 1 / 8 + 2 / 10  # (1, 1), (1, 2) twice, (2, 2), (1, 3) twice
    law = Diffeomorphisms(64, 1e-3, 3)
    ratio = math.sqrt(math.pi * math.log(3) / 4) / math.sqrt(modes / 2)
    assert law.asymptotic_displacement / law.displacement == pytest.approx(ratio, rel=1e-14)


def test_temperatures():
    law = Diffeomorphisms.of_displacement(32, 0.5, cutoff=3, formula="asymptotic")
    low, high = temperature_range(32, 3)
    assert law.temperature == pytest.approx(low, rel=1e-14)  # half a pixel
    assert law.temperature == pytest.approx(4 * 0.25 / (math.pi * 32**2 * math.log(3)), rel=1e-14)
    assert high == pytest.approx(4 / (math.pi**3 * 9 * math.log(3)), rel=1e-14)
    assert Diffeomorphisms.of_displacement(32, 2.0, cutoff=3).displacement == pytest.approx(2.0, rel=1e-14)


def test_the_variance_of_each_coefficient_and_the_disc():
    drawn = Diffeomorphisms(16, 2e-3, 3).coefficients(6000, seed=1)
    squares = torch.arange(1, 4.0, dtype=torch.float64).square()
    radius = squares[:, None] + squares
    expected = torch.where(radius < 3.5**2, 2e-3 / radius, 0.0)
    assert expected.count_nonzero() == 6
    assert drawn[..., expected == 0].abs().max() == 0
    found = drawn.square().mean((0, 1))
    assert torch.allclose(found, expected, rtol=5 * math.sqrt(2 / 12000), atol=0)


def test_a_sample_depends_on_the_seed_and_its_number_alone():
    law = Diffeomorphisms(16, 1e-3)
    assert torch.equal(law.coefficients(7, seed=3)[:4], law.coefficients(4, seed=3))
    assert not torch.equal(law.coefficients(4, seed=3), law.coefficients(4, seed=4))
    noise = white_draws(7, (3, 2), seed=3)
    assert torch.equal(white_draws(2, (3, 2), seed=3, first=4), noise[4:6])
    assert not torch.isclose(white_draws(7, (3, 2), seed=3, stream=1), noise).any()


def test_the_jacobian_is_that_of_the_map():
    law = Diffeomorphisms(256, 1e-3, 2)
    coefficients = law.coefficients(2, seed=0)
    position = torch.arange(256.0, dtype=torch.float64)
    field = law.field(coefficients)
    row, column = position[:, None] - field[:, 0], position - field[:, 1]
    slope = [torch.gradient(a, dim=d)[0] for a in (row, column) for d in (1, 2)]
    determinant = slope[0] * slope[3] - slope[1] * slope[2]
    inner = (slice(None), slice(1, -1), slice(1, -1))
    assert torch.allclose(determinant[inner], law.jacobian(coefficients)[inner], atol=5e-4)


def test_the_border_stays():
    law = Diffeomorphisms(2000, 1e-3, 3)
    edge = law.sample(1, seed=2)[0]
    bound = 2000 * math.pi * 3 * law.coefficients(1, seed=2).abs().sum() / 4000
    assert edge[:, 0].abs().max() <= bound
    assert edge[:, :, -1].abs().max() <= bound


def test_whole_steps_move_pixels_unchanged():
    x = torch.randn(2, 3, 6, 5)
    assert torch.equal(deform(x, torch.zeros(1, 2, 6, 5)), x)
    step = torch.zeros(2, 2, 6, 5)
    step[0, 0], step[1, 1] = 2, -1
    moved = deform(x, step)
    assert torch.equal(moved[0, :, 2:], x[0, :, :-2])
    assert torch.equal(moved[0, :, 0], x[0, :, 0])
    assert torch.equal(moved[1, ..., :-1], x[1, ..., 1:])


def test_interpolation_is_exact_on_bilinear_images():
    row, column = torch.arange(7.0, dtype=torch.float64)[:, None], torch.arange(9.0, dtype=torch.float64)
    shift = torch.rand(1, 2, 7, 9, dtype=torch.float64) - 0.5
    moved = deform((2 + row - 3 * column + row * column)[None, None], shift)[0, 0]
    r, c = row - shift[0, 0], column - shift[0, 1]
    exact = 2 + r - 3 * c + r * c
    assert torch.allclose(moved[1:-1, 1:-1], exact[1:-1, 1:-1], atol=1e-13)


def test_the_gradient_of_deform():
    x = torch.randn(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    shift = torch.rand(1, 2, 4, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda y: deform(y, shift), x)


@pytest.mark.parametrize("size", [8, 9])
def test_quarter_turns(size):
    x = torch.randn(2, 1, size, size, dtype=torch.float64)
    for k in range(4):
        turned = rotate_images(x, k * math.pi / 2)
        assert torch.allclose(turned, torch.rot90(x, k, (-2, -1)), atol=1e-13)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`cutoff` must be an integer between 1 and 15, got 16"):
        Diffeomorphisms(16, 1e-3, 16)
    with pytest.raises(ValueError, match=r"`temperature` must be finite and > 0, got nan"):
        Diffeomorphisms(16, math.nan)
    with pytest.raises(ValueError, match=r"`displacement` must be finite and > 0, got 0"):
        Diffeomorphisms.of_displacement(16, 0)
    with pytest.raises(ValueError, match=r"`cutoff` must be an integer >= 2, got 1"):
        temperature_range(16, 1)
    with pytest.raises(ValueError, match=r"`displacement` must have the shape \(2 or 1, 2, 4, 4\), got"):
        deform(torch.zeros(2, 1, 4, 4), torch.zeros(2, 2, 4, 5))
    with pytest.raises(ValueError, match=r"`angle` must be finite, got inf"):
        rotate_images(torch.zeros(2, 1, 4, 4), math.inf)
