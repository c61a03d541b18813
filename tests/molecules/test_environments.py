"""Rows of atomic environments: invariant, smooth, and inner products of power spectra."""

import math

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from scipy.special import eval_legendre
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from phasewave.molecules.environments import AtomicEnvironments
from phasewave.molecules.structures import Molecules

SMALL = {"n_shells": 4, "max_degree": 3, "n_channels": 6, "n_components": 40}
NAMES = ("CH3CH2OH", "NH3", "CO2", "H2O", "CH3CN", "O", "H2CO", "C2H4")
MOLECULES = Molecules.from_atoms([molecule(name) for name in NAMES])


@pytest.fixture(scope="module")
def environments():
    return AtomicEnvironments(**SMALL).fit(MOLECULES)


def orthogonal(seed, *, mirrored):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return torch.from_numpy(q * (np.sign(np.linalg.det(q)) * (-1 if mirrored else 1)))


@pytest.mark.parametrize("mirrored", [False, True])
def test_rows_do_not_change_when_molecules_turn_mirror_and_move(environments, mirrored, generator):
    turned = MOLECULES.positions @ orthogonal(1, mirrored=mirrored).T
    shift = torch.randn(len(MOLECULES), 3, generator=generator, dtype=torch.float64)
    moved = turned + 10 * shift[MOLECULES.owner]
    found = environments.forward(MOLECULES.with_positions(moved))
    assert torch.allclose(found, environments.forward(MOLECULES), rtol=0, atol=1e-10)


def test_rows_follow_the_order_of_the_atoms(environments, generator):
    ethanol = MOLECULES[0]
    order = torch.randperm(ethanol.n_atoms, generator=generator)
    shuffled = Molecules(ethanol.numbers[order], ethanol.positions[order], ethanol.offsets)
    assert torch.allclose(environments.forward(shuffled), environments.forward(ethanol)[order], rtol=0, atol=1e-10)


def test_rows_are_of_length_one(environments):
    assert torch.allclose(
        environments.forward(MOLECULES).norm(dim=1), torch.ones(MOLECULES.n_atoms, dtype=torch.float64)
    )


def power_spectra(atoms, elements, settings):
    """The products p of the definition, by Legendre polynomials of angles between pairs of neighbours."""
    found = []
    centres = np.linspace(0.8, settings.cutoff - 0.5, settings.n_shells)
    for k in range(len(atoms)):
        near = [i for i in range(len(atoms)) if i != k and atoms.get_distance(i, k) < settings.cutoff]
        vectors = atoms.positions[near] - atoms.positions[k]
        r = np.linalg.norm(vectors, axis=1)
        cosines = (vectors / r[:, None]) @ (vectors / r[:, None]).T
        weight = (1 + np.cos(np.pi * r / settings.cutoff)) / 2
        weight /= 1 + (r / settings.decay_radius) ** settings.decay_power
        shell = weight[:, None] * np.exp(-((r[:, None] - centres) ** 2) / 2 / settings.width**2)
        flat = np.zeros((len(near), len(elements) * settings.n_shells))
        for row, i in enumerate(near):
            first = elements.index(atoms.numbers[i]) * settings.n_shells
            flat[row, first : first + settings.n_shells] = shell[row]
        rows = [flat.T @ eval_legendre(l, cosines) @ flat for l in range(settings.max_degree + 1)]
        found.append(np.stack(rows).ravel())
    return np.stack(found)


def test_inner_products_are_those_of_the_definition():
    settings = AtomicEnvironments(n_shells=3, max_degree=2, n_channels=100, n_components=10_000, self_weight=0.3)
    atoms = [molecule(name) for name in NAMES]
    rows = settings.fit(atoms).forward(MOLECULES)
    expected = np.concatenate([power_spectra(one, [1, 6, 7, 8], settings) for one in atoms])
    lengths = np.linalg.norm(expected, axis=1)
    constant = 0.3 * lengths.mean()
    gram = expected @ expected.T + constant**2
    scale = np.sqrt(np.diag(gram))
    np.testing.assert_allclose((rows @ rows.T).numpy(), gram / scale[:, None] / scale, rtol=0, atol=1e-12)


def test_the_leading_directions_hold_nearly_all():
    def gram(n_channels, n_components):
        parameters = {**SMALL, "n_channels": n_channels, "n_components": n_components}
        rows = AtomicEnvironments(**parameters).fit(MOLECULES).forward(MOLECULES)
        assert rows.shape == (MOLECULES.n_atoms, n_components + 1)
        return rows @ rows.T

    # 16 channels make 544 products
    full = gram(16, 544)
    errors = [float((gram(*sizes) - full).abs().max()) for sizes in ((4, 20), (8, 80), (12, 200))]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 1e-3


@pytest.mark.parametrize("tile", [1, 100, 16384])
def test_a_batch_is_a_loop(environments, tile):
    tiled = clone(environments).set_params(tile=tile)
    tiled.__dict__.update({k: v for k, v in vars(environments).items() if k.endswith("_")})
    loop = torch.cat([environments.forward(MOLECULES[i]) for i in range(len(MOLECULES))])
    assert torch.allclose(tiled.forward(MOLECULES), loop, rtol=0, atol=1e-13)


def test_float32_is_close_to_float64(environments):
    single = environments.forward(MOLECULES.to(dtype=torch.float32))
    assert single.dtype == torch.float32
    assert float((single.double() - environments.forward(MOLECULES)).abs().max()) < 1e-5


@pytest.mark.parametrize("name", ["H2O", "CO2", "O"])
def test_gradients_also_of_linear_molecules_and_single_atoms(environments, name, generator):
    one = Molecules.from_atoms(molecule(name))

    mix = torch.randn(SMALL["n_components"] + 1, 4, generator=generator, dtype=torch.float64)

    def rows(positions):
        return environments.forward(one.with_positions(positions)) @ mix

    assert torch.autograd.gradcheck(rows, one.positions.clone().requires_grad_(True))


def beyond(distance):
    """Methane, and an oxygen at a distance from its carbon, away from its hydrogens."""
    methane = molecule("CH4")
    away = -methane.positions[1] / np.linalg.norm(methane.positions[1])
    return Molecules.from_atoms(methane + Atoms("O", [distance * away]))


def test_smooth_at_the_cutoff(environments, generator):
    # the weight and its slope vanish at the cutoff: values change with the square of what is left, slopes linearly
    cutoff, step = environments.cutoff, 1e-3
    inside, outside = (environments.forward(beyond(cutoff + s)) for s in (-step, step))
    bend = math.pi**2 / 4 / cutoff**2 * step**2
    assert float((inside - outside).abs().max()) < bend
    pair = beyond(cutoff - step)
    positions = pair.positions.clone().requires_grad_(True)
    rows = environments.forward(pair.with_positions(positions))[0]
    mix = torch.randn(len(rows), generator=generator, dtype=torch.float64)
    (slope,) = torch.autograd.grad(rows @ mix, positions)
    assert 0 < float(slope[-1].abs().max()) < 1e-4


def test_an_atom_that_leaves_becomes_a_free_one(environments):
    far, methane = beyond(7.0), Molecules.from_atoms(molecule("CH4"))
    rows = environments.forward(far)
    free = environments.forward(Molecules.from_atoms(Atoms("O")))
    assert torch.equal(rows[-1:], free)
    assert torch.allclose(rows[:-1], environments.forward(methane), rtol=0, atol=1e-15)
    # and there is no jump on the way: the last neighbour fades
    steps = [
        environments.forward(Molecules.from_atoms(Atoms("OH", [[0, 0, 0], [0, 0, d]])))[0] for d in (4.9, 5.1)
    ]
    assert torch.allclose(steps[0], free[0], atol=1e-4)
    assert torch.equal(steps[1], free[0])


def test_state_brings_back_the_same_bits(environments):
    restored = AtomicEnvironments.from_state(environments.get_params(), environments.state())
    assert torch.equal(restored.forward(MOLECULES), environments.forward(MOLECULES))
    assert restored.elements_ == environments.elements_ == (1, 6, 7, 8)


def test_scikit_learn_parameters(environments):
    copy = clone(environments)
    assert copy.get_params() == environments.get_params()
    assert copy.get_params()["n_shells"] == 4
    for unfitted in (lambda: copy.forward(MOLECULES), copy.state):
        with pytest.raises(NotFittedError):
            unfitted()


def test_an_unknown_element_is_named(environments):
    with pytest.raises(ValueError, match=r"seen in the fit \(H, C, N, O\), got S in molecule 1"):
        environments.forward(Molecules.from_atoms([molecule("H2O"), molecule("SH2")]))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_shells": 0}, ValueError, "`n_shells` must be an integer >= 1, got 0"),
        ({"n_channels": 2.5}, TypeError, "`n_channels` must be an integer, got 2.5"),
        ({"n_components": -1}, ValueError, "`n_components` must be an integer >= 1"),
        ({"tile": 0}, ValueError, "`tile` must be"),
        ({"max_degree": 13}, ValueError, "`max_degree` must be an integer between 0 and 12, got 13"),
        ({"cutoff": 0.0}, ValueError, "`cutoff` must be positive and finite, got 0.0"),
        ({"cutoff": math.inf}, ValueError, "`cutoff` must be positive and finite, got inf"),
        ({"width": math.nan}, ValueError, "`width` must be positive and finite, got nan"),
        ({"decay_power": "6"}, TypeError, "`decay_power` must be a number, got '6'"),
        ({"self_weight": -0.1}, ValueError, "`self_weight` must be positive"),
    ],
)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        AtomicEnvironments(**parameters).fit(MOLECULES)


def test_no_molecules():
    with pytest.raises(ValueError, match="`X` must hold a molecule"):
        AtomicEnvironments().fit(MOLECULES[:0])


@pytest.mark.parametrize("name", ["O", "H2"])
def test_fitted_to_one_small_molecule_only(name):
    one = Molecules.from_atoms(molecule(name))
    rows = AtomicEnvironments(**SMALL).fit(one).forward(one)
    assert torch.isfinite(rows).all()
