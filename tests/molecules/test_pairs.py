"""Pairs of atoms against brute force; harmonics against their addition theorem."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from ase.build import molecule
from scipy.special import eval_legendre

from phasewave.molecules.pairs import direction_harmonics, molecule_chunks, neighbour_pairs
from phasewave.molecules.structures import Molecules

MOLECULES = Molecules.from_atoms([molecule(name) for name in ("C6H6", "H", "CO2", "CH3CH2OH", "NH3")])


@pytest.mark.parametrize("cutoff", [0.5, 1.3, 2.5, 50.0])
def test_pairs_are_those_of_brute_force(cutoff):
    expected = {}
    for i, j in np.ndindex(MOLECULES.n_atoms, MOLECULES.n_atoms):
        vector = MOLECULES.positions[j] - MOLECULES.positions[i]
        if i != j and MOLECULES.owner[i] == MOLECULES.owner[j] and float(vector.norm()) < cutoff:
            expected[i, j] = vector
    found = neighbour_pairs(MOLECULES, cutoff)
    keys = list(zip(found.centre.tolist(), found.neighbour.tolist(), strict=True))
    assert len(keys) == len(set(keys)) == len(expected)
    assert set(keys) == expected.keys()
    for key, vector in zip(keys, found.vectors, strict=True):
        assert torch.equal(vector, expected[key])


def test_single_atoms_have_no_pairs():
    found = neighbour_pairs(MOLECULES[[1, 1]], 5.0)
    assert found.centre.shape == found.neighbour.shape == (0,)
    assert found.vectors.shape == (0, 3)


@pytest.mark.parametrize("n_pairs", [1, 16, 40, 200, 10**6])
def test_chunks_are_the_molecules_in_turn_within_the_limit(n_pairs):
    parts = list(molecule_chunks(MOLECULES, n_pairs))
    joined = Molecules.concatenate(parts)
    assert joined.sha256() == MOLECULES.sha256()
    assert all(len(part) == 1 or int((part.sizes**2).sum()) <= n_pairs for part in parts)
    # as few as may be: the first of a chunk did not fit into the one before
    for part, following in pairwise(parts):
        assert int((part.sizes**2).sum() + following.sizes[0] ** 2) > n_pairs


def test_no_molecules_no_chunks():
    assert list(molecule_chunks(MOLECULES[:0], 10)) == []


def test_addition_theorem(generator):
    u, v = (
        torch.nn.functional.normalize(torch.randn(50, 3, generator=generator, dtype=torch.float64), dim=1)
        for _ in range(2)
    )
    a, b = direction_harmonics(u, 8), direction_harmonics(v, 8)
    assert a.shape == (50, 81)
    for l in range(9):
        mine = slice(l * l, (l + 1) ** 2)
        assert torch.allclose(a[:, mine].square().sum(1), torch.ones(50, dtype=torch.float64), rtol=0, atol=1e-12)
        expected = torch.from_numpy(eval_legendre(l, (u * v).sum(1).numpy()))
        assert torch.allclose((a[:, mine] * b[:, mine]).sum(1), expected, rtol=0, atol=1e-12)


def test_harmonics_are_orthogonal_on_the_sphere():
    # a quadrature exact to degree 19: Gauss-Legendre in the height, evenly around
    height, weight = np.polynomial.legendre.leggauss(10)
    angle = np.arange(20) * 2 * np.pi / 20
    radius = np.sqrt(1 - height**2)[:, None]
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    points = np.stack([x, y, np.broadcast_to(height[:, None], x.shape)], -1).reshape(-1, 3)
    values = direction_harmonics(torch.from_numpy(points), 6).numpy()
    gram = values.T @ (np.repeat(weight, 20)[:, None] / 40 * values)
    norms = np.repeat([1 / (2 * l + 1) for l in range(7)], [2 * l + 1 for l in range(7)])
    np.testing.assert_allclose(gram, np.diag(norms), atol=1e-13)


def test_harmonics_keep_gradients_on_the_axes():
    axes = torch.eye(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u: direction_harmonics(u, 3), axes)


def test_harmonics_of_no_directions():
    assert direction_harmonics(torch.zeros(0, 3), 3).shape == (0, 16)
