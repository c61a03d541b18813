"""Spectra of filters: eigenvalues of the grid, constant filters, energies; angular waves in their bins alone."""

import json
import math

import pytest
import torch
from torch import nn

from phasewave.diagnostics.angular import angular_spectra, angular_spectrum
from phasewave.diagnostics.filters import laplacian_basis, laplacian_spectrum
from phasewave.scattering.planar import Scattering2D


def grid_laplacian(k):
    """Degree less neighbours, written out."""
    matrix = torch.zeros(k * k, k * k, dtype=torch.float64)
    for y in range(k):
        for x in range(k):
            for a, b in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= a < k and 0 <= b < k:
                    matrix[y * k + x, y * k + x] += 1
                    matrix[y * k + x, a * k + b] -= 1
    return matrix


def test_the_eigenvalues_of_three_by_three():
    eigenvalues, _ = laplacian_basis(3)
    expected = torch.tensor([0, 1, 1, 2, 3, 3, 4, 4, 6], dtype=torch.float64)
    assert torch.allclose(eigenvalues, expected, atol=1e-14)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_eigenvectors(k):
    eigenvalues, vectors = laplacian_basis(k)
    rows = vectors.flatten(1)
    assert torch.allclose(rows @ rows.T, torch.eye(k * k, dtype=torch.float64), atol=1e-14)
    assert torch.allclose(rows @ grid_laplacian(k), eigenvalues[:, None] * rows, atol=1e-14)


def test_constant_filters_have_the_first_part_alone():
    found = laplacian_spectrum(torch.ones(4, 2, 3, 3, dtype=torch.float64) * 2)
    assert float(found.energy[0]) == pytest.approx(36, rel=1e-14)
    assert found.energy[1:].max() < 1e-28
    assert found.roughness == pytest.approx(0, abs=1e-14)


def test_energies_sum_to_the_norm_and_do_not_depend_on_the_basis(generator):
    w = torch.randn(8, 3, 3, 3, generator=generator, dtype=torch.float64)
    found = laplacian_spectrum(w)
    assert float(found.energy.sum()) == pytest.approx(float(w.square().sum((-1, -2)).mean()), rel=1e-13)
    values, energy = found.by_eigenvalue()
    assert values.tolist() == [0, 1, 2, 3, 4, 6]
    other, basis = torch.linalg.eigh(grid_laplacian(3))
    split = (w.flatten(2) @ basis).square().mean((0, 1))
    expected = torch.stack([split[(other - value).abs() < 1e-6].sum() for value in values])
    assert torch.allclose(energy, expected, rtol=1e-12)
    quadratic = torch.einsum("abi,ij,abj->", w.flatten(2), grid_laplacian(3), w.flatten(2)) / w.square().sum()
    assert found.roughness == pytest.approx(float(quadratic), rel=1e-12)
    turned = laplacian_spectrum(w.rot90(1, (-2, -1)))
    assert torch.allclose(turned.by_eigenvalue()[1], energy, rtol=1e-12)
    json.dumps(found.record(), allow_nan=False)


def test_of_a_layer_of_a_network_and_of_zeros():
    found = laplacian_spectrum(nn.Conv2d(2, 3, 3).weight)
    assert not found.energy.requires_grad
    assert laplacian_spectrum(torch.zeros(1, 3, 3)).roughness is None


def angles():
    return 2 * math.pi * torch.arange(8, dtype=torch.float64) / 8


def test_a_wave_of_one_angle_has_two_bins():
    for c in (0.0, 0.7, 2.0):
        found = angular_spectrum(torch.cos(2 * angles() + c).expand(5, 8))
        assert torch.allclose(found[[2, 6]], torch.full((2,), 10.0, dtype=torch.float64), rtol=1e-13)
        assert found[[0, 1, 3, 4, 5, 7]].max() < 1e-27


def test_a_wave_of_two_angles_has_two_bins():
    found = angular_spectrum(torch.cos(angles()[:, None] - 3 * angles()), n_axes=2)
    assert float(found[1, 5]) == pytest.approx(16, rel=1e-13)
    assert float(found[7, 3]) == pytest.approx(16, rel=1e-13)
    found[1, 5] = found[7, 3] = 0
    assert found.max() < 1e-27


def test_spectra_of_a_layer_over_scattering(generator):
    table = Scattering2D((16, 16), n_scales=3, n_angles=8).table
    w = torch.zeros(4, len(table), 1, 1, dtype=torch.float64)
    scale = torch.randn(4, 3, 3, generator=generator, dtype=torch.float64)
    theta = angles()
    for channel, path in enumerate(table):
        if path.order == 1:
            w[:, channel, 0, 0] = scale[:, 0, path.scales[0]] * torch.cos(2 * theta[path.filters[0]] + 1)
        elif path.order == 2:
            (j1, j2), (l1, l2) = path.scales, path.filters
            w[:, channel, 0, 0] = scale[:, j1, j2] * torch.cos(theta[l1] - 3 * theta[l2])
        else:
            w[:, channel] = 9
    found = angular_spectra(w, table, n_angles=8)
    order = torch.tensor([path.order for path in table])
    for spectrum, bins, number in ((found.first, [(2,), (6,)], 1), (found.second, [(1, 5), (7, 3)], 2)):
        total = float(w[:, order == number].square().sum())
        for where in bins:
            assert float(spectrum[where]) == pytest.approx(total / 2, rel=1e-13)
        assert float(spectrum.sum()) == pytest.approx(total, rel=1e-13)
    again = torch.randperm(len(table), generator=generator)  # the order of the channels does not matter
    mixed = angular_spectra(w[:, again], [table[i] for i in again], n_angles=8)
    assert torch.allclose(mixed.second, found.second, atol=1e-12)
    json.dumps(found.record(), allow_nan=False)


def test_bad_input_is_named():
    with pytest.raises(
        ValueError, match=r"`weights` must have the shape \(..., k, k\) of at least one filter, got"
    ):
        laplacian_spectrum(torch.zeros(2, 3, 5))
    with pytest.raises(ValueError, match=r"`weights` must be finite, got 9 NaN"):
        laplacian_spectrum(torch.full((3, 3), math.nan))
    with pytest.raises(ValueError, match=r"`n_axes` must be 1 or 2, got 3"):
        angular_spectrum(torch.zeros(2, 2, 2), n_axes=3)
    table = Scattering2D((16, 16), n_scales=2, n_angles=4).table
    with pytest.raises(ValueError, match=r"`weights` must have 25 channels along axis 1, got \(2, 24\)"):
        angular_spectra(torch.zeros(2, 24), table, n_angles=4)
    with pytest.raises(ValueError, match=r"`paths` must hold all 4 angles at the scales \(0, 1\)"):
        angular_spectra(torch.zeros(2, 24), table[:-1], n_angles=4)
