"""Solid-harmonic wavelets: harmonics, normalisation, and the closed form of their convolution with a Gaussian."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from phasewave.core.solid import SolidHarmonicWavelets, normalisation, solid_harmonics


def evaluate(polynomials, points):
    powers = torch.arange(polynomials.shape[1])
    x, y, z = (points[:, i, None] ** powers for i in range(3))
    return torch.einsum("fijk,ni,nj,nk->fn", polynomials, x, y, z)


@pytest.fixture(scope="module")
def points():
    return torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("l", range(8))
def test_the_harmonics_are_scipys(l, points):
    values = evaluate(solid_harmonics(7), points)[l * l : (l + 1) ** 2]
    r = points.norm(dim=1).numpy()
    polar, azimuth = np.arccos(points[:, 2].numpy() / r), np.arctan2(points[:, 1].numpy(), points[:, 0].numpy())
    for m in range(-l, l + 1):
        complex_harmonic = (
            r**l * sph_harm_y(l, abs(m), polar, azimuth) * (-1) ** m
        )  # without Condon-Shortley's sign
        part = complex_harmonic.imag if m < 0 else complex_harmonic.real
        expected = part * (math.sqrt(2) if m else 1)
        np.testing.assert_allclose(values[l + m], expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


def test_the_wavelet_of_degree_0_has_unit_integral_and_the_others_none():
    wavelets = SolidHarmonicWavelets(3, 0.7)
    nodes = torch.arange(-16, 17, dtype=torch.float64) * 0.5
    grid = torch.cartesian_prod(nodes, nodes, nodes)
    weight = torch.exp(-0.5 * grid.square().sum(1)) * (0.5 * 0.7 * 2) ** 3
    integrals = evaluate(wavelets.polynomials(1), grid) @ weight
    torch.testing.assert_close(integrals[0], torch.tensor(1.0, dtype=torch.float64))
    assert float(integrals[1:].abs().max()) < 1e-10


@pytest.mark.parametrize(("scale", "blur"), [(0, 0.4), (2, 0.7)])
def test_a_gaussian_turns_a_wavelet_into_a_wider_one(scale, blur):
    """The closed form against the convolution as a sum."""
    wavelets = SolidHarmonicWavelets(3, 0.5)
    sigma, s = wavelets.width(scale), wavelets.blurred_width(scale, blur)
    step = 0.35 * sigma * blur / s
    nodes = torch.arange(-50, 51, dtype=torch.float64) * step
    offset = torch.tensor([[0.3, -0.2, 0.5], [0.0, 0.9, 0.1]], dtype=torch.float64) * s
    kept = torch.stack([torch.exp(-0.5 * (nodes / sigma).square()) * (nodes / sigma) ** p for p in range(4)])
    expected = []
    for point in offset:
        axes = [(kept * torch.exp(-0.5 * ((c - nodes) / blur).square())).sum(1) for c in point]
        expected.append(torch.einsum("fijk,i,j,k->f", wavelets.polynomials(scale), *axes))
    expected = torch.stack(expected, 1) * (step / (math.sqrt(2 * math.pi) * blur)) ** 3
    closed = evaluate(wavelets.polynomials(scale, blur=blur), offset / s)
    closed = closed * torch.exp(-0.5 * (offset / s).square().sum(1))
    torch.testing.assert_close(closed, expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize("degree", range(5))
def test_the_energy_of_an_orbit(degree):
    wavelets = SolidHarmonicWavelets(4, 0.5)
    s = wavelets.blurred_width(1, 0.3)
    nodes = torch.arange(-12, 13, dtype=torch.float64) * 0.5
    grid = torch.cartesian_prod(nodes, nodes, nodes)
    orbit = evaluate(wavelets.polynomials(1, blur=0.3), grid)[degree**2 : (degree + 1) ** 2]
    energy = (orbit.square().sum(0) * torch.exp(-grid.square().sum(1))).sum() * (0.5 * s) ** 3
    assert float(energy) == pytest.approx(wavelets.energy(degree, 1, blur=0.3), rel=1e-9)


def test_the_constants_of_even_and_odd_degrees():
    assert normalisation(0) == pytest.approx(math.sqrt(4 * math.pi) / (2 * math.pi) ** 1.5)
    assert normalisation(2) == pytest.approx(1 / (2 * math.pi * math.sqrt(2.5) * 3))
    assert normalisation(3) == pytest.approx(1 / (8 * math.sqrt(7 * math.pi) * 2))


def test_bad_parameters_are_named():
    with pytest.raises(ValueError, match="`max_degree` must be an integer between 0 and 12, got 13"):
        SolidHarmonicWavelets(13)
    with pytest.raises(ValueError, match="`sigma` must be positive, got 0"):
        SolidHarmonicWavelets(3, 0)
