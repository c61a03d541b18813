"""Nystroem features: the exact kernel with all atoms as references, invariance, saving."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from phasewave.molecules.environment_kernel import EnvironmentKernel
from phasewave.molecules.environments import AtomicEnvironments
from phasewave.molecules.structures import Molecules

ENVIRONMENTS = AtomicEnvironments(n_shells=4, max_degree=3, n_channels=6, n_components=40)
NAMES = ("CH3CH2OH", "NH3", "CO2", "H2O", "CH3CN", "O", "H2CO", "C2H4", "C6H6", "CH3OH")
ATOMS = [molecule(name) for name in NAMES]
MOLECULES = Molecules.from_atoms(ATOMS)
OTHERS = [molecule(name) for name in ("CH3COOH", "HCN", "H2O2", "C2H6", "H")]


def small(**parameters):
    return EnvironmentKernel(environments=ENVIRONMENTS, **{"n_references": 30, **parameters})


@pytest.fixture(scope="module")
def kernel():
    return small().fit(ATOMS)


def exact(rows_a, a, rows_b, b, degree):
    """The sum over pairs of atoms of one element, molecule by molecule."""
    alike = torch.where(a.numbers[:, None] == b.numbers, (rows_a @ rows_b.T) ** degree, 0.0)
    found = torch.zeros(len(a), len(b), dtype=torch.float64)
    for (i, j), value in np.ndenumerate(alike.numpy()):
        found[a.owner[i], b.owner[j]] += value
    return found


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_with_all_atoms_as_references_inner_products_are_the_kernel(degree):
    kernel = small(n_references=10_000, degree=degree).fit(ATOMS)
    assert sum(len(rows) for rows in kernel.references_.values()) == MOLECULES.n_atoms
    rows = kernel.environments_.forward(MOLECULES)
    expected = exact(rows, MOLECULES, rows, MOLECULES, degree)
    features = kernel.forward(MOLECULES)
    assert torch.allclose(features @ features.T, expected, rtol=1e-7, atol=0)
    # against other molecules too, but for the directions of rounding size that are left out
    others = Molecules.from_atoms(OTHERS)
    cross = exact(rows, MOLECULES, kernel.environments_.forward(others), others, degree)
    assert torch.allclose(features @ kernel.forward(others).T, cross, rtol=0, atol=1e-3)


def test_fewer_references_come_close():
    rows = AtomicEnvironments.forward(small().fit(ATOMS).environments_, MOLECULES)
    expected = exact(rows, MOLECULES, rows, MOLECULES, 2)
    errors = []
    for n in (8, 16, 32):
        features = small(n_references=n).fit(ATOMS).forward(MOLECULES)
        lost = expected - features @ features.T
        assert float(torch.linalg.eigvalsh(lost)[0]) > -1e-6  # Nystroem never overstates
        errors.append(float(lost.diagonal().sum() / expected.diagonal().sum()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


@pytest.mark.parametrize("sign", [1, -1])
def test_features_do_not_change_when_molecules_turn_mirror_move_and_reorder(kernel, sign):
    rng = np.random.default_rng(5)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= sign * np.linalg.det(q)
    moved = []
    for one in ATOMS:
        order = rng.permutation(len(one))
        moved.append(Atoms(one.numbers[order], one.positions[order] @ q.T + rng.normal(size=3) * 10))
    found = kernel.forward(Molecules.from_atoms(moved))
    assert torch.allclose(found, kernel.forward(MOLECULES), rtol=0, atol=1e-10)


def test_a_batch_is_a_loop(kernel):
    loop = torch.cat([kernel.forward(MOLECULES[i]) for i in range(len(MOLECULES))])
    assert torch.allclose(kernel.forward(MOLECULES), loop, rtol=0, atol=1e-11)
    tiled = small(n_references=30).fit(ATOMS)
    tiled.environments_.tile = 1
    np.testing.assert_allclose(tiled.transform(ATOMS), kernel.transform(ATOMS), rtol=0, atol=1e-5)


def test_molecules_far_apart_add_up(kernel):
    water, methanol = molecule("H2O"), molecule("CH3OH")
    apart = water.copy()
    methanol.translate([0, 0, 30])
    apart.extend(methanol)
    whole, parts = (kernel.forward(Molecules.from_atoms(atoms)) for atoms in (apart, [water, methanol]))
    assert torch.allclose(whole[0], parts.sum(0), rtol=0, atol=1e-12)


def test_float32_is_close_to_float64(kernel):
    # small eigenvalues of the references' kernel magnify rounding 1e4 times
    exact_features = kernel.forward(MOLECULES)
    found = kernel.transform(ATOMS)
    assert exact_features.dtype == torch.float64
    assert found.dtype == np.float32
    assert float((torch.from_numpy(found) - exact_features).abs().max()) < 1e-5


@pytest.mark.parametrize("name", ["H2O", "CO2", "O"])
def test_gradients_also_of_linear_molecules_and_single_atoms(kernel, name):
    one = Molecules.from_atoms(molecule(name))

    def features(positions):
        return kernel.forward(one.with_positions(positions))

    assert torch.autograd.gradcheck(features, one.positions.clone().requires_grad_(True), atol=1e-4)


def test_references_are_shared_and_the_farthest():
    kernel = small(n_references=20).fit(ATOMS)
    counts = {z: int((MOLECULES.numbers == z).sum()) for z in (1, 6, 7, 8)}
    total = sum(count**0.5 for count in counts.values())
    rows = kernel.environments_.forward(MOLECULES.to(dtype=torch.float32))
    for z, count in counts.items():
        references = kernel.references_[z]
        assert len(references) == min(count, round(20 * count**0.5 / total))
        of_z = rows[MOLECULES.numbers == z]
        # here the pool holds every atom: each reference but the first is farthest from all before it
        for k in range(1, len(references)):
            gaps = torch.cdist(of_z, references[:k]).amin(1)
            mine = torch.cdist(references[k : k + 1], references[:k]).amin()
            assert float(mine) > float(gaps.max()) - 1e-3


def test_the_seed_decides_the_draw():
    atoms = ATOMS + OTHERS
    first, again, other = (small(n_references=6, seed=seed).fit(atoms) for seed in (0, 0, 1))
    assert all(torch.equal(first.references_[z], again.references_[z]) for z in first.references_)
    assert not torch.equal(first.references_[1], other.references_[1])


def test_names_are_one_a_column(kernel):
    names = kernel.get_feature_names_out()
    assert len(set(names)) == len(names) == kernel.n_features_ == kernel.transform(ATOMS).shape[1]
    assert names[0] == "H0"


def test_state_brings_back_the_same_bits(kernel):
    restored = EnvironmentKernel.from_state(kernel.get_params(deep=False), kernel.state())
    assert torch.equal(restored.forward(MOLECULES), kernel.forward(MOLECULES))
    assert np.array_equal(restored.transform(OTHERS), kernel.transform(OTHERS))


def test_scikit_learn_parameters(kernel):
    copy = clone(kernel)
    assert copy.environments is not kernel.environments
    assert copy.get_params()["environments__max_degree"] == 3
    copy.set_params(environments__max_degree=1, degree=3)
    assert kernel.environments.max_degree == 3
    for unfitted in (lambda: copy.forward(MOLECULES), copy.state):
        with pytest.raises(NotFittedError):
            unfitted()


def test_fitting_leaves_the_parameters_alone():
    kernel = small()
    kernel.fit(ATOMS)
    assert kernel.environments is ENVIRONMENTS
    assert not hasattr(ENVIRONMENTS, "elements_")


def test_an_unknown_element_is_named(kernel):
    for call in (kernel.transform, lambda atoms: kernel.forward(Molecules.from_atoms(atoms))):
        with pytest.raises(ValueError, match=r"seen in the fit \(H, C, N, O\), got S in molecule 0"):
            call([molecule("SH2")])


def test_no_molecules(kernel):
    with pytest.raises(ValueError, match="`X` must hold a molecule"):
        kernel.transform(MOLECULES[:0])


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_references": 0}, ValueError, "`n_references` must be an integer >= 1, got 0"),
        ({"degree": 0}, ValueError, "`degree` must be an integer between 1 and 8, got 0"),
        ({"degree": 1.5}, TypeError, "`degree` must be an integer, got 1.5"),
    ],
)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        small(**parameters).fit(ATOMS)
