"""Moduli read at the atoms: against the fields by quadrature-free sums, symmetries, gradients, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y
from sklearn.base import clone

from phasewave.core.solid import SolidHarmonicWavelets
from phasewave.molecules.atom_scattering import AtomScattering
from phasewave.molecules.density import DEFAULT_SIGMA, charge_table
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.harmonic_fields import smoothing
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.model_file import load_model, save_model
from phasewave.molecules.ridge import LeaveOneOutRidge
from phasewave.molecules.structures import Molecules, as_molecules

SMALL = {"elements": ("H", "C", "O"), "channels": ("all", "atom_valence"), "n_scales": 3, "max_degree": 3}
NAMES = ("CH3CH2OH", "CO2", "H2O", "O", "C2H4", "CH4")


@pytest.fixture(scope="module")
def atoms():
    return [molecule(name) for name in NAMES]


def definition(atoms, features):
    """The sums of the definition, atom by atom, by SciPy's complex harmonics and heights found by quadrature."""
    wavelets = SolidHarmonicWavelets(features.max_degree, features.sigma)
    charge = charge_table(features.channels).numpy()[:, atoms.numbers]

    def squared(k, own, l, j):
        s = wavelets.blurred_width(j, features.sigma)
        r = np.linspace(0, 14 * s, 20001)
        profile = (r**l * np.exp(-(r**2) / (2 * s**2))) ** 2 * r**2 * (2 * l + 1)
        height = np.sqrt(wavelets.energy(l, j, blur=features.sigma) / np.trapezoid(profile, r))
        offset = atoms.positions[k] - atoms.positions
        length = np.linalg.norm(offset, axis=1)
        polar = np.arccos(np.divide(offset[:, 2], length, out=np.ones_like(length), where=length > 0))
        radial = own * height * length**l * np.exp(-(length**2) / (2 * s**2))
        around = np.arctan2(offset[:, 1], offset[:, 0])
        return sum(abs((radial * sph_harm_y(l, m, polar, around)).sum()) ** 2 for m in range(-l, l + 1))

    values = []
    for column in features.table:
        own, l, j = charge[features.channels.index(column.channel)], column.degree, column.scale
        ratio = wavelets.energy(l, j, blur=features.sigma) / wavelets.energy(0, j, blur=features.sigma)
        smoothing = 1e-6 * ratio if l else 0.0  # of moduli that vanish, as in `SolidScattering`
        here = np.flatnonzero(np.array(atoms.get_chemical_symbols()) == column.element)
        moduli = [squared(k, own, l, j) + smoothing * squared(k, own, 0, j) for k in here]
        values.append((np.array(moduli) ** (column.power / 2)).sum())
    return np.array(values)


@pytest.mark.parametrize("name", ["CH3CH2OH", "CO2"])
def test_columns_are_the_sums_of_the_definition(name):
    features = AtomScattering(**SMALL)
    found = features.forward(Molecules.from_atoms([molecule(name)]))[0].numpy()
    np.testing.assert_allclose(found, definition(molecule(name), features), rtol=1e-7, atol=1e-10)


def test_moduli_are_the_fields_that_solid_scattering_integrates():
    """A second atom, led over a lattice, reads the squared field of the first; its own vanishes where it is."""
    settings = {"channels": ("all",), "n_scales": 1, "max_degree": 2, "powers": (2.0,)}
    axis, oxygen = 0.16 * np.arange(-15, 16), Atoms("O")
    places = torch.from_numpy(np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 1, 3))
    positions = torch.cat([torch.zeros_like(places), places], 1)[places.abs().sum((1, 2)) > 0]
    pairs = Molecules(
        torch.full((2 * len(positions),), 8), positions.flatten(0, 1), 2 * torch.arange(len(positions) + 1)
    )
    squared = AtomScattering(elements=("O",), **settings).moduli(pairs)[1::2, 0, 0]
    integrals = SolidScattering(**settings, max_order=1, step=0.3, dtype="float64").transform([oxygen])[0]
    least = torch.tensor(smoothing(SolidHarmonicWavelets(2, DEFAULT_SIGMA), 0, DEFAULT_SIGMA))
    fields = squared - least * squared[:, :1]
    np.testing.assert_allclose(fields.sum(0)[1:].numpy() * 0.16**3, integrals[2:], rtol=2e-5)


@pytest.mark.parametrize("mirror", [1, -1])
def test_exact_symmetries(atoms, mirror, generator):
    features = AtomScattering(**SMALL)
    turn = Rotation.random(random_state=3).as_matrix() * mirror
    changed = []
    for one in atoms:
        order = torch.randperm(len(one), generator=generator).numpy()
        changed.append(Atoms(one.numbers[order], one.positions[order] @ turn.T + [3.0, -20.0, 7.0]))
    before, after = features.forward(as_molecules(atoms)), features.forward(as_molecules(changed))
    assert torch.allclose(before, after, rtol=1e-10, atol=1e-12 * float(before.max()))


def test_a_batch_is_a_loop_whatever_the_tile(atoms):
    together = AtomScattering(**SMALL).forward(as_molecules(atoms))
    for tile in (1, 100):
        apart = AtomScattering(**SMALL, tile=tile).forward(as_molecules(atoms))
        assert torch.allclose(together, apart, rtol=1e-12, atol=0)


def test_float32_is_near_float64(atoms):
    molecules = as_molecules(atoms)
    exact = AtomScattering().forward(molecules)
    found = AtomScattering().forward(molecules.to(dtype=torch.float32))
    assert found.dtype == torch.float32
    assert ((found - exact).abs() / exact.abs().amax(0).clamp(min=1e-30)).max() < 1e-4


@pytest.mark.parametrize("name", ["CO2", "H2O"])
def test_gradients_are_exact_and_finite_where_moduli_vanish(name):
    one = Molecules.from_atoms([molecule(name)])
    features = AtomScattering(**SMALL | {"powers": (1.0, 2.0)})
    positions = one.positions.clone().requires_grad_(True)
    if name == "H2O":  # those of a linear molecule change on the scale of the smoothing
        assert torch.autograd.gradcheck(
            lambda x: features.forward(one.with_positions(x)), positions, atol=1e-6, rtol=1e-5
        )
    half = AtomScattering(**SMALL | {"powers": (0.5,)}).forward(one.with_positions(positions))
    (gradient,) = torch.autograd.grad(half.sum(), positions)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


def test_gradients_after_an_array():
    features = AtomScattering(n_scales=2, max_degree=1, sigma=0.31)  # settings of no other test: no table is kept
    features.transform([molecule("CH4")])
    batch = as_molecules([molecule("CH4")]).to(dtype=torch.float64)
    positions = batch.positions.clone().requires_grad_(True)
    features.forward(batch.with_positions(positions)).sum().backward()
    assert bool(positions.grad.isfinite().all())


def test_elements_far_apart_do_not_see_each_other():
    near, far = AtomScattering(**SMALL), 40.0
    together = near.forward(as_molecules([Atoms("OC", [[0, 0, 0], [far, 0, 0]])]))[0]
    apart = sum(near.forward(as_molecules([Atoms(symbol)]))[0] for symbol in "OC")
    assert torch.allclose(together, apart, rtol=1e-9, atol=1e-9)


def test_as_columns_of_solid_scattering(atoms):
    at_atoms = AtomScattering(**SMALL)
    both = SolidScattering(channels=("all",), n_scales=2, max_degree=1, max_order=1, step=0.8, at_atoms=at_atoms)
    plain = clone(both).set_params(at_atoms=None)
    rows = both.transform(atoms)
    n_plain = plain.n_features
    np.testing.assert_array_equal(rows[:, :n_plain], plain.transform(atoms))
    np.testing.assert_allclose(rows[:, n_plain:], at_atoms.transform(atoms), rtol=2e-4, atol=1e-5 * rows.max())
    assert both.table == plain.table + at_atoms.table
    assert both.get_feature_names_out()[n_plain] == "all_at_H_j0_l0_q0.5"


def test_files_keep_them(atoms, tmp_path):
    both = SolidScattering(max_order=0, step=0.8, at_atoms=AtomScattering(**SMALL))
    molecules = as_molecules(atoms)
    energies = np.arange(len(atoms), dtype=float)
    model = EnergyModel(both, LeaveOneOutRidge()).fit(molecules, energies)
    save_model(model, tmp_path / "model.h5")
    loaded = load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded.predict(molecules), model.predict(molecules))
    alone = EnergyModel(AtomScattering(**SMALL), LeaveOneOutRidge()).fit(molecules, energies)
    save_model(alone, tmp_path / "alone.h5")
    np.testing.assert_array_equal(load_model(tmp_path / "alone.h5").predict(molecules), alone.predict(molecules))
    _, forces = alone.forces(molecules)
    assert torch.isfinite(forces).all()
    assert forces.sum(0).abs().max() < 1e-9 * forces.abs().max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"elements": "C"}, "`elements` must be different values in a list"),
        ({"elements": ()}, "`elements` must be different values in a list"),
        ({"elements": ("Cx",)}, "`elements` must be symbols of elements"),
        ({"powers": (1.0, 1.0)}, "`powers` must be different values in a list"),
        ({"powers": (0.0,)}, "`powers` must be different positive numbers"),
        ({"n_scales": 0}, "`n_scales` must be"),
        ({"sigma": 0.0}, "`sigma` must be a positive width"),
        ({"channels": ("spin",)}, "`channels` must be"),
        ({"elements": ("H", "C")}, r"must hold only elements among `elements` \(H, C\), got"),
    ],
)
def test_bad_parameters(change, message, atoms):
    with pytest.raises(ValueError, match=message):
        AtomScattering(**SMALL | change).fit(atoms)


def test_solid_scattering_refuses_what_is_no_atom_scattering(atoms):
    with pytest.raises(TypeError, match="`at_atoms` must be an AtomScattering or None, got bool"):
        SolidScattering(at_atoms=True).fit(atoms)
