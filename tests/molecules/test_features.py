"""`SolidScattering` against a reference by Fourier transforms, pair sums, symmetries, and as an estimator."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phasewave.core.solid import SolidHarmonicWavelets
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.structures import Molecules, as_molecules

SIGMA = 2 / 8.95
_spec = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("reference.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
reference = _module.reference
SMALL = {"channels": ("all", "valence"), "n_scales": 2}


@pytest.fixture(scope="module")
def ethanol():
    return molecule("CH3CH2OH")


def moved(atoms, seed, *, mirror=False):
    generator = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed).as_matrix() * (-1 if mirror else 1)
    return Atoms(atoms.numbers, atoms.positions @ turn.T + generator.normal(size=3))


def spread(a, b):
    return np.abs(a - b) / np.abs(b)


def test_every_order_against_fourier_transforms_in_float64():
    atoms = molecule("H2O")
    settings = {"sigma": SIGMA, "n_scales": 2, "max_degree": 2, "powers": (0.5, 1.0, 2.0, 3.0)}
    expected = reference(atoms.numbers.astype(float), atoms.positions, step=0.45, padding=7.0, **settings)
    features = SolidScattering(channels=("all",), n_scales=2, max_degree=2, step=0.3, dtype="float64")
    values = features.transform([atoms])[0]
    for value, column in zip(values, features.table, strict=True):
        key = tuple(k for k in (column.scale, column.scale2, column.degree) if k is not None)
        ours = expected[key][settings["powers"].index(column.power)]
        # Degree 0 has no zeros: both converge exponentially. Others share the reference's algebraic error.
        tolerance = 1e-5 if not column.degree else 3e-3 if column.order == 2 else 4e-4
        assert value == pytest.approx(ours, rel=tolerance), column


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 3e-5), ("float32", 3e-5)])
def test_power_2_of_order_1_is_a_sum_over_pairs_of_atoms(dtype, tolerance, ethanol):
    """The integral of U^2 is sum_ab q_a q_b K(|r_a - r_b|), K by quadrature over the pair's own axis."""
    features = SolidScattering(channels=("all",), powers=(2.0,), max_order=1, dtype=dtype)
    values = dict(zip(features.table, features.transform([ethanol])[0], strict=True))
    wavelets = SolidHarmonicWavelets(3, SIGMA)
    q, r = ethanol.numbers.astype(float), ethanol.positions
    distances = np.linalg.norm(r[:, None] - r[None], axis=-1)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    for column, value in values.items():
        if column.order == 1:
            l, sigma = column.degree, wavelets.width(column.scale)
            s = wavelets.blurred_width(column.scale, SIGMA)
            # Parseval: |psi_l^ rho^|^2 = (2 pi)^3 c_l^2 (2l + 1) / (4 pi) (sigma k)^2l e^{-s^2 k^2} |q^|^2
            k = 6 / s * (nodes + 1)
            power = wavelets.energy(l, column.scale, blur=SIGMA)
            density = k ** (2 * l + 2) * np.exp(-((s * k) ** 2)) * weights
            pair = np.sinc(distances[..., None] * k / np.pi)
            kernel = power * (pair @ density) / density.sum()
            assert value == pytest.approx(q @ kernel @ q, rel=tolerance), (column, sigma)


@pytest.mark.parametrize("mirror", [False, True])
def test_motions_change_little_and_less_at_a_finer_step(mirror, ethanol):
    medians = []
    for step in (0.45, 0.3):
        features = SolidScattering(**SMALL, step=step)
        values = features.transform([ethanol, *(moved(ethanol, seed, mirror=mirror) for seed in range(3))])
        worst = spread(values[1:], values[0]).max(0)
        medians.append(np.median(worst))
        if step == 0.45:
            assert np.quantile(worst, 0.75) < 1e-4
            assert worst.max() < 3e-3
        else:
            assert np.quantile(worst, 0.9) < 1e-4
    assert medians[1] < 0.5 * medians[0]


def test_the_order_of_atoms_and_a_shift_change_rounding_only(ethanol):
    features = SolidScattering(**SMALL, dtype="float64")
    order = np.random.default_rng(0).permutation(len(ethanol))
    shifted = Atoms(ethanol.numbers[order], ethanol.positions[order] + [30.0, -7.0, 2.0])
    a, b = features.transform([ethanol, shifted])
    assert spread(a, b).max() < 1e-10


def test_a_batch_is_a_loop_and_tiles_do_not_matter():
    batch = as_molecules([molecule(name) for name in ("H2", "CH4", "C6H6", "CO2")])
    features = SolidScattering(**SMALL)
    together = features.transform(batch)
    np.testing.assert_array_equal(together, np.concatenate([features.transform(batch[i]) for i in range(4)]))
    np.testing.assert_array_equal(together[:0], features.transform(batch[:0]))
    small = SolidScattering(**SMALL, tile=300).transform(batch)
    np.testing.assert_allclose(small, together, rtol=2e-6)


def test_float32_is_float64_to_its_rounding(ethanol):
    single = SolidScattering(**SMALL).transform([ethanol])
    double = SolidScattering(**SMALL, dtype="float64").transform([ethanol])
    assert single.dtype == np.float32
    assert spread(single, double).max() < 2e-6


def test_far_parts_do_not_see_each_other():
    """Order 0 and 1 of two molecules 60 A apart are the sums of theirs; slabs between them are empty."""
    features = SolidScattering(channels=("all",), n_scales=1, max_order=1, dtype="float64")
    a, b = molecule("H2O"), molecule("CO")
    both = Atoms([*a.numbers, *b.numbers], np.concatenate([a.positions, b.positions + np.array([0, 0, 60])]))
    alone = features.transform([a, b]).sum(0)
    assert spread(features.transform([both])[0], alone).max() < 1e-3


@pytest.mark.parametrize("name", ["CO2", "H2O", "CH4", "CH3CH2OH", "H"])
def test_gradients_are_finite_add_up_to_zero_and_equal_differences(name):
    atoms = Atoms("H") if name == "H" else molecule(name)
    molecules = as_molecules([atoms])
    features = SolidScattering(**SMALL, max_degree=2)
    positions = molecules.positions.clone().requires_grad_()
    values = features(molecules.with_positions(positions))[0]
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(len(values), generator=generator, dtype=torch.float64) / values.detach()
    (gradient,) = torch.autograd.grad(values @ weight, positions)
    assert torch.isfinite(gradient).all()
    # The lattice moves with the molecule, so there is no net force at any step.
    assert float(gradient.sum(0).norm()) < 1e-12 * max(1.0, float(gradient.norm()))
    direction = torch.randn(positions.shape, generator=generator, dtype=torch.float64)
    h = 1e-6
    with torch.no_grad():
        ends = [features(molecules.with_positions(positions + t * direction))[0] @ weight for t in (h, -h)]
    difference = (ends[0] - ends[1]) / (2 * h)
    if len(atoms) > 1:
        assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=1e-5)
    single = molecules.to(dtype=torch.float32).positions.requires_grad_()
    features(molecules.with_positions(single)).sum().backward()
    assert torch.isfinite(single.grad).all()


def test_channels_are_what_they_say():
    names = ("all", "valence", "core", "atom_valence", "C", "not C")
    features = SolidScattering(channels=names, powers=(1.0,), max_order=0, dtype="float64")
    values = features.transform([molecule("CH4"), Atoms("Cl")])
    np.testing.assert_allclose(values, [[10, 8, 2, 8, 6, 4], [17, 7, 10, 1, 0, 17]], rtol=1e-5, atol=1e-9)


def test_order_two_on_some_channels_alone():
    """The columns that are there are those of all channels."""
    atoms = [molecule("CH3OH"), molecule("H2O")]
    settings = {"channels": ("all", "H", "core"), "n_scales": 2, "max_degree": 2}
    every, some = SolidScattering(**settings), SolidScattering(**settings, second_order_channels=("core", "all"))
    names = every.get_feature_names_out().tolist()
    chosen = [names.index(name) for name in some.get_feature_names_out()]
    assert len(chosen) == some.n_features == every.n_features - 3 * 4
    np.testing.assert_allclose(some.transform(atoms), every.transform(atoms)[:, chosen], rtol=1e-6)
    positions = as_molecules(atoms).positions.float().requires_grad_()
    some(as_molecules(atoms).with_positions(positions)).log().sum().backward()
    assert torch.isfinite(positions.grad).all()


def test_any_powers_and_degrees():
    features = SolidScattering(channels=("all",), n_scales=2, max_degree=5, powers=(0.7, 2.0, 5.0))
    values = features.transform([molecule("NH3")])[0]
    exact = SolidScattering(**{**features.get_params(), "dtype": "float64"}).transform([molecule("NH3")])[0]
    assert len(values) == len(features.table) == 3 * (1 + 2 * 6 + 6)
    assert spread(values, exact).max() < 1e-4


def test_the_table_and_the_names():
    features = SolidScattering()
    names = features.get_feature_names_out()
    assert len(features.table) == len(set(names)) == features.n_features == 300
    column = features.table[-1]
    assert (column.order, column.channel, column.degree) == (2, "core", 3)
    assert (column.scale, column.scale2, column.power) == (1, 2, 3.0)
    assert names[-1] == "core_j1_j2_l3_q3"


def test_an_estimator_and_a_module():
    atoms = [molecule(name) for name in ("H2O", "CH4", "NH3")]
    features = SolidScattering(n_scales=1, max_order=1)
    assert clone(features).get_params() == features.get_params()
    assert isinstance(features, torch.nn.Module)
    assert not features.state_dict()
    array = make_pipeline(features, StandardScaler()).fit_transform(atoms)
    assert array.shape == (3, features.n_features)
    features.set_params(max_degree=1)
    assert features.transform(atoms).shape == (3, 3 * 4 * 3)
    # What was cached in a transform serves a gradient as well.
    molecules = as_molecules(atoms)
    positions = molecules.positions.float().requires_grad_()
    features(molecules.with_positions(positions)).sum().backward()
    assert positions.grad is not None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"channels": ("electrons",)}, ValueError, "`channels` must be of 'all', 'valence'"),
        ({"channels": "all"}, ValueError, "`channels` must be different names in a list"),
        ({"channels": ("all", "all")}, ValueError, "`channels` must be different names"),
        (
            {"second_order_channels": ()},
            ValueError,
            "`second_order_channels` must be different ones of all, valence",
        ),
        ({"second_order_channels": ("H",)}, ValueError, "`second_order_channels` must be different ones of all"),
        (
            {"second_order_channels": "all"},
            ValueError,
            "`second_order_channels` must be different names in a list",
        ),
        ({"n_scales": 0}, ValueError, "`n_scales` must be an integer between 1 and 10, got 0"),
        ({"max_degree": 1.5}, TypeError, "`max_degree` must be an integer, got 1.5"),
        ({"max_order": 3}, ValueError, "`max_order` must be an integer between 0 and 2, got 3"),
        ({"powers": (1.0, -1.0)}, ValueError, "`powers` must be different positive numbers"),
        ({"powers": ()}, ValueError, "`powers` must be different positive numbers"),
        ({"sigma": 0.0}, ValueError, "`sigma` must be a positive width in Angstrom, got 0.0"),
        ({"step": 2.0}, ValueError, r"`step` must be in \(0, 1\], got 2.0"),
        ({"tile": 0}, ValueError, "`tile` must be an integer >= 1, got 0"),
        ({"dtype": "float16"}, ValueError, "`dtype` must be one of 'float32', 'float64', got 'float16'"),
        ({"max_points": 1000}, ValueError, "`max_points` must be at least .* for molecule 0 of 3 atoms"),
    ],
)
def test_bad_parameters_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        SolidScattering(**settings).transform([molecule("H2O")])


def test_bad_molecules_are_named():
    with pytest.raises(ValueError, match="'atom_valence' has no charge for Fe"):
        SolidScattering(channels=("all", "atom_valence")).fit([Atoms("Fe")])
    with pytest.raises(TypeError, match="`molecules` must be Molecules, got list"):
        SolidScattering()([molecule("H2O")])
    numbers, positions = torch.tensor([200]), torch.zeros(1, 3)
    with pytest.raises(ValueError, match=r"`numbers` must be atomic numbers 1\.\.118"):
        SolidScattering()(Molecules(numbers, positions, torch.tensor([0, 1])))


def test_the_unit_of_a_column():
    """A lone atom of charge Z: the density's integral of rho^q is known."""
    features = SolidScattering(channels=("all",), max_order=0, dtype="float64")
    values = features.transform([Atoms("O")])[0]
    for value, q in zip(values, features.powers, strict=True):
        gaussian = (2 * math.pi * SIGMA**2) ** 1.5
        assert value == pytest.approx(8**q * gaussian ** (1 - q) / q**1.5, rel=2e-5)
